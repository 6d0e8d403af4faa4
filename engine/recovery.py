"""Trying again: how long to wait after a failure, and when to stop trying at all for a while.

`retry_delay` is the pause of one thing that failed: a message, a conversation, a loop. A *circuit* is about what many
things share, the database or a channel. It is closed while all is well. After `threshold` failures in a row it opens,
and nothing is tried any more, so an outage costs nobody an attempt and what comes back is not run over. After a pause,
longer after each failed try, it is half open: exactly one try is let through, and closes it or opens it again.

`Policy` is those rules, on values: the circuit of a channel lives in the table `channel_state` and is shared by all
workers. `CircuitBreaker` is the circuit of one process, with its clock and its log lines: one when it opens, one when
it closes, none in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from time import monotonic
from typing import Literal, NamedTuple

import structlog

from engine.core.errors import CampaignError, RepositoryError

log = structlog.get_logger(__name__)

LONGEST = timedelta(hours=24)
_SPREAD = 0.2
_DOUBLINGS = 40  # far beyond the longest wait, and still a finite float

Status = Literal["closed", "open", "half_open"]


def retry_delay(failures: int, first_seconds: float, source: Random) -> timedelta:
    """The wait after `failures` failed tries (1, 2, …): `first_seconds`, doubled each time, never over 24 h.

    Up to a fifth more or less comes from `source`, so that what failed together does not come back together.

    >>> [retry_delay(n, 300, Random(7)) // timedelta(minutes=1) for n in (1, 2, 3)]
    [4, 9, 18]
    """
    doubled = first_seconds * 2.0 ** min(failures - 1, _DOUBLINGS)
    spread = source.uniform(1 - _SPREAD, 1 + _SPREAD)
    return timedelta(seconds=min(doubled * spread, LONGEST.total_seconds()))


class Circuit(NamedTuple):
    """How something shared fares: its status, the failures in a row, and since when, in seconds of some clock."""

    status: Status = "closed"
    failures: int = 0
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """When a circuit opens and when it is tried again.

    >>> policy = Policy(threshold=2, first_seconds=1, longest_seconds=60)
    >>> circuit = policy.failed(policy.failed(Circuit(), now=10), now=11)
    >>> circuit, policy.pause(circuit)
    (Circuit(status='open', failures=2, changed_at=11), 1.0)
    """

    threshold: int
    first_seconds: float
    longest_seconds: float

    def failed(self, circuit: Circuit, now: float, failures: int = 1) -> Circuit:
        """The circuit after so many more failures. One that is open stays as it is: a straggler tells nothing new."""
        if circuit.status == "open":
            return circuit
        failures += circuit.failures
        if circuit.status == "half_open":
            return Circuit("open", max(failures, self.threshold + 1), now)
        return (
            Circuit("open", self.threshold, now) if failures >= self.threshold else circuit._replace(failures=failures)
        )

    def succeeded(self, circuit: Circuit, now: float) -> Circuit:
        """The circuit after a success. One that is open stays so: a straggler may have begun before the outage."""
        if circuit.status == "half_open":
            return Circuit("closed", 0, now)
        return circuit if circuit.status == "open" else circuit._replace(failures=0)

    def probed(self, circuit: Circuit, now: float) -> Circuit:
        """The circuit once a try was let through."""
        return Circuit("half_open", circuit.failures, now)

    def pause(self, circuit: Circuit) -> float:
        """Seconds from the opening to the next try: doubled with each try that failed."""
        doublings = min(max(0, circuit.failures - self.threshold), _DOUBLINGS)
        return min(self.first_seconds * 2.0**doublings, self.longest_seconds)


class CircuitBreaker:
    """The circuit of one process for the thing called `name`. Whoever was allowed says how it went, or `give_up`s."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        *,
        clock: Callable[[], float] = monotonic,
        random: Random | None = None,
        heard: Callable[[Circuit], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.circuit = Circuit(changed_at=clock())
        self._policy = policy
        self._clock = clock
        self._random = random or Random()
        self._heard = heard
        self._probe_at = 0.0

    @property
    def status(self) -> Status:
        return self.circuit.status

    @property
    def seconds_since(self) -> float:
        """How long the status has been what it is."""
        return self._clock() - self.circuit.changed_at

    @property
    def wait(self) -> float:
        """Seconds before asking again is any use; 0 when it is now."""
        if self.status == "closed":
            return 0.0
        return max(0.0, self._probe_at - self._clock()) if self.status == "open" else self._policy.first_seconds

    def allows(self) -> bool:
        """Whether the caller may try. After the pause of an open circuit that is true once: for the probe."""
        if self.status == "open" and self._clock() >= self._probe_at:
            self._become(self._policy.probed(self.circuit, self._clock()))
            return True
        return self.status == "closed"

    def succeed(self) -> None:
        was, now = self.status, self._clock()
        self._become(self._policy.succeeded(self.circuit, now))
        if was == "half_open":
            log.info(f"the {self.name} works again")

    def fail(self, error: BaseException) -> None:
        """One more failure. Of several that tried at once only the first opens it."""
        was = self.status
        self._become(self._policy.failed(self.circuit, self._clock()))
        if self.status != "open" or was == "open":
            return
        pause = self._policy.pause(self.circuit) * self._random.uniform(1 - _SPREAD, 1 + _SPREAD)
        self._probe_at = self._clock() + pause
        if was == "closed":
            log.error(f"the {self.name} fails; nothing is tried until it works again", **reason_of(error))

    def give_up(self) -> None:
        """The probe ended without an outcome, for example because the process stops. Another may go."""
        if self.status == "half_open":
            self._become(self.circuit._replace(status="open"))

    def _become(self, circuit: Circuit) -> None:
        changed = circuit.status != self.status
        self.circuit = circuit
        if changed:
            self._heard(circuit)


def is_outage(error: BaseException) -> bool:
    """Whether the database as a whole cannot work now: away, shutting down, full, read-only; not one row's affair."""
    if not isinstance(error, RepositoryError) or error.sqlstate in _ONES_OWN:
        return False
    return error.retryable or error.sqlstate.startswith("53") or error.sqlstate == "25006"


_ONES_OWN = ("25P03", "40001", "40P01", "55P03", "57014")  # in each other's way, or one piece of work took too long


def reason_of(error: BaseException) -> dict[str, str]:
    """What went wrong, in words fit for a log: an unforeseen exception may hold anything, so only its type."""
    if isinstance(error, CampaignError):
        return {"error": error.message} | ({"hint": error.hint} if error.hint else {})
    return {"error": type(error).__name__}
