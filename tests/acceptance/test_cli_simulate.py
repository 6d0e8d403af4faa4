"""`campaign types simulate`, as an author meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import NURTURE, ROOT, Process, Program

SUPPORT = ROOT / "campaign_types/support_followup.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_prints_funnel_exits_days_hours_and_what_was_held_back(offline: Program) -> None:
    told = offline("types", "simulate", NURTURE, "--recipients", "60", "--seed", "3")
    assert told.startswith("b2b_nurture version 1: 60 recipients, seed 3, people b2b_nurture.sim.yaml\n")
    for part in (
        "stage ", "awareness", "exit ", "no_answer", "messages per day", "busiest hour", "busiest time of day",
        "held back by windows    0 messages", "held back by limits     0 messages", "messages per recipient",
    ):  # fmt: skip
        assert part in told


def test_json_and_report_are_the_same_for_the_same_seed_byte_for_byte(offline: Program, folder: Path) -> None:
    def simulated(seed: int, name: str) -> tuple[str, bytes]:
        done = offline.run(
            "types", "simulate", SUPPORT, "--recipients", "40", "--seed", str(seed), "--report", name, "--json"
        )
        assert done.exit_code == 0, done.stderr
        return done.stdout, (folder / name).read_bytes()

    first = simulated(1, "a.html")
    assert first == simulated(1, "b.html")
    assert first[0] != simulated(2, "c.html")[0]
    assert first[1].startswith(b"<!DOCTYPE html>")


def test_the_figures_are_the_same_in_another_process(offline: Program) -> None:
    arguments = ("types", "simulate", SUPPORT, "--recipients", "40", "--json")
    other = Process({"PYTHONHASHSEED": "123"}).run(*arguments)
    assert other.returncode == 0, other.stderr
    assert other.stdout.strip() == offline.run(*arguments).stdout.strip()


def test_it_notes_what_is_not_simulated(offline: Program) -> None:
    done = offline.run("types", "simulate", NURTURE, "--recipients", "5")
    assert "note: Other campaigns are not simulated" in done.stderr
    assert "5 recipients in " in done.stderr


def test_without_a_people_file_everybody_is_as_by_default(offline: Program, folder: Path) -> None:
    (folder / "b2b_nurture.yaml").write_bytes(Path(NURTURE).read_bytes())
    assert "people by default" in offline("types", "simulate", "b2b_nurture.yaml", "--recipients", "5")


def test_another_people_file_can_be_given_and_its_problems_have_places(offline: Program, folder: Path) -> None:
    (folder / "shy.sim.yaml").write_text("messages:\n  introduction: {answer: 0%}\n")
    told = offline("types", "simulate", NURTURE, "--people", "shy.sim.yaml", "--recipients", "5")
    assert "people shy.sim.yaml" in told
    (folder / "shy.sim.yaml").write_text("messages:\n  introductoin: {answer: 0%}\n")
    refused = offline.refuses("types", "simulate", NURTURE, "--people", "shy.sim.yaml")
    assert "shy.sim.yaml:2:3: error: unknown message 'introductoin'" in refused
    assert "did you mean introduction? [E601]" in refused


def test_a_campaign_type_with_errors_is_refused_with_places(offline: Program, folder: Path) -> None:
    (folder / "a.yaml").write_text("campaign_type: a\nversion: one\n")
    assert "a.yaml:2:10: error: " in offline.refuses("types", "simulate", "a.yaml")


@pytest.mark.parametrize("number", ["0", "-1", "1000001", "many"])
def test_a_number_of_recipients_that_makes_no_sense_is_a_usage_error(offline: Program, number: str) -> None:
    offline.refuses("types", "simulate", NURTURE, "--recipients", number, code=2)


def test_a_report_that_cannot_be_written_is_told_before_the_work(offline: Program, folder: Path) -> None:
    refused = offline.refuses(
        "types", "simulate", NURTURE, "--recipients", "1000000", "--report", folder / "no" / "r.html"
    )
    assert "cannot write" in refused


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_not_there_is_told(offline: Program) -> None:
    assert "there is no file 'nowhere.yaml'" in offline.refuses("types", "simulate", "nowhere.yaml")
    assert "there is no file 'no.sim.yaml'" in offline.refuses("types", "simulate", NURTURE, "--people", "no.sim.yaml")


def test_people_files_are_linted_as_what_they_are(offline: Program, folder: Path) -> None:
    (folder / "b2b_nurture.yaml").write_bytes(Path(NURTURE).read_bytes())
    (folder / "b2b_nurture.sim.yaml").write_text("stages: {awarenes: {answer: 1%}}\n")
    done = offline.run("types", "lint", folder)
    assert done.exit_code == 1
    assert "b2b_nurture.sim.yaml:1:10: error: unknown stage 'awarenes'" in done.stdout
