"""Several tick processes on one database, and the sum of what they did.

A tick is bound by one processor; SKIP LOCKED lets any number of them share the work. Each process is a fresh
interpreter with connections of its own. One that dies has lost nothing, and what it would have done is due again.
Signals are the parent's affair: it tells its children when to stop, and they stop when it is gone, too.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Literal

from engine.application import Application, open_application
from engine.collector import relax_collector
from engine.core.errors import CampaignError
from engine.logs import set_up_logs
from engine.runner import Runner, stop_on_signals
from engine.settings import Settings
from engine.tick import TickCounts

Mode = Literal["once", "drain", "keep"]
"""One pass, passes until nothing is due, or passes until somebody asks to stop."""

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    """What each process shall do, and where."""

    mode: Mode
    url: str
    settings: Settings
    now: datetime | None = None


async def tick(application: Application, mode: Mode, stop: asyncio.Event) -> TickCounts:
    """What ticking in this process comes to."""
    if mode == "once":
        return await application.tick.run_once()
    if mode == "drain":
        return await application.tick.drain()
    runner = Runner(application)
    await runner.run(stop, "tick")
    return runner.ticked


async def tick_in_processes(count: int, order: Order) -> TickCounts:
    """The sum of what `count` processes did; the seconds are those of the one that took longest.

    Raises what the first of them raised, when all are done; KeyboardInterrupt when a drain was broken off.
    """
    context = get_context("spawn")
    asked = context.Event()
    answers = []
    with stop_on_signals(asked.set) as stop:
        for _ in range(count):
            answer, theirs = context.Pipe(duplex=False)
            context.Process(target=_answer, args=(theirs, asked, order), daemon=True).start()
            theirs.close()  # so that the end of the process is the end of the pipe
            answers.append(answer)
        done = await asyncio.gather(*(asyncio.to_thread(_receive, answer) for answer in answers))
    if stop.is_set() and order.mode != "keep":
        raise KeyboardInterrupt
    if None in done and not stop.is_set():
        raise CampaignError("a tick process was killed", hint="Nothing is lost; run the command again.")
    total, longest = TickCounts(), 0.0
    for counts in done:
        if isinstance(counts, Exception):
            raise counts
        if counts is not None:
            total.add(counts)
            longest = max(longest, counts.seconds)
    return replace(total, seconds=longest)


def _receive(answer: Connection) -> TickCounts | Exception | None:
    """What a process came to; None when it was killed."""
    with answer:
        try:
            received: TickCounts | Exception = answer.recv()
        except EOFError:
            return None
        return received


def _answer(answer: Connection, asked: Event, order: Order) -> None:
    """A child's life."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    relax_collector()
    set_up_logs(order.settings.log_level)
    try:
        result: TickCounts | Exception = asyncio.run(_carry_out(asked, order))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        result = error
    with suppress(BrokenPipeError):
        answer.send(result)


async def _carry_out(asked: Event, order: Order) -> TickCounts:
    async with open_application(order.url, order.settings, order.now) as application:
        stop = asyncio.Event()
        watch = asyncio.create_task(_watch(asked, application, stop))
        try:
            return await tick(application, order.mode, stop)
        finally:
            watch.cancel()


async def _watch(asked: Event, application: Application, stop: asyncio.Event) -> None:
    parent = parent_process()
    while not asked.is_set() and (parent is None or parent.is_alive()):  # noqa: ASYNC110 - other processes set it
        await asyncio.sleep(_LOOK_SECONDS)
    application.tick.stop()
    stop.set()
