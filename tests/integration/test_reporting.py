"""The reporting views count exactly, whether a count is still a delta, already in a rollup, or on its way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import text

from engine.db.buckets import BUCKETS
from engine.db.database import Database
from engine.db.metrics import Delta, Metric, MetricsRepository, Total

pytestmark = pytest.mark.anyio

SPRING, QUIET = UUID(int=1), UUID(int=2)
MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)
HOUR = 3_600_000_000
VIEWS = (
    "campaign_summary", "funnel", "stage_durations", "transitions", "message_volume", "response_rates",
    "outcomes", "daily_activity",
)  # fmt: skip


def _delta(day: date, metric: Any, stage: str, target: str, label: str, count: int, hours: float = 0) -> Delta:
    return Delta(SPRING, day, metric, stage, target, label, count, int(hours * HOUR))


# Ten people: nine begin, six visits lead on to `chat`, one of them back to `intro`, seven finish. The channel is called
# like a stage on purpose.
COUNTED = [
    _delta(MONDAY, "enrolled", "", "", "", 10),
    _delta(MONDAY, "entered", "", "intro", "start", 9),
    _delta(MONDAY, "entered", "intro", "chat", "response", 3, hours=2),
    _delta(TUESDAY, "entered", "intro", "chat", "response", 3, hours=3.5),
    _delta(TUESDAY, "entered", "intro", "gave_up", "timer", 1, hours=1.5),
    _delta(TUESDAY, "entered", "chat", "intro", "response", 1, hours=1),
    _delta(TUESDAY, "entered", "chat", "sold", "response", 2, hours=4),
    _delta(TUESDAY, "entered", "chat", "opted_out", "response", 1, hours=0.5),
    _delta(MONDAY, "stayed", "intro", "intro", "follow_up", 3),
    _delta(TUESDAY, "stayed", "intro", "intro", "campaign_end", 1),
    _delta(TUESDAY, "finished", "intro", "gave_up", "lost", 1, hours=30),
    _delta(TUESDAY, "finished", "chat", "sold", "won", 2, hours=5),
    _delta(TUESDAY, "finished", "chat", "opted_out", "stopped", 1, hours=2),
    _delta(TUESDAY, "finished", "intro", "", "stopped", 1, hours=26),
    _delta(TUESDAY, "finished", "chat", "", "failed", 1, hours=1),
    _delta(TUESDAY, "finished", "chat", "", "completed", 1, hours=3),
    _delta(MONDAY, "queued", "intro", "chat", "hello", 9),
    _delta(MONDAY, "sent", "intro", "chat", "hello", 4),
    _delta(TUESDAY, "sent", "intro", "chat", "hello", 2),
    _delta(TUESDAY, "failed", "intro", "chat", "hello", 1),
    _delta(TUESDAY, "cancelled", "intro", "chat", "hello", 1),
    _delta(TUESDAY, "queued", "sold", "chat", "thanks", 2),
    _delta(MONDAY, "received", "", "", "", 1),
    _delta(MONDAY, "received", "intro", "", "", 6),
    _delta(TUESDAY, "received", "chat", "", "", 7),
    _delta(TUESDAY, "received", "sold", "", "", 1),
    _delta(MONDAY, "responded", "intro", "", "", 5),
    _delta(TUESDAY, "responded", "chat", "", "", 4),
    _delta(MONDAY, "engaged", "intro", "", "", 6),
]

EXPECTED: dict[str, list[tuple[Any, ...]]] = {
    "campaign_summary": [
        ("Spring", "nurture", 3, "active", 10, 3, 4, 2, 1, 2, 1, 6, 1, 15, Decimal("0.6667")),
        ("Quiet", "nurture", 3, "active", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, None),
    ],
    "funnel": [
        ("Spring", "intro", 10, 7, Decimal("0.7000"), 5, 2),
        ("Spring", "chat", 6, 4, Decimal("0.6667"), 4, 0),
    ],
    "stage_durations": [
        ("Spring", "intro", 7, Decimal("3600.000"), timedelta(hours=1)),
        ("Spring", "chat", 4, Decimal("4950.000"), timedelta(hours=1, minutes=22, seconds=30)),
    ],
    "transitions": [
        ("Spring", None, "intro", "start", 9),
        ("Spring", "intro", "chat", "response", 6),
        ("Spring", "intro", "gave_up", "timer", 1),
        ("Spring", "chat", "intro", "response", 1),
        ("Spring", "chat", "sold", "response", 2),
        ("Spring", "chat", "opted_out", "response", 1),
    ],
    "message_volume": [
        ("Spring", MONDAY, "chat", "hello", 9, 4, 0, 0),
        ("Spring", TUESDAY, "chat", "hello", 0, 2, 1, 1),
        ("Spring", TUESDAY, "chat", "thanks", 2, 0, 0, 0),
    ],
    "response_rates": [
        ("Spring", "intro", 10, 5, 6, Decimal("0.5000")),
        ("Spring", "chat", 6, 4, 7, Decimal("0.6667")),
    ],
    "outcomes": [
        ("Spring", "won", "sold", 2, Decimal("0.2857"), Decimal("9000.000"), timedelta(hours=2, minutes=30)),
        ("Spring", "lost", "gave_up", 1, Decimal("0.1429"), Decimal("108000.000"), timedelta(hours=30)),
        ("Spring", "stopped", "opted_out", 1, Decimal("0.1429"), Decimal("7200.000"), timedelta(hours=2)),
        ("Spring", "stopped", None, 1, Decimal("0.1429"), Decimal("93600.000"), timedelta(hours=26)),
        ("Spring", "failed", None, 1, Decimal("0.1429"), Decimal("3600.000"), timedelta(hours=1)),
        ("Spring", "completed", None, 1, Decimal("0.1429"), Decimal("10800.000"), timedelta(hours=3)),
    ],
    "daily_activity": [
        ("Spring", MONDAY, 10, 15, 4, 7, 0),
        ("Spring", TUESDAY, 0, 9, 2, 8, 7),
    ],
}  # fmt: skip


Reports = Callable[[], dict[str, Counter[Any]]]


@pytest.fixture
def reports(postgresql: psycopg.Connection) -> Reports:
    """Every view's rows at this moment, in no order; two campaigns stand ready to be counted for."""
    for campaign_id, name in ((SPRING, "Spring"), (QUIET, "Quiet")):
        postgresql.execute(
            """
            INSERT INTO campaign_engine.campaigns (id, name, campaign_type, version, status, lanes, created_at)
            VALUES (%s, %s, 'nurture', 3, 'active', '{0,1,2}', %s)
            """,
            (campaign_id, name, datetime(2026, 3, 1, tzinfo=UTC)),
        )
    postgresql.commit()
    postgresql.autocommit = True

    def rows(view: str) -> Counter[Any]:
        return Counter(postgresql.execute(SQL("SELECT * FROM reporting.{}").format(Identifier(view))).fetchall())

    return lambda: {view: rows(view) for view in VIEWS}


async def _insert(database: Database, bucket: int, *deltas: Delta) -> None:
    async with database.transaction() as connection:
        await MetricsRepository(connection).insert_deltas(bucket, deltas)


async def _compact(database: Database, bucket: int, limit: int) -> int:
    async with database.transaction() as connection:
        return await MetricsRepository(connection).compact_deltas(bucket, limit)


async def _scatter(database: Database, deltas: list[Delta]) -> None:
    """Insert each delta in pieces of one, over several buckets."""
    async with database.transaction() as connection:
        for number, delta in enumerate(deltas):
            for piece in range(delta.count):
                spent = delta.duration_us // delta.count + (delta.duration_us % delta.count if piece == 0 else 0)
                one = replace(delta, count=1, duration_us=spent)
                await MetricsRepository(connection).insert_deltas(BUCKETS[(number + piece) % 5], [one])


@pytest.mark.parametrize("compacted", [0, 8, 1000], ids=["deltas", "deltas and rollups", "rollups"])
async def test_every_view_shows_exactly_what_was_counted(database: Database, reports: Reports, compacted: int) -> None:
    await _scatter(database, COUNTED)
    for bucket in BUCKETS[:5]:
        await _compact(database, bucket, compacted)
    for view, rows in reports().items():
        width = len(EXPECTED[view][0])
        assert Counter(row[1 : 1 + width] for row in rows.elements()) == Counter(EXPECTED[view]), view
        assert {row[:2] for row in rows} <= {(SPRING, "Spring"), (QUIET, "Quiet")}


async def test_compaction_changes_the_result_of_no_view(database: Database, reports: Reports) -> None:
    await _scatter(database, COUNTED)
    before = reports()
    passes = 0
    while buckets := await _find_buckets(database):
        assert set(buckets) <= set(BUCKETS[:5])
        assert 0 < await _compact(database, buckets[passes % len(buckets)], 7) <= 7
        assert reports() == before
        passes += 1
    assert passes > 5


async def _find_buckets(database: Database) -> list[int]:
    async with database.transaction() as connection:
        return await MetricsRepository(connection).find_buckets_with_deltas()


async def test_a_compaction_that_rolls_back_loses_nothing(database: Database, reports: Reports) -> None:
    await _scatter(database, COUNTED)
    before = reports()
    async with database.transaction() as connection:
        assert await MetricsRepository(connection).compact_deltas(BUCKETS[0]) > 0
        await connection.rollback()
    assert reports() == before


async def test_a_compaction_passes_over_what_another_holds(database: Database, reports: Reports) -> None:
    await _insert(database, 60, Delta(SPRING, MONDAY, "enrolled"))
    async with database.transaction() as connection:
        assert await MetricsRepository(connection).compact_deltas(60) == 1
        await _insert(database, 60, Delta(SPRING, MONDAY, "engaged"))
        async with asyncio.timeout(30):
            assert await _compact(database, 60, 100) == 1
        await connection.rollback()
    (summary,) = (row for row in reports()["campaign_summary"] if row[0] == SPRING)
    assert summary[5] == 1
    assert await _compact(database, 60, 100) == 1


async def test_a_compaction_waits_for_the_rollups_of_another(database: Database, reports: Reports) -> None:
    for _ in range(10):
        await _insert(database, 60, Delta(SPRING, MONDAY, "enrolled", count=3))
    before = reports()
    async with database.transaction() as connection:
        assert await MetricsRepository(connection).compact_deltas(60, 6) == 6
        second = asyncio.create_task(_compact(database, 60, 100))
        await _until_someone_waits(database)
    assert await second == 4
    assert reports() == before


async def _until_someone_waits(database: Database) -> None:
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30), database.transaction() as connection:
        while not await connection.scalar(waits):
            pass


async def test_compactions_side_by_side_lose_nothing_while_counting_goes_on(
    database: Database, postgresql: psycopg.Connection
) -> None:
    entered: Metric = "entered"
    stages = ("intro", "chat", "sold")
    each = [Delta(SPRING, *key) for key in product((MONDAY, TUESDAY), (entered,), stages, stages)]

    async def count(seed: int) -> None:
        for _ in range(40):
            await _insert(database, 60, *random.Random(seed).sample(each, 9))

    async def compact() -> None:
        for _ in range(60):
            await _compact(database, 60, 25)

    await asyncio.gather(count(1), count(2), compact(), compact(), compact())
    total = postgresql.execute("SELECT sum(count) FROM campaign_engine.metric_counts").fetchone()
    rolled = postgresql.execute("SELECT sum(count) > 0 FROM campaign_engine.metric_rollups").fetchone()
    assert (total, rolled) == ((2 * 40 * 9,), (True,))


async def test_buckets_with_few_deltas_can_be_passed_over(database: Database) -> None:
    for _ in range(3):
        await _insert(database, 60, Delta(SPRING, MONDAY, "enrolled"))
    await _insert(database, 8, Delta(SPRING, MONDAY, "enrolled"))
    async with database.transaction() as connection:
        metrics = MetricsRepository(connection)
        assert [await metrics.find_buckets_with_deltas(count) for count in (1, 2, 3, 4)] == [[60, 8], [60], [60], []]


async def test_a_negative_count_takes_back_what_was_counted(database: Database, reports: Reports) -> None:
    failed = _delta(MONDAY, "finished", "intro", "", "failed", 1, hours=1)
    await _insert(database, 60, failed, replace(failed, count=-1, duration_us=-HOUR))
    (row,) = reports()["outcomes"]
    assert row[2:] == ("failed", None, 0, None, None, None)


async def test_deltas_of_one_key_are_stored_as_one_row(database: Database, postgresql: psycopg.Connection) -> None:
    enrolled = [Delta(SPRING, MONDAY, "enrolled", count=count, duration_us=5) for count in (1, 2, 3)]
    await _insert(database, 8, *enrolled, Delta(QUIET, MONDAY, "enrolled"))
    rows = postgresql.execute("""
        SELECT bucket, campaign_id, stage, count, duration_us FROM campaign_engine.metric_deltas ORDER BY count
    """)
    assert rows.fetchall() == [(8, QUIET, "", 1, 0), (8, SPRING, "", 6, 15)]


async def test_the_metrics_of_a_campaign_add_deltas_and_rollups(database: Database) -> None:
    begun = _delta(MONDAY, "entered", "", "intro", "start", 2, hours=1)
    await _insert(database, 60, begun)
    await _insert(database, 8, begun)
    await _compact(database, 60, 10)
    await _insert(database, 60, replace(begun, day=TUESDAY, count=3, duration_us=0), Delta(QUIET, MONDAY, "enrolled"))
    async with database.transaction() as connection:
        found = await MetricsRepository(connection).find_campaign_metrics(SPRING)
    assert found == [Total("entered", "", "intro", "start", 7, 2 * HOUR)]


def test_every_view_and_every_column_has_a_comment(postgresql: psycopg.Connection) -> None:
    found = postgresql.execute("""
        SELECT relname, attname, obj_description(oid, 'pg_class'), col_description(oid, attnum)
        FROM pg_class JOIN pg_attribute ON attrelid = oid AND attnum > 0
        WHERE relnamespace = 'reporting'::regnamespace
    """).fetchall()
    assert {view for view, *_ in found} == {*VIEWS, "emitted_events", "moves"}
    assert [(view, column) for view, column, *comments in found if not all(comments)] == []


def test_nothing_but_views_is_in_the_reporting_schema(postgresql: psycopg.Connection) -> None:
    kinds = postgresql.execute("SELECT DISTINCT relkind FROM pg_class WHERE relnamespace = 'reporting'::regnamespace")
    assert kinds.fetchall() == [("v",)]
