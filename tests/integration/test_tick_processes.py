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
    ("[{after: 240h, go: gave_up}]", "[{after: 240h, when: seats > 2, go: human}, {after: 240h, go: gave_up}]"),
)


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


async def populate(house: House, count: int, random: Random) -> None:
    """Ten days on: conversations of two campaigns in every bucket, some to begin, some with answers and events."""
    recipients = [each | {"seats": number % 6} for number, each in enumerate(people(count))]
    campaign = await house.campaign(recipients, SHARED)
    await house.run()
    for number in random.sample(range(count), count // 5):
        await house.reply(campaign, random.choice(["yes", "stop", "what?"]), f"p{number}")
        if random.random() < 0.5:
            await house.manager.record_event(campaign, f"p{number}", random.choice(["opened", "called"]))
    house.wait("10d")
    await house.campaign(recipients, SHARED, name="Later", priority=random.choice(["high", "normal", "low"]))


async def steps(house: House) -> int:
    return len(await house.sql("SELECT FROM campaign_engine.stage_history"))


@given(st.data())
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
async def test_any_number_of_processes_advance_every_due_conversation_exactly_once(
    database: Database, database_url: str, data: Any
) -> None:
    processes = data.draw(st.integers(2, 4), label="processes")
    batch = data.draw(st.integers(1, 9), label="batch size")
    house, count = House(database), 120
    await populate(house, count, data.draw(st.randoms(use_true_random=False)))
    before = await steps(house)
    counts = await drain(house, database_url, processes, batch)
    assert (counts["claimed"], counts["failed"]) == (2 * count, 0)
    assert await steps(house) - before == counts["advanced"] >= 2 * count
    assert counts["completed"] > count // 4
    assert await house.violations() == []
    assert (await house.tick()).claimed == 0


async def test_processes_that_are_killed_leave_nothing_undone_and_nothing_done_twice(
    database: Database, database_url: str
) -> None:
    house, count = House(database), 200
    await populate(house, count, Random(7))
    before = await steps(house)
    for share in (0.2, 0.6):
        running = [await start(house, database_url, 3) for _ in range(2)]
        while await steps(house) - before < count * share:
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
    for campaign in await house.manager.list_campaigns():
        pending = await house.manager.get_pending_conversations(campaign["id"], limit=count)
        assert all(row["due_at"] > house.clock.instant for row in pending)
