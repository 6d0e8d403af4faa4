"""Opting out works always: whatever the campaign, the stage or the hour."""

from __future__ import annotations

from uuid import UUID

import pytest

from engine.db.database import Database
from tests.integration.builders import House, after, person, talk

AGAIN = talk(("campaign_type: talk", "campaign_type: again"))


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def unsubscribed(house: House) -> list[str]:
    rows = await house.sql("SELECT key FROM campaign_engine.recipients WHERE unsubscribed_at IS NOT NULL ORDER BY 1")
    return [key for (key,) in rows]


async def two_campaigns(house: House) -> tuple[str, str]:
    """Ann and Bob in two campaigns of different types, begun; nothing has left."""
    everybody = [person("ann"), person("bob")]
    first, second = await house.campaign(everybody), await house.campaign(everybody, AGAIN, name="Again")
    await house.tick()
    return first, second


async def test_stop_ends_the_conversation_and_cancels_in_every_campaign(house: House) -> None:
    first, second = await two_campaigns(house)
    await house.reply(first, "please STOP this")
    assert (await house.tick()).completed == 1
    ann = await house.conversation(first)
    assert (ann["stage"], ann["status"]) == ("opted_out", "stopped")
    assert await unsubscribed(house) == ["ann"]
    for campaign in (first, second):
        assert await house.messages(campaign) == [("hello", "cancelled")]
        assert await house.messages(campaign, "bob") == [("hello", "ready")]
    await house.live("12d")
    assert {message.recipient_key for message in house.mail.left} == {"bob"}
    assert (await house.conversation(second))["stage"] == "gave_up"
    metrics = await house.manager.get_campaign_metrics(first)
    assert metrics["outcomes"] == {"lost": 1, "stopped": 1}
    assert await house.violations() == []


async def test_stop_works_before_the_start(house: House) -> None:
    campaign = await house.campaign(starts_at=after("1d"))
    await house.reply(campaign, "stop")
    await house.tick()
    assert await house.causes(campaign) == ["response -> opted_out"]
    assert await unsubscribed(house) == ["ann"]


async def test_stop_works_while_paused_and_others_keep_waiting(house: House) -> None:
    first, second = await two_campaigns(house)
    await house.app.worker.drain()
    await house.manager.pause_campaign(first)
    await house.at("1h").reply(first, "yes")
    await house.reply(first, "hm", "bob")
    await house.at("2h").reply(first, "stop")
    await house.tick()
    assert await house.causes(first) == ["start -> hello", "response -> opted_out"]
    assert (await house.conversation(first, "bob"))["status"] == "paused"
    assert (await house.conversation(second))["stage"] == "hello"
    assert await unsubscribed(house) == ["ann"]
    statuses = await house.sql("SELECT body, status FROM campaign_engine.responses ORDER BY body")
    assert statuses == [("hm", "waiting"), ("stop", "processed"), ("yes", "processed")]
    await house.manager.resume_campaign(first)
    await house.tick()
    assert (await house.conversation(first, "bob"))["stage"] == "human"
    assert (await house.conversation(first))["status"] == "stopped"
    assert await house.violations() == []


async def test_stop_that_comes_later_in_a_pause_is_not_slept_through(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.manager.pause_campaign(campaign)
    await house.at("3d").reply(campaign, "stop", received_at=after("4d"))
    await house.set_conversation(campaign, "ann", "due_at = :at", at=after("3d"))
    await house.tick()
    assert (await house.conversation(campaign))["status"] == "paused"
    await house.at("4d").tick()
    assert (await house.conversation(campaign))["status"] == "stopped"


async def test_stop_after_an_exit_changes_neither_stage_nor_history_but_opts_out_everywhere(house: House) -> None:
    first, second = await two_campaigns(house)
    await house.app.worker.drain()
    await house.manager.mark_conversation_complete((await house.conversation(first))["id"])
    await house.manager.record_event(second, "ann", "opened")
    await house.tick()
    before = await house.conversation(first)
    await house.at("1h").reply(first, "who are you")
    await house.tick()
    assert await unsubscribed(house) == []
    await house.at("2h").reply(first, "stop")
    await house.tick()
    now = await house.conversation(first)
    assert {name for name in now if now[name] != before[name]} <= {"due_at", "inbox_waiting"}
    assert (now["due_at"], now["inbox_waiting"]) == (None, False)
    assert await house.causes(first) == ["start -> hello", "completed -> hello"]
    assert await unsubscribed(house) == ["ann"]
    assert await house.messages(second) == [("hello", "sent"), ("tip", "cancelled")]
    rows = await house.sql("SELECT body, status FROM campaign_engine.responses ORDER BY received_at")
    assert rows == [("who are you", "processed"), ("stop", "processed")]
    assert await house.violations() == []


async def test_a_response_after_an_exit_is_recorded_only(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("10d").run()
    before = await house.conversation(campaign)
    await house.at("11d").reply(campaign, "yes")
    counts = await house.tick()
    assert (counts.claimed, counts.advanced) == (1, 0)
    assert await house.conversation(campaign) == before
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["messages_received"], metrics["response_rate"]) == (1, 0.0)
    assert await house.violations() == []


async def test_stop_in_a_cancelled_campaign_opts_out(house: House) -> None:
    first, second = await two_campaigns(house)
    await house.reply(first, "stop")
    await house.manager.cancel_campaign(first)
    await house.app.tick.end_campaign(UUID(first), "cancelled")
    assert await house.causes(first) == ["start -> hello", "cancelled -> hello"]
    assert await unsubscribed(house) == ["ann"]
    assert await house.messages(second) == [("hello", "cancelled")]
    assert await house.violations() == []


async def test_two_stops_of_one_recipient_in_two_campaigns_at_once_are_both_heard(house: House) -> None:
    first, second = await two_campaigns(house)
    for campaign in (first, second):
        await house.reply(campaign, "stop")
    await house.tick()
    for campaign in (first, second):
        assert (await house.conversation(campaign))["stage"] == "opted_out"
        assert await house.messages(campaign) == [("hello", "cancelled")]
    assert await house.violations() == []


async def test_whoever_has_opted_out_gets_nothing_from_a_later_campaign(house: House) -> None:
    first, _ = await two_campaigns(house)
    await house.reply(first, "stop")
    await house.tick()
    later = await house.campaign(name="Later")
    await house.run()
    assert await house.messages(later) == [("hello", "cancelled")]
    assert await house.violations() == []
