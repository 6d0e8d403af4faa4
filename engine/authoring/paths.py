"""Scenarios made from a campaign type: the shortest one for every edge and every exit.

The search of `engine.core.proofs` finds who has to say what and when; texts come from the matchers; then each
scenario is run as any scenario file is, and only one that passes and takes its edge is shown. What cannot be
reached is told, with the reason as far as it is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.authoring.path_files import appended, scenarios_as_yaml
from engine.authoring.replies.replies import replier
from engine.authoring.scenarios.report import ScenarioReport
from engine.authoring.scenarios.run import run_scenario, run_scenarios
from engine.authoring.scenarios.scenario_file import ScenarioFile, ScenarioFileSpec, prepare
from engine.core.compiled import CompiledType, Edge
from engine.core.errors import CampaignError, SpecError
from engine.core.facts import fact_to_json
from engine.core.proofs.causes import causes_of
from engine.core.proofs.search import START, Found, Search
from engine.core.proofs.search import Path as Way
from engine.core.yaml_source import Document

_PAUSE = timedelta(hours=1)  # people do not answer in no time
_MOST_MOVES = 4_000


@dataclass(frozen=True, slots=True)
class Route:
    """The shortest scenario for an edge (its key) or an exit (its name), and all edges and stages it takes."""

    goal: str
    scenario: Mapping[str, Any]
    edges: frozenset[str]
    stages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Routes:
    """The routes of a campaign type, in the order of the file, and why there is none for what is `missing`."""

    campaign_type: str
    edges: tuple[Route, ...]
    exits: tuple[Route, ...]
    missing: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "campaign_type": self.campaign_type,
            "edges": [{"edge": each.goal, "scenario": dict(each.scenario)} for each in self.edges],
            "exits": [{"exit": each.goal, "scenario": dict(each.scenario)} for each in self.exits],
            "missing": [{"goal": goal, "reason": reason} for goal, reason in self.missing.items()],
        }

    def render(self) -> str:
        """A scenario file of all routes, alike ones once; what is missing stands at its end as comments."""
        seen: list[object] = []
        scenarios = []
        for each in (*self.edges, *self.exits):
            told = {key: value for key, value in each.scenario.items() if key != "name"}
            if told not in seen:
                seen.append(told)
                scenarios.append(each.scenario)
        text = scenarios_as_yaml(self.campaign_type, scenarios)
        return "\n".join([text.rstrip("\n"), *(f"# not reached: {goal}: {why}" for goal, why in self.missing.items())])


def routes_of(compiled: CompiledType) -> Routes:
    """The shortest scenarios of a campaign type, each one run and found to do what it says."""
    found = _searched(compiled)
    causes = causes_of(compiled.spec)
    names = _Names()
    missing: dict[str, str] = {}
    edges, exits = [], []
    for edge in compiled.edges:
        if edge.key not in found.edges:
            missing[edge.key] = _why(edge, found)
        else:
            name = names.free(_edge_name(edge, found.edges[edge.key], causes[edge.key]))
            route = _route(compiled, edge.key, name, found.edges[edge.key])
            edges += [route] if route is not None else []
            missing |= {} if route is not None else {edge.key: "the scenario that was found does not take it"}
    for exit in compiled.spec.exits:
        if exit not in found.exits:
            missing[exit] = "no way there was found"
        else:
            route = _route(compiled, exit, names.free(f"the shortest way to {exit}"), found.exits[exit])
            exits += [route] if route is not None else []
            missing |= {} if route is not None else {exit: "the scenario that was found does not lead there"}
    return Routes(compiled.name, tuple(edges), tuple(exits), missing)


def write_routes(path: Path, routes: Routes) -> list[str]:
    """Add the routes that the scenario file beside a campaign type lacks; returns their names.

    What the file holds already stays byte for byte; where there is none it is made. Raises SpecError or RefusedError
    when the file cannot be read as scenarios or added to, CampaignError when it cannot be read or written.
    """
    file = path.with_name(f"{path.stem}.test.yaml")
    if not file.exists():
        added = uncovered(routes, (), (), ())
        name = path.stem if path.suffix == ".yaml" else f"./{path.name}"
        text = scenarios_as_yaml(name, [each.scenario for each in added])
    else:
        report = run_scenarios(file)
        edges = (key for result in report.results for key in result.edges)
        stages = (name for result in report.results for name in result.stages)
        added = uncovered(routes, edges, stages, (result.name for result in report.results))
        text = appended(file.read_bytes().decode(), str(file), [each.scenario for each in added])
    if added:
        _write(file, text)
    return [str(each.scenario["name"]) for each in added]


def _write(file: Path, text: str) -> None:
    """Replace the file in one go, so that it is never half written."""
    fresh = file.with_name(f".{file.name}.new")
    try:
        fresh.write_bytes(text.encode())
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise CampaignError(f"cannot write {str(file)!r}: {error.strerror or error}") from error


def uncovered(routes: Routes, edges: Iterable[str], stages: Iterable[str], names: Iterable[str]) -> list[Route]:
    """The routes to add so that every edge and exit is reached that can be, in the order of the campaign type.

    `edges` and `stages` are those reached already, `names` of scenarios those in use. The edges that a longer route
    takes need none of their own.
    """
    seen, entered, used = set(edges), set(stages), _Names(names)
    chosen = []
    for route in sorted(routes.edges, key=lambda each: -len(each.edges)):
        if route.goal not in seen:
            seen |= route.edges
            entered |= route.stages
            chosen.append(route)
    order = {route.goal: at for at, route in enumerate(routes.edges)}
    chosen.sort(key=lambda each: order[each.goal])
    chosen += [route for route in routes.exits if route.goal not in entered]
    return [replace(each, scenario={**each.scenario, "name": used.free(each.scenario["name"])}) for each in chosen]


def _searched(compiled: CompiledType) -> Found:
    edges = frozenset(edge.key for edge in compiled.edges)
    say = replier(compiled.spec, compiled.read)  # type: ignore[arg-type]
    exits = frozenset(compiled.spec.exits)
    found = Search(compiled, say, edges, exits, pause=_PAUSE, budget=_MOST_MOVES).run()
    for late, pause in ((False, timedelta()), (True, timedelta())):
        lost, nowhere = edges - found.edges.keys(), exits - found.exits.keys()
        if lost or nowhere:
            more = Search(compiled, say, lost, nowhere, pause=pause, budget=_MOST_MOVES // 4, late=late).run()
            found = Found(found.edges | more.edges, found.exits | more.exits)
    return found


def _route(compiled: CompiledType, goal: str, name: str, path: Way) -> Route | None:
    """The route of a path, run as a scenario, with what that comes to as its expectation; None if not to its goal."""
    facts = {fact: fact_to_json(value) for fact, value in path.facts.items() if value is not None}
    scenario: dict[str, Any] = {"name": name}
    scenario |= {"facts": facts} if facts else {}
    scenario |= {"splits": dict(path.splits)} if path.splits else {}
    steps = list(_steps(path))
    scenario |= {"start": _shown(START), "steps": steps}
    result = _run(compiled, scenario)
    if result is None or not (goal in result.edges or goal == result.path[-1]):
        return None
    stage = result.path[-1]
    outcome = compiled.stages[stage].outcome
    steps[-1]["expect"] = {"stage": stage} | ({"exit": str(outcome)} if outcome is not None else {})
    return Route(goal, scenario, result.edges, result.stages)


def _steps(path: Way) -> Iterator[dict[str, Any]]:
    """The moves as steps of a scenario; time that passes before an arrival is part of its step."""
    now = START
    moves = list(path.moves)
    for at, move in enumerate(moves):
        if move.kind == "wait" and at + 1 < len(moves):
            continue
        step: dict[str, Any] = _passing(move.at - now) if move.at > now else {}
        if move.kind != "wait":
            step[move.kind] = move.text
        yield step or {"after": "0s"}
        now = move.at
    if not moves:
        yield {"after": "0s"}


def _passing(span: timedelta) -> dict[str, Any]:
    """Time that passes, in the widest unit that it is a whole number of."""
    seconds = span // timedelta(seconds=1)
    if span % timedelta(seconds=1):
        return {"at": _shown(START + span)}
    unit, size = next((unit, size) for unit, size in (("h", 3600), ("m", 60), ("s", 1)) if seconds % size == 0)
    return {"after": f"{seconds // 86_400}d" if seconds % 86_400 == 0 else f"{seconds // size}{unit}"}


def _run(compiled: CompiledType, scenario: Mapping[str, Any]) -> ScenarioReport | None:
    """How a scenario goes; None when a scenario file could not say it."""
    data = {"campaign_type": compiled.name, "scenarios": [scenario]}
    document = Document("", "paths")
    try:
        [prepared] = prepare(ScenarioFile(ScenarioFileSpec.model_validate(data), document), compiled)
    except (SpecError, ValidationError):
        return None
    return run_scenario(prepared, compiled, document)


def _edge_name(edge: Edge, path: Way, cause: str) -> str:
    """A name that says what the scenario is about: `after 10d in introduce goes to gave_up`."""
    stage = edge.source or path.stage
    if ".follow_ups[" in edge.key or ".escalate[" in edge.key:
        return f"{cause} in {stage}"
    if edge.key.startswith("always") and path.moves:
        last = path.moves[-1]
        cause = cause.replace("response or event", "response" if last.kind == "reply" else f"event {last.text}")
    return f"{cause} in {stage} {f'goes to {edge.target}' if edge.target else 'stays'}"


class _Names:
    """Hands out names, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def free(self, name: str) -> str:
        number = 1
        free = name
        while free in self._taken:
            number += 1
            free = f"{name} ({number})"
        self._taken.add(free)
        return free


def _why(edge: Edge, found: Found) -> str:
    """Why no path to an edge was found, as far as that is known."""
    reached = {taken.source for path in (*found.edges.values(), *found.exits.values()) for taken in path.taken}
    if edge.source and edge.source not in reached:
        return f"no way to {edge.source} was found"
    if edge.key == "ends_within":
        return "every conversation that was tried ends earlier"
    return f"nothing was found that makes {edge.when} true there" if edge.when else "something else always came first"


def _shown(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
