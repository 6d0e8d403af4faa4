"""A worker may be killed anywhere: no message is lost, and one that goes out again does so under the same key."""

from __future__ import annotations

import pytest

from tests.faults.site import COMMIT, LEASE, MARK, Site
from tests.faults.wire import When

POINTS: dict[str, tuple[str, When, str, int]] = {  # and how often what it had sent went out in the end
    "before it has leased anything": (LEASE, "sent", "", 1),
    "between lease and send": (COMMIT, "answered", LEASE, 1),
    "between send and mark": (MARK, "sent", "", 2),
    "before the mark is committed": (COMMIT, "sent", MARK, 2),
    "before the committed mark is acknowledged": (COMMIT, "answered", MARK, 1),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_may_be_killed(site: Site, point: str) -> None:
    text, when, within, times = POINTS[point]
    await site.talk()
    await site.house.tick()
    with site.proxy.hold(text, when, within) as hold:
        worker = await site.drain("work")
        await hold.wait()
        await site.kill(worker)
    await site.until_quiet()
    await site.promises()
    before = site.written()
    site.house.wait("3h")  # any lease has run out, and the offer is due
    other = await site.drain("work")
    assert await other.wait() == 0, site.errors(other)
    counts = site.written()
    assert counts.total() - len(counts) == (len(before) if times == 2 else 0)
    assert {counts[key] for key in before} <= {times}
    assert await site.count("outbox WHERE status IN ('ready', 'leased')") == 0
    await site.settles()
