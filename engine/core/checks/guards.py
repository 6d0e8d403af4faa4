"""What guards and `set` say of names and values: E107, E301, E302 and E307."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from engine.core.checks.names import BUILT_INS, COUNTERS, doubtful_names
from engine.core.checks.outline import Edge, Guard, Loc, Outline, Place
from engine.core.domains import Domain, counter, domain_of_fact, domain_of_response
from engine.core.expressions import Comparison, Expression, ExpressionError, parse_expression
from engine.core.fact_types import FactType
from engine.core.facts import parse_fact
from engine.core.matchers import MatcherSpec, ResponseSpec
from engine.core.plugins import plugins_in_use
from engine.core.problems import Problem, expected_one_of
from engine.core.regions import Region, TooComplex, region_of
from engine.core.spec import CampaignTypeSpec


class Guards:
    """The guards of one campaign type, read once: their expressions, and the names known in each place."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.hidden: dict[Loc, list[tuple[Edge, Edge | None]]] = {}  # of each list of edges those never taken
        self._expressions: dict[str, Expression | ExpressionError] = {}
        self._domains: dict[Place, Mapping[str, Domain]] = {}
        self._regions: dict[tuple[Place, str | None], Region | TooComplex | None] = {}

    def expression(self, text: str) -> Expression | ExpressionError:
        """The guard as parsed, or what stopped that."""
        if text not in self._expressions:
            try:
                self._expressions[text] = parse_expression(text)
            except ExpressionError as error:
                self._expressions[text] = error
        return self._expressions[text]

    def domains(self, place: Place) -> Mapping[str, Domain]:
        """The names that a guard in `place` may read, and the values that each can have there."""
        place = Place(place.kind, event=place.event)
        if place not in self._domains:
            self._domains[place] = _domains(self.outline.spec, place)
        return self._domains[place]

    def read(self) -> Iterator[tuple[Guard, Expression]]:
        """Every guard that could be parsed."""
        for guard in self.outline.guards:
            if isinstance(expression := self.expression(guard.text), Expression):
                yield guard, expression

    def region(self, place: Place, when: str | None) -> Region | TooComplex | None:
        """Where a guard holds, or None when it is wrong in a way that is told elsewhere."""
        place = Place(place.kind, event=place.event)
        if (place, when) not in self._regions:
            self._regions[place, when] = self._judged(self.domains(place), when)
        return self._regions[place, when]

    def _judged(self, domains: Mapping[str, Domain], when: str | None) -> Region | TooComplex | None:
        if when is None:
            return Region.everything(domains)
        expression = self.expression(when)
        if isinstance(expression, ExpressionError) or not expression.names <= domains.keys():
            return None
        if not expression.names.isdisjoint(doubtful_names(self.outline.spec)):
            return None
        if any(_objection(domains[test.name], test) for test in expression.comparisons):
            return None
        try:
            return region_of(expression, domains)
        except TooComplex as error:
            return error


def _domains(spec: CampaignTypeSpec, place: Place) -> Mapping[str, Domain]:
    domains = {name: domain_of_fact(fact) for name, fact in spec.facts.items()}
    if place.kind == "priority":
        return domains
    answers = place.kind == "on_response"
    for name, response in spec.responses.items():
        domains[name] = domain_of_response(response, optional=not answers)
    domains |= {name: domain_of_fact(plugin.type) for name, plugin in plugins_in_use().names.items()}
    domains |= {name: counter() for name in COUNTERS}
    if place.kind == "split":  # left at its entry, before anything is sent or answered
        domains |= {name: replace(counter(), high=Decimal(0)) for name in ("responses", "follow_ups_sent")}
    if place.kind != "always":
        domains["visits"] = counter(1)
    else:
        domains["event"] = Domain("text", optional=True)
    if answers:
        domains |= {"responses": counter(1), "responses_total": counter(1)}
    if place.event is not None:
        domains["event"] = Domain("choice", choices=(place.event,))
    return domains


def unreadable_guards(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """E107: a `when` that is not an expression."""
    for guard in outline.guards:
        if isinstance(error := guards.expression(guard.text), ExpressionError):
            message = f"cannot read this guard: {error.message}"
            yield outline.problem("E107", message, guard.loc, offset=error.offset)


def unknown_names(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """E301: a name in a guard that nothing declares, or that has no value where the guard stands.

    `priority` is judged at enrolment, when only facts are known; `event` is known in `always` and `on_event`.
    """
    spec = outline.spec
    for guard, expression in guards.read():
        known = guards.domains(guard.place)
        for test in expression.comparisons:
            if test.name not in known:
                has_meaning = test.name in spec.responses or test.name in BUILT_INS
                wrong = f"{test.name!r} is not known here" if has_meaning else f"unknown name {test.name!r}"
                message = f"{wrong}; {expected_one_of(test.name, known)}"
                yield outline.problem("E301", message, guard.loc, offset=test.name_offset)


def unknown_facts(outline: Outline) -> Iterator[Problem]:
    """E301: a `set` of a fact that is not declared."""
    facts = outline.spec.facts
    for action, loc in outline.sets:
        for name in action.set.keys() - facts.keys():
            message = f"unknown fact {name!r}; {expected_one_of(name, facts)}"
            yield outline.problem("E301", message, (*loc, name), key=True)


def impossible_comparisons(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """E302: a comparison that no value can ever answer.

    Order is for numbers and dates; a constant has the type of what it is compared with and, where choices or
    labels are declared, is one of them; a name alone is a bool fact.
    """
    doubtful = doubtful_names(outline.spec)
    for guard, expression in guards.read():
        domains = guards.domains(guard.place)
        for test in expression.comparisons:
            known = test.name in domains and test.name not in doubtful
            if known and (objection := _objection(domains[test.name], test)):
                yield outline.problem("E302", objection, guard.loc, offset=test.offset)


def _objection(domain: Domain, test: Comparison) -> str | None:
    """Why nothing can answer the test, or None: the domain's own reason, with more help where there is some."""
    strangers = [each for each in test.constants if isinstance(each, str) and each not in domain.choices]
    if domain.kind == "choice" and strangers and test.operator in ("==", "!=", "in"):
        return f"{test.name} is never {strangers[0]!r}; {expected_one_of(strangers[0], domain.choices)}"
    if objection := domain.objection(test):
        return objection
    if test.operator in ("==", "in") and domain.split(test)[0].is_empty:
        never = " or ".join(map(str, test.constants))
        return f"{test.name} is never {never}; expected {_values_of(domain)}"
    return None


def _values_of(domain: Domain) -> str:
    low, high = domain.low, domain.high
    if low is None and high is None:
        return domain.noun
    if domain.open:
        return f"{domain.noun}, {f'below {high}' if low is None else f'above {low}'}"
    bounds = f"up to {high}" if low is None else f"{low} or more" if high is None else f"{low} to {high}"
    return f"{domain.noun}, {bounds}"


def impossible_values(outline: Outline) -> Iterator[Problem]:
    """E302: a `set` of a fact to a value that its type does not hold."""
    spec = outline.spec
    for action, loc in outline.sets:
        for name, value in action.set.items():
            if fact := spec.facts.get(name):
                response = spec.responses.get(value) if isinstance(value, str) else None
                yield from _value(outline, fact, value, response, (*loc, name))


_FITTING: dict[str, tuple[str, tuple[str, ...]]] = {
    "text": ("text", ("text", "choice")),
    "number": ("a number", ("int", "number", "text")),
    "date": ("a date", ("date", "text")),
}


def _value(
    outline: Outline, fact: FactType, value: bool | float | str, response: ResponseSpec | None, loc: Loc
) -> Iterator[Problem]:
    if response is not None:
        captured = response.captures if isinstance(response, MatcherSpec) else "text"
        given, fitting = _FITTING[captured]
        if fact.kind not in fitting:
            yield outline.problem("E302", f"response {value!r} holds {given}; expected {fact.text}", loc)
        return
    try:
        parse_fact(fact, str(value).lower() if isinstance(value, bool) else str(value))
    except ValueError as error:
        yield outline.problem("E302", f"impossible value: {error}", loc)


def complex_guards(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """E307: a guard of more cases, 64 boxes over the declared names, than are compared exactly with others."""
    for guard in outline.guards:
        if isinstance(guards.region(guard.place, guard.text), TooComplex):
            message = "this guard is too complex to compare with others; expected fewer or, != and in"
            yield outline.problem("E307", message, guard.loc)
