"""The figures of a simulation, as values: what is printed, written as JSON and drawn in the report.

Instants are in UTC, spans in whole seconds. Nothing here depends on when or how fast the simulation ran.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

NOTES = (
    "Other campaigns are not simulated, and what they send counts towards the same limits; "
    "expect more messages to wait.",
    "Every step and message happens at its planned instant: no late worker, no channel that fails.",
    "People answer by chance. The figures follow from the seed and from what is assumed of people, not from yours.",
)


class Spread(NamedTuple):
    """The middle of `number` spans, in seconds: half are at most `median`, nine of ten at most `p90`."""

    number: int = 0
    median: int | None = None
    p90: int | None = None
    longest: int | None = None


class Spans:
    """Many spans, kept small.

    >>> spans = Spans()
    >>> for seconds in (10, 40, 20, 30): spans.add(seconds)
    >>> spans.spread()
    Spread(number=4, median=20, p90=40, longest=40)
    """

    def __init__(self) -> None:
        self._seconds = array("q")

    def add(self, seconds: float) -> None:
        self._seconds.append(round(seconds))

    def spread(self) -> Spread:
        ordered = sorted(self._seconds)
        if not ordered:
            return Spread()
        number = len(ordered)
        return Spread(number, ordered[(number - 1) // 2], ordered[(9 * number + 9) // 10 - 1], ordered[-1])


@dataclass(slots=True)
class Wait:
    """Messages that something held back: how many, and for how long on average."""

    count: int = 0
    seconds: int = 0

    def add(self, seconds: float) -> None:
        if seconds > 0:
            self.count += 1
            self.seconds += round(seconds)

    @property
    def average(self) -> int | None:
        return round(self.seconds / self.count) if self.count else None


@dataclass(frozen=True, slots=True)
class StageFigures:
    """A stage: how many recipients `reached` it, how often it was `entered` and left, how long they stayed."""

    name: str
    reached: int
    entered: int
    left: int
    messages: int
    answers: int
    stay: Spread


@dataclass(frozen=True, slots=True)
class ExitFigures:
    name: str
    outcome: str
    count: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What came of all conversations. `here` is left of those under way; days and hours count messages that left.

    `cancelled` messages were made and never left. `windows` and `limits` tell what each held back. `busiest` is the
    hour in which most messages left.
    """

    campaign_type: str
    version: int
    recipients: int
    seed: int
    people: str
    stages: tuple[StageFigures, ...]
    exits: tuple[ExitFigures, ...]
    under_way: int
    failed: int
    failures: Mapping[str, int]
    messages: Mapping[str, int]
    cancelled: int
    days: Mapping[date, int]
    answer_days: Mapping[date, int]
    hours: tuple[int, ...]
    local_hours: tuple[int, ...]
    busiest: tuple[datetime, int] | None
    windows: Wait
    limits: Wait
    per_recipient: Mapping[int, int]
    answers: int
    answering: int
    events: Mapping[str, int]
    assigned: Mapping[str, int]
    emitted: Mapping[str, int]
    duration: Spread
    first: datetime
    last: datetime
    notes: tuple[str, ...] = field(default=NOTES)

    @property
    def sent(self) -> int:
        return sum(self.messages.values())

    @property
    def outcomes(self) -> dict[str, int]:
        """How many conversations ended in each outcome, and how many have no end."""
        found = {"won": 0, "lost": 0, "stopped": 0}
        for each in self.exits:
            found[each.outcome] += each.count
        rest = {"under way": self.under_way, "failed": self.failed}
        return found | {name: number for name, number in rest.items() if number}

    def share(self, number: int) -> float:
        """A number of recipients as a share of all."""
        return number / self.recipients

    def as_dict(self) -> dict[str, Any]:
        """The figures as `campaign types simulate --json` prints them."""
        plain = asdict(self)
        plain["stages"] = [
            asdict(each) | {"share": round(self.share(each.reached), 6), "stay": each.stay._asdict()}
            for each in self.stages
        ]
        plain["exits"] = [asdict(each) | {"share": round(self.share(each.count), 6)} for each in self.exits]
        plain["days"] = {str(day): number for day, number in self.days.items()}
        plain["answer_days"] = {str(day): number for day, number in self.answer_days.items()}
        plain["windows"] = {"count": self.windows.count, "average_seconds": self.windows.average}
        plain["limits"] = {"count": self.limits.count, "average_seconds": self.limits.average}
        plain["busiest"] = {"hour": self.busiest[0], "messages": self.busiest[1]} if self.busiest else None
        plain["duration"] = self.duration._asdict()
        return plain | {"sent": self.sent, "outcomes": self.outcomes}


def span_text(seconds: float | None) -> str:
    """A span as people read it.

    >>> [span_text(seconds) for seconds in (None, 90, 7200, 604_800)]
    ['-', '2 min', '2.0 h', '7.0 d']
    """
    if seconds is None:
        return "-"
    if seconds < 3_600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 2 * 86_400 else f"{seconds / 86_400:.1f} d"
