"""The invariants hold after honest work of every kind, and whatever breaks one is named."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.db.database import Database
from tests.integration.builders import House, conversation_of, people

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(database: Database) -> House:
    """Eleven days of five people: one says yes, one stops, one is called, one gives up, one has no address."""
    house = House(database)
    campaign = await house.campaign(people(5))
    await house.sql("UPDATE campaign_engine.recipients SET email = NULL WHERE key = 'p4'")
    await house.run()
    await house.wait("1h").manager.record_event(campaign, "p0", "opened")
    await house.run()
    await house.wait("2h").reply(campaign, "yes", "p0")
    await house.reply(campaign, "stop", "p1")
    await house.manager.record_event(campaign, "p2", "called")
    await house.live("11d", timedelta(days=1))
    fates = await house.sql("SELECT DISTINCT status FROM campaign_engine.outbox ORDER BY 1")
    assert fates == [("cancelled",), ("failed",), ("sent",)]
    return house


async def test_they_hold_after_a_campaign_of_every_fate(house: House) -> None:
    assert await house.violations() == []


async def test_they_hold_when_half_of_the_counts_are_compacted(house: House) -> None:
    await house.sql("""
        WITH moved AS (DELETE FROM campaign_engine.metric_deltas WHERE id % 2 = 0 RETURNING *)
        INSERT INTO campaign_engine.metric_rollups
        SELECT bucket, campaign_id, day, metric, stage, target, label, sum(count), sum(duration_us)
          FROM moved GROUP BY 1, 2, 3, 4, 5, 6, 7
    """)
    assert await house.violations() == []


PLANTED = {
    "DELETE FROM stage_history WHERE seq = 1": ["rows from 2 to", "history says 0 messages", "there are 0"],
    "DELETE FROM stage_history WHERE seq = 1 AND conversation_id IN (SELECT id FROM conversations WHERE seq = 2)": [
        "is at seq 2, its history has 1 rows from 2 to 2"
    ],
    "DELETE FROM stage_history WHERE conversation_id IN (SELECT id FROM conversations WHERE stage = 'opted_out')": [
        "is in stage opted_out, its history ends in -"
    ],
    "UPDATE stage_history SET seq = seq + 1 WHERE seq = 2": ["rows from 1 to 3"],
    "UPDATE conversations SET seq = seq + 1 WHERE stage = 'opted_out'": ["its history has 2 rows from 1 to 2"],
    "UPDATE conversations SET stage = 'hello' WHERE stage = 'human'": ["is in stage hello, its history ends in human"],
    "DELETE FROM conversations WHERE stage = 'opted_out'": ["which does not exist", "enrolled 2026-03-02 is counted 5"],
    "DELETE FROM outbox WHERE message = 'offer'": [
        "history says 1 messages, the outbox has 0",
        "queued offer email offer",
    ],
    "UPDATE outbox SET seq = 99 WHERE message = 'offer'": ["at seq 99: history says 0 messages, the outbox has 1"],
    "UPDATE stage_history SET sends = 2 WHERE seq = 1": ["history says 2 messages, the outbox has 1"],
    "UPDATE outbox SET status = 'ready' WHERE status = 'failed'": ["failed hello email hello is counted 1"],
    "UPDATE outbox SET sent_at = sent_at + interval '1 day' WHERE message = 'hello'": ["sent hello email hello"],
    "UPDATE metric_deltas SET count = 7 WHERE metric = 'stayed'": ["stayed hello hello follow_up", "is counted 7"],
    "DELETE FROM metric_deltas WHERE metric = 'received'": ["received 2026-03-02 is counted 0 times, there are 2"],
    "UPDATE conversations SET due_at = NULL WHERE stage = 'human'": ["is active and nothing will wake it"],
    "UPDATE conversations SET inbox_waiting = true WHERE stage = 'opted_out'": ["is stopped and nothing will wake it"],
    "UPDATE conversations SET status = 'paused', due_at = NULL WHERE stage = 'human'": [
        "is parked and has no due time to go back to"
    ],
    "UPDATE responses SET status = 'waiting'": ["does not know that something waits for it"],
    "UPDATE events SET status = 'waiting' WHERE name = 'called'": ["does not know that something waits for it"],
    """WITH told AS (UPDATE conversations SET inbox_waiting = true)
       UPDATE events SET status = 'waiting' WHERE name = 'called'""": ["sleeps through what waits for it until 2026-0"],
    "UPDATE conversations SET progress = jsonb_set(progress, '{awaits}', '[1, 0]') WHERE stage = 'human'": [
        "counts from message 1.0, which is sent, and sleeps until 2026-0"
    ],
    "DELETE FROM metric_deltas WHERE metric = 'finished'": ["finished stopped is counted 0 times, there are 1"],
}


@pytest.mark.parametrize("change", PLANTED)
async def test_what_breaks_one_is_named(house: House, change: str) -> None:
    async with house.database.transaction() as connection:
        await connection.exec_driver_sql("SET LOCAL search_path = campaign_engine")
        await connection.exec_driver_sql(change)
    found = "\n".join(await house.violations())
    for expected in PLANTED[change]:
        assert expected in found


async def test_a_step_that_was_written_twice_is_found(house: House) -> None:
    await house.sql("""
        INSERT INTO campaign_engine.stage_history
        SELECT bucket, conversation_id, campaign_id, at + interval '1 hour', seq, 0, entered, from_stage, to_stage,
               cause, edge
          FROM campaign_engine.stage_history WHERE seq = 1
    """)
    assert sum("rows from 1 to" in line for line in await house.violations()) == 5


async def test_of_many_violations_of_a_kind_the_first_are_shown_and_the_rest_counted(database: Database) -> None:
    house = House(database)
    await house.campaign(people(15))
    await house.run()
    await house.sql("UPDATE campaign_engine.conversations SET seq = 9")
    violations = await house.violations()
    assert len(violations) == 11
    assert violations[-1] == "and 5 more of the kind"


async def test_a_conversation_that_has_not_begun_breaks_nothing(database: Database) -> None:
    house = House(database)
    campaign = await house.campaign()
    assert (await house.manager.get_conversation(conversation_of(campaign)))["seq"] == 0
    assert await house.violations() == []
