"""A campaign type and the files of scenarios that tests write for it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import pytest

from engine.authoring.scenarios.report import Report, ScenarioReport
from engine.authoring.scenarios.run import run_scenarios
from engine.core.errors import SpecError

TYPE = """
campaign_type: visit
version: 1
facts: {seats: int 1..1000, renewal_on: "date?", vip: "bool?"}
responses:
  intent:
    stop: {any_word: [stop]}
    go: {any_word: [go]}
    wait: {any_word: [wait]}
  rating: {number: 1..5}
start: ask
always:
  - {when: intent == "stop", go: opted_out}
stages:
  ask:
    min_stay: 24h
    on_enter:
      - send: hello
      - {send: question, after: 24h}
    follow_ups:
      - {after: 48h, send: bump}
    on_response:
      - {when: intent == "go", go: share}
      - {when: intent == "wait", go: stay}
      - otherwise: human
    on_event:
      opened: {go: stay, do: [{send: tip}], at_most: 1}
    timers:
      - {after: 7d, go: gave_up}
  human:
    on_enter: [{assign: {to: inbox}}]
    escalate: [{after: 4h, to: lead}]
    on_response:
      - {when: intent == "go", go: share}
      - otherwise: stay
    timers:
      - {after: 2d, go: gave_up}
  share:
    split:
      - {when: seats >= 500, go: large}
      - {share: 50%, go: red}
      - otherwise: blue
exits: {large: won, red: won, blue: won, gave_up: lost, opted_out: stopped}
messages:
  hello: {text: hello}
  question: {text: question}
  bump: {text: bump}
  tip: {text: tip}
"""


def report_of(folder: Path, text: str) -> Report:
    """The report of a test file that holds `text`."""
    path = folder / "visit.test.yaml"
    path.write_text(text, encoding="utf-8")
    return run_scenarios(path)


def a_scenario(steps: str, more: str = "", name: str = "one") -> str:
    """A file with one scenario that starts on a Monday at nine in UTC; `more` stands before its steps."""
    head = f"campaign_type: visit\nscenarios:\n  - name: {name}\n"
    more = more or "facts: {seats: 10}"
    rest = f"{dedent(more).strip()}\nstart: 2026-03-02T09:00:00Z\nsteps:\n{indent(dedent(steps).strip(), '  ')}"
    return head + indent(rest, "    ") + "\n"


def run(folder: Path, steps: str, more: str = "") -> ScenarioReport:
    return report_of(folder, a_scenario(steps, more)).results[0]


def assert_passes(folder: Path, steps: str, more: str = "") -> None:
    result = run(folder, steps, more)
    assert result.passed, result.render()


def difference(folder: Path, steps: str, more: str = "") -> tuple[str, str]:
    """What was expected and got at the first difference."""
    found = run(folder, steps, more).difference
    assert found is not None, "the scenario passed"
    return found.expected, found.got


def problems_of(folder: Path, text: str) -> list[tuple[int, int, str, str]]:
    with pytest.raises(SpecError) as caught:
        report_of(folder, text)
    return [(each.line, each.column, each.code, each.message) for each in caught.value.problems]
