"""Many tick processes on one database, and what is left when they are killed: every conversation moves exactly once."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from random import Random
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.db.database import Database
from tests.integration.builders import House, people, talk

ROOT = Path(__file__).parents[2]
SHARED = talk(  # facts decide for some, so that batches mix conversations that share a decision and that do not
    ("on_enter: [{send: hello}]", "on_enter: [{send: hello}, {send: tip, when: seats > 2}]"),
    ("timers: [{after: 240h, go: gave_up}]\n  offer", "timers: [{after: 240h, when: seats > 2, go: human}, {after: 240h, go: gave_up}]\n  offer"),
)  # fmt: skip


async def start(house: House, url: str, batch: int) -> Process:
    """A process that ticks until nothing is due, as `campaign tick` does."""
    environment = {"DATABASE_URL": url, "MAX_BATCH_SIZE": str(batch), "CAMPAIGN_ALLOW_TIME_TRAVEL": "1"}
    now = house.clock.instant.isoformat()
    command = [sys.executable, "-m", "engine.cli", "tick", "--drain", "--json", "--now", now]
    return await asyncio.create_subprocess_exec(*command, env=os.environ | environment, cwd=ROOT, stdout=PIPE)


async def drain(house: House, url: str, processes: int, batch: int) -> dict[str, int]:
    """What that many processes did in all."""
    started = [await start(house, url, batch) for _ in range(processes)]
    printed = [orjson.loads((await each.communicate())[0]) for each in started]
    assert [each.returncode for each in started] == [0] * processes
    return {name: sum(each[name] for each in printed) for name in printed[0]}


async def populate(house: House, count: int, random: Random) -> str:
    """A campaign in every bucket and, after their start, answers and events for some."""
    recipients = [each | {"seats": number % 6} for number, each in enumerate(people(count))]
    campaign = await house.campaign(recipients, SHARED, priority=random.choice(["high", "normal", "low"]))
    return campaign


async def stir(house: House, campaign: str, count: int, random: Random) -> None:
    """Answers and events for some of them."""
    for number in random.sample(range(count), count // 5):
        await house.reply(campaign, random.choice(["yes", "stop", "what?"]), f"p{number}")
        if random.random() < 0.5:
            await house.manager.record_event(campaign, f"p{number}", random.choice(["opened", "called"]))


async def steps(house: House) -> int:
    return len(await house.sql("SELECT FROM campaign_engine.stage_history"))


@given(st.data())
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
async def test_any_number_of_processes_advance_every_due_conversation_exactly_once(
    database: Database, database_url: str, data: Any
) -> None:
    processes = data.draw(st.integers(2, 4), label="processes")
    batch = data.draw(st.integers(1, 9), label="batch size")
    random = data.draw(st.randoms(use_true_random=False))
    house, count = House(database), 240
    campaign = await populate(house, count, random)
    before = await steps(house)
    counts = await drain(house, database_url, processes, batch)
    assert (counts["claimed"], counts["advanced"], counts["failed"]) == (count, count, 0)
    assert await steps(house) - before == count
    await house.app.worker.drain()
    await house.tick()
    await stir(house, campaign, count, random)
    house.at("10d")
    before = await steps(house)
    counts = await drain(house, database_url, processes, batch)
    assert (counts["failed"], await steps(house) - before) == (0, counts["advanced"])
    assert counts["completed"] > count // 4
    assert await house.violations() == []
    assert (await house.tick()).claimed == 0


async def test_processes_that_are_killed_leave_nothing_undone_and_nothing_done_twice(
    database: Database, database_url: str
) -> None:
    random, count = Random(7), 400
    house = House(database)
    campaign = await populate(house, count, random)
    await house.run()
    await stir(house, campaign, count, random)
    house.at("10d")
    for share in (0.2, 0.5):
        running = [await start(house, database_url, 3) for _ in range(2)]
        while await steps(house) < count * (1 + share):
            assert any(each.returncode is None for each in running), "done before the kill"
            await asyncio.sleep(0.005)
        for each in running:
            each.kill()
            await each.wait()
        assert await house.violations() == []
    counts = await drain(house, database_url, 2, 50)
    assert counts["failed"] == 0
    assert counts["advanced"] > 0
    assert await house.violations() == []
    pending = await house.manager.get_pending_conversations(campaign, limit=count)
    assert all(row["due_at"] > house.clock.instant for row in pending)
