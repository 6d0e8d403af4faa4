"""What editors and hooks rely on: the schemas, the line that names them in every file, and the pre-commit hooks."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.authoring.scenarios.scenario_schema import scenarios_schema
from engine.authoring.simulation.people_schema import people_schema
from engine.core.schema import campaign_type_schema
from tests.acceptance.conftest import ROOT, Program

SHIPPED = sorted(path for folder in ("campaign_types", "examples") for path in (ROOT / folder).rglob("*.yaml"))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
SCHEMAS = {
    "campaign_type": (campaign_type_schema, ()),
    "scenarios": (scenarios_schema, ("--scenarios",)),
    "people": (people_schema, ("--people",)),
}


def kind_of(path: Path) -> str:
    """Which schema a file needs, by its name."""
    return {".test": "scenarios", ".sim": "people"}.get(Path(path.stem).suffix, "campaign_type")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_names_its_schema_in_its_first_line(path: Path) -> None:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named, first
    assert (path.parent / named[1]).resolve() == ROOT / "campaign_types" / f"{kind_of(path)}.schema.json"


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_schemas_in_the_folder_are_those_the_command_prints(offline: Program, kind: str) -> None:
    schema, options = SCHEMAS[kind]
    file = ROOT / "campaign_types" / f"{kind}.schema.json"
    hint = f"run: campaign types schema {' '.join(options)} > {file.relative_to(ROOT)}"
    assert json.loads(file.read_text(encoding="utf-8")) == schema(), hint
    assert json.loads(offline("types", "schema", *options)) == schema()


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_passes_on_what_is_shipped_as_pre_commit_would_run_it(offline: Program, hook: dict[str, Any]) -> None:
    assert hook["language"] == "python", "so that pre-commit installs the engine and finds its command"
    assert {"id", "name", "entry", "files"} <= hook.keys()
    program, *words = shlex.split(hook["entry"])
    assert program == "campaign"
    files = chosen(hook, (path.relative_to(ROOT).as_posix() for path in SHIPPED))
    assert "campaign_types/b2b_nurture.yaml" in files
    assert not any(file.startswith("examples/") for file in files)
    assert offline.run(*words, *(ROOT / file for file in files)).exit_code == 0


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_fails_on_a_broken_type(offline: Program, tmp_path: Path, hook: dict[str, Any]) -> None:
    folder = tmp_path / "campaign_types"
    folder.mkdir()
    for suffix, text in ((".yaml", "campaign_type: hello\n"), (".test.yaml", "campaign_type: hello\nscenarios: []\n")):
        (folder / f"hello{suffix}").write_text(text)
    _, *words = shlex.split(hook["entry"])
    assert offline.run(*words, *sorted(folder.iterdir())).exit_code == 1


def chosen(hook: dict[str, Any], files: Any) -> list[str]:
    """The files that pre-commit gives to a hook: those that `files` is found in and `exclude` is not."""
    exclude = hook.get("exclude", "^$")
    return [file for file in files if re.search(hook["files"], file) and not re.search(exclude, file)]
