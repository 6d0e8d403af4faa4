"""Several tick processes on one database, and the sum of what they did.

A tick is bound by one processor; `SKIP LOCKED` lets any number of them share the work. Each process is a fresh
interpreter with connections of its own. One that dies has lost nothing, and what it would have done is due again.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import Literal

from engine.application import Application, open_application
from engine.core.errors import CampaignError
from engine.logs import set_up_logs
from engine.runner import Runner, stop_on_signals
from engine.settings import Settings
from engine.tick import TickCounts

Mode = Literal["once", "drain", "keep"]
"""One pass, passes until nothing is due, or passes until the process is asked to stop."""
Progress = Callable[[TickCounts], None]


async def tick(application: Application, mode: Mode, progress: Progress | None = None) -> TickCounts:
    """What ticking in this process comes to."""
    if mode == "once":
        return await application.tick.run_once()
    if mode == "drain":
        return await application.tick.drain(progress)
    runner, started = Runner(application), monotonic()
    with stop_on_signals() as stop:
        await runner.run(stop, "tick")
    return replace(runner.ticked, seconds=monotonic() - started)


async def tick_in_processes(count: int, mode: Mode, url: str, settings: Settings, now: datetime | None) -> TickCounts:
    """The sum of what `count` processes did; the seconds are those of the one that took longest.

    Raises what the first of them raised, when all are done; KeyboardInterrupt when the work was broken off.
    """
    context, loop = multiprocessing.get_context("spawn"), asyncio.get_running_loop()
    with stop_on_signals(_pass_on) as stop, ProcessPoolExecutor(count, context) as pool:
        ticks = [loop.run_in_executor(pool, _tick, mode, url, settings, now) for _ in range(count)]
        done = await asyncio.gather(*ticks, return_exceptions=True)
    if stop.is_set() and mode != "keep":
        raise KeyboardInterrupt
    total, longest = TickCounts(), 0.0
    for counts in done:
        if isinstance(counts, BrokenProcessPool):
            raise CampaignError("a tick process was killed", hint="Nothing is lost; run the command again.") from counts
        if isinstance(counts, BaseException):
            raise counts
        total.add(counts)
        longest = max(longest, counts.seconds)
    return replace(total, seconds=longest)


def _pass_on() -> None:
    """Ask the processes to stop, as this one was asked."""
    for child in multiprocessing.active_children():
        child.terminate()


def _tick(mode: Mode, url: str, settings: Settings, now: datetime | None) -> TickCounts:
    set_up_logs(settings.log_level)

    async def run() -> TickCounts:
        async with open_application(url, settings, now) as application:
            with stop_on_signals(application.tick.stop):
                return await tick(application, mode)

    return asyncio.run(run())
