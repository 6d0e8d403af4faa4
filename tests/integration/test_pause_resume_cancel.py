"""Holding a campaign, letting it go on, calling it off, and its end."""

from __future__ import annotations

import asyncio
from random import Random
from uuid import UUID

import pytest

from engine.core.errors import RefusedError
from engine.db.buckets import bucket_of_key
from engine.db.conversations import ConversationStateRepository
from engine.db.database import Database
from engine.evaluation import Evaluation
from tests.integration.builders import NOW, House, after, conversation_of, neighbours, people, person, talk


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def paused(house: House, count: int = 1, source: str | None = None) -> str:
    """A campaign of Ann and others, begun and sent, then paused."""
    campaign = await house.campaign(neighbours(count), **({"source": source} if source else {}))
    await house.run()
    await house.manager.pause_campaign(campaign)
    return campaign


# ---- paused ------------------------------------------------------------------------------------------------------


async def test_in_a_paused_campaign_nothing_moves_and_nothing_leaves(house: House) -> None:
    campaign = await house.campaign(people(5))
    await house.tick()
    await house.manager.pause_campaign(campaign)
    await house.live("20d", after("5d") - NOW)
    rows = await house.manager.list_conversations(campaign)
    assert {(row["stage"], row["status"], row["due_at"], row["seq"]) for row in rows} == {("hello", "paused", None, 1)}
    assert house.mail.left == []
    assert (await house.tick()).claimed == 0
    assert await house.violations() == []


async def test_responses_wait_while_paused_and_are_taken_in_order_after_it(house: House) -> None:
    campaign = await paused(house)
    await house.at("1d").reply(campaign, "yes")
    await house.manager.record_event(campaign, "ann", "opened", received_at=after("2h"))
    assert (await house.tick()).advanced == 0
    assert await house.sql("SELECT status FROM campaign_engine.responses") == [("waiting",)]
    assert (await house.tick()).claimed == 0
    await house.at("2d").manager.resume_campaign(campaign)
    await house.tick()
    assert await house.causes(campaign) == ["start -> hello", "event:opened -> hello", "response -> offer"]
    assert await house.violations() == []


async def test_resuming_brings_due_times_back(house: House) -> None:
    campaign = await paused(house, 3)
    due = {row["id"]: row["due_at"] for row in await house.manager.list_conversations(campaign)}
    await house.at("3d").tick()
    await house.reply(campaign, "hm", "ann")
    await house.tick()
    assert await house.manager.resume_campaign(campaign) == 3
    rows = {row["id"]: row for row in await house.manager.list_conversations(campaign)}
    ann = rows.pop(conversation_of(campaign))
    assert {row["due_at"] for row in rows.values()} <= {*due.values(), after("3d")}
    assert ann["due_at"] <= after("3d")
    assert await house.manager.resume_campaign(campaign) == 0
    await house.run()
    assert (await house.conversation(campaign))["stage"] == "human"
    assert await house.violations() == []


async def test_a_campaign_resumed_before_any_tick_saw_the_pause_goes_on_as_if_nothing_had_been(house: House) -> None:
    campaign = await paused(house)
    before = await house.conversation(campaign)
    assert await house.manager.resume_campaign(campaign) == 0
    assert await house.conversation(campaign) == before


async def test_a_pause_before_the_start_holds_the_start(house: House) -> None:
    campaign = await house.campaign(starts_at=after("1h"))
    await house.manager.pause_campaign(campaign)
    await house.at("2h").tick()
    assert (await house.conversation(campaign))["stage"] is None
    await house.at("3h").manager.resume_campaign(campaign)
    await house.tick()
    assert (await house.conversation(campaign))["entered_at"] == after("3h")


async def test_a_pause_over_all_deadlines_ends_in_one_late_timer(house: House) -> None:
    campaign = await paused(house)
    await house.at("30d").tick()
    await house.manager.resume_campaign(campaign)
    await house.run()
    assert (await house.causes(campaign))[-1] == "timer -> gave_up"
    assert await house.violations() == []


async def test_a_tick_that_still_saw_the_pause_parks_nobody_for_good(house: House) -> None:
    """Its batch commits after the campaign is active again; resuming waits for it."""
    campaign = await paused(house, 3)
    house.at("3d")
    evaluation = Evaluation(house.app.settings, house.app.registry, Random())
    bucket = bucket_of_key("ann")
    async with house.database.transaction() as connection:
        repository = ConversationStateRepository(connection)
        ((lane,),) = await house.sql("SELECT DISTINCT lane FROM campaign_engine.conversations")
        rows = await (await repository.lock_due((bucket, lane), house.clock.instant, 10)).rows()
        batch = await evaluation.evaluate(connection, bucket, house.clock.instant, rows)
        await evaluation.write(connection, bucket, batch)
        resume = asyncio.create_task(house.manager.resume_campaign(campaign))
        await house.until_someone_waits(resume)
    assert await resume == 3
    assert {row["status"] for row in await house.manager.list_conversations(campaign)} == {"active"}


async def test_an_opt_out_while_resuming_is_not_undone(house: House) -> None:
    campaign = await paused(house)
    await house.at("3d").tick()
    async with house.database.transaction() as connection:
        await connection.exec_driver_sql("UPDATE campaign_engine.conversations SET status = 'stopped'")
        resume = asyncio.create_task(house.manager.resume_campaign(campaign))
        await house.until_someone_waits(resume)
    assert await resume == 0
    ann = await house.conversation(campaign)
    assert (ann["status"], ann["due_at"]) == ("stopped", None)


# ---- cancelled ---------------------------------------------------------------------------------------------------


async def cancel(house: House, campaign: str) -> int:
    """As the command does it."""
    await house.manager.cancel_campaign(campaign)
    return await house.app.tick.end_campaign(UUID(campaign), "cancelled")


async def test_cancelling_stops_conversations_and_their_messages(house: House) -> None:
    campaign = await house.campaign(people(20))
    other = await house.campaign(people(20), name="Other")
    await house.tick()
    await house.app.tick.end_campaign(UUID(campaign), "cancelled")
    await house.manager.cancel_campaign(campaign)
    rows = await house.manager.list_conversations(campaign)
    assert {(row["stage"], row["status"], row["due_at"], row["seq"]) for row in rows} == {("hello", "stopped", None, 2)}
    assert await house.causes(campaign, "p0") == ["start -> hello", "cancelled -> hello"]
    assert await house.messages(campaign, "p0") == [("hello", "cancelled")]
    assert await cancel(house, campaign) == 0
    await house.run()
    assert {row["status"] for row in await house.manager.list_conversations(other)} == {"active"}
    assert {message.campaign_id.hex for message in house.mail.left} == {other.replace("-", "")}
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["stopped"], metrics["active"], metrics["messages_cancelled"]) == (20, 0, 20)
    assert await house.violations() == []


async def test_nothing_happens_any_more_in_a_cancelled_campaign(house: House) -> None:
    """Not even what was due while it was paused, or since: a tick that finds it stops it where it stands."""
    campaign = await paused(house, 2)
    await house.at("30d").tick()
    await house.manager.cancel_campaign(campaign)
    other = await house.campaign(name="Other")
    await house.at("31d").manager.cancel_campaign(other)
    await house.at("60d").tick()
    assert await house.causes(other) == ["cancelled -> None"]
    await cancel(house, campaign)
    assert await house.causes(campaign) == ["start -> hello", "cancelled -> hello"]
    assert (await house.conversation(campaign))["status"] == "stopped"
    assert await house.violations() == []


async def test_one_conversation_that_cannot_be_decided_does_not_keep_a_campaign_from_ending(database: Database) -> None:
    house = House(database, max_batch_size=1)
    campaign = await house.campaign(neighbours(4))
    await house.tick()
    ids = sorted(row["id"] for row in await house.manager.list_conversations(campaign))
    await house.sql("UPDATE campaign_engine.conversations SET stage = 'gone' WHERE id = CAST(:id AS uuid)", id=ids[0])
    assert await cancel(house, campaign) == 3
    rows = {row["id"]: row["status"] for row in await house.manager.list_conversations(campaign)}
    assert [rows[id] for id in ids] == ["active", "stopped", "stopped", "stopped"]


async def test_what_is_over_cannot_be_paused_or_resumed(house: House) -> None:
    campaign = await house.campaign()
    for status in ("completed", "cancelled", "failed"):
        await house.sql("UPDATE campaign_engine.campaigns SET status = :status", status=status)
        for change in (house.manager.pause_campaign, house.manager.resume_campaign):
            with pytest.raises(RefusedError, match=f"is {status} and cannot become") as caught:
                await change(campaign)
            assert caught.value.hint
        assert (await house.manager.get_campaign(campaign))["status"] == status


# ---- the end -----------------------------------------------------------------------------------------------------


async def test_at_its_end_a_campaign_stops_whoever_is_in_it(house: House) -> None:
    campaign = await house.campaign([person("ann"), person("bob")], ends_at=after("2d"))
    await house.run()
    await house.reply(campaign, "hm", "bob")
    await house.tick()
    await house.manager.record_event(campaign, "ann", "opened")
    await house.tick()
    assert (await house.at("47h").app.poller.poll_once()).completed == 0
    assert (await house.at("2d").app.poller.poll_once()).completed == 1
    assert (await house.manager.get_campaign(campaign))["status"] == "completed"
    for key in ("ann", "bob"):
        assert (await house.causes(campaign, key))[-1].startswith("campaign_end -> ")
    assert await house.messages(campaign) == [("hello", "sent"), ("tip", "cancelled"), ("bump", "cancelled")]
    assert (await house.manager.get_campaign_metrics(campaign))["stopped"] == 2
    assert await house.violations() == []


@pytest.mark.parametrize("by", ["tick", "poller"])
async def test_what_was_due_after_the_end_does_not_happen_however_late_the_end_is_seen(house: House, by: str) -> None:
    campaign = await house.campaign(ends_at=after("9d"))
    await house.run()
    await house.reply(campaign, "yes", received_at=after("9d") + (after("1h") - NOW))
    house.at("20d")
    await (house.tick() if by == "tick" else house.app.poller.poll_once())
    causes = await house.causes(campaign)
    assert causes[-1] == "campaign_end -> hello"
    assert not any(cause.startswith(("timer", "response")) for cause in causes)
    assert {status for _, status in await house.messages(campaign)} == {"sent", "cancelled"}
    await house.tick()
    assert (await house.conversation(campaign))["status"] == "stopped"
    assert await house.violations() == []


async def test_a_campaign_that_ends_while_paused_stops_where_it_stood(house: House) -> None:
    campaign = await house.campaign(ends_at=after("20d"))
    await house.run()
    await house.manager.pause_campaign(campaign)
    await house.at("21d").tick()
    assert (await house.app.poller.poll_once()).completed == 1
    assert await house.causes(campaign) == ["start -> hello", "campaign_end -> hello"]
    with pytest.raises(RefusedError):
        await house.manager.resume_campaign(campaign)


async def test_a_late_edges_message_does_not_survive_the_end_of_its_campaign(house: House) -> None:
    source = talk(("[{after: 240h, go: gave_up}]", "[{after: 240h, go: offer, do: [{send: tip}]}]"))
    campaign = await house.campaign(source=source, ends_at=after("11d"))
    await house.run()
    await house.at("12d").tick()
    assert (await house.causes(campaign))[-2:] == ["timer -> offer", "campaign_end -> offer"]
    assert {status for name, status in await house.messages(campaign) if name != "hello"} == {"cancelled"}
    assert await house.violations() == []


async def test_a_campaign_whose_conversations_are_all_over_is_completed(house: House) -> None:
    campaign = await house.campaign(people(3))
    await house.run()
    assert (await house.app.poller.poll_once()).completed == 0
    await house.at("10d").run()
    assert (await house.app.poller.poll_once()).completed == 1
    assert (await house.manager.get_campaign(campaign))["ended_at"] == after("10d")
