"""A tick may be killed anywhere: every conversation still moves exactly once per step."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.faults.site import ANSWERS, CLAIM, COMMIT, WRITE, Site, gate
from tests.faults.wire import When

ROUNDS = int(os.environ.get("CAMPAIGN_FAULT_ROUNDS", "3"))  # some hundreds make a soak of it

POINTS: dict[str, tuple[str, When, str, int]] = {
    "when it has claimed": (CLAIM, "answered", "", 1),
    "when it has read the answers": (ANSWERS, "answered", "", 1),
    "when it has decided": (WRITE, "sent", "", 1),
    "when it has written": (WRITE, "answered", "", 2),
    "before its COMMIT leaves": (COMMIT, "sent", WRITE, 1),
    "before its COMMIT is acknowledged": (COMMIT, "answered", WRITE, 2),
    "between two batches": (CLAIM, "sent", "", 3),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_tick_may_be_killed(site: Site, point: str) -> None:
    text, when, within, nth = POINTS[point]
    await site.talk()
    with site.proxy.hold(text, when, within, nth) as hold:
        tick = await site.drain("tick", MAX_BATCH_SIZE="3")
        await hold.wait()
        await site.kill(tick)
    await site.until_quiet()
    assert await site.overdue() > 0
    await site.settles()


async def test_a_tick_may_be_killed_with_half_of_its_write_sent(site: Site) -> None:
    await site.talk()
    with site.proxy.hold(WRITE) as hold:
        tick = await site.drain("tick", MAX_BATCH_SIZE="3")
        (await hold.wait()).tear()
        await site.kill(tick)
    await site.settles()


async def test_a_tick_may_be_killed_while_the_server_is_in_the_middle_of_its_write(site: Site) -> None:
    await site.talk()
    async with gate(site.house, "stage_history") as reached:
        tick = await site.drain("tick", MAX_BATCH_SIZE="100")
        await site.until(reached)
        await site.kill(tick)
    await site.settles()


async def test_ticks_and_workers_may_be_killed_at_any_statement_many_times(site: Site) -> None:
    random, campaign = Random(ROUNDS), await site.talk(24)
    for _ in range(ROUNDS):
        with site.proxy.hold("", random.choice(["sent", "answered"]), nth=random.randrange(1, 60)) as hold:
            running = [await site.drain("tick", MAX_BATCH_SIZE="2"), await site.drain("work", MAX_BATCH_SIZE="2")]
            await hold.wait()
            await site.kill(*running)
        await site.until_quiet()
        await site.promises()
        site.house.wait("1h")
        await site.house.reply(campaign, random.choice(["yes", "hm"]))
    await site.settles()
