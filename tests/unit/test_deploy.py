"""The service file says what the program does."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path

import typer

from engine.cli.app import app
from engine.stopping import LAST_SECONDS

UNIT = Path(__file__).parents[2] / "deploy" / "campaign-engine.service"


def directives() -> dict[str, dict[str, str]]:
    """The unit file by section; systemd knows no comments behind a value."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    section = ""
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, value = line.split("=", 1)
            assert name not in found[section], f"{name} is there twice"
            found[section][name] = value
    return found


def test_the_service_runs_a_command_that_exists() -> None:
    program, *arguments = shlex.split(directives()["Service"]["ExecStart"])
    assert Path(program).name == "campaign"
    assert arguments == ["run"]
    assert "run" in typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_service_waits_for_ready_feeds_a_watchdog_and_gives_time_to_stop() -> None:
    service = directives()["Service"]
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert float(service["TimeoutStopSec"]) > LAST_SECONDS
    assert float(service["WatchdogSec"]) > 30  # after which /livez says so, too


def test_the_service_is_started_again_for_ever() -> None:
    found = directives()
    assert found["Service"]["Restart"] == "always"
    assert found["Unit"]["StartLimitIntervalSec"] == "0"
