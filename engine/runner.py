"""`campaign run`: poller, tick and worker side by side in one process, until somebody asks it to stop.

Each is a loop of small steps; a heartbeat and, beside the poller, the upkeep of partitions are two more. A loop that
finds work goes on at once. One that finds none sleeps until something is due or `poll_seconds` are over, with jitter so
that many processes do not knock together, or until a hint says that there is something now; and however many hints
come, a loop rests a multiple of the time its idle looks take.

A step that fails costs one log line; its loop goes on after a pause that grows with every failure in a row, and the
others never notice. A loop that ends or dies is started again in the same way. An outage of the database is
everybody's: the loops share one circuit, which tells it in one line and lets one of them look whether it is over (see
`engine.recovery`).

To stop is to finish the batch in hand. What takes longer than the grace is broken off, which loses nothing: a tick
rolls back, a lease runs out, a request is taken up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from random import Random
from time import monotonic
from typing import Any

import structlog

from engine.application import Application
from engine.core.errors import RepositoryError
from engine.db.buckets import BUCKETS
from engine.db.campaigns import CampaignRepository
from engine.db.conversations import ConversationStateRepository
from engine.db.hints import RATION, HintRepository, Part, listen
from engine.health import Health
from engine.members import BEAT_SECONDS, Membership
from engine.poller import PollCounts
from engine.recovery import Circuit, CircuitBreaker, Policy, is_outage, reason_of, retry_delay
from engine.stopping import GRACE_SECONDS
from engine.systemd import Systemd
from engine.tick import TickCounts
from engine.upkeep import Upkeep
from engine.worker import WorkCounts

log = structlog.get_logger(__name__)

PARTS = ("poll", "tick", "work")
DATABASE = Policy(threshold=3, first_seconds=1.0, longest_seconds=30.0)
_LONGEST_PAUSE = 60.0  # seconds
_REST = 3  # times as long as an idle look took
_LEAVING_SECONDS = 0.5  # for taking our row away
_PULSE_SECONDS = 1.0
_UPKEEP_SECONDS = 3600.0
_SHARE_OF_A_PAUSE = 0.6  # where conversations come due one after the other: late enough to find many at once

Step = Callable[[], Awaitable[float]]
"""A bounded piece of work; the seconds until there may be more to do, 0 when there probably is at once."""


class Loop:
    """One step again and again. `hint` ends its sleep."""

    def __init__(self, name: str, step: Step) -> None:
        self.name = name
        self.step = step
        self.hint = asyncio.Event()
        self.hinted = False
        self.failures = 0


class Runner:
    """The loops over one application, and what they did so far."""

    def __init__(
        self,
        application: Application,
        *,
        policy: Policy = DATABASE,
        systemd: Systemd | None = None,
    ) -> None:
        self.ticked = TickCounts()
        self.worked = WorkCounts()
        self.polled = PollCounts()
        self._application = application
        self._database = application.database
        self._poll_seconds = application.settings.poll_seconds
        self._random = Random()
        self._systemd = systemd or Systemd()
        self.breaker = CircuitBreaker("database", policy, random=self._random, heard=self._tell_circuit)
        longest_beat = max(120.0, 2 * application.settings.statement_timeout_seconds)
        self.health = Health(self.breaker, longest_beat)
        self._share: Sequence[int] = BUCKETS
        self._membership = Membership(())
        self._upkeep = Upkeep(application.database, application.settings, application.clock)
        self._loops: dict[str, Loop] = {}

    async def run(self, stop: asyncio.Event, *names: str) -> None:
        """Run the loops called `names` (`poll`, `tick`, `work`), or all, until `stop` is set.

        Raises RepositoryError at once when the database cannot be used; later that is a reason to try again.
        """
        async with self._database.transaction() as connection:
            await CampaignRepository(connection).find_live_ids()
        parts = names or PARTS
        self._membership = Membership(parts)
        steps: dict[str, Step] = {
            "poll": self._poll,
            "tick": self._tick,
            "work": self._work,
            "heartbeat": self._beat,
            "upkeep": self._maintain,
        }
        beside = ("heartbeat", "upkeep") if "poll" in parts else ("heartbeat",)
        self._loops = {name: Loop(name, steps[name]) for name in (*parts, *beside)}
        loops = [self._start(name, self._repeat(loop, stop), stop) for name, loop in self._loops.items()]
        others = [self._start("pulse", self._pulse, stop)]
        if {"tick", "work"} & {*parts}:
            others.append(self._start("listening for hints", self._listen, stop))
        self._systemd.tell("READY=1", "STATUS=at work")
        try:
            await stop.wait()
            self._systemd.tell("STOPPING=1", "STATUS=finishing the batch in hand")
            self.health.stopping = True
            self._application.tick.stop()
            self._application.worker.stop()
            await asyncio.wait(loops, timeout=GRACE_SECONDS)
        finally:
            for task in (*loops, *others):
                task.cancel()
            await asyncio.gather(*loops, *others, return_exceptions=True)
            await self._leave()

    # ---- supervision -------------------------------------------------------------------------------------------

    def _start(self, name: str, body: Callable[[], Awaitable[None]], stop: asyncio.Event) -> asyncio.Task[None]:
        return asyncio.create_task(self._supervise(name, body, stop), name=name)

    async def _supervise(self, name: str, body: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        """Have `body` go on until `stop` is set, whatever ends it."""
        failures = 0
        while not stop.is_set():
            reason = {"error": "it ended"}
            try:
                await body()
            except BaseException as error:  # whatever a step can raise, SystemExit too, must not end the others
                if _is_cancelled():
                    raise
                reason = reason_of(error)
            if not stop.is_set():
                failures += 1
                self.breaker.give_up()
                self.health.step_failed(name)
                pause = self._delay(failures)
                log.error(f"{name} died and is started again", retry_in_seconds=round(pause, 1), **reason)
                await _sleep(pause, stop)

    def _repeat(self, loop: Loop, stop: asyncio.Event) -> Callable[[], Awaitable[None]]:
        async def body() -> None:
            while not stop.is_set():
                if not self.breaker.allows():
                    await _sleep(self.breaker.wait + self._random.uniform(0, self._poll_seconds), stop)
                    continue
                began = monotonic()
                try:
                    pause = await loop.step()
                except Exception as error:  # noqa: BLE001 - whatever it was, the loop goes on
                    await _sleep(self._failed(loop, error), stop)
                    continue
                except BaseException:
                    self.breaker.give_up()
                    raise
                seconds = monotonic() - began
                self._succeeded(loop, seconds)
                if pause:
                    await self._rest(loop, pause, _REST * seconds, stop)

        return body

    def _failed(self, loop: Loop, error: Exception) -> float:
        """Take note of a step that failed; the seconds to wait before the next."""
        self.health.step_failed(loop.name)
        if is_outage(error):
            log.debug(f"{loop.name} met an outage", **reason_of(error))
            self.breaker.fail(error)  # which tells of it, once for all loops, and says when to try again
            return self._pause()
        self.breaker.succeed()  # the database answered, or was not to blame
        loop.failures += 1
        pause = self._delay(loop.failures)
        log.error(f"{loop.name} failed and is tried again", retry_in_seconds=round(pause, 1), **reason_of(error))
        return pause

    def _succeeded(self, loop: Loop, seconds: float) -> None:
        self.breaker.succeed()
        self.health.stepped(loop.name, seconds)
        if loop.failures:
            log.info(f"{loop.name} works again", failures=loop.failures)
        loop.failures = 0

    def _delay(self, failures: int) -> float:
        return min(retry_delay(failures, self._poll_seconds, self._random).total_seconds(), _LONGEST_PAUSE)

    async def _rest(self, loop: Loop, pause: float, least: float, stop: asyncio.Event) -> None:
        """Sleep for `pause`, or until a hint comes; in any case for `least`. After a hint the next sleep is short:
        whoever gave it is silent about what follows at once."""
        if loop.hinted:
            pause = min(pause, 2 * RATION)
        await _sleep(least, stop)
        loop.hinted = await _first(loop.hint, stop, max(0.0, pause - least))
        loop.hint.clear()

    # ---- steps -------------------------------------------------------------------------------------------------

    async def _poll(self) -> float:
        counts = await self._application.poller.poll_once()
        for name in vars(counts):
            setattr(self.polled, name, getattr(self.polled, name) + getattr(counts, name))
        return self._pause()

    async def _tick(self) -> float:
        began, counts = monotonic(), TickCounts()
        try:
            await self._application.tick.run_once(counts)
        finally:
            self.ticked.add(counts)
            self.health.ticked(counts)
        if counts.advanced:
            await self._hint("work")
        if self._application.tick.left_some:
            return 0.0
        if counts.claimed:
            return _SHARE_OF_A_PAUSE * self._pause()
        return self._until_due(monotonic() - began)

    async def _work(self) -> float:
        counts = await self._application.worker.work_once()
        self.worked += counts
        self.health.worked(counts)
        tried = counts.sent + counts.failed + counts.retried
        return 0.0 if tried >= self._application.settings.max_batch_size else self._pause()

    async def _maintain(self) -> float:
        await self._upkeep.run()
        return _UPKEEP_SECONDS * self._random.uniform(0.9, 1.1)

    async def _beat(self) -> float:
        """Write our row, read who else is there, and look how far behind the ticks are."""
        self.health.beat_begins()
        circuits = self._application.worker.circuits.shared
        lanes, seconds = 0, 0.0
        try:
            async with self._database.transaction() as connection:
                now = await self._application.clock.now(connection)
                share = await self._membership.beat(connection, now, self._states(now, circuits))
                if "tick" in self._loops:
                    look = await ConversationStateRepository(connection).find_due(now)
                    overdue = [(now - edge.due_at).total_seconds() for edge in look.due]
                    lanes, seconds = len(overdue), max(overdue, default=0.0)
        except BaseException:
            self.health.beat_failed()
            raise
        self.health.beaten(circuits, lanes, seconds)
        if share != self._share:
            self._share = share
            self._application.tick.prefer(share)
        return BEAT_SECONDS * self._random.uniform(0.8, 1.2)

    def _pause(self) -> float:
        return self._poll_seconds * self._random.uniform(0.5, 1.5)

    def _until_due(self, looked: float) -> float:
        """Seconds until the next conversation is due, after a pass that `looked` so long, but no more than a pause."""
        pause, ahead = self._pause(), self._application.tick.next_due_in
        if ahead is None:
            return pause
        return min(
            pause, max(0.001, ahead.total_seconds() - looked) + self._random.uniform(0, 0.05) * self._poll_seconds
        )

    async def _hint(self, part: Part) -> None:
        async with self._database.transaction() as connection:
            await HintRepository(connection).notify(part)

    def _states(self, now: datetime, channels: dict[str, Circuit]) -> dict[str, Any]:
        """How our circuits fare, for the row of this member."""
        mine = self.breaker
        since = now - timedelta(seconds=mine.seconds_since)
        states: dict[str, Any] = {"database": _state(mine.circuit, since)}
        for name, circuit in channels.items():
            states[f"channel {name}"] = _state(circuit, datetime.fromtimestamp(circuit.changed_at, now.tzinfo))
        return states

    # ---- beside the loops --------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Wake the loops that hints speak of. Without hints everything goes on, only later; so nothing is said."""
        failures = 0
        while True:
            if self.breaker.status != "closed":
                await asyncio.sleep(self._pause())
                continue
            try:
                async with aclosing(listen(self._database.url)) as hints:
                    async for part in hints:
                        failures = 0
                        if part in self._loops:
                            self._loops[part].hint.set()
            except RepositoryError as error:
                log.debug("hints are not heard", **reason_of(error))
            failures += 1
            await asyncio.sleep(self._delay(failures))

    async def _pulse(self) -> None:
        """Show, to whoever watches, that the event loop turns."""
        watchdog = self._systemd.watchdog_seconds
        while True:
            self.health.turned()
            if watchdog is not None and not self.health.why_not_alive():
                self._systemd.tell("WATCHDOG=1")
            await asyncio.sleep(min(_PULSE_SECONDS, watchdog / 3) if watchdog is not None else _PULSE_SECONDS)

    def _tell_circuit(self, circuit: Circuit) -> None:
        told = {"closed": "at work", "open": "the database fails", "half_open": "trying the database"}
        self._systemd.tell(f"STATUS={told[circuit.status]}")

    async def _leave(self) -> None:
        """Take our row away; if that cannot be done, others will."""
        if self.breaker.status != "closed":
            return
        with suppress(RepositoryError, TimeoutError):
            async with asyncio.timeout(_LEAVING_SECONDS), self._database.transaction() as connection:
                await self._membership.leave(connection)


def _state(circuit: Circuit, since: datetime) -> dict[str, Any]:
    return {"state": circuit.status, "since": since, "failures": circuit.failures}


def _is_cancelled() -> bool:
    """Whether this task is asked to end, and did not merely come across a CancelledError of something else."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    if seconds > 0:
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


async def _first(hint: asyncio.Event, stop: asyncio.Event, seconds: float) -> bool:
    """Whether a hint came within so many seconds, or had come before; ends early when asked to stop."""
    waiting = [asyncio.ensure_future(each.wait()) for each in (hint, stop)]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
    return hint.is_set()
