"""How one process fares, in figures for Prometheus and as two answers: is it alive, is it ready.

*Alive* means that its event loop turns and its heartbeat does not hang; a process that is not should be started again.
*Ready* means that it works now: it has started, was not asked to stop, the database answers and has our tables, and
its circuit is closed. All is kept in memory, so that neither answer nor figures ask the database anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from engine.members import BEAT_SECONDS
from engine.recovery import Circuit, CircuitBreaker
from engine.tick import TickCounts
from engine.worker import WorkCounts

_TURNS_WITHIN = 30.0  # seconds
_SEEN_WITHIN = 4 * BEAT_SECONDS
_LEVELS = {"closed": 0, "half_open": 1, "open": 2}
_PREFIX = "campaign_engine"


class Health:
    """What the loops of a process tell of themselves. Reading is safe from any thread."""

    def __init__(
        self, breaker: CircuitBreaker, longest_beat: float = 120.0, clock: Callable[[], float] = monotonic
    ) -> None:
        self.stopping = False
        self._channels: set[str] = set()  # that were ever in trouble
        self._breaker = breaker
        self._longest_beat = longest_beat
        self._clock = clock
        self._turned_at = clock()
        self._beat_failed = False
        self._beat_began_at: float | None = None
        self._beaten_at: float | None = None
        self.registry = CollectorRegistry()
        self._ticked = {
            name: self._counter(name, help)
            for name, help in (
                ("claimed", "Conversations claimed by ticks."),
                ("advanced", "Progressions: history rows written."),
                ("completed", "Conversations that came to an end."),
                ("failed", "Decisions that failed."),
            )
        }
        self._messages = self._counter("messages", "What became of messages.", "fate")
        self._failures = self._counter("loop_failures", "Steps of a loop that failed.", "loop")
        self._steps = Histogram(
            f"{_PREFIX}_step_seconds",
            "How long a step of a loop took: one pass of tick or worker, one poll, one heartbeat.",
            ["loop"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
        )
        self._circuits = self._gauge("circuit_status", "0 closed, 1 half open, 2 open.", "circuit")
        self._circuits.labels(breaker.name).set_function(lambda: _LEVELS[breaker.status])
        self._overdue_lanes = self._gauge("overdue_lanes", "Pairs of bucket and lane with overdue conversations.")
        self._overdue = self._gauge("overdue_seconds", "How long the most overdue conversation has been due.")
        self._gauge("heartbeat_age_seconds", "Since this process last wrote its row.").set_function(self._beat_age)

    # ---- what loops tell ---------------------------------------------------------------------------------------

    def turned(self) -> None:
        """The event loop goes round."""
        self._turned_at = self._clock()

    def beat_begins(self) -> None:
        self._beat_began_at = self._clock()

    def beaten(self, shut: Mapping[str, Circuit], overdue_lanes: int, overdue_seconds: float) -> None:
        """A heartbeat was written. `shut` are the channels whose circuit is not closed."""
        self._beat_began_at, self._beaten_at, self._beat_failed = None, self._clock(), False
        self._overdue_lanes.set(overdue_lanes)
        self._overdue.set(overdue_seconds)
        for channel in {*shut, *self._channels}:
            self._channels.add(channel)
            circuit = shut.get(channel, Circuit())
            self._circuits.labels(f"channel {channel}").set(_LEVELS[circuit.status])

    def beat_failed(self) -> None:
        self._beat_began_at, self._beat_failed = None, True

    def stepped(self, loop: str, seconds: float) -> None:
        self._steps.labels(loop).observe(seconds)

    def step_failed(self, loop: str) -> None:
        self._failures.labels(loop).inc()

    def ticked(self, counts: TickCounts) -> None:
        for name, counter in self._ticked.items():
            counter.inc(getattr(counts, name))

    def worked(self, counts: WorkCounts) -> None:
        for fate in ("sent", "failed", "retried", "cancelled"):
            self._messages.labels(fate).inc(getattr(counts, fate))

    # ---- what others ask ---------------------------------------------------------------------------------------

    def why_not_alive(self) -> list[str]:
        """What is wrong with the process; nothing when it is alive."""
        now, wrong = self._clock(), []
        if (stood := now - self._turned_at) > _TURNS_WITHIN:
            wrong.append(f"the event loop has stood still for {stood:.0f} s")
        if self._beat_began_at is not None and (hung := now - self._beat_began_at) > self._longest_beat:
            wrong.append(f"the heartbeat has hung for {hung:.0f} s")
        return wrong

    def why_not_ready(self) -> list[str]:
        """What keeps the process from its work; nothing when it is ready."""
        wrong = self.why_not_alive()
        if self.stopping:
            wrong.append("stopping")
        if self._breaker.status != "closed":
            wrong.append(f"the circuit of the {self._breaker.name} is {self._breaker.status.replace('_', ' ')}")
        if self._beaten_at is None:
            wrong.append("starting: no heartbeat yet")
        elif self._beat_failed:
            wrong.append("the last heartbeat failed")
        elif self._beat_age() > _SEEN_WITHIN:
            wrong.append(f"the last heartbeat was {self._beat_age():.0f} s ago")
        return wrong

    def figures(self) -> bytes:
        """The figures in the text format of Prometheus."""
        return generate_latest(self.registry)

    def _beat_age(self) -> float:
        return self._clock() - self._beaten_at if self._beaten_at is not None else float("nan")

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", help, labels, registry=self.registry)
