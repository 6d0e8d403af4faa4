from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.authoring.visits import TYPE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the campaign type `visit`."""
    (tmp_path / "visit.yaml").write_text(TYPE, encoding="utf-8")
    return tmp_path
