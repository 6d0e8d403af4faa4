from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "checks.md"
CHECKS = ROOT / "tests" / "checks"


def test_the_page_of_checks_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "write_checks.py"))["page"]
    assert PAGE.read_text(encoding="utf-8") == page(), "run python docs/write_checks.py"


def test_every_code_with_a_broken_file_has_an_entry() -> None:
    codes = {path.name.partition("_")[0] for path in CHECKS.glob("*.yaml")}
    told = {path.stem.partition("_")[0] for path in CHECKS.glob("*.md")}
    assert codes <= told


def test_every_code_that_a_check_reports_has_an_entry() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "engine").rglob("*.py"))
    reported = set(re.findall(r'"([EW][0-9]{3})"', sources))
    told = set(re.findall(r"^## ([EW][0-9]{3}):", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert "E100" in reported, "the codes stand in the source as quoted texts"
    assert reported - told == set()
