"""The program itself: in this process where speed matters, as a process of its own where that is what matters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from engine.cli.app import app

ROOT = Path(__file__).parents[2]
NURTURE = str(ROOT / "campaign_types" / "b2b_nurture.yaml")
NOW = "2026-03-02T09:00:00Z"
PEOPLE = """\
key,email,timezone,first_name,company_name
ann,ann@example.org,Europe/London,Ann,Loom & Co
bob,bob@example.org,America/New_York,Bob,"Nails,
and more"
eve,eve@example.org,,Eve,"""
CONTEXT = ("--context", "product_name=Loom", "--context", "value_proposition=less = more")


class Program:
    """`campaign`, run in this process."""

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(each) for each in arguments], prog_name="campaign")

    def __call__(self, *arguments: str | Path) -> str:
        """What a command that succeeds prints."""
        done = self.run(*arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str | Path) -> Any:
        return json.loads(self(*arguments, "--json"))

    def refuses(self, *arguments: str | Path, code: int = 1) -> str:
        """The message of a command that fails as it should: no result, no traceback."""
        done = self.run(*arguments)
        assert done.exit_code == code, done.output
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr
        return done.stderr

    def create(self, recipients: Path, *more: str) -> str:
        """The id of a new campaign of the nurture type."""
        made = self.json("create", "--name", "Spring", "--type", NURTURE, "--recipients", recipients, *CONTEXT, *more)
        return str(made["id"])


class Process:
    """`campaign`, run as a process with its own environment."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "engine.cli", *map(str, arguments)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *arguments: str | Path) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def campaign(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    """The program on this test's own database, where the clock may be stopped."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("CAMPAIGN_ALLOW_TIME_TRAVEL", "1")
    yield Program()
    structlog.reset_defaults()


@pytest.fixture
def offline() -> Iterator[Program]:
    """The program without any database."""
    yield Program()
    structlog.reset_defaults()


@pytest.fixture
def process(database_url: str) -> Process:
    """The program as a process, on this test's own database."""
    return Process(
        {
            "DATABASE_URL": database_url,
            "CAMPAIGN_ALLOW_TIME_TRAVEL": "1",
            "POLL_SECONDS": "0.05",
            "METRICS_LISTEN": "127.0.0.1:0",
        }
    )


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Three recipients, of whom the last has no company."""
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8")
    return path


def wait_until(condition: Callable[[], bool]) -> None:
    """Return as soon as another process has made `condition` true."""
    patience_ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < patience_ends, "waited in vain"
        time.sleep(0.02)
