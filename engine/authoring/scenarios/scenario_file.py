"""What a scenario file, `NAME.test.yaml`, may say, as typed values with places.

`read_scenarios` checks its shape; `prepare` checks its names against the campaign type and turns its times into
instants. Both raise SpecError with every problem found, as the loader of campaign types does, so that a scenario
with a slip of the pen is never mistaken for one that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from engine.core.actions import AssignSpec, EmitSpec, PluginActionSpec
from engine.core.checks.outline import Outline
from engine.core.compiled import CompiledType
from engine.core.durations import instant_of, zone_of
from engine.core.errors import SpecError
from engine.core.expressions import Comparison, Not, parse_expression
from engine.core.facts import parse_fact
from engine.core.grammar import Node
from engine.core.problems import Problem, expected_one_of, shown
from engine.core.vocabulary import Name, Span, Spec, Text
from engine.core.yaml_source import Document, Loc, read_yaml

_YEARS = range(1970, 2200)
_OUR_OWN = ("constant", "duration", "instant", "step")
_NOUNS = {
    "model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list", "string_type": "a text",
    "too_short": "at least one entry", "string_too_short": "at least one character",
    "string_pattern_mismatch": "a name of letters, digits and underscores",
}  # fmt: skip
_INSTANT = "expected an instant, as in 2026-03-02T09:00:00Z"


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.year not in _YEARS:
        raise PydanticCustomError("instant", "{reason}", {"reason": f"{value!r} is not a time; {_INSTANT}"})
    return moment


def _constant(value: object) -> object:
    if isinstance(value, dict | list):
        raise PydanticCustomError("constant", "{reason}", {"reason": f"expected one value, got {shown(value)}"})
    return value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Moment = Annotated[datetime, PlainValidator(_moment, json_schema_input_type=str)]
"""A time; without an offset it is one in the recipient's zone."""
Constant = Annotated[Any, PlainValidator(_constant, json_schema_input_type=str | float | bool | None)]


class SentSpec(Spec):
    message: Text
    at: Moment | None = None


class AssignedSpec(Spec):
    to: Text
    at: Moment | None = None


class EmittedSpec(Spec):
    event: Text
    at: Moment | None = None


def _named(key: str, model: type[Spec]) -> BeforeValidator:
    return BeforeValidator(
        lambda value: {key: value} if isinstance(value, str) else value, json_schema_input_type=str | model
    )


class ExpectSpec(Spec):
    """What must be so; only the keys that are written are looked at, and `null` is a value like others."""

    stage: str | None = None
    exit: str | None = None
    sent: list[Annotated[SentSpec, _named("message", SentSpec)]] = Field(default_factory=list)
    not_sent: list[Text] = Field(default_factory=list)
    assigned: list[Annotated[AssignedSpec, _named("to", AssignedSpec)]] = Field(default_factory=list)
    emitted: list[Annotated[EmittedSpec, _named("event", EmittedSpec)]] = Field(default_factory=list)
    context: dict[Name, Constant] = Field(default_factory=dict)
    next_due: Moment | None = None
    nothing_until: Moment | None = None


class StepSpec(Spec):
    """Move time, then bring a reply or an event, then look."""

    after: Span | None = None
    at: Moment | None = None
    reply: Annotated[str, BeforeValidator(_as_text, json_schema_input_type=str | int)] | None = None
    event: Text | None = None
    expect: ExpectSpec | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> StepSpec:
        for key in self.model_fields_set:
            if getattr(self, key) is None:
                raise PydanticCustomError("step", "{reason}", {"reason": f"{key}: has no value; expected one"})
        for one, other in (("after", "at"), ("reply", "event")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                reason = f"a step has {one}: or {other}:, not both; expected two steps"
                raise PydanticCustomError("step", "{reason}", {"reason": reason})
        return self


class RecipientSpec(Spec):
    timezone: Text = "UTC"
    locale: Text = "en"


class ScenarioSpec(Spec):
    name: Text
    facts: dict[Name, Constant] = Field(default_factory=dict)
    splits: dict[Name, Text] = Field(default_factory=dict)
    recipient: RecipientSpec = RecipientSpec()
    start: Moment
    steps: list[StepSpec] = Field(min_length=1)


class ScenarioFileSpec(Spec):
    campaign_type: Text
    scenarios: list[ScenarioSpec] = Field(min_length=1)


class ScenarioFile(NamedTuple):
    spec: ScenarioFileSpec
    document: Document


class Scenario(NamedTuple):
    """A scenario ready to run: `facts` as values, the instant of enrolment and of every step."""

    spec: ScenarioSpec
    loc: Loc
    facts: dict[str, Any]
    start: datetime
    moments: tuple[datetime, ...]


def read_scenarios(source: str, file: str) -> ScenarioFile:
    """The scenario file that `source` holds. Raises SpecError."""
    document = read_yaml(source, file)
    if document.problems or document.data is None:
        raise SpecError(document.problems)
    try:
        return ScenarioFile(ScenarioFileSpec.model_validate(document.data), document)
    except ValidationError as error:
        raise SpecError(_shape_problem(document, each) for each in error.errors()) from None


def _shape_problem(document: Document, error: Any) -> Problem:
    loc: Loc = error["loc"]
    kind, got = error["type"], error["input"]
    if kind == "extra_forbidden":
        message = f"unknown key {loc[-1]!r}; {expected_one_of(str(loc[-1]), _keys_at(loc[:-1]))}"
        return document.problem("E101", message, loc, key=True)
    code = "E105" if kind == "duration" else "E107"
    if kind == "missing":
        message = f"the key {loc[-1]!r} is missing; expected it here"
    elif kind in _OUR_OWN:
        message = error["msg"]
    else:
        found = "an empty one" if kind == "too_short" else shown(got)
        message = f"expected {_NOUNS.get(kind, 'another value')}, got {found}"
    return document.problem(code, message, loc)


def _keys_at(loc: Loc) -> Iterable[str]:
    """The keys that the mapping at `loc` may have."""
    models: dict[str | None, type[Spec]] = {
        None: ScenarioFileSpec, "scenarios": ScenarioSpec, "steps": StepSpec, "recipient": RecipientSpec,
        "expect": ExpectSpec, "sent": SentSpec, "assigned": AssignedSpec,
    }  # fmt: skip
    names = [part for part in loc if isinstance(part, str)]
    return models[names[-1] if names else None].model_fields


def prepare(file: ScenarioFile, compiled: CompiledType) -> list[Scenario]:
    """The scenarios of `file`, ready to run against `compiled`. Raises SpecError."""
    found: list[Problem] = []
    scenarios = [
        _Preparation(file.document, ("scenarios", index), compiled, found).scenario(spec)
        for index, spec in enumerate(file.spec.scenarios)
    ]
    names = [spec.name for spec in file.spec.scenarios]
    for index, name in enumerate(names):
        if name in names[:index]:
            loc = ("scenarios", index, "name")
            found.append(file.document.problem("E108", f"the name {name!r} is taken; expected another", loc))
    if found:
        raise SpecError(found)
    return scenarios


class _Preparation:
    """Checks one scenario and adds its problems to `found`."""

    def __init__(self, document: Document, loc: Loc, compiled: CompiledType, found: list[Problem]) -> None:
        self.document, self.loc, self.found = document, loc, found
        self.compiled, self.type = compiled, compiled.spec
        self.zone = "UTC"

    def scenario(self, spec: ScenarioSpec) -> Scenario:
        try:
            zone_of(spec.recipient.timezone)
            self.zone = spec.recipient.timezone
        except (LookupError, ValueError, OSError):
            message = f"unknown time zone {spec.recipient.timezone!r}; expected a name such as Europe/London"
            self._report("E106", message, ("recipient", "timezone"))
        start = self.instant(spec.start)
        self._splits(spec.splits)
        for index, step in enumerate(spec.steps):
            if step.event is not None and not self._events.any_tells:
                self._known("event", step.event, self._events.names, "E301", ("steps", index, "event"))
            if step.expect is not None:
                self._expect(step.expect, ("steps", index, "expect"))
        return Scenario(spec, self.loc, self._facts(spec.facts), start, tuple(self._moments(start, spec.steps)))

    def instant(self, moment: datetime) -> datetime:
        return instant_in(moment, self.zone)

    def _report(self, code: str, message: str, loc: Loc, *, key: bool = False) -> None:
        self.found.append(self.document.problem(code, message, (*self.loc, *loc), key=key))

    def _facts(self, given: dict[str, Constant]) -> dict[str, Any]:
        facts = {}
        for name, value in given.items():
            loc = ("facts", name)
            if name not in self.type.facts:
                self._report("E301", f"unknown fact {name!r}; {expected_one_of(name, self.type.facts)}", loc, key=True)
            elif value is not None:
                cell = str(value).lower() if isinstance(value, bool) else str(value)
                try:
                    facts[name] = parse_fact(self.type.facts[name], cell, self.zone)
                except ValueError as error:
                    self._report("E107", str(error), loc)
        return facts

    def _splits(self, splits: dict[str, str]) -> None:
        for stage, target in splits.items():
            edges = self.type.stages[stage].split if stage in self.type.stages else []
            # The share of nobody, what is left for otherwise:, can be fixed as well.
            targets = {edge.target for edge in edges if edge.when is None} if any(e.share for e in edges) else set()
            if not targets:
                with_shares = [name for name, each in self.type.stages.items() if any(e.share for e in each.split)]
                message = f"{stage!r} has no shares to fix; {expected_one_of(stage, with_shares)}"
                self._report("E103", message, ("splits", stage), key=True)
            elif target not in targets:
                message = f"no share of {stage!r} leads to {target!r}; {expected_one_of(target, targets)}"
                self._report("E103", message, ("splits", stage))

    def _moments(self, start: datetime, steps: list[StepSpec]) -> Iterable[datetime]:
        now = start
        for index, step in enumerate(steps):
            loc: Loc = ("steps", index, "after" if step.after else "at")
            then = self._then(step, now)
            if step.after is not None and step.after.business and self.compiled.window is None:
                message = f"{step.after} is business time; expected a send_window in the campaign type that it runs on"
                self._report("E105", message, loc)
            elif then is None:
                self._report("E105", "this step lies too far in the future; expected a year before 2200", loc)
            elif then < now:
                self._report("E107", f"this step lies before the one above it, at {shown_at(now)}", loc)
            else:
                now = then
            until = step.expect.nothing_until if step.expect is not None else None
            if until is not None and self.instant(until) < now:
                message = f"nothing_until lies before this step, at {shown_at(now)}; expected a later time"
                self._report("E107", message, ("steps", index, "expect", "nothing_until"))
            yield now

    def _then(self, step: StepSpec, now: datetime) -> datetime | None:
        """The instant of a step that follows one at `now`; None beyond the calendar."""
        if step.at is not None:
            return self.instant(step.at)
        window = self.compiled.window
        if step.after is None or (step.after.business and window is None):
            return now
        try:
            then = step.after.after(now, self.zone, window)
        except OverflowError:
            return None
        return then if then.year in _YEARS else None

    def _expect(self, expect: ExpectSpec, loc: Loc) -> None:
        exits = self.type.exits
        known = (*(each.outcome for each in exits.values()), *exits)
        self._known("stage", expect.stage, self.compiled.stages, "E103", (*loc, "stage"))
        self._known("exit or outcome", expect.exit, known, "E103", (*loc, "exit"))
        for index, sent in enumerate(expect.sent):
            self._known("message", sent.message, self.type.messages, "E601", (*loc, "sent", index))
        for index, message in enumerate(expect.not_sent):
            self._known("message", message, self.type.messages, "E601", (*loc, "not_sent", index))
        for index, assigned in enumerate(expect.assigned):
            self._known("assignee", assigned.to, self._assignees, "E301", (*loc, "assigned", index))
        for index, emitted in enumerate(expect.emitted):
            if self._emitted is not None:
                self._known("emitted event", emitted.event, self._emitted, "E301", (*loc, "emitted", index))
        for name in expect.context:
            names = (*self.type.facts, *self.type.responses)
            self._known("fact or response", name, names, "E301", (*loc, "context", name), key=True)

    @cached_property
    def _outline(self) -> Outline:
        return Outline(self.type, self.document)

    @cached_property
    def _events(self) -> _Events:
        return _events_of(self._outline)

    @cached_property
    def _assignees(self) -> frozenset[str]:
        """Everybody to whom a conversation is ever assigned or escalated."""
        given = {act.spec.assign.to for act in self._outline.acts if isinstance(act.spec, AssignSpec)}
        return frozenset(given.union(each.to for stage in self.type.stages.values() for each in stage.escalate))

    @cached_property
    def _emitted(self) -> frozenset[str] | None:
        """Every event that the type emits; None when it has actions of plug-ins, which emit what they like."""
        specs = [act.spec for act in self._outline.acts]
        if any(isinstance(spec, PluginActionSpec) for spec in specs):
            return None
        return frozenset(spec.emit for spec in specs if isinstance(spec, EmitSpec))

    def _known(
        self, what: str, name: str | None, known: Iterable[str], code: str, loc: Loc, *, key: bool = False
    ) -> None:
        names = set(known)
        if name is not None and name not in names:
            self._report(code, f"unknown {what} {name!r}; {expected_one_of(name, names)}", loc, key=key)


class _Events(NamedTuple):
    """The events that a campaign type names, and whether it tells any other from none."""

    names: frozenset[str]
    any_tells: bool


def _events_of(outline: Outline) -> _Events:
    tests = [each for guard in outline.guards for each in _event_tests(parse_expression(guard.text).tree)]
    names = {each for stage in outline.spec.stages.values() for each in stage.on_event}
    names.update(each for test, _ in tests for each in test.constants if isinstance(each, str))
    only_named = all((test.operator == "!=") if denied else (test.operator in ("==", "in")) for test, denied in tests)
    return _Events(frozenset(names), not only_named)


def _event_tests(node: Node, denied: bool = False) -> Iterator[tuple[Comparison, bool]]:
    """The tests of `event` in a guard, and whether each stands under a `not`."""
    if isinstance(node, Comparison):
        yield from [(node, denied)] if node.name == "event" else []
    elif isinstance(node, Not):
        yield from _event_tests(node.part, not denied)
    else:
        for part in node.parts:
            yield from _event_tests(part, denied)


def instant_in(moment: datetime, zone: str) -> datetime:
    """The instant in UTC that `moment` means to someone in `zone`."""
    return moment.astimezone(UTC) if moment.tzinfo else instant_of(moment, zone)


def shown_at(at: datetime | None) -> str:
    """An instant as reports show it, or `nothing`.

    >>> shown_at(datetime(2026, 3, 2, 9, tzinfo=UTC))
    '2026-03-02T09:00:00Z'
    """
    return at.isoformat().replace("+00:00", "Z") if at is not None else "nothing"
