"""This engine: tick processes that drain what is due, in batches, each deciding every conversation of its own."""

from __future__ import annotations

import asyncio

from benchmarks.peer import Contestant, Setting, Work
from engine.clock import SimulatedClock
from engine.db.database import Database
from engine.registry import TypeRegistry
from engine.settings import Settings
from engine.tick import Tick

WORDS = "batches of {}"
ALIKE = "alike"  # conversations that all entered their stage at one instant, so that one decision fits many


def work(work: Work) -> None:
    asyncio.run(_work(work))


async def _work(work: Work) -> None:
    database, registry = Database(work.url), TypeRegistry()
    tick = Tick(database, Settings(max_batch_size=work.setting.concurrency), SimulatedClock(work.now), registry)
    async with database.transaction() as connection:
        await registry.get(connection, "b2b_nurture", 1)
    work.wait()
    work.watch.begin()
    await tick.drain()
    work.watch.end()
    await database.close()


CONTESTANT = Contestant(
    name="engine",
    packages=("campaign-engine", "psycopg", "transitions"),
    settings=(
        Setting(1, 1_000, WORDS),
        Setting(2, 1_000, WORDS),
        Setting(1, 1_000, f"{WORDS}, all alike", ALIKE),
    ),
    work=work,
)
