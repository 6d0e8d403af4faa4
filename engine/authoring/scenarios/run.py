"""Scenario tests: whole conversations, told in `NAME.test.yaml`, played through the pure core.

A step moves time, may bring a reply or an event before anything else of that instant, and may look at what came of
it once everything planned for the instant has happened. The first difference ends a scenario and is reported with
its place, both sides and what had happened until then. The report also says which stages, edges and paths no
scenario reached. Nothing here waits, sends or needs a database; thousands of steps take a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, uuid5

from engine.authoring.files import load_campaign_type
from engine.authoring.scenarios.playback import Done, Playback
from engine.authoring.scenarios.report import Coverage, Difference, Report, ScenarioReport
from engine.authoring.scenarios.scenario_file import (
    AssignedSpec,
    EmittedSpec,
    ExpectSpec,
    Scenario,
    ScenarioFile,
    SentSpec,
    StepSpec,
    instant_in,
    prepare,
    read_scenarios,
    shown_at,
)
from engine.core.checks.ways import landings
from engine.core.compiled import CompiledType, Row
from engine.core.errors import CampaignError, SpecError
from engine.core.model import Event, new_conversation
from engine.core.yaml_source import Document, Loc

_LONGEST_TIMELINE = 20
_MOST_ROUTES = 1_000


def run_scenarios(test_path: str | Path, known: tuple[Path, CompiledType] | None = None) -> Report:
    """The report of every scenario in a file.

    Its `campaign_type` is a name, for NAME.yaml beside the file, or a path from the file's folder; one that is
    `known` with its path is not read again.
    Raises SpecError when the file or the campaign type has problems, CampaignError when the file cannot be read.
    """
    path = Path(test_path)
    file = read_scenarios(_read_text(path), str(path))
    compiled = _campaign_type_of(file, path, known)
    results = tuple(run_scenario(scenario, compiled, file.document) for scenario in prepare(file, compiled))
    return Report(
        str(path),
        compiled.name,
        results,
        stages=_coverage(compiled.stages, (result.stages for result in results)),
        edges=_coverage((edge.key for edge in compiled.edges), (result.edges for result in results)),
        paths=_coverage(map(_route, routes(compiled)), (frozenset([_route(result.path)]) for result in results)),
    )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CampaignError(f"{str(path)!r} is not UTF-8 text", hint="Save the file as UTF-8.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CampaignError(f"cannot read {str(path)!r}: {reason}", hint="Check its name and permissions.") from error


def _campaign_type_of(file: ScenarioFile, path: Path, known: tuple[Path, CompiledType] | None) -> CompiledType:
    """The campaign type that the scenario file at `path` names. Raises SpecError."""
    name = file.spec.campaign_type
    beside = path.parent / (name if _is_path(name) else f"{name}.yaml")
    if known is not None and known[0] == beside:
        return known[1]
    try:
        return load_campaign_type(beside)
    except SpecError:
        raise
    except CampaignError as error:
        message = (
            error.message if _is_path(name) else f"{error.message}; the name is looked up as a file beside this one"
        )
        likely = path.with_name(path.name.replace(".test.", "."))
        if likely not in (path, beside) and likely.is_file():
            message += f"; did you mean ./{likely.name}?"
        raise SpecError([file.document.problem("E107", message, ("campaign_type",))]) from error


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".yaml", ".yml"))


def _coverage(names: Iterable[str], reached: Iterable[frozenset[str]]) -> Coverage:
    every = tuple(names)
    seen: set[str] = set().union(*reached)
    return Coverage(len(every), tuple(name for name in every if name not in seen))


def routes(compiled: CompiledType) -> Iterator[tuple[str, ...]]:
    """Every way from the start to an exit along the stages' own edges that enters no stage twice, at most 1,000.

    What can cut any of them short, `always` and `ends_within`, is left out.
    """
    leads: dict[str, dict[str, None]] = {}
    for edge in compiled.edges:
        if edge.source and edge.target is not None:
            leads.setdefault(edge.source, {}).update(dict.fromkeys(landings(compiled.spec, edge.target)))
    waiting: list[tuple[str, ...]] = [(compiled.spec.start,)]
    found = 0
    while waiting and found < _MOST_ROUTES:
        route = waiting.pop()
        if compiled.stages[route[-1]].outcome is not None:
            found += 1
            yield route
        waiting += [(*route, to) for to in reversed(leads.get(route[-1], {})) if to not in route]


def _route(path: Sequence[str]) -> str:
    """A path as a route's name: every way round that came back to a stage is cut out."""
    route: list[str] = []
    for name in path:
        route = [*route[: route.index(name)], name] if name in route else [*route, name]
    return " → ".join(route)


def run_scenario(scenario: Scenario, compiled: CompiledType, document: Document) -> ScenarioReport:
    """How one prepared scenario goes, up to its first difference."""
    began = perf_counter()
    run = _Run(scenario, compiled)
    difference = None
    for index, (step, moment) in enumerate(zip(scenario.spec.steps, scenario.moments, strict=True)):
        found = run.step(step, moment)
        if found is not None:
            line, column = document.position((*scenario.loc, "steps", index, "expect", *found.loc))
            difference = Difference(document.file, line, column, found.expected, found.got)
            break
    log = run.playback.log if difference else []
    timeline = tuple(f"{shown_at(done.at)}  {done.name}" for done in log[-_LONGEST_TIMELINE:])
    path = tuple(run.playback.path)
    return ScenarioReport(
        scenario.spec.name,
        difference,
        timeline,
        frozenset(path),
        frozenset(run.edges),
        path,
        perf_counter() - began,
        earlier=len(log) - len(timeline),
    )


class _Found(NamedTuple):
    loc: Loc
    expected: str
    got: str


class _Run:
    """One scenario under way. What ends in `_seen` is how much earlier expectations accounted for."""

    def __init__(self, scenario: Scenario, compiled: CompiledType) -> None:
        self.scenario, self.unseen = scenario, compiled
        self.zone = scenario.spec.recipient.timezone
        self.edges: set[str] = set()
        self.sent_seen = self.assigned_seen = self.emitted_seen = 0
        conversation = new_conversation(
            uuid5(NAMESPACE_URL, scenario.spec.name),
            scenario.start,
            zone=self.zone,
            locale=scenario.spec.recipient.locale,
            facts=scenario.facts,
            splits=scenario.spec.splits,
        )
        self.playback = Playback(_recording(compiled, self.edges), conversation, scenario.start)

    def step(self, step: StepSpec, moment: datetime) -> _Found | None:
        play = self.playback
        play.run(moment, through=False)
        if step.reply is not None:
            play.receive(Event("response", moment, text=step.reply), self.unseen)
        elif step.event is not None:
            play.receive(Event("event", moment, name=step.event), self.unseen)
        play.run(moment)
        return self.differs(step.expect) if step.expect is not None else None

    def differs(self, expect: ExpectSpec) -> _Found | None:
        """The first difference in what `expect` says, in the order of `_LOOKS`."""
        written = expect.model_fields_set
        for key, look in _LOOKS.items():
            if key in written and (found := look(self, expect)) is not None:
                return found._replace(loc=(key, *found.loc))
        if "sent" in written:
            self.sent_seen = len(self.playback.sent)
        if "assigned" in written:
            self.assigned_seen = len(self.playback.assigned)
        if "emitted" in written:
            self.emitted_seen = len(self.playback.emitted)
        return None

    def stage(self, expect: ExpectSpec) -> _Found | None:
        return _unequal("stage", expect.stage, self.playback.conversation.stage)

    def exit(self, expect: ExpectSpec) -> _Found | None:
        name = self.playback.conversation.stage
        outcome = self.unseen.stages[name].outcome if name else None
        if expect.exit is not None and outcome is not None and expect.exit in (outcome, name):
            return None
        got = f"{outcome} ({name})" if outcome else f"none; the stage is {name}"
        return None if expect.exit == outcome else _Found((), f"exit {expect.exit or 'none'}", got)

    def sent(self, expect: ExpectSpec) -> _Found | None:
        wanted = [(each.message, self._instant(each)) for each in expect.sent]
        return _unlike("sent", wanted, self.playback.sent[self.sent_seen :])

    def assigned(self, expect: ExpectSpec) -> _Found | None:
        wanted = [(each.to, self._instant(each)) for each in expect.assigned]
        return _unlike("assigned", wanted, self.playback.assigned[self.assigned_seen :])

    def emitted(self, expect: ExpectSpec) -> _Found | None:
        wanted = [(each.event, self._instant(each)) for each in expect.emitted]
        return _unlike("emitted", wanted, self.playback.emitted[self.emitted_seen :])

    def not_sent(self, expect: ExpectSpec) -> _Found | None:
        for index, message in enumerate(expect.not_sent):
            for done in self.playback.sent[self.sent_seen :]:
                if done.name == message:
                    return _Found((index,), f"no {message}", f"{message} at {shown_at(done.at)}")
        return None

    def context(self, expect: ExpectSpec) -> _Found | None:
        it = self.playback.conversation
        for name, wanted in expect.context.items():
            got = it.facts.get(name) if name in self.unseen.spec.facts else it.captured.get(name)
            if not _same(wanted, got):
                return _Found((name,), f"{name} {_shown(wanted)}", _shown(got))
        return None

    def next_due(self, expect: ExpectSpec) -> _Found | None:
        wanted = instant_in(expect.next_due, self.zone) if expect.next_due else None
        return _unequal("next due", shown_at(wanted), shown_at(self.playback.next_due))

    def nothing_until(self, expect: ExpectSpec) -> _Found | None:
        """Play on alone for a while: the first step or message before the instant is the difference."""
        if expect.nothing_until is None:
            return None
        until = instant_in(expect.nothing_until, self.zone)
        for done in self.playback.look_ahead(self.unseen, until):
            return _Found((), f"nothing until {shown_at(until)}", f"{done.name} at {shown_at(done.at)}")
        return None

    def _instant(self, spec: SentSpec | AssignedSpec | EmittedSpec) -> datetime | None:
        return instant_in(spec.at, self.zone) if spec.at is not None else None


_LOOKS: dict[str, Callable[[_Run, ExpectSpec], _Found | None]] = {
    "stage": _Run.stage,
    "exit": _Run.exit,
    "not_sent": _Run.not_sent,
    "sent": _Run.sent,
    "assigned": _Run.assigned,
    "emitted": _Run.emitted,
    "context": _Run.context,
    "next_due": _Run.next_due,
    "nothing_until": _Run.nothing_until,
}


def _recording(compiled: CompiledType, edges: set[str]) -> CompiledType:
    """The same campaign type, noting the key of every edge it takes; a stay that does nothing leaves no other trace."""

    def trigger(name: str, row: Row) -> bool:
        taken = compiled.trigger(name, row)
        if taken and row.edge is not None:
            edges.add(row.edge.key)
        return taken

    return compiled._replace(trigger=trigger)


def _unequal(what: str, expected: str | None, got: str | None) -> _Found | None:
    return None if expected == got else _Found((), f"{what} {expected or 'none'}", got or "none")


def _unlike(what: str, wanted: list[tuple[str, datetime | None]], got: list[Done]) -> _Found | None:
    """The first place where two sequences differ, shown with both in full."""
    if len(wanted) == len(got) and all(
        name == done.name and at in (None, done.at) for (name, at), done in zip(wanted, got, strict=True)
    ):
        return None
    same = 0
    for (name, at), done in zip(wanted, got, strict=False):
        if name != done.name or at not in (None, done.at):
            break
        same += 1
    loc: Loc = (same,) if same < len(wanted) else ()
    return _Found(loc, f"{what} {_listed(wanted)}", _listed(got))


def _listed(entries: Iterable[tuple[str, datetime | None]]) -> str:
    shown = [name if at is None else f"{name} at {shown_at(at)}" for name, at in entries]
    return ", ".join(shown) or "nothing"


def _same(wanted: Any, got: Any) -> bool:
    """Whether a value as the file writes it is the value the conversation has."""
    if isinstance(wanted, bool) or isinstance(got, bool) or wanted is None or got is None:
        return wanted is got
    if isinstance(got, int | Decimal):
        return isinstance(wanted, int | float) and Decimal(str(wanted)) == got
    return str(wanted) == (got.isoformat() if isinstance(got, date) else got)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, date):
        value = value.isoformat()  # as scenario files write it, in quotes like every text
    return str(value) if isinstance(value, Decimal) else repr(value)
