"""What lint finds beside a campaign type: edges that no scenario takes, and scenarios that are wrong themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.authoring.files import load_campaign_type
from engine.authoring.linting import edge_places, lint_file

TYPE = """\
campaign_type: hello
version: 1
facts: {renewal_on: "date?"}
responses: {intent: {"yes": {any_word: ["yes"]}}}
ends_within: {at_most: 90d, then: silent}
send_window: {from: "00:00", to: "00:00"}
start: ask
always: [{when: event == "unsubscribed", go: left}]
stages:
  ask:
    on_enter: [{send: hi}]
    follow_ups: [{after: 1d, send: hi}]
    escalate: [{after: 1d, to: lead}]
    on_response:
      - {when: intent == "yes", go: sort}
      - otherwise: stay
    on_event: {"odd.name[0]": {go: silent}, two: [{go: silent}, {go: stay}]}
    timers: [{after: 3d, go: silent}, {at: renewal_on, go: silent}]
  sort:
    split: [{share: 50%, go: agreed}, {otherwise: silent}]
exits: {agreed: won, silent: lost, left: stopped}
messages: {hi: {text: Hello}}
"""
SILENCE = """\
campaign_type: hello
scenarios:
  - name: silence ends it
    start: 2026-03-02T09:00:00Z
    steps:
      - {after: 3d, expect: {stage: silent}}
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    path = tmp_path / "hello.yaml"
    path.write_text(TYPE.replace(", {go: stay}]", "]"), encoding="utf-8")
    return path


def found(path: Path) -> list[tuple[str, int]]:
    return [(problem.code, problem.line) for problem in lint_file(path).problems]


def test_without_scenarios_beside_it_no_edge_is_missed(hello: Path) -> None:
    assert found(hello) == []


def test_every_edge_that_no_scenario_takes_is_told_at_its_place(hello: Path) -> None:
    hello.with_name("hello.test.yaml").write_text(SILENCE, encoding="utf-8")
    assert found(hello) == [("W701", line) for line in (8, 15, 16, 17, 17, 18, 20, 20)]


def test_an_end_that_no_conversation_lasts_to_needs_no_scenario(hello: Path) -> None:
    hello.with_name("hello.test.yaml").write_text(SILENCE, encoding="utf-8")
    assert ("W701", 5) not in found(hello), "silence ends it after three days, long before the ninety"
    waits_for_ever = "timers: [{after: 100d, go: silent}, {at: renewal_on, go: silent}]"
    hello.write_text(
        hello.read_text().replace("timers: [{after: 3d, go: silent}, {at: renewal_on, go: silent}]", waits_for_ever)
    )
    lasting = SILENCE.replace("after: 3d", "after: 1d, event: two")
    hello.with_name("hello.test.yaml").write_text(lasting, encoding="utf-8")
    assert ("W701", 5) in found(hello)


def test_an_untested_edge_can_be_left_so_with_a_reason(hello: Path) -> None:
    comment = "      # campaign: ignore[W701] hard to try\n      - otherwise: stay\n"
    hello.write_text(hello.read_text().replace("      - otherwise: stay\n", comment), encoding="utf-8")
    assert found(hello) == []
    hello.with_name("hello.test.yaml").write_text(SILENCE, encoding="utf-8")
    assert ("W701", 17) not in found(hello)
    assert "E107" not in [code for code, _ in found(hello)]


def test_scenarios_that_fail_say_nothing_of_edges(hello: Path) -> None:
    hello.with_name("hello.test.yaml").write_text(SILENCE.replace("stage: silent", "stage: agreed"), encoding="utf-8")
    assert found(hello) == []


def test_scenarios_that_cannot_be_read_are_problems_of_their_own_file(hello: Path) -> None:
    scenarios = hello.with_name("hello.test.yaml")
    scenarios.write_text(SILENCE.replace("steps:", "stesp:"), encoding="utf-8")
    assert {problem.file for problem in lint_file(hello).problems} == {str(scenarios)}
    assert lint_file(hello).problems == lint_file(scenarios).problems


def test_every_edge_has_a_place(hello: Path) -> None:
    compiled = load_campaign_type(hello)
    places = edge_places(compiled.spec)
    assert {edge.key for edge in compiled.edges} == places.keys()
