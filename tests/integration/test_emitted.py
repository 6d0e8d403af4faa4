"""What campaigns emit for other systems: once, with the step that emitted it, and nothing personal."""

from __future__ import annotations

import asyncio

import pytest

from engine.db.database import Database
from tests.integration.builders import House, conversation_of, people

pytestmark = pytest.mark.anyio

SIGNUP = """
campaign_type: signup
version: 1
facts: {first_name: text}
responses: {intent: {stop: {any_word: [stop]}, done: {any_word: [done]}}}
channel: email
start: ask
always: [{when: intent == "stop", go: opted_out}]
stages:
  ask:
    on_enter: [{emit: asked}, {send: ask}, {send: text, channel: sms}, {emit: reminded}]
    on_response:
      - {when: intent == "done", go: signed_up, do: [{emit: answered}]}
      - {otherwise: gave_up}
    on_event: {asked: {go: gave_up}}
    timers: [{after: 2d, go: gave_up}]
exits:
  signed_up: {outcome: won, on_enter: [{emit: signed_up}]}
  gave_up: lost
  opted_out: stopped
messages: {ask: {text: Please sign up}, text: {text: Sign up}}
"""
EMITTED = "SELECT name, stage, at FROM reporting.emitted_events WHERE conversation_id = :id ORDER BY at, name"


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def test_each_is_kept_with_its_stage_and_the_instant_of_its_step(house: House) -> None:
    campaign = await house.campaign(source=SIGNUP)
    start = house.clock.instant
    await house.run()
    await house.wait("1h").reply(campaign, "done")
    await house.run()
    assert await house.sql(EMITTED, id=conversation_of(campaign)) == [
        ("asked", "ask", start),
        ("reminded", "ask", start),
        ("answered", "ask", house.clock.instant),
        ("signed_up", "signed_up", house.clock.instant),
    ]
    rows = await house.sql(
        "SELECT recipient_key, provider, provider_message_id, status, name FROM campaign_engine.events ORDER BY 3"
    )
    assert rows == [
        ("ann", "campaign", "1.0", "emitted", "asked"),
        ("ann", "campaign", "1.1", "emitted", "reminded"),
        ("ann", "campaign", "2.0", "emitted", "answered"),
        ("ann", "campaign", "2.1", "emitted", "signed_up"),
    ]
    assert await house.violations() == []


async def test_conversations_that_share_a_decision_emit_one_each_however_often_and_many_ticks_run(house: House) -> None:
    campaign = await house.campaign(people(30), source=SIGNUP)
    ticks = [house.with_settings(max_batch_size=size).tick for size in (1, 3, 100)]
    await asyncio.gather(*(tick.drain() for tick in ticks))
    await asyncio.gather(*(tick.drain() for tick in ticks))
    rows = await house.sql(
        "SELECT recipient_key, count(*), count(DISTINCT id), count(DISTINCT conversation_id)"
        " FROM campaign_engine.events GROUP BY 1 ORDER BY length(recipient_key), 1"
    )
    assert rows == [(each["key"], 2, 2, 1) for each in people(30)]
    seen = await house.sql("SELECT DISTINCT campaign_id::text FROM reporting.emitted_events")
    assert seen == [(campaign,)]
    assert await house.violations() == []


async def test_a_batch_that_is_rolled_back_emits_nothing_and_its_repetition_once(house: House) -> None:
    await house.campaign(source=SIGNUP)
    await house.sql("ALTER TABLE campaign_engine.outbox ADD CONSTRAINT broken CHECK (message <> 'text') NOT VALID")
    assert (await house.tick()).failed == 1
    assert await house.sql("SELECT FROM campaign_engine.events") == []
    await house.sql("ALTER TABLE campaign_engine.outbox DROP CONSTRAINT broken")
    await house.wait("1h").tick()
    assert len(await house.sql("SELECT FROM campaign_engine.events")) == 2


async def test_a_campaign_does_not_hear_what_it_emitted_itself(house: House) -> None:
    campaign = await house.campaign(source=SIGNUP)
    await house.run()
    await house.wait("1h").manager.record_event(campaign, "ann", "opened")
    await house.run()
    assert (await house.conversation(campaign))["stage"] == "ask"
    await house.manager.record_event(campaign, "ann", "asked")
    await house.run()
    assert (await house.conversation(campaign))["stage"] == "gave_up"


async def test_an_event_that_no_step_emitted_is_named(house: House) -> None:
    await house.campaign(source=SIGNUP)
    await house.tick()
    await house.sql("UPDATE campaign_engine.events SET provider_message_id = '7.0' WHERE name = 'asked'")
    assert ["has no step 7.0 then" in line for line in await house.violations()] == [True]


async def test_a_gate_that_is_missing_is_named(house: House) -> None:
    await house.sql("DELETE FROM campaign_engine.send_gates WHERE bucket = 60")
    assert await house.violations() == ["bucket 60 has no send gate, so no message of it leaves"]


async def test_a_send_goes_by_its_own_channel_and_is_counted_there(house: House) -> None:
    ann = {"key": "ann", "email": "ann@example.org", "phone": "+12025550100", "first_name": "Ann"}
    await house.campaign([ann], source=SIGNUP)
    await house.run()
    sent = [(each.channel, each.to, each.text) for each in house.mail.left]
    assert sent == [("email", "ann@example.org", "Please sign up"), ("sms", "+12025550100", "Sign up")]
    counts = await house.sql("SELECT channel, message, queued, sent FROM reporting.message_volume ORDER BY 1")
    assert counts == [("email", "ask", 1, 1), ("sms", "text", 1, 1)]
    assert await house.violations() == []
