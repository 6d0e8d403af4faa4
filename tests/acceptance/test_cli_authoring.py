"""`campaign types`: lint, test, show, register, schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import NURTURE, ROOT, Program

SHIPPED = ROOT / "campaign_types"
BROKEN = Path("broken, 100%.yaml")


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A campaign type with one error, in line 5."""
    monkeypatch.chdir(tmp_path)
    BROKEN.write_text(
        "campaign_type: hello\nversion: 1\nstart: greet\n"
        "stages:\n  greet: {timers: [{after: 3 days, go: lost}]}\n"
        "exits: {lost: lost}\n"
    )
    return BROKEN


def test_what_is_shipped_is_clean(offline: Program) -> None:
    assert offline.json("types", "lint", SHIPPED) == []
    proved = offline("types", "lint", SHIPPED)
    assert "b2b_nurture.yaml:\n  longest conversation: 42d\n  most messages to one recipient: 10\n" in proved
    assert "  exit no_answer: awareness after 168h\n" in proved


def test_an_error_is_shown_with_its_place_and_is_exit_code_1(offline: Program, broken: Path) -> None:
    done = offline.run("types", "lint", broken, broken)
    assert done.exit_code == 1
    head, line, caret = done.stdout.splitlines()
    assert head.startswith(f"{broken}:5:28: error: ")
    assert head.endswith("[E105]")
    assert line.index("3 days") == caret.index("^")
    assert done.stderr == "files 1, errors 1, warnings 0\n"


def test_lint_speaks_json_github_and_sarif(offline: Program, broken: Path) -> None:
    (problem,) = json.loads(offline.run("types", "lint", broken, "--format", "json").stdout)
    assert list(problem) == ["file", "line", "column", "severity", "code", "message"]
    github = offline.run("types", "lint", broken, "--format", "github").stdout
    assert github.startswith("::error file=broken%2C 100%25.yaml,line=5,col=28,title=E105::")
    (run,) = json.loads(offline.run("types", "lint", broken, "--format", "sarif").stdout)["runs"]
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("E105", "error")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 5, "startColumn": 28}


def test_a_folder_means_all_its_types_and_scenarios(offline: Program, broken: Path) -> None:
    scenarios = broken.with_name("hello.test.yaml")
    scenarios.write_text("campaign_type: ./broken, 100%.yaml\nscenarios: []\n")
    found = json.loads(offline.run("types", "lint", ".", "--json").stdout)
    assert {each["file"] for each in found} == {str(broken), str(scenarios)}


@pytest.mark.parametrize("arguments", [("lint",), ("lint", "nowhere.yaml"), ("lint", ".", "--format", "xml"), ("lin",)])
def test_a_wrong_command_line_is_exit_code_2(
    offline: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    offline.refuses("types", *arguments, code=2)


def test_scenarios_are_found_beside_their_type_and_reported_with_coverage(offline: Program) -> None:
    told = offline("types", "test", NURTURE)
    assert "12 passed, 0 failed" in told
    assert "coverage of b2b_nurture: stages 8 of 8" in told
    reports = offline.json("types", "test", SHIPPED)
    assert [each["campaign_type"] for each in reports] == ["b2b_nurture", "support_followup"]


def test_a_scenario_that_fails_shows_the_first_difference_and_is_exit_code_1(offline: Program, tmp_path: Path) -> None:
    path = tmp_path / "b2b_nurture.test.yaml"
    (tmp_path / "b2b_nurture.yaml").write_text(Path(NURTURE).read_text())
    text = (SHIPPED / "b2b_nurture.test.yaml").read_text()
    path.write_text(text.replace("exit: won", "exit: lost", 1))
    done = offline.run("types", "test", path)
    assert done.exit_code == 1
    assert "expected exit lost" in done.stdout
    assert "got      won" in done.stdout


def test_a_type_without_scenarios_says_where_they_belong(offline: Program, broken: Path) -> None:
    assert "broken, 100%.test.yaml" in offline.refuses("types", "test", broken)


def test_a_type_is_shown_from_its_file_or_as_registered(campaign: Program) -> None:
    campaign("types", "register", NURTURE)
    shown = campaign.json("types", "show", "b2b_nurture")
    assert shown == campaign.json("types", "show", NURTURE) == campaign.json("types", "show", "b2b_nurture@1")
    assert shown["start"] == "awareness"
    assert "b2b_nurture has no version 2" in campaign.refuses("types", "show", "b2b_nurture@2")


def test_the_diagram_has_every_stage_and_way(offline: Program) -> None:
    lines = offline("types", "show", NURTURE, "--format", "mermaid").splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    [*] --> awareness" in lines
    assert "    awareness --> no_answer: after 168h" in lines
    assert "    accepted --> [*]: won" in lines


def test_the_picture_is_printed_or_written_to_a_file(offline: Program, tmp_path: Path) -> None:
    printed = offline("types", "show", NURTURE, "--format", "svg")
    assert printed.startswith("<svg ")
    file = tmp_path / "nurture.svg"
    assert offline.json("types", "show", NURTURE, "--format", "svg", "-o", file) == {"file": str(file)}
    assert file.read_text(encoding="utf-8") == printed
    assert "cannot write" in offline.refuses("types", "show", NURTURE, "--format", "svg", "-o", tmp_path)


def test_a_format_that_is_not_there_names_those_that_are(offline: Program) -> None:
    message = offline.refuses("types", "show", NURTURE, "--format", "png", code=2)
    assert "json" in message
    assert "svg" in message
    assert "mermaid" in message


def test_registering_again_changes_nothing_and_another_content_is_refused(campaign: Program, tmp_path: Path) -> None:
    first = campaign.json("types", "register", SHIPPED)
    assert [(each["name"], each["created"]) for each in first] == [("b2b_nurture", True), ("support_followup", True)]
    assert campaign.json("types", "register", NURTURE)["created"] is False
    changed = tmp_path / "b2b_nurture.yaml"
    changed.write_text(Path(NURTURE).read_text().replace("168h", "170h"))
    assert "Raise version to 2." in campaign.refuses("types", "register", changed)


def test_a_type_with_errors_is_not_registered_nor_are_those_beside_it(campaign: Program, broken: Path) -> None:
    assert "[E105]" in campaign.refuses("types", "register", NURTURE, broken)
    assert "none is registered" in campaign.refuses("types", "show", "b2b_nurture")


def test_the_schema_is_the_one_that_is_shipped(offline: Program) -> None:
    printed = offline("types", "schema")
    assert printed == (SHIPPED / "campaign_type.schema.json").read_text()
