"""Who a walk stands for: the facts that its guards would have said the same for, as regions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.core.compiled import CompiledType, Timer
from engine.core.domains import Domain, Slice
from engine.core.expressions import Comparison
from engine.core.model import Values, Verdict
from engine.core.proofs.choices import Choices
from engine.core.regions import Region, TooComplex


class People:
    """The guards that read facts, as regions; `settable` facts may have changed since the start."""

    def __init__(self, compiled: CompiledType, choices: Choices, settable: frozenset[str]) -> None:
        self._facts = choices.facts
        self._domains = choices.domains
        self._settable = settable
        self._guards = {
            edge.key: choices.region(edge.when)
            for edge in compiled.edges
            if edge.when and choices.expression(edge.when).names & choices.facts.keys()
        }

    def let_through(self, trace: Iterable[Verdict], facts: Values) -> Region | None:
        """The facts given at the start for which these guards would have said the same; None for any."""
        region: Region | None = None
        for verdict in trace:
            if (guard := self._guards.get(verdict.edge)) is None:
                continue
            region = region or Region.everything(self._facts)
            part = self._over_facts(guard, verdict, facts)
            try:
                region = region.intersection(part) if verdict.passed else region.minus(part)
            except TooComplex:
                return None
        return region

    def _over_facts(self, guard: Region, verdict: Verdict, facts: Values) -> Region:
        """A guard as it is when all but the facts given at the start is as it was."""
        boxes = []
        for box in guard.boxes:
            free: list[tuple[str, Slice]] = []
            for name, part in box:
                value = verdict.inputs.get(name)
                if name in self._facts and not (name in self._settable and facts.get(name) != value):
                    free.append((name, part))
                elif not self._domains[name].contains(part, value):
                    break
            else:
                boxes.append(tuple(free))
        return Region(self._facts, tuple(boxes))


def covers(region: Region, other: Region) -> bool:
    """Whether every point of `other` is in `region`; False when that is too complex to tell."""
    try:
        return region.covers(other)
    except TooComplex:
        return False


def usual(name: str, domain: Domain) -> Any:
    """A value for a fact that must have one, until a guard asks for another."""
    return name.replace("_", " ").capitalize() if domain.kind == "text" else domain.sample(domain.values)


def dates_for(timer: Timer, domain: Domain, now: datetime) -> Iterator[Any]:
    """Values of its fact for which an `at` timer is due soon after `now`."""
    at = timer.at
    assert at is not None
    days = timedelta(days=at.offset.days) if at.offset else timedelta()
    elapsed = at.offset.elapsed if at.offset else timedelta()
    for ahead in (timedelta(hours=1), timedelta(days=1), timedelta(days=2)):
        value: Any = now + ahead - at.sign * (days + elapsed)
        if domain.kind == "date":
            value = value.date()
        if at.instant(value, "UTC") > now:
            yield value


def only(facts: Mapping[str, Domain], name: str, value: Any) -> Region:
    """The region in which a fact has this value."""
    part = facts[name].split(Comparison(name, "==", (value.isoformat(),), 0, 0))[0]
    return Region(facts, (((name, part),),) if not part.is_empty else ())
