"""What is wrong with a scenario file is told with its place, all at once, before anything is played."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.authoring.scenarios.run import run_scenarios
from engine.core.errors import CampaignError
from tests.unit.authoring.visits import TYPE, a_scenario, assert_passes, problems_of


def test_a_missing_file_or_campaign_type_is_one_clear_error(folder: Path) -> None:
    with pytest.raises(CampaignError, match=r"nothing\.test\.yaml"):
        run_scenarios(folder / "nothing.test.yaml")


def test_a_campaign_type_that_cannot_be_opened_is_a_problem_with_a_place(folder: Path) -> None:
    [(line, column, code, message)] = problems_of(folder, a_scenario("- expect: {}").replace("visit", "vist", 1))
    assert (line, column, code) == (1, 16, "E107")
    assert "vist.yaml" in message
    assert "looked up as a file beside this one; did you mean ./visit.yaml?" in message
    (folder / "visit.yaml").unlink()
    [(*_, message)] = problems_of(folder, a_scenario("- expect: {}"))
    assert "did you mean" not in message
    (folder / "visit.yaml").mkdir()
    [(*_, message)] = problems_of(folder, a_scenario("- expect: {}"))
    assert "is a folder" in message


@pytest.mark.parametrize(
    ("steps", "place", "code", "message"),
    [
        ("- expect: {stag: ask}", (7, 18), "E101", "did you mean stage?"),
        ("- {aftr: 2h}", (7, 10), "E101", "did you mean after?"),
        ("- expect: {sent: [{message: hello, att: 1}]}", (7, 42), "E101", "did you mean at?"),
        ("- {after: soon}", (7, 17), "E105", "is not a duration"),
        ("- {at: tomorrow}", (7, 14), "E107", "is not a time"),
        ("- {after: 1h, at: 2026-03-03T09:00:00Z}", (7, 9), "E107", "not both"),
        ("- {reply: a, event: opened}", (7, 9), "E107", "not both"),
        ("- expect:", (7, 9), "E107", "has no value"),
        ("- expect: soon", (7, 17), "E107", "expected a mapping, got the text 'soon'"),
        ("- {reply: 4.5}", (7, 17), "E107", "expected a text, got the number 4.5"),
        ("- {reply: [yes]}", (7, 17), "E107", "expected a text, got a list"),
        ("[]", (7, 7), "E107", "expected at least one entry, got an empty one"),
        ("- expect: {context: {seats: [1]}}", (7, 35), "E107", "expected one value"),
        ("- expect: {stage: humen}", (7, 25), "E103", "did you mean human?"),
        ("- expect: {exit: win}", (7, 24), "E103", "unknown exit or outcome"),
        ("- expect: {sent: [hallo]}", (7, 25), "E601", "did you mean hello?"),
        ("- expect: {not_sent: [hallo]}", (7, 29), "E601", "did you mean hello?"),
        ("- expect: {context: {seat: 1}}", (7, 28), "E301", "did you mean seats?"),
        ("- {at: 2026-03-01T09:00:00Z}", (7, 14), "E107", "lies before the one above it"),
        ("- {after: 1 business day}", (7, 17), "E105", "expected a send_window"),
        ("- {event: opend}", (7, 17), "E301", "unknown event 'opend'; expected one of opened; did you mean opened?"),
        ("- expect: {assigned: [inbax]}", (7, 29), "E301", "expected one of inbox, lead; did you mean inbox?"),
        (
            "- {after: 2h, expect: {nothing_until: 2026-03-02T10:59:59Z}}",
            (7, 45),
            "E107",
            "lies before this step, at 2026-03-02T11:00:00Z",
        ),
    ],
)
def test_a_slip_in_a_step_is_a_problem_with_a_place(
    folder: Path, steps: str, place: tuple[int, int], code: str, message: str
) -> None:
    [(line, column, found, text)] = problems_of(folder, a_scenario(steps))
    assert (line, column, found) == (*place, code)
    assert message in text


def test_business_time_of_a_step_runs_on_the_send_window(folder: Path) -> None:
    window = 'send_window: {days: [mon, tue], from: "08:00", to: "18:00"}\nstart: ask\n'
    (folder / "visit.yaml").write_text(TYPE.replace("start: ask\n", window), encoding="utf-8")
    steps = """
    - {at: 2026-03-03T12:00:00Z}
    - {after: 1 business day, expect: {exit: lost, nothing_until: 2026-03-09T12:00:00Z}}
    """
    assert_passes(folder, steps)


@pytest.mark.parametrize(
    ("guard", "names"),
    [
        ('event == "moved"', ["moved", "opened"]),
        ('seats > 3 and event in ["moved", "left"]', ["left", "moved", "opened"]),
        ('not (event != "moved")', ["moved", "opened"]),
        ('event != "moved"', None),
        ('not (event == "moved")', None),
        ("event is not missing", None),
    ],
)
def test_an_event_must_be_one_that_the_campaign_type_can_tell_from_others(
    folder: Path, guard: str, names: list[str] | None
) -> None:
    first = '  - {when: intent == "stop", go: opted_out}'
    changed = TYPE.replace(first, f"{first}\n  - {{when: '{guard}', go: stay, at_most: 1}}")
    (folder / "visit.yaml").write_text(changed, encoding="utf-8")
    assert_passes(folder, "- {event: opened}\n- {event: moved}")
    if names is None:
        assert_passes(folder, "- {event: nope}")
    else:
        message = f"unknown event 'nope'; expected one of {', '.join(names)}"
        found = problems_of(folder, a_scenario("- {event: nope}"))
        assert [(code, text.partition("; did")[0]) for _, _, code, text in found] == [("E301", message)]


@pytest.mark.parametrize(
    ("more", "place", "code", "message"),
    [
        ("facts: {seat: 1}", (4, 13), "E301", "did you mean seats?"),
        ("facts: {seats: many}", (4, 20), "E107", "expected int 1..1000, got 'many'"),
        ("recipient: {timezone: Europe/Lundon}", (4, 27), "E106", "unknown time zone"),
        ("recipient: {timezon: UTC}", (4, 17), "E101", "did you mean timezone?"),
        ("splits: {human: red}", (4, 14), "E103", "has no shares to fix"),
        ("splits: {share: large}", (4, 21), "E103", "expected one of blue, red"),
    ],
)
def test_a_slip_in_a_scenario_is_a_problem_with_a_place(
    folder: Path, more: str, place: tuple[int, int], code: str, message: str
) -> None:
    [(line, column, found, text)] = problems_of(folder, a_scenario("- expect: {stage: ask}", more))
    assert (line, column, found) == (*place, code)
    assert message in text


def test_all_slips_are_reported_together(folder: Path) -> None:
    steps = "- {after: 1h, expect: {stage: asc, sent: [hallo]}}\n- {expect: {stage: humen}}"
    assert [each[2] for each in problems_of(folder, a_scenario(steps))] == ["E103", "E601", "E103"]


def test_two_scenarios_of_one_name_are_a_problem(folder: Path) -> None:
    again = a_scenario("- expect: {stage: ask}").partition("scenarios:\n")[2]
    assert [each[2] for each in problems_of(folder, a_scenario("- expect: {}") + again)] == ["E108"]


def test_a_time_beyond_the_calendar_is_a_problem_and_no_traceback(folder: Path) -> None:
    steps = "- {after: 36000d}\n- {after: 36000d}\n- expect: {exit: lost}"
    assert [each[2] for each in problems_of(folder, a_scenario(steps))] == ["E105"]
