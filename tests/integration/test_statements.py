"""Every hot statement, as it is really sent: the law of buckets, and how much it reads in a full database.

The engine plays one story three times, each in a copy of one full database: as the planner's statistics are fresh, as
they are of a day when everything was the other way round, and with plans made once for all values. The inventory below
is compared with what was sent, so it cannot go stale: whoever adds or drops a statement is told here.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import TextClause

import engine.db
from engine.db.database import Database
from engine.db.embedded_server import PORT
from engine.db.migrate import upgrade
from engine.db.tables import metadata
from tests.integration import story
from tests.integration.background import QUIET, ROW_TABLES, fill
from tests.integration.bucket_law import breaches, row_tables_in, tables_written_in
from tests.integration.builders import NOW, House, person
from tests.integration.recording import TELL_PLANS, Recorder, Statement, scans_of, shape_of

BATCH = 20
A_PAGE = 50  # rows: a partition of one page is read whole, and should be
FEW = 2 * story.CAST  # of one campaign, in one bucket
ROUNDS = {"fresh": "auto", "stale": "auto", "generic": "force_generic_plan"}

# Every statement on row tables, with the most rows of them it may read. A batch is read once for each part of it.
HOT = {
    "conversations.find_contexts": BATCH,
    "conversations.find_due": 64 * 16,  # one for each bucket and lane
    "conversations.find_fates": 2 * BATCH,
    "conversations.find_waiting": 2 * BATCH,
    "conversations.lock_due": 2 * BATCH,
    "conversations.lock_of_campaign": FEW,
    "conversations.lock_one": 1,
    "conversations.lock_due_of_campaign": FEW,
    "conversations.resume_conversations": 2 * FEW,
    "conversations.update_facts": 1,
    "inbox.count_received": 0,
    "inbox.find_conversations": 2,
    "inbox.insert_event": 0,
    "inbox.insert_response": 0,
    "inbox.wake_conversation": 1,
    "interventions.insert_move": 0,
    "interventions.lock_failed": FEW,
    "interventions.revive_conversations": 2,
    "messages.find_due_buckets": 64 * BATCH,  # past those that are leased, or of a paused campaign
    "messages.find_leased": 4 * BATCH,
    "messages.find_sends": 6 * BATCH,
    "messages.find_waiting_channels": 64,
    "messages.lease_messages": 5 * BATCH,
    "messages.mark_conversations_due": 2 * BATCH,
    "messages.mark_messages": 3 * BATCH,
    "metrics.compact_deltas": 2 * 50,
    "metrics.find_buckets_with_deltas": 64 * 500,  # it tells of 500 and more
    "metrics.insert_deltas": 0,
    "progression.advance_conversations": 2 * BATCH,
    "progression.cancel_messages": 2 * BATCH,
    "progression.insert_assignments": 0,
    "progression.insert_emitted": 2 * BATCH,
    "progression.mark_events_processed": BATCH,
    "progression.mark_failed": BATCH,
    "progression.mark_responses_processed": BATCH,
    "progression.unsubscribe_recipients": 3_000,  # rare: it walks its bucket's unsent messages, nearly so many
    "reading.find_conversation": 2,
    "reading.find_conversations": 3 * FEW,
    "reading.find_history": 10,
    "reading.find_messages": 10,
    "reading.find_zone_source": 2,
    "recipients.insert_conversations": 2 * FEW,
    "recipients.upsert_recipients": 2 * FEW,
}
# These sum the counts of all buckets, as every reporting view does, and are asked seldom.
SUMS = {"campaigns.count_lanes", "campaigns.find_finished", "metrics.find_campaign_metrics"}
# Read in the order of an index, so that the first row is found at once: anything but a scan in order reads far more.
IN_ORDER = {
    "conversations.find_due", "conversations.lock_due", "messages.find_due_buckets",
    "messages.find_waiting_channels", "messages.lease_messages",
}  # fmt: skip
# What proofs and authors ask walks whole tables or campaigns. What the doctor asks has its plans in `test_doctor`, what
# upkeep asks is about partitions.
COLD = {"diagnosis", "invariants", "partitions", "standing"}
Recorded = dict[str, dict[str, Statement]]


@pytest.fixture(scope="module")
def recorded(server: SimpleNamespace) -> Recorded:
    """What was sent in each round, by name."""
    url = f"postgresql://{server.user}@/{{}}?host={server.host}&port={PORT}"
    with psycopg.connect(url.format("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE crowded")
        upgrade(url.format("crowded"))
        campaign = asyncio.run(_a_campaign(url.format("crowded")))
        with psycopg.connect(url.format("crowded")) as crowded:
            fill(crowded, UUID(campaign), NOW)
        told: Recorded = {}
        for name, plans in ROUNDS.items():
            admin.execute(f"CREATE DATABASE crowded_{name} TEMPLATE crowded STRATEGY file_copy")
            for setting, value in (TELL_PLANS | {"plan_cache_mode": plans}).items():
                admin.execute(f"ALTER DATABASE crowded_{name} SET {setting} = '{value}'")
            if name != "stale":
                with psycopg.connect(url.format(f"crowded_{name}"), autocommit=True) as fresh:
                    fresh.execute("ANALYZE")
            told[name] = asyncio.run(_play(url.format(f"crowded_{name}")))
            admin.execute(f"DROP DATABASE crowded_{name}")
        admin.execute("DROP DATABASE crowded")
    return told


async def _a_campaign(url: str) -> str:
    database = Database(url)
    campaign = await House(database).campaign([person("somebody")], story.STORY, name="Crowd")
    await database.close()
    return campaign


async def _play(url: str) -> dict[str, Statement]:
    database, recorder = Database(url), Recorder()
    with recorder.listening():
        await story.play(House(database, max_batch_size=BATCH), QUIET)
    await database.close()
    return {name: each for name, each in recorder.statements.items() if not name.startswith("sent from outside")}


@pytest.mark.anyio
async def test_what_goes_down_a_pipeline_is_recorded_with_its_plans(postgresql: psycopg.Connection) -> None:
    recorder, told = Recorder(), " ".join(f"-c {name}={value}" for name, value in TELL_PLANS.items())
    with recorder.listening():
        given = postgresql.info.get_parameters() | {"options": told}
        async with await psycopg.AsyncConnection.connect(**given) as connection, connection.pipeline():
            for limit in (1, 2, 3):
                await connection.execute("SELECT FROM pg_class WHERE relpages >= %s LIMIT %s", (0, limit), prepare=True)
            await connection.execute("SELECT FROM pg_type LIMIT 4")
    sent = {each.text: [plan["Actual Rows"] for plan in each.plans] for each in recorder.statements.values()}
    assert sent == {
        "SELECT FROM pg_class WHERE relpages >= $1 LIMIT $2": [1, 2, 3],
        "SELECT FROM pg_type LIMIT 4": [4],
    }


# ---- the inventory ---------------------------------------------------------------------------------------------------


def _touches_rows(statement: Statement) -> bool:
    return bool(row_tables_in(statement.text)) or "metric_counts" in statement.text


def test_the_inventory_is_what_is_sent(recorded: Recorded) -> None:
    for sent in recorded.values():
        assert {name for name, each in sent.items() if _touches_rows(each)} == {*HOT, *SUMS}


def test_the_story_sends_every_statement_there_is(recorded: Recorded) -> None:
    sent = [shape_of(each.text) for each in recorded["fresh"].values()]
    constants = dict(_constants())
    assert [name for name, text in constants.items() if not any(shape_of(text) in each for each in sent)] == []
    assert len(constants) >= 30


def _constants() -> Iterator[tuple[str, str]]:
    """The texts in engine.db that read or write a table, and the parts such texts are made of."""
    tables = [f"campaign_engine.{table}" for table in ROW_TABLES]
    for module in pkgutil.iter_modules(engine.db.__path__):
        if module.name in COLD:
            continue
        for name, value in vars(importlib.import_module(f"engine.db.{module.name}")).items():
            text = value.text if isinstance(value, TextClause) else value
            if isinstance(text, str) and any(table in text for table in tables):
                yield f"{module.name}.{name}", text


# ---- the law of buckets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOT)
def test_a_statement_keeps_to_one_bucket(recorded: Recorded, name: str) -> None:
    assert breaches(recorded["fresh"][name].text) == []


@pytest.mark.parametrize("name", sorted(SUMS))
def test_what_sums_over_buckets_only_looks(recorded: Recorded, name: str) -> None:
    text = recorded["fresh"][name].text
    assert tables_written_in(text) == set()
    assert " FOR " not in text


def test_nothing_writes_through_a_view(recorded: Recorded) -> None:
    tables = {table.name for table in metadata.sorted_tables}
    written = {table for each in recorded["fresh"].values() for table in tables_written_in(each.text)}
    assert written <= tables
    assert set(ROW_TABLES) < written


@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("SELECT FROM campaign_engine.outbox WHERE bucket = ANY($1)", "compares the bucket otherwise than with ="),
        ("SELECT FROM campaign_engine.outbox WHERE bucket IN (1, 2)", "compares the bucket otherwise than with ="),
        ("SELECT FROM campaign_engine.outbox WHERE bucket > 1", "outbox as outbox is bound to no bucket"),
        ("SELECT FROM campaign_engine.outbox WHERE bucket = 1 OR at = $1", "outbox as outbox is bound to no bucket"),
        (
            "WITH c AS (SELECT id, bucket FROM campaign_engine.conversations WHERE bucket = $1 FOR UPDATE)"
            " UPDATE campaign_engine.conversations d SET seq = 1 FROM c WHERE c.bucket = d.bucket AND c.id = d.id",
            "conversations as d is bound to no bucket",
        ),
        (
            "SELECT FROM unnest($1::int[]) AS b (bucket) CROSS JOIN LATERAL ("
            "SELECT FROM campaign_engine.outbox o WHERE o.bucket = b.bucket FOR UPDATE) AS o",
            "outbox as o is bound to no bucket",
        ),
        (
            "SELECT FROM campaign_engine.conversations c JOIN campaign_engine.outbox o ON o.conversation_id = c.id"
            " WHERE c.bucket = $1",
            "outbox as o is bound to no bucket",
        ),
        ("INSERT INTO campaign_engine.events (id, bucket) SELECT $1, b FROM x", "INSERT into events takes its bucket"),
        ("INSERT INTO campaign_engine.events (id) VALUES ($1)", "INSERT into events without its bucket"),
        ("DELETE FROM campaign_engine.events e USING x WHERE e.bucket = x.bucket", "events as e is bound to no bucket"),
        ("UPDATE campaign_engine.events SET received_at = now() WHERE bucket = $1", "calls now()"),
        ("UPDATE campaign_engine.events SET received_at = CURRENT_TIMESTAMP WHERE bucket = $1", "asks the server"),
        (
            "INSERT INTO campaign_engine.events (bucket) VALUES ($1) ON CONFLICT (id) DO UPDATE SET name = upper('a')",
            "ON CONFLICT holds a FuncCall",
        ),
        (
            "MERGE INTO campaign_engine.events e USING x ON e.bucket = $1 WHEN MATCHED THEN DELETE",
            "MERGE",
        ),
    ],
)
def test_the_law_knows_a_breach(text: str, breach: str) -> None:
    assert breach in [each[: len(breach)] for each in breaches(text)]


def test_the_law_lets_a_look_take_its_buckets_from_a_list_and_its_tables_from_each_other() -> None:
    assert not breaches(
        "SELECT FROM unnest($1::int[]) AS b (bucket) CROSS JOIN LATERAL (SELECT * FROM campaign_engine.conversations c"
        " WHERE c.bucket = b.bucket) AS c JOIN campaign_engine.recipients r ON r.bucket = c.bucket AND r.id = c.id"
    )
    assert not breaches(
        "UPDATE campaign_engine.outbox o SET seq = 1 FROM campaign_engine.conversations c"
        " WHERE o.bucket = c.bucket AND c.bucket = CAST($1 AS smallint) AND o.conversation_id = c.id"
    )


# ---- the tables ------------------------------------------------------------------------------------------------------

_ROW_TABLES = """
    SELECT attrelid FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
     WHERE attname = 'bucket' AND relnamespace = 'campaign_engine'::regnamespace AND relkind IN ('r', 'p')
"""


def _ask(postgresql: psycopg.Connection, question: str) -> list[Any]:
    return [row[0] for row in postgresql.execute(question.format(row_tables=_ROW_TABLES)).fetchall()]


def test_the_bucket_comes_first_in_every_key_and_index_of_a_row_table(postgresql: psycopg.Connection) -> None:
    first = _ask(
        postgresql,
        "SELECT DISTINCT attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = i.indkey[0] WHERE i.indrelid IN ({row_tables})",
    )
    assert first == ["bucket"]
    tables = "SELECT relname::text FROM pg_class WHERE oid IN ({row_tables}) AND NOT relispartition"
    assert set(_ask(postgresql, tables)) == {*ROW_TABLES, "send_gates"}


def test_row_tables_have_no_foreign_keys_no_triggers_and_only_wide_sequences(postgresql: psycopg.Connection) -> None:
    foreign_keys = (
        "SELECT conname FROM pg_constraint WHERE contype = 'f'"
        " AND (conrelid IN ({row_tables}) OR confrelid IN ({row_tables}))"
    )
    assert _ask(postgresql, foreign_keys) == []
    assert _ask(postgresql, "SELECT tgname FROM pg_trigger WHERE tgrelid IN ({row_tables})") == []
    assert _ask(postgresql, "SELECT DISTINCT format_type(seqtypid, NULL) FROM pg_sequence") == ["bigint"]


# ---- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("round", ROUNDS)
@pytest.mark.parametrize("name", HOT)
def test_a_statement_reads_by_index_and_no_more_than_it_needs(recorded: Recorded, name: str, round: str) -> None:
    for plan in recorded[round][name].plans:
        scans = scans_of(plan, ROW_TABLES)
        assert [each for each in scans if each.kind == "Seq Scan" and each.rows_at_once > A_PAGE] == []
        assert sum(each.rows for each in scans) <= HOT[name]
        if name in IN_ORDER:
            assert [each for each in scans if each.kind.startswith("Bitmap")] == []
