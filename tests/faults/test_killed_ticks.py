"""A tick may be killed anywhere: every conversation still moves exactly once per step."""

from __future__ import annotations

import os
from random import Random

import pytest

from tests.faults.site import ANSWERS, CLAIM, COMMIT, WRITE, Site
from tests.faults.wire import When
from tests.integration.builders import talk

ROUNDS = int(os.environ.get("CAMPAIGN_FAULT_ROUNDS", "4"))

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
    await site.settles()


async def test_a_tick_may_be_killed_with_half_of_its_write_sent(site: Site) -> None:
    await site.talk()
    with site.proxy.hold(WRITE) as hold:
        tick = await site.drain("tick", MAX_BATCH_SIZE="3")
        (await hold.wait()).tear()
        await site.kill(tick)
    await site.settles()
