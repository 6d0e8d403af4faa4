"""Checks of times: follow-ups and escalations too late, timers that never land, windows, business time, `at:` rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.core.checks.timing import shown_span
from engine.core.problems import Problem
from tests.unit.checking import codes, problems, warnings

WINDOW = 'send_window: {days: mon-fri, from: "09:00", to: "17:00"}'


def stage(*lines: str, timers: str = "[{after: 3d, go: lost_it}]") -> str:
    return "\n".join(["  ask:", *(f"    {line}" for line in lines), f"    timers: {timers}"])


def warned(stages: str, more: str = WINDOW) -> list[str]:
    return [problem.code for problem in warnings(stages, more=more)]


def pointed_at(problem: Problem) -> str:
    return problem.source[problem.column - 1 :]


@pytest.mark.parametrize(
    ("lines", "late"),
    [
        (["follow_ups: [{after: 71h, send: intro}]"], False),
        (["follow_ups: [{after: 72h, send: intro}]"], True),
        (["follow_ups: [{after: 1d, send: intro, times: 2}]"], False),
        (["follow_ups: [{after: 1d, send: intro, times: 3}]"], True),
        (["follow_ups: [{after: 2d, send: intro}, {after: 1d, send: intro}]"], True),
        (["on_enter: [{send: intro, after: 1d}]", "follow_ups: [{after: 2d, send: intro}]"], True),
        (["on_enter: [{send: intro, after: 1d}, send: intro]", "follow_ups: [{after: 2d, send: intro}]"], False),
        (["on_enter: [{send: intro, after: 1d, when: vip}]", "follow_ups: [{after: 2d, send: intro}]"], False),
    ],
)
def test_a_follow_up_must_be_due_before_the_stages_timer(lines: list[str], late: bool) -> None:
    found = problems(stage(*lines))
    assert [problem.code for problem in found] == (["E401"] if late else [])
    assert all("after:" in problem.source[: problem.column] for problem in found)


def test_only_timers_that_end_the_visit_for_certain_make_a_follow_up_late() -> None:
    follow_up = "follow_ups: [{after: 4d, send: intro}]"
    guarded, staying, dated = (
        "{after: 1d, when: vip, go: lost_it}",
        "{after: 2d, go: stay}",
        "{at: renewal_on, go: left}",
    )
    timers = f"[{guarded}, {staying}, {dated}, {{after: 5d, go: left}}]"
    assert codes(stage(follow_up, timers=timers)) == []
    assert codes(stage(follow_up, timers="[]"), more="ends_within: {at_most: 1d, then: lost_it}") == []


def test_an_escalation_at_or_after_the_timer_is_a_warning_at_the_escalation() -> None:
    [problem] = warnings(stage("escalate: [{after: 4h, to: lead}, {after: 72h, to: boss}]"))
    assert problem.code == "W404"
    assert pointed_at(problem).startswith("72h")


@pytest.mark.parametrize(
    ("timers", "expected"),
    [
        ("[{after: 3d, go: lost_it}, {after: 4d, when: vip, go: left}]", ["W402"]),
        ("[{after: 3d, go: lost_it}, {after: 3d, when: vip, go: left}]", ["W402"]),
        ("[{after: 3d, when: vip, go: left}, {after: 3d, go: lost_it}]", []),
        ("[{after: 3d, go: stay}, {after: 4d, go: lost_it}]", []),
        ("[{after: 4d, go: lost_it}, {after: 3d, go: left}]", ["W402"]),
    ],
)
def test_a_timer_that_another_always_forestalls_never_lands(timers: str, expected: list[str]) -> None:
    assert warned(stage(timers=timers)) == expected


def test_a_timer_later_than_ends_within_never_lands() -> None:
    ends = "ends_within: {at_most: 2d, then: lost_it}"
    assert warned(stage(), more=ends) == ["W402"]
    assert warned(stage(timers="[{after: 48h, go: lost_it}]"), more=ends) == []


@pytest.mark.parametrize(
    ("timers", "expected"),
    [
        ("[{after: 48h, go: lost_it}, {after: 2d, go: left}]", ["E405"]),
        ("[{after: 48h, go: stay}, {after: 2d, go: left}]", ["E405"]),
        ("[{after: 48h, when: vip, go: lost_it}, {after: 2d, go: left}]", []),
        ("[{after: 48h, go: lost_it}, {at: renewal_on, go: left}]", []),
    ],
)
def test_two_certain_timers_at_one_instant_are_refused(timers: str, expected: list[str]) -> None:
    assert codes(stage(timers=timers)) == expected


def test_business_time_needs_a_send_window_of_the_stage_or_the_type() -> None:
    business = "escalate: [{after: 4 business hours, to: lead}]"
    assert codes(stage(business)) == ["E105"]
    assert codes(stage(business), more=WINDOW) == []
    assert codes(stage(WINDOW, business)) == []


def test_a_delay_that_an_edge_takes_along_needs_the_window_of_the_type() -> None:
    edge = "on_event: {opened: {go: %s, do: [{send: intro, after: 1 business day}], at_most: 1}}"
    assert codes(stage(WINDOW, edge % "stay")) == []
    assert codes(stage(WINDOW, (edge % "left").replace(", at_most: 1", ""))) == ["E105"]


def test_limits_and_the_end_of_everything_count_no_business_time_without_a_window() -> None:
    assert codes(stage(), more=f"{WINDOW}\nlimits: {{cooldown: 4 business hours}}") == ["E105"]
    assert codes(stage(), more="ends_within: {at_most: 9 business days, then: lost_it}") == ["E105"]


@pytest.mark.parametrize(
    ("at", "code", "place"),
    [("renewl_on - 30d", "E301", "renewl_on"), ("seats 09:00", "E107", "seats"), ("'  name'", "E107", "name")],
)
def test_an_at_timer_counts_from_a_fact_that_is_a_date(at: str, code: str, place: str) -> None:
    [problem] = problems(stage(timers=f"[{{at: {at}, go: left}}, {{after: 3d, go: lost_it}}]"))
    assert problem.code == code
    assert pointed_at(problem).startswith(place)


def test_a_window_none_of_whose_preferred_times_lie_within_its_hours_is_an_error() -> None:
    window = 'send_window: {from: "22:00", to: "06:00", at: ["07:00", "21:59"]}'
    [problem] = problems(stage(), more=window)
    assert (problem.code, problem.severity) == ("W402", "error")
    [problem] = warnings(stage(), more=window.replace("21:59", "23:00"))
    assert (problem.code, problem.severity) == ("W402", "warning")
    assert pointed_at(problem).startswith('"07:00"')
    assert warned(stage(), more=window.replace("07:00", "05:59").replace("21:59", "22:00")) == []


def test_a_span_is_shown_in_its_largest_even_unit() -> None:
    assert [shown_span(timedelta(seconds=each)) for each in (0, 59, 60, 5400, 7200, 172_800)] == [
        "0s", "59s", "1m", "90m", "2h", "2d",
    ]  # fmt: skip


# --- the longest way


LOOP = """
  ask: {on_response: [{otherwise: wait}], timers: [{after: 10d, go: lost_it}]}
  wait: {visits: {at_most: 2, then: lost_it}, timers: [{after: 14d, go: ask}]}
"""


@pytest.mark.parametrize(("at_most", "told"), [("58d", False), ("57d", True), ("20d", True)])
def test_the_longest_way_counts_visits_and_every_wait_on_it(at_most: str, told: bool) -> None:
    found = warnings(LOOP, more=f"ends_within: {{at_most: {at_most}, then: left}}")
    assert [problem.code for problem in found] == (["W207"] if told else [])


def test_a_stage_that_only_ends_within_ends_has_no_longest_way() -> None:
    stages = LOOP.replace("timers: [{after: 10d, go: lost_it}]", "timers: []")
    assert warned(stages, more="ends_within: {at_most: 20d, then: left}") == []
