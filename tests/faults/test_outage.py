"""The server cannot be reached for a while: a program that runs goes on by itself, and says so in a few lines."""

from __future__ import annotations

from tests.faults.site import RELAY, RELAY_ENDS, Site
from tests.integration.builders import neighbours


async def test_a_program_outlives_an_outage_and_does_not_flood_its_log(site: Site) -> None:
    await site.read_clock()
    await site.house.campaign(neighbours(20), RELAY)
    program = await site.start("run")

    async def much_was_sent() -> bool:
        return len(site.written()) > 20

    async def tried_often_enough() -> bool:
        return site.proxy.attempts >= 6

    await site.until(much_was_sent)
    with site.proxy.unreachable():
        await site.until(tried_often_enough)
    before = await site.steps()

    async def it_went_on() -> bool:
        return await site.steps() > before + 20

    await site.until(it_went_on)
    await site.stop(program)
    lines = site.logs(program)
    [told] = [line for line in lines if line["level"] == "error"]
    assert "cannot reach the database" in told["error"]
    assert len([line for line in lines if line["event"] == "the database works again"]) == 1
    assert "Traceback" not in site.errors(program)
    await site.read_clock()
    await site.settles(*RELAY_ENDS)
