"""Plug-ins as their users meet them: the example packages, installed, found and run; broken ones, named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import NOW, ROOT, Process

EXAMPLES = ROOT / "examples" / "plugins"
TYPE = EXAMPLES / "scored_feedback.yaml"
PACKAGES = sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example packages as pip installs them."""
    sources = tmp_path_factory.mktemp("sources") / "plugins"
    shutil.copytree(EXAMPLES, sources)  # building leaves files behind
    target = tmp_path_factory.mktemp("installed")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    packages = [str(sources / each.name) for each in PACKAGES]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, *packages], check=True)
    return target


def with_packages(folder: Path, **environment: str) -> Process:
    process = Process(environment)
    process.environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(folder)])
    return process


def test_there_is_an_example_of_each_kind() -> None:
    groups = {
        line for each in PACKAGES for line in (each / "pyproject.toml").read_text().splitlines() if "_engine." in line
    }
    assert len(groups) == 4


def test_a_type_with_plug_ins_lints_clean_and_its_scenarios_pass(installed: Path) -> None:
    program = with_packages(installed)
    linted = program.run("types", "lint", TYPE)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, linted.stdout, "files 1, errors 0, warnings 0\n")
    [report] = program.json("types", "test", TYPE)
    assert (report["failed"], report["coverage"]["edges"]["missing"]) == (0, [])


def test_without_the_packages_the_keys_are_unknown(tmp_path: Path) -> None:
    linted = with_packages(tmp_path).run("types", "lint", TYPE, "--format", "json")
    assert linted.returncode == 1
    assert "add_points" in linted.stdout
    assert "order_number" in linted.stdout


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ('mood == "negative"', 'mood == "angry"', "mood is never 'angry'; expected one of negative, neutral, positive"),
        ('engagement == "hot"', "engagement > 3", "engagement is a choice and has no order"),
        ("{points: 5}", "{points: 500}", "points: expected int 1..100, got '500'"),
        ("{points: 5}", "{point: 5}", "unknown argument 'point'; expected one of points; did you mean points?"),
        ("{order_number: GB}", "{order_number: [GB]}", "order_number"),
        ("score: int 0..1000", "engagement: int", "the name 'engagement' is taken by a plug-in"),
    ],
)
def test_the_checks_know_what_plug_ins_take_and_give(
    installed: Path, tmp_path: Path, was: str, now: str, says: str
) -> None:
    text = TYPE.read_text(encoding="utf-8")
    assert was in text
    broken = tmp_path / "broken.yaml"
    broken.write_text(text.replace(was, now), encoding="utf-8")
    linted = with_packages(installed).run("types", "lint", broken)
    assert linted.returncode == 1
    assert says in linted.stdout
    assert "Traceback" not in linted.stderr


def test_the_schema_for_editors_knows_the_plug_ins_that_are_installed(installed: Path) -> None:
    schema = with_packages(installed).json("types", "schema")
    assert "add_points" in str(schema)
    assert "order_number" in str(schema)


def test_the_engine_runs_a_type_with_plug_ins(installed: Path, tmp_path: Path, database_url: str) -> None:
    program = with_packages(installed, DATABASE_URL=database_url, CAMPAIGN_ALLOW_TIME_TRAVEL="1")
    people = tmp_path / "people.csv"
    people.write_text("key,email,score\nann,ann@example.org,95\n", encoding="utf-8")
    made = program.json("create", "--name", "F", "--type", TYPE, "--recipients", people, "--now", NOW)
    program.json("tick", "--drain", "--now", NOW)
    later = "2026-03-02T10:00:00Z"
    program.json("reply", "--campaign", made["id"], "--recipient", "ann", "it is gb-12345", "--at", later)
    assert program.json("tick", "--drain", "--now", later)["failed"] == 0
    [conversation] = program.json("conversations", "--campaign", made["id"])
    explained = program.json("explain", conversation["id"], "--now", later)
    assert explained["context"]["facts"]["score"] == 100
    assert explained["context"]["captured"] == {"wish": "other", "mood": "neutral", "order": "GB-12345"}


@pytest.mark.parametrize(
    ("module", "says"),
    [
        ("PLUGIN = 1", "cannot be used: expected a ClassifierPlugin, got int"),
        ("raise RuntimeError('no model')", "cannot be used: no model"),
    ],
)
def test_a_broken_plug_in_stops_the_program_with_its_package_and_name(tmp_path: Path, module: str, says: str) -> None:
    (tmp_path / "broken.py").write_text(module, encoding="utf-8")
    info = tmp_path / "broken_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-plugin\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[campaign_engine.classifiers]\nmood = broken:PLUGIN\n", encoding="utf-8")
    done = with_packages(tmp_path).run("types", "lint", TYPE)
    assert done.returncode == 1
    assert "the plug-in 'mood' (campaign_engine.classifiers) of the package broken-plugin" in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
