"""Scenario files: what a step does, what an expectation looks at, and how a difference is reported."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from xml.etree import ElementTree

import pytest

from engine.authoring.scenarios.junit import as_junit
from engine.authoring.scenarios.run import run_scenarios
from tests.unit.authoring.visits import TYPE, a_scenario, assert_passes, difference, problems_of, report_of


def test_enrolment_enters_the_start_stage_and_its_first_message_leaves(folder: Path) -> None:
    assert_passes(folder, "- expect: {stage: ask, sent: [{message: hello, at: 2026-03-02T09:00:00Z}]}")


def test_a_reply_comes_before_the_messages_and_timers_of_its_instant(folder: Path) -> None:
    steps = """
    - {at: 2026-03-05T09:00:00Z, reply: huh, expect: {stage: human, sent: [hello, question], not_sent: [bump]}}
    """
    assert_passes(folder, steps)


def test_a_reply_at_the_last_instant_of_min_stay_is_held_until_the_message_of_that_instant_left(folder: Path) -> None:
    assert_passes(folder, "- {after: 24h, reply: huh, expect: {stage: human, sent: [hello, question]}}")


def test_a_reply_that_leaves_the_stage_cancels_the_message_of_its_own_instant(folder: Path) -> None:
    assert_passes(folder, "- {after: 24h, reply: stop, expect: {exit: stopped, sent: [hello]}}")


def test_a_reply_at_the_start_comes_before_the_first_message(folder: Path) -> None:
    assert_passes(folder, "- {reply: stop, expect: {exit: stopped, sent: []}}")


def test_an_event_is_acted_on_while_replies_are_held(folder: Path) -> None:
    steps = """
    - {after: 1h, reply: huh, expect: {stage: ask}}
    - {after: 1h, event: opened, expect: {stage: ask, sent: [hello, tip]}}
    - {after: 1h, event: opened, expect: {sent: []}}
    """
    assert_passes(folder, steps)


def test_expectations_come_after_everything_planned_for_the_instant(folder: Path) -> None:
    assert_passes(folder, "- {after: 24h, expect: {sent: [hello, question]}}")


def test_sent_and_not_sent_look_back_to_the_last_sent(folder: Path) -> None:
    steps = """
    - {expect: {sent: [hello]}}
    - {after: 1h, expect: {not_sent: [hello]}}
    - {after: 4d, expect: {not_sent: [tip]}}
    - {expect: {sent: [question, bump], not_sent: [hello]}}
    """
    assert_passes(folder, steps)


def test_assigned_looks_back_to_the_last_assigned_and_counts_escalations(folder: Path) -> None:
    steps = """
    - {after: 25h, reply: huh, expect: {assigned: [inbox]}}
    - {after: 4h, expect: {assigned: [{to: lead, at: 2026-03-03T14:00:00Z}]}}
    """
    assert_passes(folder, steps)


def test_days_and_times_without_an_offset_are_the_recipients(folder: Path) -> None:
    """Clocks in London went forward on 29 March 2026, so seven days there had an hour less."""
    text = """
    campaign_type: visit
    scenarios:
      - name: spring
        facts: {seats: 1}
        recipient: {timezone: Europe/London}
        start: 2026-03-27T09:00
        steps:
          - {at: 2026-03-28T09:00, expect: {next_due: 2026-03-30T10:00}}
          - {after: 6d, expect: {exit: lost, not_sent: [tip]}}
    """
    report = report_of(folder, dedent(text))
    assert report.failed == 0, report.render()


def test_shares_fall_as_the_scenario_fixes_them_but_a_guard_before_them_wins(folder: Path) -> None:
    go = "- {after: 25h, reply: go}\n- expect: {stage: %s, exit: won}"
    assert_passes(folder, go % "red", "facts: {seats: 10}\nsplits: {share: red}")
    assert_passes(folder, go % "large", "facts: {seats: 900}\nsplits: {share: red}")


def test_context_shows_facts_and_captured_values(folder: Path) -> None:
    context = "{seats: 10, renewal_on: 2026-05-01, vip: true, intent: other, rating: 4}"
    more = "facts: {seats: 10, renewal_on: 2026-05-01, vip: true}"
    assert_passes(folder, f"- {{after: 1h, reply: a 4, expect: {{context: {context}}}}}", more)
    assert difference(folder, "- expect: {context: {rating: 4}}") == ("rating 4", "missing")
    assert difference(folder, "- {reply: 4, expect: {context: {rating: null}}}") == ("rating missing", "4")


def test_nothing_until_looks_ahead_and_changes_nothing(folder: Path) -> None:
    steps = """
    - {after: 1h, expect: {nothing_until: 2026-03-03T09:00:00Z}}
    - {after: 1h, event: opened}
    - expect: {sent: [hello, tip]}
    """
    assert_passes(folder, steps)
    ahead = difference(folder, "- {after: 1h, expect: {nothing_until: 2026-03-03T09:00:01Z}}")
    assert ahead == ("nothing until 2026-03-03T09:00:01Z", "sent question at 2026-03-03T09:00:00Z")


def test_null_expects_nothing_to_be_due_and_no_exit(folder: Path) -> None:
    assert_passes(folder, "- expect: {exit: null}\n- {reply: stop, expect: {next_due: null}}")
    assert difference(folder, "- {expect: {next_due: null}}") == ("next due nothing", "2026-03-09T09:00:00Z")
    assert difference(folder, "- {reply: stop, expect: {exit: null}}") == ("exit none", "stopped (opted_out)")


@pytest.mark.parametrize(
    ("expect", "expected", "got"),
    [
        ("{stage: human}", "stage human", "ask"),
        ("{exit: won}", "exit won", "none; the stage is ask"),
        ("{sent: [tip]}", "sent tip", "hello at 2026-03-02T09:00:00Z"),
        ("{sent: []}", "sent nothing", "hello at 2026-03-02T09:00:00Z"),
        ("{sent: [hello, tip]}", "sent hello, tip", "hello at 2026-03-02T09:00:00Z"),
        ("{not_sent: [tip, hello]}", "no hello", "hello at 2026-03-02T09:00:00Z"),
        ("{assigned: [inbox]}", "assigned inbox", "nothing"),
        ("{context: {seats: 11}}", "seats 11", "10"),
        ("{next_due: 2026-03-05T10:00:00Z}", "next due 2026-03-05T10:00:00Z", "2026-03-09T09:00:00Z"),
    ],
)
def test_a_difference_shows_both_sides(folder: Path, expect: str, expected: str, got: str) -> None:
    assert difference(folder, f"- expect: {expect}") == (expected, got)


def test_both_dates_of_a_difference_are_quoted(folder: Path) -> None:
    given = "facts: {renewal_on: 2026-04-27}"
    found = difference(folder, "- expect: {context: {renewal_on: 2026-04-28}}", given)
    assert found == ("renewal_on '2026-04-28'", "'2026-04-27'")


def test_only_the_first_difference_of_a_scenario_is_reported_with_its_place_and_story(folder: Path) -> None:
    steps = """
    - {after: 1h, reply: stop}
    - {after: 1h, expect: {sent: [hello, bump], stage: ask}}
    - {after: 1h, expect: {stage: human}}
    """
    report = report_of(folder, a_scenario(steps))
    assert (report.passed, report.failed) == (0, 1)
    assert report.results[0].render().splitlines() == [
        "FAILED  one",
        f"  {folder / 'visit.test.yaml'}:8:58",
        "    expected stage ask",
        "    got      opted_out",
        "  what happened until then:",
        "    2026-03-02T09:00:00Z  entered ask (start)",
        "    2026-03-02T09:00:00Z  sent hello",
        "    2026-03-02T10:00:00Z  reply 'stop'",
        "    2026-03-02T10:00:00Z  entered opted_out (response)",
    ]


def test_the_story_of_a_long_scenario_is_cut_at_its_beginning(folder: Path) -> None:
    steps = "- {after: 25h, reply: huh}\n" + "- {after: 1m, reply: so}\n" * 30 + "- expect: {stage: ask}"
    report = report_of(folder, a_scenario(steps))
    [result] = report.results
    assert report.as_dict()["scenarios"][0]["timeline"] == list(result.timeline)
    assert (len(result.timeline), result.earlier) == (20, 16)
    assert all(line.startswith("2026-03-") for line in result.timeline)
    assert result.timeline[-1] == "2026-03-03T10:30:00Z  reply 'so'"
    story = result.render().splitlines()
    assert story[story.index("  what happened until then:") + 1] == "    (16 earlier entries left out)"


def test_messages_leave_when_windows_and_limits_let_them(tmp_path: Path) -> None:
    text = TYPE.replace(
        "start: ask\n", 'limits: {cooldown: 6h}\nsend_window: {from: "08:00", to: "18:00"}\nstart: ask\n'
    )
    text = text.replace("- send: hello\n", "- send: hello\n      - send: tip\n")
    (tmp_path / "visit.yaml").write_text(text, encoding="utf-8")
    steps = """
      - expect: {sent: [hello]}
      - after: 40h
        expect: {sent: [{message: tip, at: 2026-03-02T15:00:00Z}, {message: question, at: 2026-03-03T09:00:00Z}]}
    """
    assert report_of(tmp_path, a_scenario(dedent(steps).strip())).failed == 0


def test_two_messages_that_limits_bring_together_leave_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    text = TYPE.replace("start: ask\n", "limits: {per_recipient: 1 per 1d}\nstart: ask\n")
    text = text.replace("- send: hello\n", "- send: hello\n      - send: tip\n      - {send: bump, after: 1h}\n")
    (tmp_path / "visit.yaml").write_text(text, encoding="utf-8")
    steps = """
      - after: 80h
        expect:
          sent:
            - hello
            - {message: tip, at: 2026-03-03T09:00:00Z}
            - {message: bump, at: 2026-03-04T09:00:00Z}
            - {message: question, at: 2026-03-05T09:00:00Z}
    """
    assert report_of(tmp_path, a_scenario(dedent(steps).strip())).failed == 0


def test_an_event_that_the_type_never_emits_is_told(tmp_path: Path) -> None:
    text = TYPE.replace("{assign: {to: inbox}}", "{assign: {to: inbox}}, {emit: stuck}")
    (tmp_path / "visit.yaml").write_text(text, encoding="utf-8")
    [(line, column, code, message)] = problems_of(tmp_path, a_scenario("- expect: {emitted: [stuk]}"))
    assert (line, column, code) == (7, 28, "E301")
    assert message == "unknown emitted event 'stuk'; expected one of stuck; did you mean stuck?"


def test_events_for_other_systems_are_looked_at_like_messages(tmp_path: Path) -> None:
    text = TYPE.replace("{assign: {to: inbox}}", "{assign: {to: inbox}}, {emit: stuck}")
    (tmp_path / "visit.yaml").write_text(text, encoding="utf-8")
    asked = """
    - {after: 25h, reply: hm, expect: {emitted: [{event: stuck, at: 2026-03-03T10:00:00Z}]}}
    - expect: {emitted: [%s]}
    """
    assert report_of(tmp_path, a_scenario(asked % "")).failed == 0
    again = report_of(tmp_path, a_scenario(asked % "stuck"))
    assert again.results[0].difference is not None
    assert (again.results[0].difference.expected, again.results[0].difference.got) == ("emitted stuck", "nothing")


def test_paths_are_the_ways_from_the_start_to_an_exit_along_the_stages_own_edges(folder: Path) -> None:
    report = report_of(folder, a_scenario("- {after: 25h, reply: go, expect: {stage: large}}", "facts: {seats: 900}"))
    assert str(report.paths) == "1 of 8"
    assert "ask → human → share → red" in report.paths.missing
    assert "ask → share → large" not in report.paths.missing


def test_junit_has_a_case_for_each_scenario_with_its_difference(folder: Path) -> None:
    _, _, second = a_scenario("- expect: {stage: ask}", name='"two \\a <bell>"').partition("scenarios:\n")
    report = report_of(folder, a_scenario("- expect: {stage: human}") + second)
    [suite] = ElementTree.fromstring(as_junit([report]))
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("visit", "2", "1")
    failed, passed = suite
    assert failed[0].get("message") == f"{report.file}:7:25: expected stage human, got ask"
    assert (passed.get("classname"), list(passed)) == ("visit", [])


def test_one_failing_scenario_does_not_stop_the_others(folder: Path) -> None:
    _, _, second = a_scenario("- expect: {stage: ask}", name="two").partition("scenarios:\n")
    report = report_of(folder, a_scenario("- expect: {stage: human}") + second)
    assert [result.passed for result in report.results] == [False, True]


def test_coverage_counts_stages_and_edges_and_names_what_is_missing(folder: Path) -> None:
    report = report_of(folder, a_scenario("- {after: 25h, reply: wait, expect: {stage: ask, exit: null}}"))
    assert str(report.stages) == "1 of 8"
    assert str(report.edges) == "1 of 14"
    assert "stages.ask.on_response[1]" not in report.edges.missing, "a stay that does nothing is an edge too"
    assert "  not reached: stages.ask.timers[0]" in report.render().splitlines()


def test_looking_ahead_covers_nothing(folder: Path) -> None:
    report = report_of(folder, a_scenario("- expect: {nothing_until: 2026-03-12T09:00:00Z}"))
    assert (report.failed, report.edges.covered, report.stages.covered) == (1, 0, 1)


def test_the_report_is_plain_data_for_json(folder: Path) -> None:
    data = report_of(folder, a_scenario("- expect: {stage: human}")).as_dict()
    assert (data["passed"], data["failed"]) == (0, 1)
    assert data["scenarios"][0]["difference"] == {
        "file": str(folder / "visit.test.yaml"), "line": 7, "column": 25, "expected": "stage human", "got": "ask",
    }  # fmt: skip
    assert data["coverage"]["stages"]["covered"] == 1


def test_the_campaign_type_may_be_a_path_from_the_files_folder(folder: Path) -> None:
    below = folder / "below"
    below.mkdir()
    path = below / "any.test.yaml"
    path.write_text(a_scenario("- expect: {stage: ask}").replace("visit", "../visit.yaml", 1), encoding="utf-8")
    assert run_scenarios(path).failed == 0
