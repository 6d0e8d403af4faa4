"""Every broken file in `tests/checks` prints exactly what stands beside it.

`CODE_what_is_wrong.yaml` has its expected output in `CODE_what_is_wrong.txt`. To write the outputs anew after a
wanted change, run `UPDATE_EXPECTATIONS=1 pytest tests/unit/test_check_files.py` and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.authoring.linting import is_scenario_file, lint_file

CHECKS = Path(__file__).parents[1] / "checks"
BROKEN = sorted(path.name for path in CHECKS.glob("*.yaml") if not is_scenario_file(path))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_prints_what_is_expected_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKS)
    printed = "".join(f"{problem}\n" for problem in lint_file(Path(name)).problems)
    expected = Path(name).with_suffix(".txt")
    if os.environ.get("UPDATE_EXPECTATIONS") == "1":
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")
    assert f"[{name.partition('_')[0]}]" in printed


def test_every_expected_output_has_its_broken_file() -> None:
    outputs = sorted(path.with_suffix(".yaml").name for path in CHECKS.glob("*.txt"))
    assert outputs == BROKEN
