"""What a new version would do to live conversations: E801 and W802, with their places in the new file.

`tests/checks/changes` has an example of either: the old version, the new one, and what is printed when three live
conversations stand in every stage of the old. `UPDATE_EXPECTATIONS=1` writes the outputs anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.authoring.diffs.diff import compare
from engine.authoring.diffs.forecast import forecast
from engine.authoring.diffs.report import Report
from engine.authoring.files import load_spec
from tests.unit.authoring.test_diff import a_type

CHANGES = Path(__file__).parents[2] / "checks" / "changes"
EXAMPLES = sorted(path.stem for path in CHANGES.glob("*.md"))
REMOVED = (("go: call}", "go: meet}"), ("  call:", "  meet:"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_prints_what_is_expected_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHANGES)
    old, new = (load_spec(f"{name}{suffix}") for suffix in (".old.yaml", ".yaml"))
    printed = "".join(f"{problem}\n" for problem in forecast(old, new, dict.fromkeys(old.spec.stages, 3)))
    expected = Path(f"{name}.txt")
    if os.environ.get("UPDATE_EXPECTATIONS") == "1":
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")
    assert f"[{name.partition('_')[0]}]" in printed


def test_both_codes_have_an_example() -> None:
    assert {name.partition("_")[0] for name in EXAMPLES} == {"E801", "W802"}


def codes(standing: dict[str, int], *edits: tuple[str, str], **mapping: str) -> list[str]:
    return [problem.code for problem in forecast(a_type(), a_type(*edits), standing, mapping)]


def test_a_removed_stage_matters_only_when_somebody_stands_in_it() -> None:
    assert codes({"call": 3}, *REMOVED) == ["E801"]
    assert codes({"ask": 3}, *REMOVED) == []
    assert codes({"call": 0}, *REMOVED) == []
    assert codes({}, *REMOVED) == []


def test_a_successor_of_the_same_content_takes_them_over_and_is_proposed() -> None:
    assert codes({"call": 3}, *REMOVED, call="meet") == []
    (problem,) = forecast(a_type(), a_type(*REMOVED), {"call": 1})
    assert problem.message.startswith("1 live conversation stands in stage 'call', which is removed")
    assert problem.message.endswith("perhaps call=meet")


@pytest.mark.parametrize(
    ("successor", "said"), [("mete", "did you mean meet?"), ("gave_up", "is no stage"), ("route", "splits")]
)
def test_a_successor_must_be_a_stage_that_waits(successor: str, said: str) -> None:
    (problem,) = forecast(a_type(), a_type(*REMOVED), {"call": 2}, {"call": successor})
    assert problem.code == "E801"
    assert said in problem.message


def test_a_stage_that_now_splits_has_no_place_for_those_who_wait_in_it() -> None:
    waiting = "    escalate: [{after: 4 business hours, to: lead}]\n    timers: [{after: 5d, go: gave_up}]"
    splits = "    split: [{when: seats > 9, go: sold}, {otherwise: gave_up}]"
    (problem,) = forecast(a_type(), a_type((waiting, splits)), {"call": 2})
    assert problem.code == "E801"
    assert "splits at once" in problem.message
    assert problem.source.strip() == "call:"


@pytest.mark.parametrize(
    ("stage", "old", "new", "line"),
    [
        ("ask", "after: 10d", "after: 11d", "- {after: 11d, go: gave_up}"),
        ("ask", "30d 09:00", "31d 09:00", "- {at: renewal_on - 31d 09:00, go: route}"),
        ("ask", "\n      - {at: renewal_on - 30d 09:00, go: route}", "", "ask:"),
        ("call", "[{after: 5d, go: gave_up}]", "[{after: 5d, go: gave_up}, {after: 4d, when: seats > 9, go: sold}]",
         "timers: [{after: 5d, go: gave_up}, {after: 4d, when: seats > 9, go: sold}]"),
        ("call", "4 business hours", "5 business hours", "escalate: [{after: 5 business hours, to: lead}]"),
        ("call", 'to: "17:00"', 'to: "18:00"', "escalate: [{after: 4 business hours, to: lead}]"),
        ("ask", "at_most: 60d", "at_most: 50d", "ends_within: {at_most: 50d, then: gave_up}"),
    ],
)  # fmt: skip
def test_a_deadline_that_moves_is_told_with_how_many_wait_for_it(stage: str, old: str, new: str, line: str) -> None:
    (problem,) = forecast(a_type(), a_type((old, new)), {stage: 1_200})
    assert (problem.code, problem.severity) == ("W802", "warning")
    assert "1,200 live conversations" in problem.message
    assert problem.source.strip() == line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("after: 10d, go: gave_up", "after: 10d, go: route"),
        ("cooldown: 24h", "cooldown: 48h"),
        ("after: 3d, send: bump}, {", "after: 4d, send: bump}, {"),
        ("after: 5d", "after: 6d"),
        ("min_stay: 24h", "min_stay: 48h"),
    ],
)
def test_what_moves_no_deadline_of_those_who_live_is_not_reported(old: str, new: str) -> None:
    """Another target, other sending times, a stage where nobody stands."""
    assert codes({"ask": 3}, (old, new)) == []


def test_the_report_says_where_they_would_go() -> None:
    old, new = a_type(), a_type(*REMOVED, ("after: 10d", "after: 11d"))
    standing = {"ask": 12, "call": 3}
    report = Report(compare(old, new), standing, {}, forecast(old, new, standing))
    assert report.failed
    assert "  ask   12: they stay, in a changed stage\n  call  3: no place for them" in report.render()
    moved = Report(compare(old, new), standing, {"call": "meet"}, forecast(old, new, standing, {"call": "meet"}))
    assert not moved.failed
    assert "  call  3: they move to meet" in moved.render()
    assert moved.as_dict()["live"] == [
        {"stage": "ask", "conversations": 12, "to": "ask"},
        {"stage": "call", "conversations": 3, "to": "meet"},
    ]
