"""Nobody waits behind somebody else's crowd: a small campaign beside a large one, high before low, none starved."""

from __future__ import annotations

from engine.db.database import Database
from tests.integration.builders import House, people

BATCH = 10
CROWD = 1_500


async def moved_before_the_last_of(house: House, campaign: str) -> dict[str, int]:
    """How many of each campaign had moved when the last of this one did, in the order of the writes."""
    rows = await house.sql("SELECT campaign_id::text FROM campaign_engine.stage_history ORDER BY ctid")
    order = [id for (id,) in rows]
    last = len(order) - order[::-1].index(campaign)
    return {id: order[:last].count(id) for id in set(order)}


async def test_ten_beside_a_crowd_wait_for_a_batch_or_two_of_its_lane_at_a_time(database: Database) -> None:
    house = House(database, max_batch_size=BATCH)
    crowd = await house.campaign(people(CROWD))
    ten = await house.campaign(people(10), name="Ten")
    assert (await house.tick()).advanced == CROWD + 10
    before = await moved_before_the_last_of(house, ten)
    assert before[ten] == 10
    # ten batches at most, each behind two of the crowd, and what the other hand has meanwhile
    assert before[crowd] <= (2 * 10 + 4) * BATCH < CROWD / 4
    assert await house.violations() == []


async def test_high_priority_overtakes_a_crowd_of_normal_and_low_which_go_on(database: Database) -> None:
    house = House(database, max_batch_size=2)  # full batches, in all buckets
    normal = await house.campaign(people(400))
    low = await house.campaign(people(400), name="Low", priority="low")
    high = await house.campaign(people(300), name="High", priority="high")
    assert (await house.tick()).advanced == 1_100
    before = await moved_before_the_last_of(house, high)
    assert before[high] == 300
    assert before[low] < before[normal] < 300
    assert min(before[normal], before[low]) > 0
