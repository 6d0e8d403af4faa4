"""The server may be killed, or restarted in good order, under load: what was acknowledged is there, and all go on."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import psutil
import pytest

from engine.core.errors import RepositoryError
from engine.db.embedded_server import is_alive
from tests.faults.site import RELAY, RELAY_ENDS, Site
from tests.integration.builders import people


def crash(site: Site) -> None:
    """SIGKILL the server and every process of it, so that it must recover from its log."""
    postmaster = postmaster_of(site)
    for process in (postmaster, *postmaster.children(recursive=True)):
        process.kill()
    wait_for_end(postmaster)


def restart(site: Site) -> None:
    """Have the server break off what is under way and shut down in good order."""
    postmaster = postmaster_of(site)
    postmaster.send_signal(signal.SIGINT)
    wait_for_end(postmaster)


def postmaster_of(site: Site) -> psutil.Process:
    return psutil.Process(int((site.server.home / "data" / "postmaster.pid").read_text().splitlines()[0]))


def wait_for_end(process: psutil.Process) -> None:
    """Zombies count as ended: the server is no child of ours, and who reaps it may be slow."""
    psutil.wait_procs([process], timeout=0.01)
    while is_alive(process):
        psutil.wait_procs([process], timeout=0.01)


async def history(site: Site) -> set[Any]:
    return set(await site.house.sql("SELECT conversation_id, seq, at FROM campaign_engine.stage_history"))


@pytest.mark.parametrize("end", [crash, restart])
async def test_the_server_may_die_under_load(site: Site, end: Any) -> None:
    await site.read_clock()
    campaign = await site.house.campaign(people(24), RELAY)
    running = [await site.start(command, MAX_BATCH_SIZE="10") for command in ("tick", "tick", "work")]

    async def all_are_at_work() -> bool:
        connected = [psutil.Process(each.pid).net_connections("inet") for each in running]
        return all(connected) and await site.steps() > 24 and bool(site.written())

    await site.until(all_are_at_work)
    for number in range(3):
        await site.house.reply(campaign, "stop", f"p{number}", message_id=f"m{number}")
    known, left = await history(site), site.written().keys()
    end(site)
    with pytest.raises(RepositoryError, match="cannot reach the database"):
        await site.house.sql("SELECT 1")
    await asyncio.to_thread(site.server.start)

    assert known <= await history(site)
    assert await site.count("responses WHERE provider_message_id IN ('m0', 'm1', 'm2')") == 3
    after = len(await history(site))

    async def all_went_on() -> bool:
        left_now = len(site.written().keys() - left)
        return len(await history(site)) > after + 48 and left_now > 24

    await site.until(all_went_on)
    assert [each.returncode for each in running] == [None] * 3
    await site.stop(*running)
    await site.read_clock()
    await site.settles(*RELAY_ENDS)
