"""The loop on a real database: conversations move when they are due, once, and all that follows is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.model import Decision
from engine.db.buckets import bucket_of_key
from engine.db.conversations import ConversationStateRepository
from engine.db.database import Database
from engine.registry import TypeRegistry
from engine.tick import Tick, TickCounts
from tests.integration.builders import NOW, TALK, House, a_settings, after, conversation_of, neighbours, people, person

SORT = """
campaign_type: sort
version: 1
facts: {first_name: text, seats: "int?"}
start: sort
always: [{when: event == "unsubscribed", go: left}]
stages:
  sort:
    split:
      - {when: seats >= 200, go: sales}
      - {share: 30%, go: lucky}
      - {otherwise: rest}
  sales: {on_enter: [{send: hello}], timers: [{after: 1d, go: over}]}
  lucky: {timers: [{after: 1d, go: over}]}
  rest: {timers: [{after: 1d, go: over}]}
exits: {over: lost, left: stopped}
messages: {hello: {text: "Hi {{ first_name }}"}}
"""


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def test_the_loop_from_enrolment_to_an_exit(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("1h").reply(campaign, "yes, tell me more")
    await house.run()
    await house.at("2d").reply(campaign, "YES")
    await house.run()
    assert await house.causes(campaign) == ["start -> hello", "response -> offer", "response -> bought"]
    assert await house.messages(campaign) == [("hello", "sent"), ("offer", "cancelled"), ("thanks", "sent")]
    assert [message.text for message in house.mail.left] == ["Hi Ann", "Thank you"]
    ann = await house.conversation(campaign)
    assert (ann["status"], ann["stage"], ann["due_at"], ann["seq"]) == ("completed", "bought", None, 3)
    assert await house.violations() == []


async def test_draining_twice_changes_nothing(house: House) -> None:
    campaign = await house.campaign(people(40))
    await house.run()
    for number in range(10):
        await house.manager.record_event(campaign, f"p{number}", "opened")
        await house.reply(campaign, "stop" if number % 2 else "what?", f"p{number}")
    assert (await house.at("49h").tick()).claimed > 30
    before = await house.everything()
    assert (await house.tick()).claimed == 0
    assert (await house.app.tick.run_once()).advanced == 0
    assert await house.everything() == before
    assert await house.violations() == []


async def test_an_idle_tick_writes_nothing(house: House) -> None:
    await house.campaign()
    await house.run()
    before = await house.everything()
    assert replace(await house.at("47h").tick(), seconds=0) == TickCounts()
    assert await house.everything() == before


async def test_a_conversation_starts_at_its_campaigns_start_and_not_before(house: House) -> None:
    campaign = await house.campaign(starts_at=after("3h"))
    await house.at("2h").tick()
    assert (await house.conversation(campaign))["stage"] is None
    await house.at("3h").tick()
    assert (await house.conversation(campaign))["entered_at"] == after("3h")


async def test_batches_of_one_move_everybody_once(database: Database) -> None:
    house = House(database, max_batch_size=1)
    await house.campaign(people(90))
    counts = await house.tick()
    assert (counts.claimed, counts.advanced, counts.completed, counts.failed) == (90, 90, 0, 0)
    assert await house.violations() == []


# ---- locks and guards --------------------------------------------------------------------------------------------


async def test_a_batch_that_another_tick_holds_is_passed_over(house: House) -> None:
    campaign = await house.campaign(neighbours(5))
    lane = (await house.sql("SELECT min(lane) FROM campaign_engine.conversations"))[0][0]
    async with house.database.transaction() as connection:
        claim = await ConversationStateRepository(connection).lock_due((bucket_of_key("ann"), lane), NOW, 3)
        held = {id for row in await claim.rows() for id in row.ids}
        counts = await house.app.tick.run_once()
        assert (counts.claimed, counts.advanced) == (2, 2)
    moved = {row["id"] for row in await house.manager.list_conversations(campaign, stage="hello")}
    assert len(moved) == 2
    assert moved.isdisjoint(held)
    assert (await house.tick()).advanced == 3
    assert await house.violations() == []


class Meddler(TypeRegistry):
    """A registry that, once, changes a claimed conversation behind the back of the batch that asks it."""

    meddled = False

    async def get(self, connection: AsyncConnection, name: str, version: int) -> CompiledType:
        if not self.meddled:
            self.meddled = True
            await connection.exec_driver_sql("UPDATE campaign_engine.conversations SET seq = seq + 1")
        return await super().get(connection, name, version)


async def test_a_conversation_that_is_not_as_it_was_claimed_rolls_its_batch_back_and_blames_nobody(
    house: House,
) -> None:
    campaign = await house.campaign(neighbours(4))
    registry = Meddler()
    tick = Tick(house.database, a_settings(), house.clock, registry)
    before = await house.everything()
    assert (await tick.run_once()).claimed == 0
    assert registry.meddled
    assert await house.everything() == before
    assert (await tick.drain()).advanced == 4
    assert {row["attempts"] for row in await house.manager.list_conversations(campaign)} == {0}
    assert await house.violations() == []


async def test_high_lanes_go_first_and_low_ones_are_served_too(database: Database) -> None:
    house = House(database, max_batch_size=1)
    campaigns = {
        priority: await house.campaign(neighbours(9), priority=priority) for priority in ("low", "high", "normal")
    }
    await house.app.tick.run_once()
    moved = {
        priority: len(await house.manager.list_conversations(campaign, stage="hello"))
        for priority, campaign in campaigns.items()
    }
    assert moved == {"high": 4, "normal": 2, "low": 1}
    first = await house.sql("SELECT campaign_id::text FROM campaign_engine.stage_history ORDER BY ctid LIMIT 1")
    assert first == [(campaigns["high"],)]


# ---- conversations that are alike --------------------------------------------------------------------------------


async def test_alike_conversations_share_a_decision_and_have_rows_of_their_own(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[Any] = []

    def spy(*given: Any) -> Decision:
        decided.append(given)
        return decide(*given)

    monkeypatch.setattr("engine.batch.decide", spy)
    campaign = await house.campaign(neighbours(30))
    await house.run()
    assert len(decided) < 10
    rows = await house.sql("SELECT conversation_id, seq, ordinal, recipient_id, message FROM campaign_engine.outbox")
    assert len({row[0] for row in rows}) == len({row[3] for row in rows}) == 30
    assert len(await house.sql("SELECT FROM campaign_engine.stage_history WHERE seq = 1")) == 30
    assert sorted(message.text for message in house.mail.left) == sorted(
        f"Hi {each['first_name']}" for each in neighbours(30)
    )

    decided.clear()
    await house.at("10d").tick()
    assert len(decided) < 10
    assert await house.violations() == []
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert metrics["stages"]["hello"]["entered"] == 30


async def test_conversations_that_are_decided_by_facts_or_shares_come_out_as_if_each_were_alone(house: House) -> None:
    keys = [f"p{number}" for number in range(150)]
    campaign = await house.campaign([person(key, seats=2 * place) for place, key in enumerate(keys)], SORT)
    alone = {key: await house.manager.evaluate_stage_progression(conversation_of(campaign, key), {}) for key in keys}
    await house.tick()
    stages = {row["recipient"]: row["stage"] for row in await house.manager.list_conversations(campaign, limit=500)}
    assert stages == {key: stage for key, (_, stage, _) in alone.items()}
    assert {key for key, stage in stages.items() if stage == "sales"} == set(keys[100:])
    assert await house.violations() == []


async def test_a_share_gets_about_its_share(house: House) -> None:
    campaign = await house.campaign(people(300), SORT)
    await house.tick()
    rows = await house.manager.list_conversations(campaign, limit=500)
    stages = Counter(row["stage"] for row in rows)
    assert stages.keys() == {"lucky", "rest"}
    assert 50 <= stages["lucky"] <= 130


async def test_those_in_other_time_zones_do_not_share_what_days_mean(house: House) -> None:
    around = NOW.replace(month=3, day=28)  # clocks change on the 29th in Berlin, not in Tokyo
    house.clock.instant = around
    zones = ["Europe/Berlin", "Asia/Tokyo"]
    recipients = [each | {"timezone": zones[place % 2]} for place, each in enumerate(neighbours(6))]
    campaign = await house.campaign(recipients, TALK.replace("240h", "10d"))
    await house.tick()
    due = {row["timezone"]: row["due_at"] for row in await house.manager.list_conversations(campaign)}
    assert due == {
        "Europe/Berlin": around + timedelta(days=10, hours=-1),
        "Asia/Tokyo": around + timedelta(days=10),
    }


# ---- time --------------------------------------------------------------------------------------------------------


async def test_min_stay_holds_over_ticks_and_processes(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("1h").reply(campaign, "yes")
    await house.run()
    await house.at("2h").reply(campaign, "yes, please")
    await house.run()
    for span in ("3h", "24h"):
        later = House(house.database)
        assert (await later.at(span).tick()).advanced == 0
    assert (await house.conversation(campaign))["stage"] == "offer"
    assert (await house.conversation(campaign))["due_at"] == after("25h")
    later = House(house.database)
    await later.at("25h").tick()
    assert await house.causes(campaign) == ["start -> hello", "response -> offer", "response -> bought"]


async def test_after_an_outage_of_the_worker_follow_ups_count_from_the_real_sending(house: House) -> None:
    campaign = await house.campaign()
    for day in range(6):
        await house.at(f"{day}d").tick()
    assert await house.messages(campaign) == [("hello", "ready")]
    await house.at("5d").app.worker.drain()
    await house.tick()
    await house.at("166h").tick()
    assert await house.messages(campaign) == [("hello", "sent")]
    await house.at("168h").run()
    assert await house.messages(campaign) == [("hello", "sent"), ("bump", "sent")]
    await house.at("215h").run()
    assert [name for name, _ in await house.messages(campaign)] == ["hello", "bump"]
    await house.at("216h").run()
    assert [name for name, _ in await house.messages(campaign)] == ["hello", "bump", "bump"]
    assert await house.violations() == []


async def test_after_an_outage_of_the_tick_follow_ups_come_one_by_one(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("8d").tick()
    await house.tick()
    assert await house.messages(campaign) == [("hello", "sent"), ("bump", "ready")]
    await house.at("9d").run()
    assert await house.messages(campaign) == [("hello", "sent"), ("bump", "sent")]
    assert (await house.conversation(campaign))["due_at"] == after("10d")


async def test_a_message_sent_later_than_the_ticks_now_is_heard_of_in_time(house: House) -> None:
    campaign = await house.campaign()
    await house.tick()
    await house.at("1h").app.worker.drain()
    await house.manager.record_event(campaign, "ann", "nobody_listens", received_at=after("30m"))
    assert (await house.at("30m").tick()).claimed == 1
    assert (await house.conversation(campaign))["due_at"] == after("1h")
    await house.at("1h").tick()
    assert (await house.conversation(campaign))["due_at"] == after("49h")


async def test_a_message_that_failed_ends_its_follow_ups(house: House) -> None:
    campaign = await house.campaign()
    await house.tick()
    await house.sql("UPDATE campaign_engine.outbox SET status = 'failed'")
    await house.at("5d").tick()
    await house.at("9d").tick()
    assert await house.causes(campaign) == ["start -> hello"]
    assert (await house.conversation(campaign))["due_at"] == after("10d")


async def test_a_timer_fires_late_and_once_after_an_outage_of_everything(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("90d").run()
    assert (await house.causes(campaign))[-1] == "timer -> gave_up"
    assert await house.violations() == []


async def test_figures_count_by_the_day_in_utc_whatever_the_offset_of_the_clock(house: House) -> None:
    west = timezone(timedelta(hours=-5))
    house.clock.instant = datetime(2026, 3, 2, 23, 30, tzinfo=west)
    campaign = await house.campaign()
    await house.reply(campaign, "hello")
    await house.run()
    days = await house.sql("SELECT DISTINCT day::text FROM campaign_engine.metric_counts")
    assert days == [("2026-03-03",)]
    assert await house.violations() == []


async def test_the_next_due_instant_is_the_earliest_of_all(house: House) -> None:
    assert await house.app.tick.find_next_due() is None
    await house.campaign(starts_at=after("3h"))
    await house.campaign(starts_at=after("2h"))
    assert await house.app.tick.find_next_due() == after("2h")


async def test_a_tick_that_was_asked_to_stop_takes_nothing_more(house: House) -> None:
    await house.campaign(people(5))
    house.app.tick.stop()
    assert (await house.tick()).claimed == 0
