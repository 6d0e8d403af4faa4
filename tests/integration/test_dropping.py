"""Old partitions are dropped, and never one that anybody still needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.db import migrate
from engine.db.database import Database
from tests.integration.builders import after, people, person
from tests.integration.caretaker import LIMITED, Caretaker, weeks

pytestmark = pytest.mark.anyio


@pytest.fixture
async def care(database: Database) -> Caretaker:
    return Caretaker(database)


async def test_old_history_of_conversations_that_ended_is_dropped(care: Caretaker, database_url: str) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign(people(3))
    await house.run()
    await care.finish(campaign)
    house.at("40d")
    assert weeks((await care.maintain(20, dry_run=True)).dropped) == ["2026-02-26", "2026-03-05", "2026-03-12"]
    assert len(await care.homes("stage_history")) == 1
    report = await care.maintain(20)
    assert weeks(report.dropped) == ["2026-02-26", "2026-03-05", "2026-03-12"]
    assert report.kept == []
    assert await care.homes("stage_history") == await care.homes("outbox") == []
    assert await house.violations() == []
    assert (await house.manager.get_campaign_metrics(campaign))["messages_sent"] == 3
    dropped = await house.sql("SELECT min(lower_at), max(upper_at), max(dropped_at) FROM campaign_engine.dropped_spans")
    assert dropped == [(datetime(2026, 2, 26, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC), after("40d"))]
    migrate.check(database_url)
    assert (await care.maintain(20)).dropped == []


async def test_nothing_is_dropped_unless_somebody_says_so(care: Caretaker) -> None:
    await care.maintain()
    care.house.at("3000d")
    assert (await care.maintain()).dropped == []


async def test_a_span_that_is_too_young_stays(care: Caretaker) -> None:
    await care.maintain()
    care.house.clock.instant = datetime(2026, 3, 15, tzinfo=UTC)
    assert weeks((await care.maintain(9)).dropped) == ["2026-02-26"]


async def kept_after(care: Caretaker, days: int = 70) -> list[str]:
    """Why the oldest span is kept a while later; nothing is dropped then."""
    care.house.at(f"{days}d")
    report = await care.maintain(7)
    assert report.dropped == []
    return [why for _, why in report.kept]


async def test_a_span_with_a_message_that_has_not_left_stays(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign()
    await house.tick()
    await house.set_conversation(campaign, "ann", "status = 'failed', due_at = NULL")
    assert await kept_after(care) == ["messages of it have not left"]
    await house.app.worker.drain()
    assert len((await care.maintain(7)).dropped) > 0


async def test_a_span_with_a_message_in_a_workers_hands_stays(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign()
    await house.tick()
    await house.set_conversation(campaign, "ann", "status = 'failed', due_at = NULL")
    await house.sql("UPDATE campaign_engine.outbox SET status = 'leased', lease_until = not_before")
    assert await kept_after(care) == ["messages of it have not left"]


async def test_a_span_with_sends_that_a_limit_of_any_type_counts_stays(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign()
    await house.run()
    await care.finish(campaign)
    await house.register(LIMITED.replace("version: 1", "version: 2"))
    assert await kept_after(care, 28) == ["limits still count messages of it"]
    house.at("40d")
    assert weeks((await care.maintain(7)).dropped)[0] == "2026-02-26"


async def test_a_span_stays_when_a_type_is_registered_that_this_program_cannot_read(care: Caretaker) -> None:
    await care.maintain()
    await care.house.register()
    await care.house.sql("UPDATE campaign_engine.campaign_types SET spec = '{}'")
    [why] = await kept_after(care)
    assert why.startswith("what limits count is not known: talk version 1 was registered in a form")


@pytest.mark.parametrize("status", ["active", "paused"])
async def test_a_span_with_steps_of_a_conversation_that_goes_on_stays_and_so_do_those_after_it(
    care: Caretaker, status: str
) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign(people(2))
    await house.run()
    await house.reply(campaign, "stop", "p1")
    await house.run()
    await house.set_conversation(campaign, "p0", f"status = '{status}'")
    assert await kept_after(care) == ["conversations that go on have steps in it"]
    assert len(await care.homes("stage_history")) == 1


async def test_what_lasts_longer_than_what_is_kept_keeps_its_whole_history(care: Caretaker) -> None:
    await care.maintain()
    house, first = care.house, await care.house.campaign(people(3))
    await house.run()
    await care.finish(first)
    house.at("14d")
    second = await house.campaign([person("ben")], name="Later")
    await house.run()
    house.at("40d")
    report = await care.maintain(7)
    assert weeks(report.dropped) == ["2026-02-26", "2026-03-05"]
    assert len(report.kept) == 1
    assert await house.causes(second, "ben") == ["start -> hello"]
    assert await house.violations() == []


async def test_a_span_of_one_table_alone_stays(care: Caretaker) -> None:
    await care.house.sql("""
        CREATE TABLE campaign_engine.outbox_old PARTITION OF campaign_engine.outbox
        FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')
    """)
    assert await kept_after(care) == ["only outbox has a partition of just this span"]


async def test_where_history_was_dropped_a_missing_step_after_that_is_still_found(care: Caretaker) -> None:
    await care.maintain()
    house, campaign = care.house, await care.house.campaign(people(3))
    await house.run()
    await house.at("9d").live("11d", timedelta(days=1))  # they give up, after the first span
    house.at("40d")
    await care.maintain(27)
    assert [name for name, _ in await care.homes("stage_history")] != []
    assert await house.violations() == []
    await house.sql("UPDATE campaign_engine.conversations SET seq = seq + 1 WHERE status = 'completed'")
    assert len(await house.violations()) == 3
    assert await house.causes(campaign, "p0") != []
