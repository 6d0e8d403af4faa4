"""`campaign types lint --watch`, as a process of its own that sees real files change.

Its output is awaited line by line; a watchdog kills a process that says nothing, so that no test hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from tests.acceptance.conftest import ROOT

GOOD = """\
campaign_type: hello
version: 1
start: greet
stages:
  greet: {timers: [{after: 3d, go: lost}]}
exits: {lost: lost}
"""
PATIENCE = 60.0


class Watcher:
    """A watching process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.cli", "types", "lint", "--watch", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.watchdog = Timer(PATIENCE, self.process.kill)
        self.watchdog.start()

    def until(self, said: str) -> list[str]:
        """The lines up to the one that begins with `said`."""
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith(said):
                return lines
        raise AssertionError(f"ended before {said!r}: {lines}")

    def round(self) -> list[str]:
        """What one check prints, without the line that says it is watching."""
        return self.until("watching ")[:-1]

    def end(self, by: signal.Signals) -> tuple[int, str]:
        """End it; its exit code and what it printed at the end."""
        self.process.send_signal(by)
        rest, _ = self.process.communicate(timeout=PATIENCE)
        self.watchdog.cancel()
        return self.process.returncode, rest

    def close(self) -> None:
        self.watchdog.cancel()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "hello.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def watcher(good: Path) -> Iterator[Watcher]:
    """A watcher of the folder, after its first check."""
    started = Watcher(good.parent, ".")
    assert started.round()[-1] == "files 1, errors 0, warnings 0"
    yield started
    started.close()


def test_a_file_is_checked_again_when_it_changes(watcher: Watcher, good: Path) -> None:
    good.write_text(GOOD.replace("3d", "3 days"))
    first, *_, last = watcher.round()
    assert first.startswith("hello.yaml:5:28: error: ")
    assert last == "files 1, errors 1, warnings 0"
    good.write_text(GOOD)
    assert watcher.round()[-1] == "files 1, errors 0, warnings 0"


def test_files_that_come_and_go_are_noticed(watcher: Watcher, good: Path) -> None:
    other = good.with_name("other.yaml")
    other.write_text(GOOD.replace("hello", "other"))
    assert watcher.round()[-1] == "files 2, errors 0, warnings 0"
    other.unlink()
    assert watcher.round()[-1] == "files 1, errors 0, warnings 0"
    good.unlink()
    assert "has no YAML files" in watcher.round()[-1]
    good.write_text(GOOD)
    assert watcher.round()[-1] == "files 1, errors 0, warnings 0"


def test_the_body_of_a_message_is_watched_with_the_type_that_names_it(watcher: Watcher, good: Path) -> None:
    body = good.with_name("intro.liquid")
    body.write_text("Hello")
    sends = GOOD.replace("{timers", "{on_enter: [{send: intro}], timers") + "messages: {intro: {file: intro.liquid}}\n"
    good.write_text(sends)
    assert not any("E602" in line for line in watcher.round())
    body.write_text("Hello {{ nobody }}")
    assert any("[E602]" in line for line in watcher.round())


def test_an_editor_that_replaces_the_file_is_noticed(watcher: Watcher, good: Path) -> None:
    """Many editors write another file and rename it, with the same size."""
    saved = good.with_suffix(".tmp")
    saved.write_text(GOOD.replace("lost: lost", "lost: lots"))
    saved.replace(good)
    assert watcher.round()[-1] == "files 1, errors 1, warnings 0"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_quietly_with_exit_code_0(watcher: Watcher, by: signal.Signals) -> None:
    assert watcher.end(by) == (0, "")


def test_in_a_pipe_nothing_clears_the_screen_and_json_is_a_line_a_round(good: Path) -> None:
    watcher = Watcher(good.parent, "hello.yaml", "--json")
    try:
        first = watcher.round()
        assert first == ["[]", "files 1, errors 0, warnings 0"]
        good.write_text(GOOD + "strat: x\n")
        found, *_ = watcher.round()
        assert '"code": "E101"' in found
        assert "\x1b" not in "".join([*first, found])
    finally:
        watcher.close()
