"""Partitions are made ahead of time, and nothing that anybody needs is lost or held up."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from engine.core.errors import RefusedError
from engine.db import migrate
from engine.db.database import Database
from engine.db.partitions import Span
from engine.upkeep import Upkeep, UpkeepReport, span_to_close
from tests.integration.builders import NOW, people, person
from tests.integration.caretaker import WEEK, Caretaker, weeks

pytestmark = pytest.mark.anyio


@pytest.fixture
async def care(database: Database) -> Caretaker:
    return Caretaker(database)


# ---- ahead -----------------------------------------------------------------------------------------------------------


async def test_partitions_of_now_and_of_the_next_spans_are_made_once(care: Caretaker) -> None:
    assert weeks((await care.maintain()).made) == ["2026-02-26", "2026-03-05", "2026-03-12"]
    assert (await care.maintain()).counts == dict.fromkeys(["made", "closed", "dropped", "kept", "problems"], 0)
    care.house.wait("8d")
    assert weeks((await care.maintain()).made) == ["2026-03-19"]
    names = [each.name for each in await care.partitions() if each.table == "outbox"]
    assert names == [f"outbox_{day}" for day in ("20260226", "20260305", "20260312", "20260319")] + ["outbox_default"]


async def test_rows_land_in_the_partition_of_their_time_and_statements_find_them_over_several(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign(people(3))
    await house.live("8d", timedelta(days=1))
    await house.reply(campaign, "stop", "p1")
    await house.manager.record_event(campaign, "p0", "opened")
    await house.run()
    await house.wait("1h").reply(campaign, "stop", "p0")
    await house.run()
    assert await care.homes("stage_history") == [
        ("campaign_engine.stage_history_20260226", 6),
        ("campaign_engine.stage_history_20260305", 6),
    ]
    assert [name for name, _ in await care.homes("outbox")] == [
        "campaign_engine.outbox_20260226",
        "campaign_engine.outbox_20260305",
    ]
    assert await house.messages(campaign, "p0") == [
        ("hello", "sent"), ("bump", "sent"), ("bump", "sent"), ("tip", "cancelled"),
    ]  # fmt: skip
    assert await house.violations() == []


async def test_a_message_is_called_off_in_whatever_partition_it_lies(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign()
    await house.tick()
    await house.wait("4d").manager.record_event(campaign, "ann", "opened")
    await house.tick()
    await house.reply(campaign, "stop")
    await house.tick()
    assert await house.messages(campaign) == [("hello", "cancelled"), ("tip", "cancelled")]
    assert len(await care.homes("outbox")) == 2


async def test_a_new_partition_is_looked_after_like_the_default_one(care: Caretaker, database_url: str) -> None:
    await care.maintain()
    await care.house.campaign()
    await care.house.run()
    await care.house.sql("ALTER TABLE campaign_engine.outbox_default SET (fillfactor = 70)")
    care.house.wait("8d")
    await care.maintain()
    found = dict(
        await care.house.sql("""
            SELECT relname, reloptions FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE 'outbox_%'
        """)
    )
    assert found["outbox_20260319"] == found["outbox_default"]
    assert "fillfactor=70" in found["outbox_20260319"]
    assert "fillfactor=80" in found["outbox_20260226"]
    indexes = await care.house.sql("""
        SELECT count(*) FROM pg_index WHERE indrelid IN ('campaign_engine.outbox_default'::regclass,
            'campaign_engine.outbox_20260319'::regclass) GROUP BY indrelid
    """)  # fmt: skip
    assert indexes == [(5,), (5,)]
    migrate.check(database_url)


async def test_every_partition_belongs_to_the_owner_of_its_table(care: Caretaker) -> None:
    await care.maintain()
    assert await care.house.sql("""
        SELECT count(DISTINCT relowner) FROM pg_class WHERE relnamespace = 'campaign_engine'::regnamespace
    """) == [(1,)]  # fmt: skip


# ---- rows that were there before their partition ---------------------------------------------------------------------


async def test_rows_that_came_before_their_partition_get_one_as_they_lie(care: Caretaker, database_url: str) -> None:
    house, campaign = care.house, await care.house.campaign(people(5))
    await house.live("9d", timedelta(days=1))
    before = await house.everything()
    report = await care.maintain()
    assert weeks(report.closed) == ["2026-02-26"]
    assert weeks(report.made) == ["2026-03-12", "2026-03-19"]
    assert report.problems == []
    assert await care.homes("stage_history") == [("campaign_engine.stage_history_20260226", 15)]
    assert await house.everything() == before
    await care.finish(campaign)
    assert [name for name, _ in await care.homes("stage_history")] == ["campaign_engine.stage_history_20260226"]
    assert await house.violations() == []
    migrate.check(database_url)
    assert (await care.maintain()).counts["closed"] == 0
    named_default = await house.sql("""
        SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
        WHERE indrelid = 'campaign_engine.outbox_20260226'::regclass AND relname LIKE '%default%'
    """)
    assert named_default == []


async def test_an_upkeep_that_slept_for_long_goes_on_after_the_rows_that_came_meanwhile(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign()
    await house.at("60d").run()
    report = await care.maintain()
    assert [str(end.date()) for end in report.closed[0]] == ["2026-04-30", "2026-05-07"]
    assert weeks(report.made) == ["2026-05-07", "2026-05-14"]
    await care.finish(campaign)
    assert await house.violations() == []


async def test_rows_on_both_sides_of_a_partition_stay_where_they_are_and_are_told_of(care: Caretaker) -> None:
    await care.maintain()
    house = care.house
    await house.campaign([person("early")])
    await house.at("60d").run()
    house.clock.instant = NOW - timedelta(days=30)
    await house.campaign([person("late")], name="Earlier")
    await house.run()
    house.at("60d")
    report = await care.maintain()
    assert report.problems == ["the DEFAULT partitions hold rows from before and after another partition"]
    assert report.closed == []
    assert weeks(report.made) == ["2026-05-07", "2026-05-14"]
    assert [name for name, _ in await care.homes("stage_history")] == ["campaign_engine.stage_history_default"]
    assert await house.violations() == []


async def test_too_many_rows_to_look_through_in_time_are_left_for_a_quiet_hour(care: Caretaker) -> None:
    await care.house.campaign(people(5))
    await care.house.run()
    report = await care.maintain(wait=1e-9)
    assert "campaign db maintain --wait SECONDS" in report.problems[0]
    assert len(await care.partitions()) == 2


# ---- at the same time ------------------------------------------------------------------------------------------------


async def test_several_passes_at_once_do_the_work_once(care: Caretaker) -> None:
    await care.house.campaign(people(5))
    await care.house.run()
    reports = await asyncio.gather(*(care.maintain() for _ in range(3)))
    assert sorted(weeks([span for report in reports for span in report.closed])) == ["2026-02-26"]
    assert sorted(weeks([span for report in reports for span in report.made])) == ["2026-03-05", "2026-03-12"]
    assert [report.problems for report in reports] == [[], [], []]
    assert await care.house.violations() == []


async def test_a_pass_gives_way_to_a_tick_that_holds_rows_and_makes_it_wait_for_a_moment_only(care: Caretaker) -> None:
    house, campaign = care.house, await care.house.campaign(people(5))
    await house.run()
    async with house.database.transaction() as connection:
        await connection.execute(text("UPDATE campaign_engine.outbox SET attempts = attempts"))
        assert (await care.maintain(wait=0.4)).problems == ["others held locks of the tables at each of 5 tries"]
        await house.wait("3d").tick()  # others go on meanwhile
    assert weeks((await care.maintain()).closed) == ["2026-02-26"]
    await care.finish(campaign)
    assert await house.violations() == []


async def test_a_pass_that_waits_for_a_tick_goes_on_as_soon_as_it_is_done(care: Caretaker) -> None:
    house = care.house
    await house.campaign(people(5))
    await house.run()
    async with house.database.transaction() as connection:
        await connection.execute(text("UPDATE campaign_engine.outbox SET attempts = attempts"))
        task = asyncio.create_task(care.maintain())
        while not await house.sql("SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"):
            assert not task.done()
    assert weeks((await task).closed) == ["2026-02-26"]


async def test_ticks_and_workers_lose_nothing_while_partitions_come_and_go(care: Caretaker) -> None:
    house = care.house
    await house.campaign(people(60))

    async def keep_house() -> None:
        for _ in range(3):
            await care.maintain()
            house.wait("7d")

    await asyncio.gather(house.run(), keep_house(), house.app.worker.drain())
    await house.run()
    assert await house.violations() == []


# ---- who and how often -----------------------------------------------------------------------------------------------


async def test_only_the_owner_of_the_tables_may(care: Caretaker, database_url: str) -> None:
    await care.house.sql("CREATE ROLE somebody LOGIN IN ROLE campaign_engine_app")
    database = Database(database_url.replace("postgres@", "somebody@"))
    try:
        upkeep = Upkeep(database, care.house.app.settings, care.house.clock)
        with pytest.raises(RefusedError, match="only the owner of the tables"):
            await upkeep.maintain()
        assert await upkeep.run() == UpkeepReport().counts
    finally:
        await database.close()
        await care.house.sql("DROP ROLE somebody")
    assert len(await care.partitions()) == 2


async def test_a_loop_that_had_to_leave_something_looks_again_a_day_later(care: Caretaker) -> None:
    house = care.house
    app = house.with_settings(partition_days=7, partitions_ahead=2, keep_history_days=7)
    upkeep = Upkeep(app.database, app.settings, app.clock)
    assert (await upkeep.run())["made"] == 3
    await house.campaign()
    await house.run()
    kept = []
    for span in ("20d", "2h", "23h"):
        house.wait(span)
        kept.append((await upkeep.run())["kept"])
    assert kept == [1, 0, 1]


def test_a_span_to_close_leaves_out_what_others_have() -> None:
    before, behind = Span(NOW - 9 * WEEK, NOW - timedelta(days=1)), Span(NOW + WEEK, NOW + 2 * WEEK)
    assert span_to_close(NOW, NOW, NOW, 10 * WEEK, [before, behind]) == Span(before.upper, behind.lower)
    assert span_to_close(NOW - 10 * WEEK, NOW, NOW, 10 * WEEK, [before]) is None
