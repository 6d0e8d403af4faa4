"""`campaign types diff`: files and registered versions, with and without a database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import CONTEXT, NOW, NURTURE, Program

ENROLLED = 2  # of three people, the last has no company


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """The nurture type with another deadline in its first stage, and its second stage renamed."""
    text = Path(NURTURE).read_text(encoding="utf-8").replace("version: 1", "version: 2").replace("168h", "7d")
    path = tmp_path / "b2b_nurture.yaml"
    path.write_text(text.replace("\n  consideration:", "\n  thinking:").replace(": consideration", ": thinking"))
    return path


def test_two_files_are_compared_without_a_database(offline: Program, edited: Path) -> None:
    lines = offline("types", "diff", NURTURE, edited).splitlines()
    assert lines[0] == "b2b_nurture, version 1 → 2"
    assert "  ~ timer, go no_answer: after 168h → after 7d" in lines
    assert lines[lines.index("stage consideration") + 1] == "  - stage"
    assert not any("live" in line for line in lines)
    assert offline("types", "diff", NURTURE, NURTURE) == "b2b_nurture, version 1\nno change in meaning\n"


def test_json_has_every_change_with_its_place(offline: Program, edited: Path) -> None:
    found = offline.json("types", "diff", NURTURE, edited)
    assert list(found) == ["old", "new", "changes", "live", "problems"]
    assert (found["old"]["version"], found["new"]["version"], found["live"], found["problems"]) == (1, 2, None, [])
    (timer,) = [each for each in found["changes"] if each["what"].startswith("timer") and each["change"] == "changed"]
    assert edited.read_text().splitlines()[timer["line"] - 1].strip() == "- {after: 7d, go: no_answer}"
    assert (timer["file"], timer["stage"], timer["old"]) == (str(edited), "awareness", "after 168h")


def test_a_file_with_errors_is_exit_code_1_and_a_wrong_command_line_2(offline: Program, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("campaign_type: hello\n")
    assert "[E107]" in offline.refuses("types", "diff", NURTURE, broken)
    assert "there is no file" in offline.refuses("types", "diff", NURTURE, tmp_path / "nowhere.yaml")
    offline.refuses("types", "diff", NURTURE, code=2)
    assert "awareness" in offline.refuses("types", "diff", NURTURE, NURTURE, "--map", "aware=decision", code=2)


def test_a_registered_version_brings_the_live_conversations_with_it(
    campaign: Program, people: Path, edited: Path
) -> None:
    campaign("types", "register", NURTURE)
    assert campaign.json("types", "diff", "b2b_nurture@1", edited)["live"] == []
    campaign("create", "--name", "S", "--type", "b2b_nurture", "--recipients", people, *CONTEXT, "--now", NOW)
    campaign("tick", "--drain", "--now", NOW)
    found = campaign.json("types", "diff", "b2b_nurture", edited)
    assert found["live"] == [{"stage": "awareness", "conversations": ENROLLED, "to": "awareness"}]
    assert [each["code"] for each in found["problems"]] == ["W802"]
    assert campaign.json("types", "diff", "b2b_nurture", edited, "--no-live")["live"] is None
    assert campaign.json("types", "diff", NURTURE, edited, "--live")["live"] == found["live"]


def test_live_conversations_without_a_place_are_an_error_unless_mapped(
    campaign: Program, people: Path, edited: Path
) -> None:
    campaign("types", "register", edited)
    campaign("create", "--name", "S", "--type", "b2b_nurture", "--recipients", people, *CONTEXT, "--now", NOW)
    campaign("tick", "--drain", "--now", NOW)
    text = edited.read_text().replace("version: 2", "version: 3").replace("awareness", "first")
    edited.write_text(text)
    done = campaign.run("types", "diff", "b2b_nurture@2", edited)
    assert done.exit_code == 1
    assert "awareness  " in done.stdout
    assert "no place for them" in done.stdout
    assert "[E801]" in done.stdout
    (problem,) = json.loads(campaign.run("types", "diff", "b2b_nurture@2", edited, "--json").stdout)["problems"]
    assert text.splitlines()[problem["line"] - 1] == "stages:"
    assert "they move to first" in campaign("types", "diff", "b2b_nurture@2", edited, "--map", "awareness=first")


def test_a_version_that_is_not_registered_is_refused(campaign: Program) -> None:
    campaign("types", "register", NURTURE)
    assert "has no version 9" in campaign.refuses("types", "diff", NURTURE, "b2b_nurture@9")
