"""A database that the engine cannot work on is refused at start, in one round trip, with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url

from engine import startup
from engine.application import open_application
from engine.core.errors import RepositoryError
from engine.db import migrate
from engine.db.buckets import BUCKETS
from engine.db.database import Database
from engine.db.fitness import REVISION, Fitness, server_misfits
from engine.settings import Settings

pytestmark = pytest.mark.anyio


async def refusal(url: str, rights: Any = "app") -> str:
    """What is said to whoever opens the engine on a database that does not fit."""
    with pytest.raises(RepositoryError) as caught:
        async with open_application(url, Settings(database_url=url), rights=rights):
            pass
    return str(caught.value)


@pytest.fixture
def owner(postgresql: psycopg.Connection) -> psycopg.Connection:
    postgresql.autocommit = True
    return postgresql


@pytest.fixture
def stranger(owner: psycopg.Connection, database_url: str) -> Iterator[str]:
    """The URL of a user who has been given nothing."""
    owner.execute("CREATE ROLE stranger LOGIN")
    yield make_url(database_url).set(username="stranger").render_as_string(hide_password=False)
    owner.execute("DROP ROLE stranger")


def test_the_newest_revision_is_the_one_the_program_asks_for() -> None:
    assert migrate.head() == REVISION


async def test_a_database_that_fits_is_asked_once(database: Database) -> None:
    asked: list[str] = []
    event.listen(database._engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    await startup.expect_fit(database)
    assert len(asked) == 1


async def test_a_database_without_our_schema_says_what_to_run(database_url: str, owner: psycopg.Connection) -> None:
    owner.execute("DROP SCHEMA campaign_engine, reporting CASCADE")
    assert await refusal(database_url) == "the database has no schema of this program\nRun: campaign db upgrade"


async def test_a_schema_without_a_revision_says_what_to_run(database_url: str, owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM campaign_engine.alembic_version")
    assert "tells no revision\nRun: campaign db upgrade" in await refusal(database_url)
    owner.execute("DROP TABLE campaign_engine.alembic_version")
    assert "tells no revision\nRun: campaign db upgrade" in await refusal(database_url)


async def test_an_older_schema_says_what_to_run(database_url: str) -> None:
    for step in ("0003", "0001"):
        migrate.downgrade(database_url, step)
        refused = await refusal(database_url)
        assert f"at revision {step}, older than this program, which needs {REVISION}\nRun: campaign db up" in refused


async def test_a_newer_schema_wants_a_newer_program(database_url: str, owner: psycopg.Connection) -> None:
    owner.execute("UPDATE campaign_engine.alembic_version SET version_num = '9999'")
    refused = await refusal(database_url)
    assert f"at revision 9999, newer than this program, which knows {REVISION}\nUse the version of the" in refused


async def test_a_user_without_rights_is_told_which_role_to_be_given(stranger: str, owner: psycopg.Connection) -> None:
    refused = await refusal(stranger)
    assert refused.startswith("the database user stranger lacks rights: SELECT on ")
    assert refused.endswith("\nLet an administrator run: GRANT campaign_engine_app TO stranger")
    owner.execute("GRANT campaign_engine_reporter TO stranger")
    assert "GRANT campaign_engine_app TO stranger" in await refusal(stranger)
    owner.execute("GRANT campaign_engine_worker TO stranger")
    assert "GRANT campaign_engine_app TO stranger" in await refusal(stranger)
    assert "TO stranger" in await refusal(stranger)
    async with open_application(stranger, Settings(database_url=stranger), rights="worker"):
        pass
    owner.execute("GRANT campaign_engine_app TO stranger")
    async with open_application(stranger, Settings(database_url=stranger)):
        pass


async def test_a_worker_without_rights_is_told_its_own_role(stranger: str) -> None:
    assert (await refusal(stranger, "worker")).endswith("GRANT campaign_engine_worker TO stranger")


async def test_one_right_that_is_missing_is_named(stranger: str, owner: psycopg.Connection) -> None:
    owner.execute(
        "GRANT campaign_engine_app TO stranger; REVOKE UPDATE ON campaign_engine.outbox FROM campaign_engine_app"
    )
    assert "user stranger lacks rights: UPDATE on outbox\n" in await refusal(stranger)


async def test_a_read_only_database_is_refused(database_url: str, owner: psycopg.Connection) -> None:
    owner.execute(f"ALTER DATABASE {owner.info.dbname} SET default_transaction_read_only = on")
    refused = await refusal(database_url)
    assert "the database is read-only: default_transaction_read_only is on\nConnect to its primary, or" in refused


async def test_a_database_that_cannot_keep_every_text_is_neither_migrated_nor_used(
    database_url: str, owner: psycopg.Connection
) -> None:
    owner.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    latin = make_url(database_url).set(database="latin").render_as_string(hide_password=False)
    try:
        with pytest.raises(RepositoryError, match="keeps texts as LATIN1; expected UTF8") as caught:
            migrate.upgrade(latin)
        assert "ENCODING 'UTF8'" in caught.value.hint
        assert "keeps texts as LATIN1" in await refusal(latin)
    finally:
        owner.execute("DROP DATABASE latin")


def test_an_old_server_and_a_standby_are_told_by_what_they_say_of_themselves() -> None:
    # neither can be made with the one server there is; what is judged is what a server answers
    good = Fitness(150004, "UTF8", False, False, True, "me", [], REVISION, [*BUCKETS], [*range(64)])
    assert startup.misfits_of(good) == []
    [old] = server_misfits(good._replace(server_version=140013))
    assert old.message == "the server is PostgreSQL 14.13; expected 15 or newer"
    [standby] = startup.misfits_of(good._replace(is_standby=True, is_read_only=True))
    assert standby == ("the database is a standby, which cannot be written to", "Connect to its primary.")


# ---- the buckets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda them: (them[1], them[0], *them[2:]), "place 0 is 8 here, 60 there"),
        (lambda them: (*them[:-1], 1_000), "place 63 is 1000 here, 18 there"),
        (lambda them: them[:-1], "was made with 64 BUCKETS, this program has 63"),
    ],
)
async def test_buckets_changed_by_hand_are_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch, change: Any, told: str
) -> None:
    monkeypatch.setattr(startup, "BUCKETS", change(BUCKETS))
    refused = await refusal(database_url)
    assert told in refused
    assert refused.endswith("\nPut engine/db/buckets.py back as it was; every id rests on it.")


async def test_buckets_changed_in_the_database_are_refused(database_url: str, owner: psycopg.Connection) -> None:
    owner.execute("UPDATE campaign_engine.send_gates SET bucket = 500 WHERE bucket = 82")
    assert "place 2 is 82 here, 500 there" in await refusal(database_url)
    owner.execute("UPDATE campaign_engine.send_gates SET bucket = 82 WHERE bucket = 500")
    owner.execute("INSERT INTO campaign_engine.send_gates VALUES (500)")
    assert "made with 65 BUCKETS, this program has 64" in await refusal(database_url)


async def test_a_gate_that_is_gone_is_told_with_the_statement_that_brings_it_back(
    database_url: str, owner: psycopg.Connection
) -> None:
    owner.execute("DELETE FROM campaign_engine.send_gates WHERE bucket IN (82, 18)")
    assert "bucket 82 has no row in send_gates" in await refusal(database_url)
    found = await startup.find_misfits(database_url)
    assert len(found) == 2
    for each in found:
        owner.execute(each.hint.removeprefix("Run: "))  # type: ignore[arg-type]
    assert await startup.find_misfits(database_url) == []
