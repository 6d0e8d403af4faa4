"""Reading with libyaml gives, whenever it is kept, the very nodes that PyYAML's own reader gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import composer

ROOT = Path(__file__).parents[3]
PIECES = [
    "a: ", "b: ", "- ", "{", "}", "[", "]", ", ", "\n", "\n  ", "\n    ", "'", '"', "|\n", "|-\n  ", ">+\n   ", "x",
    "09:00", "?", "? ", ": ", ":", "#", " # c", "&a ", "*a", "%", " ", "\t", "\\n", "é", "😀", "<<: ", "---\n", "text?",
    "it''s", "@", "-", "1", "~", "{{ x }}", "  x y",
]  # fmt: skip


def by_pyyaml(source: str) -> tuple[composer.Node | None, list[composer.Finding]]:
    slow = composer._Composer(source, yaml.SafeLoader)
    return slow.compose_document(), slow.findings


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_as_pyyaml_reads_it(text: str) -> None:
    source = f"k: {text}"
    assert composer.compose(source) == by_pyyaml(source)


@pytest.mark.parametrize("path", sorted((ROOT / "campaign_types").glob("*.yaml")), ids=lambda path: path.name)
def test_what_is_shipped_is_read_as_pyyaml_reads_it(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert composer.compose(source) == by_pyyaml(source)


def test_libyaml_is_there_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str) -> None:
        raise AssertionError(f"PyYAML was asked for {source!r}")

    monkeypatch.setattr(yaml, "SafeLoader", refuse)
    root, findings = composer.compose("a: [1, {b: 'x'}]\nc: |\n  text\n")
    assert root is not None
    assert findings == []
