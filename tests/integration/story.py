"""A story in which the engine sends every statement it has: one campaign from its request to its end."""

from __future__ import annotations

from itertools import count, islice

from engine.application import assemble
from engine.channels.registry import Channels
from engine.db.buckets import bucket_of_key
from engine.db.metrics import MetricsRepository
from tests.integration.builders import NOW, House, after, as_json, conversation_of, person, talk

# A type with everything: limits, an event for others, a guard that can meet a value it cannot read.
STORY = talk(
    ("campaign_type: talk", "campaign_type: story"),
    ("channel: email", "channel: email\nlimits: {per_recipient: 5 per 7d}"),
    ("on_enter: [{send: hello}]", "on_enter: [{send: hello, when: since is missing or price > 3}, {emit: greeted}]"),
)
CAST = 12


def neighbours_in(bucket: int, number: int) -> list[str]:
    """The keys of so many people of one bucket."""
    return list(islice((key for each in count() if bucket_of_key(key := f"n{each}") == bucket), number))


async def play(house: House, bucket: int) -> None:
    """Everything, with people of one bucket. Never waits until nothing is due: others may be due, too."""
    keys = neighbours_in(bucket, CAST)
    ann, bob, cem, dee, eve, fay, *_ = keys
    campaign = await house.campaign([person(key) for key in keys], STORY, ends_at=after("30d"))
    await house.manager.initialize_campaign_conversations(campaign)  # again, which finds everybody there
    await _beat(house)  # the start: messages, an event for others; they leave, which wakes who counts from them

    await house.reply(campaign, "yes", ann, message_id="m1")
    await house.reply(campaign, "yes", ann, message_id="m1")
    await house.reply(campaign, "please stop", bob)
    await house.reply(campaign, "what?", cem)
    await house.reply(campaign, "who is this", "a-stranger")
    await house.manager.record_event(campaign, dee, "opened", message_id="e1")
    await house.manager.record_event(None, dee, "opened")
    await _beat(house.wait("1m"))  # responses and events, an assignment, an opt-out

    await house.reply(campaign, "yes", ann)
    await house.manager.update_conversation_state(conversation_of(campaign, eve), {"seats": 7})
    context = as_json({"facts": {"since": "no date"}, "captured": {}})
    await house.set_conversation(campaign, fay, "context = CAST(:context AS jsonb)", context=context)
    await house.reply(campaign, "hello", fay)
    await _beat(house.wait("1m"))  # one that fails, and one that answers what min_stay holds back

    await house.manager.pause_campaign(campaign)
    await house.reply(campaign, "yes", eve)
    await house.manager.record_event(campaign, keys[7], "called")
    await _beat(house.wait("3d"))
    await house.manager.resume_campaign(campaign)
    for _ in range(2):
        await _beat(house.wait("2h"))  # follow-ups, and what leaving has called off
    await _single(house, campaign, keys)
    await _by_hand(house, campaign, keys[10], keys[11])
    await _looks(house, campaign, ann)
    await _beat(house.wait("2d"))

    cancelled = await house.campaign([person(key) for key in keys], STORY, name="Cancelled")
    await house.manager.cancel_campaign(cancelled)
    house.at("31d")
    await house.sql(
        "INSERT INTO campaign_engine.campaign_requests (payload) VALUES (CAST(:payload AS jsonb))",
        payload=as_json({"name": "Asked for", "type": "story", "recipients": [person(ann), person("ann")]}),
    )
    await house.app.poller.poll_once()  # a request, and the end of the campaign
    async with house.database.transaction() as connection:
        assert await MetricsRepository(connection).compact_deltas(bucket, limit=50)
    assert (await house.manager.get_campaign(campaign))["status"] == "completed"
    assert house.clock.instant > NOW


async def _beat(house: House) -> None:
    """A few passes of tick and worker, as many as it takes for what one of our people waits for."""
    for _ in range(2):
        await house.app.tick.run_once()
        await house.app.worker.work_once()
    await house.app.tick.find_next_due()


async def _single(house: House, campaign: str, keys: list[str]) -> None:
    """One conversation at a time, as the manager and the command line do it."""
    manager = house.manager
    await manager.evaluate_stage_progression(conversation_of(campaign, keys[8]), {})
    await manager.advance_conversation_stage(conversation_of(campaign, keys[8]))
    await manager.mark_conversation_complete(conversation_of(campaign, keys[9]))
    await manager.explain_conversation(conversation_of(campaign, keys[2]))


async def _by_hand(house: House, campaign: str, failed: str, moved: str) -> None:
    """What operators do: one that is parked goes on, one is moved."""
    parked = "status = 'failed', failed_at = :now, attempts = 6, due_at = NULL, last_error = 'ValueError'"
    await house.set_conversation(campaign, failed, parked, now=house.clock.instant)
    assert await house.manager.retry_campaign(campaign) == 1
    await house.manager.move_conversation(conversation_of(campaign, moved), "human", reason="asked for it")


async def _looks(house: House, campaign: str, key: str) -> None:
    """What people look at."""
    manager = house.manager
    assert await manager.list_conversations(campaign, limit=5)
    assert await manager.get_pending_conversations(campaign, limit=5)
    assert await manager.get_conversation_history(conversation_of(campaign, key))
    assert (await manager.get_campaign_metrics(campaign))["total_conversations"] == CAST
    nowhere = assemble(house.database, house.app.settings, house.clock, Channels({}))
    await nowhere.worker.work_once()  # which looks for messages whose channel is not open
