"""The script `dev` on a machine that lacks something: one clear message with the next step."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEV = Path(__file__).parents[2] / "dev"
TOO_OLD = "exit 1"
WITHOUT_VENV = 'case "$2" in *ensurepip*) exit 1 ;; esac'


def run_dev(folder: Path, *arguments: str, python: str | None) -> subprocess.CompletedProcess[str]:
    """`dev` in a folder without .venv, where PATH holds at most one program, named python3."""
    programs = folder / "programs"
    programs.mkdir()
    if python is not None:
        (programs / "python3").write_text(f"#!/bin/sh\n{python}\n")
        (programs / "python3").chmod(0o755)
    shutil.copy(DEV, folder / "dev")
    command = ["/bin/sh", str(folder / "dev"), *arguments]
    return subprocess.run(command, env={"PATH": str(programs)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        (None, "needs Python 3.11 or newer; found none"),
        (TOO_OLD, "needs Python 3.11 or newer; found too old or broken: python3"),
        (WITHOUT_VENV, "python3 cannot make a virtual environment"),
    ],
)
def test_without_a_python_that_will_do_it_says_what_to_install(
    tmp_path: Path, python: str | None, expected: str
) -> None:
    done = run_dev(tmp_path, "test", python=python)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "apt install" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("arguments", [(), ("tets",)])
def test_without_a_known_command_it_lists_what_there_is(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run_dev(tmp_path, *arguments, python=None)
    assert done.returncode == 2
    assert "./dev test" in done.stderr
