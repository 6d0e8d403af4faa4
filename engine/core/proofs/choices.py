"""What a recipient could say that makes a difference: values of the responses, one for each case of the guards.

For every edge that a response can take, the cases of its guard are tried, with and without what earlier edges take;
and where a captured value is read later on, one value for each case of that. Nothing outside the guards tells two
values apart, so these are enough, unless a type has more cases than are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from engine.core.actions import SendSpec, SetSpec
from engine.core.domains import Domain, Slice, counter, domain_of_fact, domain_of_response
from engine.core.expressions import Comparison, Expression, parse_expression
from engine.core.matchers import MatcherSpec
from engine.core.model import Values
from engine.core.regions import Region, TooComplex, region_of
from engine.core.spec import CampaignTypeSpec, EdgeSpec, StageSpec
from engine.core.vocabulary import OTHER

COUNTERS = ("responses", "responses_total", "follow_ups_sent", "visits")
_MOST_BOXES = 8  # cases of one guard
_MOST_VALUES = 40  # ways to answer in one stage


class Choices:
    """The guards of a campaign type, read once, and what to try in each stage."""

    def __init__(self, spec: CampaignTypeSpec) -> None:
        self.spec = spec
        self.facts: Mapping[str, Domain] = {name: domain_of_fact(fact) for name, fact in spec.facts.items()}
        responses = {name: domain_of_response(each, optional=True) for name, each in spec.responses.items()}
        events = {"event": Domain("text", optional=True)}
        self.domains: Mapping[str, Domain] = {
            **self.facts, **responses, **{name: counter() for name in COUNTERS}, **events,
        }  # fmt: skip
        self._expressions: dict[str, Expression] = {}
        self._regions: dict[str, Region | None] = {}
        self._replies: dict[str, tuple[Values, ...]] = {}
        self.tests = tuple(chain.from_iterable(self.expression(when).comparisons for when in _whens(spec)))
        self.names = frozenset(test.name for test in self.tests)
        self.later = self._read_later()

    def expression(self, when: str) -> Expression:
        if when not in self._expressions:
            self._expressions[when] = parse_expression(when)
        return self._expressions[when]

    def region(self, when: str | None) -> Region | None:
        """Where a guard holds; None when that falls into too many cases."""
        if not when:
            return Region.everything(self.domains)
        if when not in self._regions:
            try:
                self._regions[when] = region_of(self.expression(when), self.domains)
            except (TooComplex, KeyError):
                self._regions[when] = None
        return self._regions[when]

    def cap(self, counter: str) -> int:
        """A count from which on no guard tells the difference, 0 when none reads it."""
        constants = [each for test in self.tests if test.name == counter for each in test.constants]
        return int(max((each for each in constants if not isinstance(each, str)), default=-1)) + 1

    def replies(self, stage: str) -> tuple[Values, ...]:
        """The values to try as a response in a stage; a label that nothing asks for is "other", a number missing."""
        if stage not in self._replies:
            found: dict[tuple[tuple[str, Any], ...], Values] = {}
            for values in islice(self._all_replies(self.spec.stages[stage]), _MOST_VALUES):
                found.setdefault(tuple(sorted(values.items())), values)
            self._replies[stage] = tuple(found.values())
        return self._replies[stage]

    def events(self, stage: str) -> tuple[str, ...]:
        """The events to try in a stage: those it names, and those that `always` asks for."""
        asked = chain.from_iterable(self.expression(edge.when).comparisons for edge in self.spec.always if edge.when)
        named = (each for test in asked if test.name == "event" for each in test.constants if isinstance(each, str))
        return tuple(dict.fromkeys((*self.spec.stages[stage].on_event, *named)))

    def _all_replies(self, stage: StageSpec) -> Iterator[Values]:
        if not stage.on_response and not self.spec.always and not self.later:
            return
        for values in [self._values({}), *self._answers([*self.spec.always, *stage.on_response])]:
            yield values
            for name, samples in self.later.items():
                yield from (self._values({**values, name: each}) for each in samples)

    def _answers(self, edges: Iterable[EdgeSpec]) -> Iterator[Values]:
        """One answer for each case of each edge: first what no earlier edge takes, then all that it matches."""
        left: Region | None = Region.everything(self.domains)
        others: list[Values] = []
        for edge in edges:
            region = self.region(edge.when)
            if region is None:
                continue
            for its in (left.intersection(region) if left is not None and left.boxes else None, region):
                answers = (self._sampled(box) for box in its.boxes[:_MOST_BOXES]) if its is not None else ()
                if its is region:
                    others += answers
                else:
                    yield from answers
            if left is not None and not edge.at_most:
                left = _minus(left, region)
        yield from others

    def _sampled(self, box: tuple[tuple[str, Slice], ...]) -> Values:
        return self._values(
            {name: self.domains[name].sample(part) for name, part in box if name in self.spec.responses}
        )

    def _values(self, given: Mapping[str, Any]) -> Values:
        """The values as a reader gives them: every labelled response has one, a missing one is left out."""
        values = {name: given.get(name) for name in self.spec.responses}
        labelled = {name for name, each in self.spec.responses.items() if not isinstance(each, MatcherSpec)}
        told = {name: OTHER if value is None and name in labelled else value for name, value in values.items()}
        return {name: value for name, value in told.items() if value is not None}

    def _read_later(self) -> dict[str, list[Any]]:
        """The responses that are read after they were given, each with a value for every case."""
        tests: dict[str, list[Comparison]] = {}
        for when in _whens(self.spec, later=True):
            for test in self.expression(when).comparisons:
                if test.name in self.spec.responses:
                    tests.setdefault(test.name, []).append(test)
        for action in _sets(self.spec):
            for fact, value in action.set.items():
                if isinstance(value, str) and value in self.spec.responses:
                    tests.setdefault(value, []).extend(test for test in self.tests if test.name == fact)
        return {name: self._cases(self.domains[name], each) for name, each in tests.items()}

    def _cases(self, domain: Domain, tests: Iterable[Comparison]) -> list[Any]:
        cells = [domain.values]
        for test in tests:
            yes = domain.split(test)[0]
            cells = [part for cell in cells for part in (cell & yes, cell - yes) if part.spans]
        return [domain.sample(cell) for cell in cells] + ([None] if domain.optional else [])


def _minus(region: Region, taken: Region) -> Region | None:
    try:
        return region.minus(taken)
    except TooComplex:
        return None


def _whens(spec: CampaignTypeSpec, *, later: bool = False) -> Iterator[str]:
    """Every guard but those of `priority`; only those that may read what was captured before, if `later`."""
    edges: list[EdgeSpec] = [] if later else list(spec.always)
    actions = [action for exit in spec.exits.values() for action in exit.on_enter]
    for stage in spec.stages.values():
        own = [*stage.split, *stage.timers, *chain.from_iterable(stage.on_event.values())]
        yield from (each.when for each in stage.follow_ups if each.when)
        edges += own if later else [*own, *stage.on_response]
        actions += stage.on_enter
    yield from (edge.when for edge in edges if edge.when)
    actions += [action for edge in edges for action in edge.do]
    yield from (action.when for action in actions if isinstance(action, SendSpec) and action.when)


def _sets(spec: CampaignTypeSpec) -> Iterator[SetSpec]:
    for stage in spec.stages.values():
        edges = [*stage.on_response, *stage.split, *stage.timers, *chain.from_iterable(stage.on_event.values())]
        for action in chain(stage.on_enter, *(edge.do for edge in (*edges, *spec.always))):
            if isinstance(action, SetSpec):
                yield action


def settable(spec: CampaignTypeSpec) -> frozenset[str]:
    """The facts that some action sets."""
    return frozenset(fact for action in _sets(spec) for fact in action.set)
