"""A connection that goes without a word does not hold anyone up for long."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import pytest

from engine.core.errors import RepositoryError
from engine.db.database import driver_of
from tests.faults.site import WRITE, Site
from tests.integration.builders import House


async def test_a_tick_gives_a_connection_up_that_swallows_what_it_is_given(site: Site, far: House) -> None:
    await site.talk()
    far.clock.instant = site.house.clock.instant
    with site.proxy.hold(WRITE) as hold:
        tick = asyncio.create_task(far.app.tick.run_once())
        await hold.wait()
        started = time.monotonic()
        with site.proxy.swallowing():
            hold.release()
            with pytest.raises(RepositoryError, match="no answer") as caught:
                await tick
    assert caught.value.retryable
    assert time.monotonic() - started < 10
    assert (await far.tick()).failed == 0
    await site.settles()


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels name these options differently")
async def test_the_kernel_watches_over_connections_that_are_silent(far: House) -> None:
    async with far.database.transaction() as connection:
        descriptor = (await driver_of(connection)).pgconn.socket
        with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as watched:
            assert watched.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, probes, unacknowledged = (
                watched.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            )
    assert idle + interval * probes <= 30
    assert 0 < unacknowledged <= 30_000
