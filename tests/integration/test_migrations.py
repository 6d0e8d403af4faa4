"""The migrations make what `engine.db.tables` describes, and give each role no more than it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from psycopg.sql import SQL, Identifier
from sqlalchemy import make_url, text

from engine.core.errors import RepositoryError
from engine.db import migrate
from engine.db.buckets import BUCKETS
from engine.db.channels import ChannelStateRepository
from engine.db.database import Database
from engine.db.hints import HintRepository
from engine.db.messages import Mark, MessageKey, MessageRepository
from engine.db.metrics import Delta, MetricsRepository
from engine.db.tables import metadata
from engine.members import Membership
from engine.recovery import Circuit

ROLES_SQL = Path(migrate.ROOT, "migrations/sql/0001_roles.sql")
RIGHTS_SQL = Path(migrate.ROOT, "migrations/sql/0002_rights.sql")

# what alembic's own comparison passes over: order of columns, keys, predicates of indexes, partitioning, options
CATALOG = """
    WITH ours AS (
        SELECT oid, relname, relkind, reloptions FROM pg_class
        WHERE relnamespace = 'campaign_engine'::regnamespace AND NOT relispartition
          AND relname <> 'alembic_version'
    )
    SELECT relname, attname, format('%s %s %s', attnum, format_type(atttypid, atttypmod), attnotnull)
    FROM ours JOIN pg_attribute ON attrelid = oid AND attnum > 0 WHERE relkind IN ('r', 'p')
    UNION ALL SELECT relname, 'index', pg_get_indexdef(indexrelid) FROM ours JOIN pg_index ON indrelid = oid
    UNION ALL SELECT relname, 'constraint', pg_get_constraintdef(c.oid)
    FROM ours JOIN pg_constraint AS c ON conrelid = ours.oid
    UNION ALL SELECT relname, 'partition by', pg_get_partkeydef(oid) FROM ours WHERE relkind = 'p'
    UNION ALL SELECT relname, 'option', unnest(reloptions) FROM ours
    ORDER BY 1, 2, 3
"""


def _catalog(url: str) -> set[tuple[str, ...]]:
    with migrate.connect(url) as connection:
        rows = {tuple(row) for row in connection.execute(text(CATALOG))}
    return {row for row in rows if "autovacuum" not in row[2]}


def test_the_migrated_database_passes_its_own_check(database_url: str) -> None:
    migrate.check(database_url)
    assert migrate.current(database_url) == migrate.head()


def test_the_migrations_make_exactly_the_tables_of_the_package(database_url: str) -> None:
    migrated = _catalog(database_url)
    with migrate.connect(database_url) as connection:
        connection.execute(text("DROP SCHEMA reporting, campaign_engine CASCADE"))
        connection.execute(text("CREATE SCHEMA campaign_engine"))
        metadata.create_all(connection)
    assert migrated == _catalog(database_url)
    assert len(migrated) > 100


def test_an_upgrade_after_a_downgrade_brings_everything_back(database_url: str) -> None:
    before = _catalog(database_url)
    migrate.downgrade(database_url, "base")
    assert migrate.current(database_url) is None
    assert _catalog(database_url) == set()
    migrate.upgrade(database_url)
    migrate.check(database_url)
    assert _catalog(database_url) == before


def _names(url: str) -> set[tuple[str, str]]:
    """What there is, without its place in the table: what is taken away and brought back comes last."""
    return {(table, name) for table, name, _ in _catalog(url) if ".pg.dropped." not in name}


@pytest.mark.parametrize(
    ("step", "following", "touched"),
    [
        ("0001", "0002", {"send_gates", "outbox", "events"}),
        ("0002", "0003", {"members"}),
        ("0003", "0004", {"conversations"}),
        ("0004", "0005", {"dropped_spans", "members", "channel_state", "metric_deltas"}),
        ("0006", "0007", {"moves", "send_gates", "conversations"}),
    ],
)  # what the following one adds to
def test_each_step_can_be_taken_back_alone(database_url: str, step: str, following: str, touched: set[str]) -> None:
    newest = _names(database_url)
    migrate.downgrade(database_url, following)
    newer = _names(database_url)
    migrate.downgrade(database_url, step)
    older = _names(database_url)
    assert older < newer
    assert {table for table, _ in newer - older} == touched
    migrate.upgrade(database_url)
    migrate.check(database_url)
    assert _names(database_url) == newest


def test_every_bucket_has_its_gate(postgresql: psycopg.Connection) -> None:
    gates = [bucket for (bucket,) in postgresql.execute("SELECT bucket FROM campaign_engine.send_gates")]
    assert sorted(gates) == sorted(BUCKETS)


def test_the_version_before_can_go_on_writing_messages(postgresql: psycopg.Connection) -> None:
    nobody = UUID(int=0)
    postgresql.execute(
        """INSERT INTO campaign_engine.outbox (bucket, conversation_id, campaign_id, recipient_id, at, not_before, seq,
                                               ordinal, awaited, status, scope, channel, message)
           VALUES (60, %(id)s, %(id)s, %(id)s, now(), now(), 1, 0, false, 'ready', 'stage', 'email', 'hello')""",
        {"id": nobody},
    )
    row = postgresql.execute("SELECT ignores_window, ignores_limits FROM campaign_engine.outbox").fetchone()
    assert row == (False, False)


def test_an_upgrade_of_a_new_database_changes_nothing(database_url: str) -> None:
    before = _catalog(database_url)
    migrate.upgrade(database_url)
    assert _catalog(database_url) == before


def test_programs_that_start_together_anywhere_migrate_one_after_the_other(database_url: str, tmp_path: Path) -> None:
    migrate.downgrade(database_url, "base")
    program = [
        sys.executable,
        "-W",
        "error",
        "-c",
        "import sys; from engine.db.migrate import upgrade; upgrade(sys.argv[1])",
    ]
    environment = {**os.environ, "PYTHONPATH": str(migrate.ROOT)}
    with migrate.connect(database_url) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('campaign_engine', 0))"))
        running = [subprocess.Popen([*program, database_url], cwd=tmp_path, env=environment) for _ in range(2)]
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        while connection.scalar(waiting) != 2:
            assert [each.poll() for each in running] == [None, None]
    assert [each.wait(timeout=30) for each in running] == [0, 0]
    migrate.check(database_url)


def test_alembic_by_hand_takes_the_database_from_the_environment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(str(migrate.ROOT / "alembic.ini"))
    with pytest.raises(CommandError, match="DATABASE_URL is not set"):
        command.check(config)
    monkeypatch.setenv("DATABASE_URL", database_url)
    command.check(config)


def test_a_check_before_the_first_migration_says_what_to_run(database_url: str) -> None:
    migrate.downgrade(database_url, "base")
    with pytest.raises(RepositoryError, match="revision none, expected 0007") as caught:
        migrate.check(database_url)
    assert caught.value.hint == "run: campaign db upgrade"


def test_a_check_names_every_difference(database_url: str) -> None:
    with migrate.connect(database_url) as connection:
        connection.execute(text("ALTER TABLE campaign_engine.recipients ADD note text, ALTER email SET DEFAULT 'x'"))
        connection.execute(text("ALTER TABLE campaign_engine.assignments ALTER priority TYPE varchar(9)"))
        connection.execute(text("DROP INDEX campaign_engine.conversations_due"))
    with pytest.raises(RepositoryError) as caught:
        migrate.check(database_url)
    assert set(caught.value.message.split("\n  ")[1:]) == {
        "remove_column recipients note",
        "modify_default recipients email",
        "modify_type assignments priority",
        "add_index conversations_due",
    }


def test_a_check_passes_over_new_partitions(database_url: str) -> None:
    with migrate.connect(database_url) as connection:
        connection.execute(
            text("""
                CREATE TABLE campaign_engine.outbox_2020 PARTITION OF campaign_engine.outbox
                FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')
            """)
        )
    migrate.check(database_url)


def test_a_database_from_a_newer_version_is_left_alone(database_url: str) -> None:
    with migrate.connect(database_url) as connection:
        connection.execute(text("UPDATE campaign_engine.alembic_version SET version_num = '9999'"))
    with pytest.raises(RepositoryError, match="9999") as caught:
        migrate.upgrade(database_url)
    assert "newer version" in caught.value.hint


def test_a_user_who_may_not_create_roles_can_migrate(database_url: str) -> None:
    migrate.downgrade(database_url, "base")
    with migrate.connect(database_url) as connection:
        connection.execute(text("DROP SCHEMA campaign_engine CASCADE"))
        connection.execute(text("CREATE ROLE plain_migrator LOGIN"))
        connection.exec_driver_sql(f'GRANT CREATE ON DATABASE "{make_url(database_url).database}" TO plain_migrator')
    plain = make_url(database_url).set(username="plain_migrator").render_as_string(hide_password=False)
    try:
        migrate.upgrade(plain)
        migrate.check(plain)
    finally:
        with migrate.connect(database_url) as connection:
            connection.execute(text("DROP OWNED BY plain_migrator CASCADE"))
            connection.execute(text("DROP ROLE plain_migrator"))


def test_missing_roles_are_left_out_with_a_notice(postgresql: psycopg.Connection) -> None:
    notices: list[str | None] = []
    postgresql.add_notice_handler(lambda diagnosis: notices.append(diagnosis.message_primary))
    # roles belong to the whole server, so they are only hidden, for the time of this transaction
    for role in ("app", "worker", "reporter"):
        postgresql.execute(f"ALTER ROLE campaign_engine_{role} RENAME TO hidden_{role}")
    postgresql.execute("CREATE ROLE plain; SET ROLE plain")
    postgresql.execute(ROLES_SQL.read_bytes())
    postgresql.execute(RIGHTS_SQL.read_bytes())
    postgresql.rollback()
    assert notices == [
        f"role campaign_engine_{role} was not created, plain may not create roles"
        for role in ("app", "worker", "reporter")
    ]


TABLE_RIGHTS = """
    SELECT relname, string_agg(left(kind, 1), '' ORDER BY place) AS rights
    FROM pg_class
    CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'])
        WITH ORDINALITY AS every (kind, place)
    WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition
      AND has_table_privilege(%s, oid, kind)
    GROUP BY relname
"""


def _rights(postgresql: psycopg.Connection, role: str, schema: str) -> dict[str, str]:
    return dict(postgresql.execute(TABLE_RIGHTS, (schema, f"campaign_engine_{role}")).fetchall())


def test_the_app_may_change_rows_of_every_table_but_no_structure(postgresql: psycopg.Connection) -> None:
    rights = _rights(postgresql, "app", "campaign_engine")
    assert rights.pop("alembic_version") == "S"
    assert {rights[table.name] for table in metadata.sorted_tables} == {"SIUD"}
    assert set(_rights(postgresql, "app", "reporting").values()) == {"S"}


def test_the_worker_may_touch_the_outbox_and_channels_and_wake_conversations(
    postgresql: psycopg.Connection,
) -> None:
    assert _rights(postgresql, "worker", "reporting") == {}
    assert _rights(postgresql, "worker", "campaign_engine") == {
        "outbox": "SU",
        "send_gates": "SU",
        "channel_state": "SIU",
        "members": "SIUD",
        "alembic_version": "S",
        "metric_deltas": "I",
        "recipients": "S",
        "campaigns": "S",
        "campaign_types": "S",
        "conversations": "S",
    }
    postgresql.execute("SET ROLE campaign_engine_worker")
    postgresql.execute("UPDATE campaign_engine.conversations SET due_at = enrolled_at WHERE bucket = 60")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgresql.execute("UPDATE campaign_engine.conversations SET stage = 'won' WHERE bucket = 60")


@pytest.mark.anyio
async def test_the_worker_may_run_every_statement_of_its_repositories(database: Database) -> None:
    now, nobody = datetime(2026, 3, 2, tzinfo=UTC), UUID(int=0)
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL ROLE campaign_engine_worker"))
        messages = MessageRepository(connection)
        await messages.find_due_buckets(now, None)
        await messages.find_waiting_channels(now, [])
        assert await messages.lock_gate(60)
        await messages.lease_messages(60, now, now, None, 10)
        await messages.find_leased(60, now, [MessageKey(nobody, 1, 0, now)])
        await messages.find_sends(60, now, {nobody}, 5, [MessageKey(nobody, 1, 0, now)])
        await messages.mark_conversations_due(60, {nobody}, now)
        await messages.mark_messages(60, now, [Mark(nobody, 1, 0, now, "sent", 1, now)])
        await MetricsRepository(connection).insert_deltas(60, [Delta(nobody, now.date(), "sent")])
        states, opened = ChannelStateRepository(connection), Circuit("open", 5, now.timestamp())
        assert await states.open_circuit("email", opened)
        assert await states.find_troubled() == {"email": opened}
        assert await states.change_circuit("email", opened, Circuit("closed", 0, now.timestamp()))
        await Membership(("work",)).beat(connection, now, {})
        await Membership(("work",)).leave(connection)
        await HintRepository(connection).notify("tick")


def test_the_worker_cannot_write_history(postgresql: psycopg.Connection) -> None:
    postgresql.execute("SET ROLE campaign_engine_worker")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgresql.execute("DELETE FROM campaign_engine.stage_history")


def test_the_reporter_reads_the_views_and_nothing_else(postgresql: psycopg.Connection) -> None:
    assert _rights(postgresql, "reporter", "campaign_engine") == {}
    views = _rights(postgresql, "reporter", "reporting")
    assert len(views) == 10
    assert set(views.values()) == {"S"}
    postgresql.execute("SET ROLE campaign_engine_reporter")
    for view in views:
        postgresql.execute(SQL("SELECT * FROM reporting.{}").format(Identifier(view)))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgresql.execute("SELECT * FROM campaign_engine.metric_counts")
