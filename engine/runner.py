"""`campaign run`: poller, tick and worker side by side in one process, until somebody asks it to stop.

Each is a loop of small steps. A loop that finds work goes on at once, one that finds none looks again after
`poll_seconds`, with jitter so that many processes do not knock together. A step that fails costs one log line; the
loop goes on after a pause that grows with every failure in a row, and the other loops never notice.

To stop is to finish the batch in hand. What takes longer than the grace is broken off, which loses nothing: a tick
rolls back, a lease runs out, a request is taken up again.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random

import structlog

from engine.application import Application
from engine.backoff import retry_delay
from engine.core.errors import CampaignError
from engine.db.campaigns import CampaignRepository
from engine.poller import PollCounts
from engine.tick import TickCounts
from engine.worker import WorkCounts

log = structlog.get_logger(__name__)

GRACE_SECONDS = 8.0  # less than the ten seconds that containers are usually given
_LONGEST_PAUSE = 60.0  # seconds

Step = Callable[[], Awaitable[bool]]
"""A bounded piece of work; True when there is probably more to do at once."""


class Runner:
    """The loops over one application, and what they did so far."""

    def __init__(self, application: Application) -> None:
        self.ticked = TickCounts()
        self.worked = WorkCounts()
        self.polled = PollCounts()
        self._application = application
        self._random = Random()
        self._steps: dict[str, Step] = {"poll": self._poll, "tick": self._tick, "work": self._work}

    async def run(self, stop: asyncio.Event, *names: str) -> None:
        """Run the loops called `names` (`poll`, `tick`, `work`), or all, until `stop` is set.

        Raises RepositoryError at once when the database cannot be used; later that is a reason to try again.
        """
        async with self._application.database.transaction() as connection:
            await CampaignRepository(connection).find_live_ids()
        loops = {asyncio.create_task(self._repeat(name, stop)) for name in names or self._steps}
        try:
            await stop.wait()
            self._application.tick.stop()
            self._application.worker.stop()
            await asyncio.wait(loops, timeout=GRACE_SECONDS)
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def _repeat(self, name: str, stop: asyncio.Event) -> None:
        failures, pause = 0, 0.0
        while not stop.is_set():
            try:
                busy = await self._steps[name]()
            except Exception as error:  # noqa: BLE001 - whatever it was, the loop goes on
                failures += 1
                wait = retry_delay(failures, self._application.settings.poll_seconds, self._random).total_seconds()
                pause = min(wait, _LONGEST_PAUSE)
                log.error(f"{name} failed and is tried again", retry_in_seconds=round(pause, 1), **_reason(error))
            else:
                if failures:
                    log.info(f"{name} works again", failures=failures)
                failures = 0
                pause = 0.0 if busy else self._application.settings.poll_seconds * self._random.uniform(0.5, 1.5)
            await _sleep(pause, stop)

    async def _poll(self) -> bool:
        counts = await self._application.poller.poll_once()
        for name in vars(counts):
            setattr(self.polled, name, getattr(self.polled, name) + getattr(counts, name))
        return False

    async def _tick(self) -> bool:
        counts = await self._application.tick.run_once()
        self.ticked.add(counts)
        return counts.claimed >= self._application.settings.max_batch_size

    async def _work(self) -> bool:
        counts = await self._application.worker.work_once()
        self.worked += counts
        return counts.sent + counts.failed + counts.retried >= self._application.settings.max_batch_size


def _reason(error: Exception) -> Mapping[str, str]:
    """What went wrong, in words fit for a log: an unforeseen exception may hold anything, so only its type."""
    if isinstance(error, CampaignError):
        return {"error": error.message} | ({"hint": error.hint} if error.hint else {})
    return {"error": type(error).__name__}


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


@contextmanager
def stop_on_signals(*told: Callable[[], object]) -> Iterator[asyncio.Event]:
    """An event that SIGTERM or Ctrl-C sets, instead of ending the process; `told` are called then, too.

    Use it inside the running loop, in the main thread.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def ask() -> None:
        stop.set()
        for each in told:
            each()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
