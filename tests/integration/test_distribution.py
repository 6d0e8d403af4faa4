"""Spreading over a Citus cluster, as far as a plain PostgreSQL shows: the shards, the guards, and what is asked for.

Citus itself is no part of these tests. Where it is needed, functions of its names stand in for it, in a transaction
that is rolled back: they write down how they were called, and show nothing of what Citus makes of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from engine.db.buckets import BUCKETS
from engine.db.migrate import ROOT
from engine.db.tables import metadata

DISTRIBUTION = "\n".join(each.read_text("utf-8") for each in sorted(ROOT.glob("migrations/sql/*_distribution.sql")))
ROW_TABLES = {table.name for table in metadata.sorted_tables if "bucket" in table.c}
SMALL_TABLES = {table.name for table in metadata.sorted_tables} - ROW_TABLES | {"alembic_version"}
CATALOG = """
    SELECT 'relation', relname::text, relkind::text, reloptions::text FROM pg_class
     WHERE relnamespace = 'campaign_engine'::regnamespace
     UNION ALL SELECT 'function', proname::text, pronargs::text, '' FROM pg_proc WHERE pronamespace > 16384
     UNION ALL SELECT 'constraint', conname::text, contype::text, conrelid::regclass::text FROM pg_constraint
     UNION ALL SELECT 'setting', name, setting, '' FROM pg_settings WHERE name LIKE 'citus.%%'
"""
# As much of Citus as the file asks for: what it is, which node this is, what is spread, and two functions that note.
STAND_IN = """
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (9, 'citus', 10, 11, false, '13.2-1');
    CREATE TABLE pg_dist_partition (logicalrelid regclass, partmethod "char", repmodel "char");
    CREATE TABLE calls (place serial, kind text, name text, by text, beside text, shards integer, mode text);
    CREATE FUNCTION citus_is_coordinator() RETURNS boolean LANGUAGE sql
        RETURN current_setting('stand_in.coordinator')::boolean;
    CREATE FUNCTION create_reference_table(relation regclass) RETURNS void LANGUAGE sql AS $$
        INSERT INTO pg_dist_partition VALUES (relation, 'n', 't');
        INSERT INTO calls (kind, name, mode)
        VALUES ('reference', relation::text, current_setting('citus.multi_shard_modify_mode'));
    $$;
    CREATE FUNCTION create_distributed_table(
        relation regclass, by text, colocate_with text DEFAULT 'default', shard_count integer DEFAULT NULL
    ) RETURNS void LANGUAGE sql AS $$
        INSERT INTO pg_dist_partition VALUES (relation, 'h', 's');
        INSERT INTO calls (kind, name, by, beside, shards, mode)
        VALUES ('distributed', relation::text, by, colocate_with, shard_count,
                current_setting('citus.multi_shard_modify_mode'));
    $$;
"""


@pytest.fixture
def stand_in(postgresql: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A transaction in which Citus seems to be there, and this its coordinator."""
    postgresql.execute(STAND_IN)
    postgresql.execute("SET LOCAL stand_in.coordinator = 'on'")
    yield postgresql
    postgresql.rollback()


def calls(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    found = connection.execute("SELECT kind, name, by, beside, shards, mode FROM calls ORDER BY place").fetchall()
    return [(kind, name.removeprefix("campaign_engine."), *rest) for kind, name, *rest in found]


# ---- the shards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2, 4, 8, 16, 32, 64])
def test_the_buckets_fall_evenly_into_any_power_of_two_of_shards(postgresql: psycopg.Connection, shards: int) -> None:
    """Citus gives each shard an equal part of the range of PostgreSQL's own hash of the column."""
    question = "SELECT hashint2(bucket) FROM unnest(%s::smallint[]) AS bucket"
    hashes = [number for (number,) in postgresql.execute(question, (list(BUCKETS),)).fetchall()]
    counted = Counter((number + 2**31) * shards >> 32 for number in hashes)
    assert counted == dict.fromkeys(range(shards), 64 // shards)


def test_numbers_from_0_to_63_would_not(postgresql: psycopg.Connection) -> None:
    question = "SELECT hashint2(bucket::smallint) FROM generate_series(0, 63) AS bucket"
    counted = Counter((number + 2**31) * 64 >> 32 for (number,) in postgresql.execute(question).fetchall())
    assert len(counted) < 50


# ---- the guards ------------------------------------------------------------------------------------------------------


def test_nothing_changes_on_a_plain_postgresql_however_often_it_runs(postgresql: psycopg.Connection) -> None:
    before = sorted(postgresql.execute(CATALOG).fetchall(), key=str)
    postgresql.execute(DISTRIBUTION)
    postgresql.execute(DISTRIBUTION)
    assert sorted(postgresql.execute(CATALOG).fetchall(), key=str) == before
    assert len(before) > 100


def test_a_node_that_is_not_the_coordinator_is_left_alone_with_a_notice(stand_in: psycopg.Connection) -> None:
    notices: list[str | None] = []
    stand_in.add_notice_handler(lambda diagnosis: notices.append(diagnosis.message_hint))
    stand_in.execute("SET LOCAL stand_in.coordinator = 'off'")
    stand_in.execute(DISTRIBUTION)
    assert calls(stand_in) == []
    assert notices == [
        "Add the nodes, then run migrations/sql/0006_distribution.sql and 0007_distribution.sql on the coordinator."
    ]


def test_every_table_is_spread_the_small_ones_first_and_all_in_one_connection_a_node(
    stand_in: psycopg.Connection,
) -> None:
    stand_in.execute(DISTRIBUTION)
    made = calls(stand_in)
    assert {name for kind, name, *_ in made if kind == "reference"} == SMALL_TABLES
    assert {name for kind, name, *_ in made if kind == "distributed"} == ROW_TABLES
    assert [kind for kind, *_ in made] == ["reference"] * len(SMALL_TABLES) + ["distributed"] * len(ROW_TABLES)
    assert {mode for *_, mode in made} == {"sequential"}


def test_the_row_tables_lie_beside_the_first_in_one_shard_a_bucket(stand_in: psycopg.Connection) -> None:
    stand_in.execute(DISTRIBUTION)
    first, *others = [rest for kind, *rest in calls(stand_in) if kind == "distributed"]
    assert first == ["recipients", "bucket", "none", len(BUCKETS), "sequential"]
    assert {tuple(rest[1:4]) for rest in others} == {("bucket", "campaign_engine.recipients", None)}


def test_what_is_spread_already_is_passed_over(stand_in: psycopg.Connection) -> None:
    stand_in.execute(DISTRIBUTION)
    stand_in.execute("DELETE FROM calls")
    stand_in.execute(DISTRIBUTION)
    assert calls(stand_in) == []
    stand_in.execute("DELETE FROM pg_dist_partition WHERE logicalrelid = 'campaign_engine.outbox'::regclass")
    local = "UPDATE pg_dist_partition SET repmodel = 's' WHERE logicalrelid = 'campaign_engine.members'::regclass"
    stand_in.execute(local)
    stand_in.execute(DISTRIBUTION)
    assert [name for _, name, *_ in calls(stand_in)] == ["members", "outbox"]
