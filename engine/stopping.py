"""How a process ends when it is asked to, by SIGTERM or Ctrl-C.

The first request is granted politely: the batch in hand is finished, for at most GRACE_SECONDS. What takes longer is
broken off, and after LAST_SECONDS the process ends whatever it waits for. A second request ends it at once. Neither
loses anything: the database rolls back what was not committed, leases run out. An end that was not polite has the exit
code 128 + the number of the signal: 143 for SIGTERM, 130 for Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from engine.collector import spare_the_end

GRACE_SECONDS = 2.5
LAST_SECONDS = 4.3


@contextmanager
def stop_on_signals(*told: Callable[[], object], last: Callable[[], object] = int) -> Iterator[asyncio.Event]:
    """An event that SIGTERM or Ctrl-C sets, instead of ending the process; `told` are called then, too.

    `last` is called right before an end that was not polite. Use it inside the running loop, in the main thread; what
    follows, such as closing connections, is to be done within LAST_SECONDS, too.
    """
    loop, stop, timers = asyncio.get_running_loop(), asyncio.Event(), list[Timer]()

    def end(number: int) -> None:
        last()
        os._exit(128 + number)

    def ask(number: int, _frame: object) -> None:
        if timers:
            end(number)
        timers.append(deadline(LAST_SECONDS, lambda: end(number)))
        for each in (stop.set, *told):
            loop.call_soon_threadsafe(each)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if timers:
            spare_the_end()


def deadline(seconds: float, end: Callable[[], object]) -> Timer:
    """Have `end` called in a thread after so long, unless the process has ended before."""
    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    return timer
