"""Several tick processes on one database, and the sum of what they did.

A tick is bound by one processor; SKIP LOCKED lets any number of them share the work. Each process is a fresh
interpreter with connections of its own. One that dies has lost nothing, and what it would have done is due again:
where processes are to go on, another takes its place after a pause that grows.

Signals are the parent's affair. A pipe to each child says when to stop, also when the parent is gone; children that
have not stopped in time, or when the parent is asked a second time, are killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from random import Random
from time import monotonic
from typing import Any, Literal, cast

import structlog

from engine.application import Application, open_application
from engine.collector import relax_collector, spare_the_end
from engine.core.errors import CampaignError
from engine.db.buckets import BUCKETS
from engine.logs import set_up_logs
from engine.recovery import retry_delay
from engine.runner import Runner
from engine.settings import Settings
from engine.stopping import LAST_SECONDS, deadline, stop_on_signals
from engine.systemd import Systemd
from engine.tick import TickCounts

log = structlog.get_logger(__name__)

Mode = Literal["once", "drain", "keep"]
"""One pass, passes until nothing is due, or passes until somebody asks to stop."""

_AT_WORK = "at work"
_LIVED_WELL = 60.0  # seconds after which an end is not one more failure in a row
_LONGEST_PAUSE = 60.0
_CHILD_SECONDS = LAST_SECONDS - 0.4  # a child ends before its parent loses patience


@dataclass(frozen=True)
class Order:
    """What each process shall do, and where; `part` of how many it is."""

    mode: Mode
    url: str
    settings: Settings
    now: datetime | None = None
    part: tuple[int, int] = (0, 1)


async def tick(application: Application, mode: Mode, stop: asyncio.Event) -> TickCounts:
    """What ticking in this process comes to."""
    if mode == "once":
        return await application.tick.run_once()
    if mode == "drain":
        return await application.tick.drain()
    runner = Runner(application, systemd=Systemd({}))  # it is the parent that systemd watches
    await runner.run(stop, "tick")
    return runner.ticked


async def tick_in_processes(count: int, order: Order) -> TickCounts:
    """The sum of what `count` processes did; the seconds are those of the one that took longest.

    Raises what the first of them raised, when all are done; KeyboardInterrupt when a drain was broken off.
    """
    children = [_Child(replace(order, part=(number, count))) for number in range(count)]

    def ask() -> None:
        systemd.tell("STOPPING=1")
        for each in children:
            each.ask()

    def kill() -> None:
        for each in children:
            each.kill()

    systemd = Systemd()
    with stop_on_signals(ask, last=kill) as stop:
        systemd.tell("READY=1", f"STATUS={count} processes tick")
        watch = asyncio.create_task(_watch(systemd))
        try:
            done = await asyncio.gather(*(each.live(stop) for each in children))
        finally:
            watch.cancel()
            kill()
    if stop.is_set() and order.mode != "keep":
        raise KeyboardInterrupt
    total, longest = TickCounts(), 0.0
    for counts in done:
        if isinstance(counts, Exception):
            raise counts
        total.add(counts)
        longest = max(longest, counts.seconds)
    return replace(total, seconds=longest)


async def _watch(systemd: Systemd) -> None:
    while systemd.watchdog_seconds is not None:
        systemd.tell("WATCHDOG=1")
        await asyncio.sleep(systemd.watchdog_seconds / 3)


class _Child:
    """One place among the processes, and whoever holds it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._random = Random()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._at_work = False

    async def live(self, stop: asyncio.Event) -> TickCounts | Exception:
        """What this place came to; in mode `keep` whoever is killed is replaced."""
        failures = 0
        while True:
            began = monotonic()
            result = await self._run()
            if result is not None:
                return result
            if stop.is_set():
                return TickCounts()
            if self._order.mode != "keep":
                return CampaignError("a tick process was killed", hint="Nothing is lost; run the command again.")
            failures = 1 if monotonic() - began > _LIVED_WELL else failures + 1
            pause = min(retry_delay(failures, 1.0, self._random).total_seconds(), _LONGEST_PAUSE)
            log.error("a tick process was killed and is started again", retry_in_seconds=round(pause, 1))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
                return TickCounts()

    async def _run(self) -> TickCounts | Exception | None:
        """What one process came to; None when it was killed. The first thing it says is that it is at work."""
        context = get_context("spawn")
        self._at_work = False
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_answer, args=(theirs, self._order), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        with self._pipe as pipe:
            result = await _receive(pipe)
            if result == _AT_WORK:
                self._at_work = True
                result = await _receive(pipe)
            self._pipe = None
        return cast(TickCounts | Exception | None, result)

    def ask(self) -> None:
        """Have it stop; one that has not begun has nothing in hand, and might not hear it in time."""
        if not self._at_work:
            self.kill()
        elif self._pipe is not None:
            with suppress(OSError):
                self._pipe.send("stop")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()


async def _receive(pipe: Connection) -> Any:
    """What a child says next; None when it was killed."""
    await _readable(pipe)
    try:
        return pipe.recv()
    except (EOFError, ConnectionResetError):
        return None


async def _readable(pipe: Connection) -> None:
    """Return when there is something in the pipe, or its other end is closed."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())


def _answer(pipe: Connection, order: Order) -> None:
    """A child's life."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    relax_collector()
    set_up_logs(order.settings.log_level)
    try:
        result: TickCounts | Exception = asyncio.run(_carry_out(pipe, order))
    except Exception as error:  # noqa: BLE001 - the parent raises it
        result = error
    with suppress(BrokenPipeError):
        pipe.send(result)
    spare_the_end()


async def _carry_out(pipe: Connection, order: Order) -> TickCounts:
    async with open_application(order.url, order.settings, order.now) as application:
        number, count = order.part
        application.tick.prefer(BUCKETS[number::count])
        pipe.send(_AT_WORK)
        stop = asyncio.Event()
        watch = asyncio.create_task(_obey(pipe, application, stop))
        try:
            return await tick(application, order.mode, stop)
        finally:
            watch.cancel()


async def _obey(pipe: Connection, application: Application, stop: asyncio.Event) -> None:
    """Stop when the parent says so or is gone, and in good time."""
    await _readable(pipe)
    deadline(_CHILD_SECONDS, lambda: os._exit(1))
    application.tick.stop()
    stop.set()
