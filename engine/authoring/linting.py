"""What `campaign types lint` finds in a file: problems of a campaign type or of scenarios, and edges left untested.

W701 needs both: the scenarios of `NAME.test.yaml` are run, in memory, when they stand beside `NAME.yaml`. It is told
only when all of them pass, since one that stops early says nothing of the edges after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engine.authoring.files import check_file
from engine.core.checks.outline import Loc
from engine.core.errors import SpecError
from engine.core.ignores import silence
from engine.core.loader import LoadedType
from engine.core.problems import Problem
from engine.core.spec import CampaignTypeSpec

TEST = ".test.yaml"
PEOPLE = ".sim.yaml"
_UNCOVERED = "W701"
_THE_END = "ends_within"


def is_scenario_file(path: Path) -> bool:
    """Whether a file holds scenarios, by its name.

    >>> is_scenario_file(Path("hello.test.yaml")), is_scenario_file(Path("hello.yaml"))
    (True, False)
    """
    return path.name.endswith((TEST, ".test.yml"))


def is_people_file(path: Path) -> bool:
    """Whether a file holds simulated people, by its name.

    >>> is_people_file(Path("hello.sim.yaml")), is_people_file(Path("hello.yaml"))
    (True, False)
    """
    return path.name.endswith((PEOPLE, ".sim.yml"))


class Linted(NamedTuple):
    """What was found in a file, and what it holds, if that is a campaign type without errors."""

    problems: list[Problem]
    spec: CampaignTypeSpec | None = None


def lint_file(path: Path) -> Linted:
    """Every problem of the campaign type, scenario or people file at `path`, and of the scenarios beside a type.

    Raises CampaignError when a file cannot be read.
    """
    if is_scenario_file(path):
        return Linted(_scenario_problems(path))
    if is_people_file(path):
        from engine.authoring.simulation.people_file import check_people_file

        return Linted(check_people_file(path))
    loaded, problems = check_file(path)
    scenarios = path.with_name(f"{path.stem}{TEST}")
    if loaded is not None and scenarios.is_file():
        problems = sorted([*problems, *_with_scenarios(loaded, path, scenarios)])
    return Linted(problems, loaded.spec if loaded is not None else None)


def _scenario_problems(path: Path) -> list[Problem]:
    from engine.authoring.scenarios.run import run_scenarios

    try:
        run_scenarios(path)
    except SpecError as error:
        return list(error.problems)
    return []


def _with_scenarios(loaded: LoadedType, type_path: Path, path: Path) -> list[Problem]:
    """What is wrong with the scenarios of a campaign type, or else W701 for each edge that none of them takes."""
    from engine.authoring.scenarios.run import run_scenarios
    from engine.core.machine import compile_campaign_type

    try:
        report = run_scenarios(path, (type_path, compile_campaign_type(loaded.spec)))
    except SpecError as error:
        return list(error.problems)
    if report.failed or report.campaign_type != loaded.spec.campaign_type:
        return []
    places = edge_places(loaded.spec)
    missing = [key for key in report.edges.missing if key != _THE_END or _can_last(loaded.spec)]
    found = [
        loaded.document.problem(
            _UNCOVERED, f"no scenario in {path.name} comes this way; expected one that does", places[key]
        )
        for key in missing
    ]
    return silence(loaded.document, found, codes=frozenset({_UNCOVERED}))


def _can_last(spec: CampaignTypeSpec) -> bool:
    """Whether a conversation can last until `ends_within` ends it."""
    from engine.core.proofs.bounds import bounds_of
    from engine.core.proofs.ways import end_of_all

    ends = end_of_all(spec)
    return ends is not None and bounds_of(spec).longest >= ends[0]


def edge_places(spec: CampaignTypeSpec) -> dict[str, Loc]:
    """Where the file has each edge, follow-up and escalation, by its key, as in `stages.ask.on_response[1]`."""
    return {key: loc for loc, key in _places(spec)}


def _places(spec: CampaignTypeSpec) -> Iterator[tuple[Loc, str]]:
    yield (_THE_END, "then"), _THE_END
    yield from _listed(("always",), "always", len(spec.always))
    for name, stage in spec.stages.items():
        for list_name in ("on_response", "split", "timers", "follow_ups", "escalate"):
            length = len(getattr(stage, list_name))
            yield from _listed(("stages", name, list_name), f"stages.{name}.{list_name}", length)
        for event, edges in stage.on_event.items():
            loc = ("stages", name, "on_event", event)
            yield from _listed(loc, f"stages.{name}.on_event.{event}", len(edges))


def _listed(loc: Loc, key: str, length: int) -> Iterator[tuple[Loc, str]]:
    return (((*loc, index), f"{key}[{index}]") for index in range(length))
