"""People files, `NAME.sim.yaml`: read from disk, and held against the campaign type that they are for.

Like campaign types and scenarios: every problem is found at once, at its place and with a code, and raised as one
SpecError; a file that cannot be opened is a CampaignError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.authoring.files import load_spec, read_source
from engine.authoring.linting import PEOPLE
from engine.authoring.replies.sayings import words_for
from engine.authoring.simulation.draws import cell_draw
from engine.authoring.simulation.people import People
from engine.authoring.simulation.people_spec import (
    AwakeSpec,
    EventSpec,
    HabitSpec,
    PeopleSpec,
    PlaceSpec,
    SayingSpec,
    ThenSpec,
)
from engine.core.durations import Duration, zone_of
from engine.core.errors import CampaignError, SpecError
from engine.core.expressions import parse_expression
from engine.core.matchers import MatcherSpec
from engine.core.problems import Problem, expected_one_of, shown
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import OTHER
from engine.core.yaml_source import Document, Loc, read_yaml

_PYDANTICS = {
    "model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list", "string_type": "a text",
    "too_short": "at least one entry", "string_too_short": "at least one character", "int_type": "a whole number",
    "string_pattern_mismatch": "a name of letters, digits and underscores", "float_type": "a number",
}  # fmt: skip
_MODELS: dict[str, type[BaseModel]] = {
    "places": PlaceSpec, "awake": AwakeSpec, "stages": HabitSpec, "messages": HabitSpec, "says": SayingSpec,
    "then": ThenSpec, "events": EventSpec,
}  # fmt: skip
_BY_NAME = ("stages", "messages", "events")


class PeopleFile(NamedTuple):
    spec: PeopleSpec
    document: Document


def people_file_beside(campaign_type: Path) -> Path | None:
    """The people file of a campaign type's file, if there is one beside it."""
    path = campaign_type.with_name(f"{campaign_type.stem}{PEOPLE}")
    return path if path.is_file() else None


def load_people(path: str | Path, campaign_type: CampaignTypeSpec) -> People:
    """The people in a file, for this campaign type. Raises CampaignError, or SpecError with all problems."""
    file = read_people(read_source(path), str(path))
    if problems := find_misfits(file, campaign_type):
        raise SpecError(problems)
    return People(file.spec, campaign_type, Path(path).name)


def check_people_file(path: Path) -> list[Problem]:
    """Every problem of a people file, held against the campaign type beside it. Raises CampaignError without one."""
    name = path.name.removesuffix(".sim.yml").removesuffix(PEOPLE)
    beside = path.with_name(f"{name}.yaml")
    if not beside.is_file():
        raise CampaignError(f"there is no {beside} beside {path.name}", hint="Name it as its campaign type.")
    try:
        file = read_people(read_source(path), str(path))
        return find_misfits(file, load_spec(beside).spec)
    except SpecError as error:
        return [problem for problem in error.problems if problem.file == str(path)]


def read_people(source: str, file: str) -> PeopleFile:
    """The people file that `source` holds. Raises SpecError.

    >>> read_people("per_day: 5", "a.sim.yaml").spec.per_day
    5
    """
    document = read_yaml(source, file)
    if document.problems or document.data is None:
        raise SpecError(document.problems)
    try:
        return PeopleFile(PeopleSpec.model_validate(document.data), document)
    except ValidationError as error:
        raise SpecError({_shape_problem(document, each) for each in error.errors(include_url=False)}) from None


def _shape_problem(document: Document, error: ErrorDetails) -> Problem:
    """One of pydantic's errors as a problem in the file."""
    kind, given = error["type"], error["input"]
    loc = tuple(part for part in error["loc"] if part != "[key]")
    is_number = loc[-1] in ("int", "float") and not document.holds(loc)  # a branch of a union, not a key of the file
    loc = loc[:-1] if is_number else loc
    if kind == "extra_forbidden":
        message = f"unknown key {str(loc[-1])[:40]!r}; {expected_one_of(str(loc[-1]), _keys_at(loc[:-1]))}"
        return document.problem("E101", message, loc, key=True)
    if kind == "missing":
        return document.problem("E107", f"the key {loc[-1]!r} is missing; expected it here", loc, key=True)
    message = error["msg"]
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = error["ctx"].get("ge", error["ctx"].get("le"))
        message = f"expected {'at least' if kind.startswith('g') else 'at most'} {bound}, got {given}"
    elif is_number or kind in _PYDANTICS:
        message = f"expected {'a number' if is_number else _PYDANTICS[kind]}, got {shown(given)}"
    return document.problem("E105" if kind == "duration" else "E107", message, loc, key="[key]" in error["loc"])


def _keys_at(loc: Loc) -> Iterable[str]:
    """The keys that the mapping at `loc` may have."""
    model: type[BaseModel] = PeopleSpec
    named = False  # whether the next part is a name that the author gave
    for part in loc:
        if not named and part in _MODELS:
            model = _MODELS[str(part)]
        named = not named and part in _BY_NAME
    return [field.alias or name for name, field in model.model_fields.items()]


def find_misfits(file: PeopleFile, campaign_type: CampaignTypeSpec) -> list[Problem]:
    """Where a people file does not fit the campaign type: names, facts, what cannot be said."""
    fitting = _Fitting(file, campaign_type)
    fitting.check()
    return sorted(fitting.found)


class _Fitting:
    """Checks a people file and adds its problems to `found`."""

    def __init__(self, file: PeopleFile, campaign_type: CampaignTypeSpec) -> None:
        self.spec, self.document = file
        self.type = campaign_type
        self.found: list[Problem] = []
        stages = campaign_type.stages.values()
        self.events = {name for stage in stages for name in stage.on_event} | set(_events_in_guards(campaign_type))

    def check(self) -> None:
        for index, place in enumerate(self.spec.places):
            self._zone(place.timezone, ("places", index, "timezone"))
        if self.spec.places and not any(place.weight for place in self.spec.places):
            self._report("E107", "nobody lives in any of these places; expected a weight above 0", ("places",))
        for name, cells in self.spec.facts.items():
            if self._known("fact", name, self.type.facts, "E301", ("facts", name)):
                self._cells(name, cells)
        for name, habit in self.spec.stages.items():
            self._known("stage", name, self.type.stages, "E103", ("stages", name))
            self._habit(habit, ("stages", name))
        for name, habit in self.spec.messages.items():
            self._known("message", name, self.type.messages, "E601", ("messages", name))
            self._habit(habit, ("messages", name))

    def _report(self, code: str, message: str, loc: Loc, *, key: bool = False) -> None:
        self.found.append(self.document.problem(code, message, loc, key=key))

    def _known(self, what: str, name: str, known: Iterable[str], code: str, loc: Loc, *, key: bool = True) -> bool:
        names = set(known)
        if name not in names:
            self._report(code, f"unknown {what} {name[:40]!r}; {expected_one_of(name, names)}", loc, key=key)
        return name in names

    def _zone(self, name: str, loc: Loc) -> None:
        try:
            zone_of(name)
        except (LookupError, ValueError, OSError):
            message = f"unknown time zone {name[:40]!r}; expected a name such as Europe/London"
            self._report("E106", message, loc)

    def _cells(self, name: str, cells: Mapping[str, float]) -> None:
        for index, cell in enumerate(cells):
            try:
                cell_draw(self.type.facts[name], cell)
            except ValueError as error:
                weighted = self.document.holds(("facts", name, cell))
                listed = self.document.holds(("facts", name, index))
                loc: Loc = ("facts", name, cell) if weighted else ("facts", name, index) if listed else ("facts", name)
                self._report("E107", str(error), loc, key=weighted)

    def _habit(self, habit: HabitSpec, loc: Loc) -> None:
        self._delay(habit.after, (*loc, "after"))
        for name, event in habit.events.items():
            self._event(name, (*loc, "events", name), key=True)
            self._delay(event.after, (*loc, "events", name, "after"))
        says = habit.says or []
        if says and not any(saying.weight for saying in says):
            self._report("E107", "nothing of this is ever said; expected a weight above 0", (*loc, "says"))
        for index, saying in enumerate(says):
            here: Loc = (*loc, "says", index)
            if saying.means is not None:
                self._means(saying.means, (*here, "means"))
            if saying.then is not None:
                self._event(saying.then.event, (*here, "then", "event"))
                self._delay(saying.then.after, (*here, "then", "after"))

    def _delay(self, delay: Duration, loc: Loc) -> None:
        if delay.business:
            self._report("E105", f"{delay} is business time; expected elapsed time or days, as in 8h", loc)

    def _event(self, name: str, loc: Loc, *, key: bool = False) -> None:
        self._known("event", name, self.events, "E301", loc, key=key)

    def _means(self, means: Mapping[str, Any], loc: Loc) -> None:
        """What is meant must be something that the responses can be, and that words can be made for."""
        for name, value in means.items():
            if not self._known("response", name, self.type.responses, "E301", (*loc, name)):
                return
            response = self.type.responses[name]
            labels = () if isinstance(response, MatcherSpec) else (*response, OTHER)
            if labels and not (isinstance(value, str) and value in labels):
                self._report("E107", f"unknown label {value!r}; {expected_one_of(str(value), labels)}", (*loc, name))
                return
        if not any(words_for(self.type.responses, means, "en", self.spec.start)):
            message = "no words can be made that are read like this; write them, with texts: instead"
            self._report("E107", message, loc, key=True)


def _events_in_guards(campaign_type: CampaignTypeSpec) -> Iterable[str]:
    """The events that `always` edges ask for by name."""
    for edge in campaign_type.always:
        for test in parse_expression(edge.when).comparisons if edge.when else ():
            if test.name == "event":
                yield from map(str, test.constants)
