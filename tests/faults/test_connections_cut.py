"""A connection may go at any moment, and it need not say so: at worst the same work is claimed again."""

from __future__ import annotations

import asyncio

import pytest

from engine.core.errors import RepositoryError
from tests.faults.site import COMMIT, LEASE, MARK, WRITE, Site
from tests.faults.wire import When
from tests.integration.builders import House

pytestmark = pytest.mark.parametrize("when", ["sent", "answered"])


async def test_a_tick_whose_commit_is_cut_off_has_moved_everyone_once_or_not_at_all(
    site: Site, far: House, when: When
) -> None:
    await site.talk()
    far.clock.instant = site.house.clock.instant
    with site.proxy.hold(COMMIT, when, within=WRITE) as hold:
        tick = asyncio.create_task(far.app.tick.run_once())
        (await hold.wait()).drop()
        with pytest.raises(RepositoryError) as caught:
            await tick
    assert caught.value.retryable
    await site.promises()
    assert (await far.tick()).failed == 0
    await site.settles()


async def test_a_worker_whose_mark_is_cut_off_records_it_again_and_sends_nothing_twice(
    site: Site, far: House, when: When
) -> None:
    await site.talk()
    await site.house.tick()
    far.clock.instant = site.house.clock.instant
    with site.proxy.hold(COMMIT, when, within=MARK) as hold:
        work = asyncio.create_task(far.app.worker.drain())
        (await hold.wait()).drop()
        await work
    assert len(far.mail.left) == len({message.idempotency_key for message in far.mail.left})
    assert await site.count("outbox WHERE status = 'leased'") == 0
    await site.settles()


async def test_a_worker_whose_lease_is_cut_off_sends_when_it_has_run_out(site: Site, far: House, when: When) -> None:
    await site.talk()
    await site.house.tick()
    far.clock.instant = site.house.clock.instant
    left = len(far.mail.left)
    with site.proxy.hold(COMMIT, when, within=LEASE) as hold:
        work = asyncio.create_task(far.app.worker.drain())
        (await hold.wait()).drop()
        with pytest.raises(RepositoryError) as caught:
            await work
    assert caught.value.retryable
    assert len(far.mail.left) == left
    await site.settles("1h", "4d", "12d", "100d")
    assert len(far.mail.left) == len({message.idempotency_key for message in far.mail.left})


async def test_an_answer_whose_recording_is_cut_off_may_be_given_again(site: Site, far: House, when: When) -> None:
    campaign = await site.talk()
    far.clock.instant = site.house.clock.instant
    before = await site.count("responses")
    with site.proxy.hold(COMMIT, when, within="INTO campaign_engine.responses") as hold:
        reply = asyncio.create_task(far.reply(campaign, "yes", message_id="m1"))
        (await hold.wait()).drop()
        with pytest.raises(RepositoryError) as caught:
            await reply
    assert caught.value.retryable
    await far.reply(campaign, "yes", message_id="m1")
    assert await site.count("responses") == before + 1
    await site.settles()
