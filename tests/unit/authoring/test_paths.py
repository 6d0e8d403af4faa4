"""Generated scenarios pass, reach every edge that can be reached, and leave files as they found them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings

from engine.authoring.files import load_campaign_type
from engine.authoring.path_files import appended
from engine.authoring.paths import Routes, routes_of, write_routes
from engine.authoring.replies.wording import wording_of
from engine.authoring.scenarios.run import run_scenarios
from engine.authoring.scenarios.scenario_file import read_scenarios
from engine.core.errors import RefusedError
from engine.core.machine import compile_campaign_type
from engine.core.patterns import pattern
from engine.core.spec import CampaignTypeSpec
from engine.core.words import Heard
from tests.unit.builders import a_type
from tests.unit.core.random_types import random_specs

TYPES = Path("campaign_types")
SHIPPED = sorted(path for path in TYPES.glob("*.yaml") if not path.name.endswith((".test.yaml", ".sim.yaml")))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_paths_of_a_shipped_type_cover_every_edge_and_exit(path: Path, tmp_path: Path) -> None:
    here = Path(shutil.copy(path, tmp_path))
    routes = routes_of(load_campaign_type(here))
    assert routes.missing == {}
    names = write_routes(here, routes)
    report = run_scenarios(here.with_name(f"{path.stem}.test.yaml"))
    assert [result.name for result in report.results] == names
    assert report.failed == 0
    assert report.edges.missing == ()
    assert report.stages.missing == ()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_is_added_to_the_full_scenarios_of_a_shipped_type(path: Path, tmp_path: Path) -> None:
    here = Path(shutil.copy(path, tmp_path))
    tests = Path(shutil.copy(path.with_name(f"{path.stem}.test.yaml"), tmp_path))
    before = tests.read_bytes()
    assert write_routes(here, routes_of(load_campaign_type(here))) == []
    assert tests.read_bytes() == before


def test_what_a_file_lacks_is_added_and_the_rest_stays_byte_for_byte(tmp_path: Path) -> None:
    here = Path(shutil.copy(TYPES / "support_followup.yaml", tmp_path))
    tests = here.with_name("support_followup.test.yaml")
    kept = (
        "# our own\r\ncampaign_type: support_followup   # the type\r\nscenarios:\r\n"
        "    - name: after 168h in reopened goes to left_open\r\n"
        "      facts: {first_name: A, ticket_id: B, ticket_subject: C}\r\n"
        "      start: 2026-03-02T09:00:00Z\r\n      steps:\r\n        - {after: 2d}   # nothing yet"
    )
    tests.write_bytes(kept.encode())
    added = write_routes(here, routes_of(load_campaign_type(here)))
    assert tests.read_bytes().decode().startswith(f"{kept}\r\n")
    assert "after 168h in reopened goes to left_open (2)" in added  # its name was taken
    report = run_scenarios(tests)
    assert (report.failed, report.edges.missing, report.stages.missing) == (0, (), ())
    assert write_routes(here, routes_of(load_campaign_type(here))) == []


def test_scenarios_are_added_to_the_list_even_when_another_key_follows() -> None:
    source = (
        "scenarios:\n- name: one\n  start: 2026-03-02T09:00:00Z\n  steps:\n  - {after: 1h}\n\ncampaign_type: hello\n"
    )
    scenario = {"name": "two: more", "start": "2026-03-02T09:00:00Z", "steps": [{"after": "1d", "reply": 'say "no"'}]}
    text = appended(source, "hello.test.yaml", [scenario])
    scenarios = read_scenarios(text, "hello.test.yaml").spec.scenarios
    assert [each.name for each in scenarios] == ["one", "two: more"]
    assert scenarios[1].steps[0].reply == 'say "no"'
    assert text.endswith("campaign_type: hello\n")


def test_a_list_in_brackets_is_refused_rather_than_rewritten() -> None:
    source = "campaign_type: hello\nscenarios: [{name: one, start: 2026-03-02T09:00:00Z, steps: [{after: 1h}]}]\n"
    with pytest.raises(RefusedError, match="brackets"):
        appended(source, "hello.test.yaml", [])


MATCHERS = """
    any: {a: {any_word: [yes, sure]}}
    all: {a: {all_words: [call, me]}}
    phrased: {a: {phrase: not now}, b: {only_phrase: go away}}
    opening: {a: {beginning: hello}}
    expression: {a: {pattern: "^[A-Z]{2}-[0-9]+$"}}
    exact: {a: {only_text: "Ok."}}
    figure: {low: {number_lt: 3}, middle: {number_between: [3, 5]}, high: {number_gt: 5}}
    day: {past: {date_lt: today}, now: {date_eq: today}, soon: {date_gt: today + 3d}}
    clock: {a: {time: true}}
    mail: {a: {email: true}}
    call: {a: {phone: GB}}
    several: {a: {any_of: [{any_word: [one]}, {phrase: the other}]}}
"""


def test_every_kind_of_matcher_gets_a_reply_that_it_matches() -> None:
    labels = [
        'any == "a"', 'all == "a"', 'phrased == "a"', 'phrased == "b"', 'opening == "a"', 'expression == "a"',
        'exact == "a"', 'figure == "low"', 'figure == "middle"', 'figure == "high"', 'day == "past"', 'day == "now"',
        'day == "soon"', 'clock == "a"', 'mail == "a"', 'call == "a"', 'several == "a"',
    ]  # fmt: skip
    for label in labels:
        name = label.split()[0]
        response = next(line for line in MATCHERS.splitlines() if line.strip().startswith(f"{name}:"))
        compiled = a_type(
            {"ask": {"on_response": [{"when": label, "go": "bought"}, {"otherwise": "stay"}],
                     "timers": [{"after": "10d", "go": "gave_up"}]}},  # type: ignore[arg-type]
            responses=response,
        )  # fmt: skip
        routes = routes_of(compiled)
        assert [route.goal for route in routes.edges] == [edge.key for edge in compiled.edges], (label, routes.missing)


@pytest.mark.parametrize(
    "matcher",
    [
        "{email: true}", "{phone: GB}", "{phone: true}", "{time: true}", '{pattern: "^[A-Z]{2}-[0-9]+$"}',
        "{any_word: [yes, sure]}", "{all_words: [call, me]}", "{phrase: not now}", "{only_phrase: go away}",
        "{only_text: Ok.}", "{beginning: hello}", "{text: true}", "{number: 1..5}", "{number_gt: 5}", "{date: true}",
        "{date_lt: today}", "{date_eq: today}", "{date_gt: today + 3d}", "{any_of: [{email: true}, {phrase: x y}]}",
    ],
)  # fmt: skip
def test_a_response_of_a_bare_matcher_is_brought_to_capture_something(matcher: str) -> None:
    compiled = a_type(
        """
        ask:
          on_response: [{when: r is not missing, go: bought}, {otherwise: stay}]
          timers: [{after: 10d, go: gave_up}]
        """,
        responses=f"r: {matcher}",
    )
    assert [route.goal for route in routes_of(compiled).edges] == [edge.key for edge in compiled.edges]


def test_what_is_captured_may_be_any_value_on_the_same_side_of_every_guard() -> None:
    compiled = a_type(
        """
        ask:
          on_response:
            - {when: 'day > "2031-01-01"', go: bought, do: [{set: {due_on: day}}]}
            - {when: day is not missing, go: sort, do: [{set: {due_on: day}}]}
            - {otherwise: stay}
          timers: [{after: 10d, go: gave_up}]
        sort: {split: [{when: 'due_on <= "2020-01-01"', go: opted_out}, {otherwise: gave_up}]}
        """,
        facts='due_on: "date?"',
        responses="day: {date: true}",
    )
    routes = routes_of(compiled)
    assert routes.missing == {}
    replies = {route.goal: route.scenario["steps"][-1].get("reply") for route in routes.edges}
    assert replies["stages.ask.on_response[0]"] > "2031-01-01"
    assert replies["stages.sort.split[0]"] <= "2020-01-01"


def test_a_date_that_nothing_asks_for_lies_near_the_time_of_the_scenario() -> None:
    compiled = a_type(
        """
        ask:
          on_response: [{when: day is not missing, go: bought}, {otherwise: stay}]
          timers: [{after: 10d, go: gave_up}]
        """,
        responses="day: {date: true}",
    )
    [route] = [each for each in routes_of(compiled).edges if each.goal == "stages.ask.on_response[0]"]
    assert route.scenario["steps"][-1]["reply"] == "2026-03-02"


def test_numbers_of_a_reply_lie_on_the_side_that_the_guard_asks_for() -> None:
    compiled = a_type(
        """
        ask:
          on_response: [{when: rating >= 4, go: bought}, {when: rating < 2, go: opted_out}, {otherwise: gave_up}]
          timers: [{after: 10d, go: gave_up}]
        """
    )
    routes = {route.goal: route.scenario["steps"][-1] for route in routes_of(compiled).edges}
    assert float(routes["stages.ask.on_response[0]"]["reply"]) >= 4
    assert float(routes["stages.ask.on_response[1]"]["reply"]) < 2


def test_an_edge_that_only_a_taken_label_leads_to_is_told_with_a_reason() -> None:
    compiled = a_type(
        """
        ask:
          on_response: [{when: answer == "second", go: bought}, {otherwise: gave_up}]
          timers: [{after: 10d, go: gave_up}]
        """,
        responses='answer: {first: {any_word: [yes]}, second: {only_phrase: "yes"}}',
    )
    routes = routes_of(compiled)
    assert "on_response[0]" in next(iter(routes.missing))
    assert "# not reached: bought: no way there was found" in routes.render()


def test_shares_and_what_they_leave_are_fixed_by_splits() -> None:
    compiled = a_type(
        """
        ask: {timers: [{after: 1d, go: sort}]}
        sort: {split: [{share: 50%, go: bought}, {otherwise: gave_up}]}
        """
    )
    routes = {route.goal: route.scenario.get("splits") for route in routes_of(compiled).edges}
    assert routes["stages.sort.split[0]"] == {"sort": "bought"}
    assert routes["stages.sort.split[1]"] == {"sort": "gave_up"}


@pytest.mark.parametrize(
    "written", [r"\b(not|never)\s+(\w+\s+)?accept", r"^[0-9]{4}-\d+$", "[^a-z]x+", "(a|b)?c*d{2,}"]
)
def test_a_pattern_gets_texts_that_it_matches(written: str) -> None:
    texts = list(wording_of(written))
    assert texts
    assert all(pattern(written)(Heard(text)) is not None for text in texts)


def full(routes: Routes, spec: CampaignTypeSpec) -> None:
    goals = {edge.key for edge in compile_campaign_type(spec).edges} | set(spec.exits)
    assert {route.goal for route in (*routes.edges, *routes.exits)} | set(routes.missing) == goals


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=random_specs())
def test_the_paths_of_random_types_do_what_they_say(
    spec: CampaignTypeSpec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("random")
    path = folder / "random.yaml"
    path.write_text(json.dumps(spec.as_json(), indent=1), encoding="utf-8")
    routes = routes_of(load_campaign_type(path))
    full(routes, spec)
    write_routes(path, routes)
    report = run_scenarios(folder / "random.test.yaml")
    assert report.failed == 0
    assert set(report.edges.missing) <= set(routes.missing)
    assert {name for name in report.stages.missing if name in spec.exits} <= set(routes.missing)
    event(f"missing edges: {len(report.edges.missing)} of {report.edges.total}")
