"""What an operator does by hand leaves everything exact: history, outbox and counts, whatever was the matter before."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from engine.core.errors import DecisionError, RefusedError, UnknownError
from engine.db.database import Database
from engine.interventions import LONGEST_REASON
from tests.integration.builders import House, conversation_of, neighbours, people, talk

pytestmark = pytest.mark.anyio

FAILED = "SELECT day, stage, sum(count), sum(duration_us) FROM campaign_engine.metric_counts WHERE label = 'failed'"
REASON = "He rang and asked for it"


@pytest.fixture
def house(database: Database) -> House:
    return House(database, max_attempts=1)


async def parked(house: House, keys: list[str], *others: str, source: str | None = None) -> str:
    """A campaign in which `keys` stand in a stage that is gone and are parked since; `others` are all right."""
    recipients = [each for key in (*keys, *others) for each in neighbours(1, key)]
    campaign = await house.campaign(recipients, source or talk())
    await house.run()
    for key in keys:
        await house.set_conversation(campaign, key, "stage = 'gone', due_at = :now", now=house.clock.instant)
    assert (await house.wait("1h").tick()).failed == len(keys)
    return campaign


async def mend(house: House, campaign: str, *keys: str) -> None:
    for key in keys:
        await house.set_conversation(campaign, key, "stage = 'hello'")


async def retry(house: House, campaign: str, key: str = "ann") -> dict[str, Any]:
    return await house.manager.retry_conversation(conversation_of(campaign, key))


async def move(house: House, campaign: str, stage: str, key: str = "ann") -> dict[str, Any]:
    return await house.manager.move_conversation(conversation_of(campaign, key), stage, REASON)


async def failed(house: House) -> list[Any]:
    """What is counted as failed, by day and stage; nothing where that is taken back."""
    return await house.sql(f"{FAILED} GROUP BY 1, 2 HAVING sum(count) <> 0 OR sum(duration_us) <> 0 ORDER BY 1, 2")


# ---- retry -------------------------------------------------------------------------------------------------------


async def test_a_parked_conversation_goes_on_and_was_never_counted_as_failed(house: House) -> None:
    campaign = await parked(house, ["ann"], "bob")
    assert [row[2:] for row in await failed(house)] == [(1, 3600 * 10**6)]
    ann = await retry(house, campaign)
    assert (ann["status"], ann["attempts"], ann["due_at"]) == ("active", 0, house.clock.instant)
    assert "stage 'gone'" in ann["last_error"]
    assert await failed(house) == []
    await mend(house, campaign, "ann")
    assert (await house.at("240h").tick()).advanced > 0
    assert (await house.conversation(campaign))["last_error"] is None
    await house.live("12d")
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["completed"], metrics["failed"], metrics["active"]) == (2, 0, 0)
    assert await house.violations() == []


async def test_what_fails_again_is_parked_and_counted_again(house: House) -> None:
    campaign = await parked(house, ["ann"])
    for _ in range(3):
        await retry(house, campaign)
        assert (await house.wait("1h").tick()).failed == 1
        assert (await house.conversation(campaign))["status"] == "failed"
        assert [count for _, _, count, _ in await failed(house)] == [1]


async def test_a_response_that_came_meanwhile_is_read_when_the_conversation_goes_on(house: House) -> None:
    campaign = await parked(house, ["ann"])
    await house.reply(campaign, "yes")
    await house.tick()
    await retry(house, campaign)
    await mend(house, campaign, "ann")
    await house.tick()
    assert (await house.causes(campaign))[-1] == "response -> offer"
    assert await house.violations() == []


async def test_a_response_that_could_be_read_waits_for_the_retry_too(house: House) -> None:
    campaign = await parked(house, ["ann"])
    await mend(house, campaign, "ann")
    await house.reply(campaign, "yes")
    assert (await house.tick()).advanced == 0
    await retry(house, campaign)
    await house.tick()
    assert (await house.causes(campaign))[-1] == "response -> offer"
    assert await house.violations() == []


async def test_what_is_taken_back_is_exactly_what_was_counted_whatever_the_day(house: House) -> None:
    keys = [each["key"] for each in neighbours(5)]
    campaign = await house.campaign(neighbours(5))
    await house.run()
    for number, key in enumerate(keys):
        await house.set_conversation(campaign, key, "stage = 'gone', due_at = :now", now=house.clock.instant)
        assert (await house.wait("7h").tick()).failed == 1, number
    assert [count for _, _, count, _ in await failed(house)] == [2, 3]
    await house.app.poller._compact()  # one count may stand in a rollup, another in deltas
    for key in (keys[3], keys[0], keys[4], keys[1], keys[2]):
        await retry(house, campaign, key)
        still = await house.sql(
            "SELECT CAST(failed_at AT TIME ZONE 'UTC' AS date), stage, count(*),"
            " sum(CAST(extract(epoch FROM failed_at - started_at) * 1000000 AS bigint))"
            " FROM campaign_engine.conversations WHERE status = 'failed' GROUP BY 1, 2 ORDER BY 1"
        )
        assert await failed(house) == still


async def test_a_whole_campaign_goes_on_and_others_stay_parked(house: House) -> None:
    everybody = people(40)
    campaign = await house.campaign(everybody)
    other = await house.campaign(everybody, name="Other")
    await house.run()
    await house.sql("UPDATE campaign_engine.conversations SET stage = 'gone', due_at = :at", at=house.clock.instant)
    assert (await house.tick()).failed == 80
    assert await house.manager.retry_campaign(campaign) == 40
    assert await house.manager.retry_campaign(campaign) == 0
    statuses = await house.sql(
        "SELECT campaign_id::text, status, count(*) FROM campaign_engine.conversations GROUP BY 1, 2"
    )
    assert sorted(statuses) == sorted([(campaign, "active", 40), (other, "failed", 40)])
    await house.sql("UPDATE campaign_engine.conversations SET stage = 'hello'")
    assert await house.violations() == []


async def test_of_a_campaign_those_with_one_error_can_be_chosen(house: House) -> None:
    campaign = await parked(house, ["ann", "bob"], "eve")
    await house.set_conversation(campaign, "bob", "last_error = 'ValueError'")
    assert await house.manager.retry_campaign(campaign, "100%") == 0
    assert await house.manager.retry_campaign(campaign, "ValueErr") == 1
    assert (await house.conversation(campaign, "ann"))["status"] == "failed"
    assert (await house.conversation(campaign, "bob"))["status"] == "active"


async def test_in_a_paused_campaign_it_waits_for_the_campaign(house: House) -> None:
    campaign = await parked(house, ["ann"], "bob")
    await house.manager.pause_campaign(campaign)
    ann = await retry(house, campaign)
    assert (ann["status"], ann["due_at"]) == ("paused", None)
    await mend(house, campaign, "ann")
    assert (await house.at("20d").tick()).advanced == 0
    await house.manager.resume_campaign(campaign)
    assert (await house.tick()).completed == 2
    assert await house.violations() == []


@pytest.mark.parametrize("status", ["active", "completed", "paused"])
async def test_only_a_parked_conversation_is_retried(house: House, status: str) -> None:
    campaign = await house.campaign()
    await house.set_conversation(campaign, "ann", "status = :status", status=status)
    with pytest.raises(RefusedError, match=f"is {status}; expected one that is parked as failed"):
        await retry(house, campaign)
    with pytest.raises(UnknownError, match="unknown conversation"):
        await retry(house, campaign, "nobody")


async def test_a_campaign_that_is_over_keeps_its_parked_conversations(house: House) -> None:
    campaign = await parked(house, ["ann"], "bob")
    before = await house.everything()
    await house.sql("UPDATE campaign_engine.campaigns SET ends_at = :at", at=house.clock.instant)
    for act in (retry(house, campaign), house.manager.retry_campaign(campaign), move(house, campaign, "human")):
        with pytest.raises(RefusedError, match="has ended"):
            await act
    await house.sql("UPDATE campaign_engine.campaigns SET ends_at = NULL")
    assert await house.everything() == before
    await house.manager.cancel_campaign(campaign)
    with pytest.raises(RefusedError, match="is cancelled"):
        await retry(house, campaign)


@pytest.mark.parametrize("by", ["retry", "retry the campaign", "move"])
async def test_a_campaign_that_was_done_but_for_the_parked_goes_on_with_them(house: House, by: str) -> None:
    campaign = await parked(house, ["ann"])
    assert (await house.app.poller.poll_once()).completed == 1
    if by == "retry":
        await retry(house, campaign)
        await mend(house, campaign, "ann")
    elif by == "move":
        await move(house, campaign, "hello")
    else:
        assert await house.manager.retry_campaign(campaign) == 1
        await mend(house, campaign, "ann")
    shown = await house.manager.get_campaign(campaign)
    assert (shown["status"], shown["ended_at"]) == ("active", None)
    await house.live("20d")
    assert (await house.conversation(campaign))["stage"] == "gave_up"
    assert (await house.app.poller.poll_once()).completed == 1
    assert await house.violations() == []


async def test_retrying_what_another_just_retried_is_refused_and_counts_nothing(house: House) -> None:
    campaign = await parked(house, ["ann"])
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT FROM campaign_engine.conversations FOR UPDATE"))
        both = [asyncio.create_task(retry(house, campaign)) for _ in range(2)]
        await house.until_someone_waits(both[0])
    done = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["RefusedError", "dict"]
    assert await failed(house) == []


# ---- move --------------------------------------------------------------------------------------------------------


async def test_a_move_is_one_step_with_its_reason_and_everything_stays_exact(house: House) -> None:
    campaign = await house.campaign(people(3))
    await house.run()
    ann = await house.wait("1d").manager.move_conversation(conversation_of(campaign, "p0"), "offer", f"  {REASON}\n")
    assert (ann["stage"], ann["seq"], ann["entered_at"]) == ("offer", 2, house.clock.instant)
    [_, last] = await house.manager.get_conversation_history(conversation_of(campaign, "p0"))
    assert (last["cause"], last["from_stage"], last["sends"], last["reason"]) == ("moved", "hello", 1, REASON)
    told = await house.sql("SELECT campaign, from_stage, to_stage, reason, at FROM reporting.moves")
    assert told == [("Spring", "hello", "offer", REASON, house.clock.instant)]
    ways = await house.sql("SELECT from_stage, to_stage, count FROM reporting.transitions WHERE cause = 'moved'")
    assert ways == [("hello", "offer", 1)]
    assert await house.violations() == []
    await house.live("50d")
    assert await house.violations() == []


async def test_a_move_out_of_a_stage_that_is_gone_sets_a_parked_conversation_going(house: House) -> None:
    campaign = await parked(house, ["ann"], "bob")
    ann = await move(house, campaign, "human")
    assert (ann["status"], ann["stage"], ann["attempts"], ann["last_error"]) == ("active", "human", 0, None)
    assert await failed(house) == []
    assert (await house.wait("5h").tick()).advanced == 1  # the escalation of its new stage
    await house.sql("UPDATE campaign_engine.stage_history SET from_stage = 'hello' WHERE from_stage = 'gone'")
    await house.sql("UPDATE campaign_engine.metric_deltas SET stage = 'hello' WHERE stage = 'gone'")
    assert await house.violations() == []


async def test_a_move_to_an_exit_ends_it_and_cancels_what_has_not_left(house: House) -> None:
    campaign = await house.campaign()
    await house.tick()
    assert (await move(house, campaign, "bought"))["status"] == "completed"
    assert await house.messages(campaign) == [("hello", "cancelled"), ("thanks", "ready")]
    with pytest.raises(RefusedError, match="is completed"):
        await move(house, campaign, "hello")
    assert await house.violations() == []


@pytest.mark.parametrize("held", [False, True])
async def test_a_move_to_a_stopped_exit_opts_out_even_while_the_campaign_is_paused(house: House, held: bool) -> None:
    campaign = await house.campaign()
    other = await house.campaign(name="Other")
    await house.tick()
    if held:
        await house.manager.pause_campaign(campaign)
    assert (await move(house, campaign, "opted_out"))["status"] == "stopped"
    for each in (campaign, other):
        assert await house.messages(each) == [("hello", "cancelled")]
    await house.live("30d")
    assert house.mail.left == []
    assert await house.violations() == []


@pytest.mark.parametrize(("status", "hint"), [("paused", "campaign resume"), ("scheduled", "its start")])
async def test_nothing_else_moves_in_a_campaign_that_does_not_run(house: House, status: str, hint: str) -> None:
    campaign = await parked(house, ["ann"])
    before = await house.everything()
    await house.sql("UPDATE campaign_engine.campaigns SET status = :status", status=status)
    with pytest.raises(RefusedError, match=f"is {status}, and nothing moves in it") as caught:
        await move(house, campaign, "human")
    assert hint in caught.value.hint
    await house.sql("UPDATE campaign_engine.campaigns SET status = 'active'")
    assert await house.everything() == before


async def test_a_move_that_cannot_be_decided_changes_nothing(house: House) -> None:
    campaign = await parked(
        house,
        ["ann"],
        source=talk(("on_enter: [{assign: {to: sales}}]", "on_enter: [{send: tip, when: since is missing}]")),
    )
    await house.set_conversation(campaign, "ann", """context = '{"facts": {"since": "soon"}, "captured": {}}'""")
    before = await house.everything()
    with pytest.raises(DecisionError, match="cannot be moved: ValueError"):
        await move(house, campaign, "human")
    await house.set_conversation(campaign, "ann", "progress = '[]'")
    with pytest.raises(DecisionError, match="cannot be read"):
        await move(house, campaign, "human")
    assert (await house.everything()) | {"campaign_engine.conversations": []} == before | {
        "campaign_engine.conversations": []
    }


@pytest.mark.parametrize("reason", ["", " \n\0", "x" * (LONGEST_REASON + 1)])
async def test_a_move_needs_a_reason_of_some_length(house: House, reason: str) -> None:
    campaign = await house.campaign()
    with pytest.raises(RefusedError, match="expected a reason"):
        await house.manager.move_conversation(conversation_of(campaign), "human", reason)


async def test_a_tick_and_a_move_at_once_are_two_steps_in_a_row(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    house.at("240h")
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT FROM campaign_engine.conversations FOR UPDATE"))
        task = asyncio.create_task(move(house, campaign, "human"))
        await house.until_someone_waits(task)
        assert (await house.app.tick.run_once()).claimed == 0
    assert (await task)["stage"] == "human"
    await house.tick()
    assert await house.causes(campaign) == ["start -> hello", "moved -> human"]
    assert await house.violations() == []


async def test_a_move_without_its_reason_and_a_reason_without_its_move_are_found(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await move(house, campaign, "human")
    await house.sql("UPDATE campaign_engine.moves SET seq = 1")
    id = UUID(conversation_of(campaign))
    assert await house.violations() == [
        f"conversation {id} at seq 1: its history tells of no move",
        f"conversation {id} at seq 2: nothing says why it was moved",
    ]
