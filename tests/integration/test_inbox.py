"""Responses and events: recorded once, kept when nobody knows whose they are, and heard in their time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import uuid4

import pytest

from engine.core.errors import CampaignError, RefusedError, UnknownError
from engine.db.database import Database
from engine.inbox import Inbound, Inbox
from tests.integration.builders import House, after, conversation_of, neighbours, people, person, talk


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def test_a_response_moves_its_conversation_and_says_how_it_was_read(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    receipt = await house.at("1h").reply(campaign, "Yes! 4,5 of it", message_id="m1")
    assert receipt["status"] == "recorded"
    assert receipt["conversations"] == [conversation_of(campaign)]
    assert (await house.conversation(campaign))["due_at"] == after("1h")
    await house.tick()
    ((id, status, stage, reading, received, processed),) = await house.sql(
        "SELECT id, status, stage, reading, received_at, processed_at FROM campaign_engine.responses"
    )
    assert (str(id), status, stage) == (receipt["id"], "processed", "hello")
    assert reading == {"intent": "yes", "words": "Yes! 4,5 of it", "figure": 45}
    assert (received, processed) == (after("1h"), after("1h"))
    context = (await house.conversation(campaign))["context"]
    assert context["captured"]["intent"] == "yes"


async def test_a_repeated_message_id_is_ignored(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    first = await house.reply(campaign, "hm", message_id="m1")
    await house.tick()
    before = await house.everything()
    again = await house.reply(campaign, "stop", message_id="m1")
    assert (first["status"], again["status"]) == ("recorded", "repeated")
    assert again["id"] == first["id"]
    assert await house.everything() == before
    assert (await house.tick()).claimed == 0
    assert (await house.manager.get_campaign_metrics(campaign))["messages_received"] == 1


async def test_two_recipients_of_one_bucket_may_have_the_same_message_id(house: House) -> None:
    both = neighbours(2)
    campaign = await house.campaign(both)
    await house.run()
    receipts = [await house.reply(campaign, "stop", each["key"], message_id="m1") for each in both]
    assert [each["status"] for each in receipts] == ["recorded", "recorded"]
    assert (await house.tick()).completed == 2


async def test_responses_without_a_message_id_are_each_their_own(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    assert {(await house.reply(campaign, "hm"))["status"] for _ in range(2)} == {"recorded"}
    await house.tick()
    assert (await house.manager.get_campaign_metrics(campaign))["messages_received"] == 2


async def test_a_response_of_somebody_unknown_is_kept_as_unmatched(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    before = await house.manager.get_campaign_metrics(campaign)
    receipt = await house.reply(campaign, "stop", "nobody")
    assert (receipt["status"], receipt["conversations"]) == ("unmatched", [])
    event = await house.manager.record_event(campaign, "nobody", "opened")
    assert event["status"] == "unmatched"
    rows = await house.sql("SELECT status, conversation_id, recipient_key, body FROM campaign_engine.responses")
    assert rows == [("unmatched", None, "nobody", "stop")]
    assert (await house.tick()).claimed == 0
    assert await house.manager.get_campaign_metrics(campaign) == before
    assert await house.violations() == []


async def test_a_response_received_in_the_future_waits_till_then(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("2h").reply(campaign, "yes", received_at=after("5h"))
    assert (await house.tick()).claimed == 0
    await house.manager.record_event(campaign, "ann", "opened")
    await house.tick()
    assert (await house.conversation(campaign))["due_at"] == after("5h")
    await house.at("4h").tick()
    assert (await house.conversation(campaign))["stage"] == "hello"
    await house.at("5h").tick()
    assert (await house.conversation(campaign))["stage"] == "offer"


async def test_responses_are_taken_in_the_order_of_their_receipt_not_of_their_recording(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("5h").reply(campaign, "no idea", received_at=after("3h"))
    await house.reply(campaign, "yes", received_at=after("2h"))
    await house.tick()
    assert await house.causes(campaign) == ["start -> hello", "response -> offer"]


async def test_a_response_counts_once_for_its_visit_and_once_for_its_conversation(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("1h").reply(campaign, "yes")
    await house.tick()
    await house.at("2h").reply(campaign, "why")
    await house.at("3h").reply(campaign, "who")
    await house.at("30h").tick()
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["messages_received"], metrics["response_rate"]) == (3, 1.0)
    stages = metrics["stages"]
    assert {name: (stage["messages_received"], stage["response_rate"]) for name, stage in stages.items()} == {
        "hello": (1, 1.0),
        "offer": (2, 1.0),
    }
    assert await house.violations() == []


async def test_an_event_without_a_campaign_reaches_all_active_conversations_of_its_recipient(house: House) -> None:
    first, second, third = [
        await house.campaign(name=name, recipients=[person("ann"), person("bob")]) for name in ("a", "b", "c")
    ]
    await house.run()
    await house.manager.mark_conversation_complete(conversation_of(third))
    receipt = await house.manager.record_event(None, "ann", "called", message_id="e1")
    assert set(receipt["conversations"]) == {conversation_of(first), conversation_of(second)}
    again = await house.manager.record_event(None, "ann", "called", message_id="e1")
    assert (again["status"], again["conversations"]) == ("repeated", [])
    await house.wait("1m").tick()
    stages = [(await house.conversation(each))["stage"] for each in (first, second, third)]
    assert stages == ["human", "human", "hello"]
    assert (await house.conversation(first, "bob"))["stage"] == "hello"


async def test_an_event_is_taken_in_with_its_bounds(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    for _ in range(2):
        await house.manager.record_event(campaign, "ann", "opened")
        await house.wait("1m").tick()
    assert await house.causes(campaign) == ["start -> hello", "event:opened -> hello"]
    assert await house.messages(campaign) == [("hello", "sent"), ("tip", "ready")]
    rows = await house.sql("SELECT DISTINCT status FROM campaign_engine.events")
    assert rows == [("processed",)]


async def test_an_unmatched_event_that_comes_again_is_kept_once(house: House) -> None:
    campaign = await house.campaign()
    for _ in range(2):
        await house.manager.record_event(campaign, "nobody", "opened", message_id="e1")
    assert len(await house.sql("SELECT FROM campaign_engine.events")) == 1


async def test_recording_wakes_a_conversation_that_a_tick_holds(house: House) -> None:
    """The inbox waits for the tick's row lock and then adds to what the tick wrote."""
    campaign = await house.campaign()
    await house.tick()
    async with house.database.transaction() as connection:
        await connection.exec_driver_sql("SELECT FROM campaign_engine.conversations FOR UPDATE")
        reply = asyncio.create_task(house.reply(campaign, "yes", received_at=after("1s")))
        await house.until_someone_waits(reply)
        await connection.exec_driver_sql(
            "UPDATE campaign_engine.conversations SET inbox_waiting = false, due_at = due_at + interval '1 day'"
        )
    assert (await reply)["status"] == "recorded"
    assert (await house.conversation(campaign))["due_at"] == after("1s")
    await house.at("1h").tick()
    assert (await house.conversation(campaign))["stage"] == "offer"


async def test_any_text_can_be_an_answer(house: House) -> None:
    texts = ["", " ", "\0", "yes\0", "\ud800", "\U0001f600" * 50, "𝔂es", "a" * 100_000]
    campaign = await house.campaign(people(len(texts)))
    await house.run()
    for number, text in enumerate(texts):
        receipt = await house.reply(campaign, text, f"p{number}", message_id=f"{number}{text[:99]}")
        assert receipt["status"] == "recorded"
    counts = await house.wait("1h").tick()
    assert (counts.failed, counts.claimed) == (0, len(texts))


async def test_what_cannot_be_recorded_is_refused_and_leaves_nothing(house: House) -> None:
    campaign = await house.campaign()
    before = await house.everything()
    with pytest.raises(RefusedError, match="too long"):
        await house.reply(campaign, "a" * 100_001)
    with pytest.raises(RefusedError, match="too long"):
        await house.reply(campaign, "yes", message_id="é" * 600)
    with pytest.raises(RefusedError, match="emit themselves"):
        await Inbox(house.database, house.clock).record_event(None, Inbound("p0", name="opened", provider="campaign"))
    with pytest.raises(UnknownError, match="unknown campaign"):
        await house.reply(str(uuid4()), "yes")
    with pytest.raises(UnknownError, match="unknown campaign"):
        await house.manager.record_event("nonsense", "ann", "opened")
    with pytest.raises(CampaignError, match="offset"):
        await house.reply(campaign, "yes", received_at=datetime(2026, 3, 2, 9))  # noqa: DTZ001
    assert await house.everything() == before


async def test_what_was_said_is_what_messages_and_later_guards_see(house: House) -> None:
    source = talk(
        ('"yes", go: offer}', '"yes", go: offer, do: [{set: {note: words, price: figure}}]}'),
        ("offer: {text: An offer}", 'offer: {text: "{{ note }} for {{ price }}"}'),
    )
    campaign = await house.campaign(source=source)
    await house.run()
    await house.at("1h").reply(campaign, "yes at 12.50")
    await house.live("4h")
    assert house.mail.left[-1].text == "yes at 12.50 for 12.5"
