"""Writes docs/checks.md, the page of all problems `campaign types lint` can find: `python docs/write_checks.py`.

The page is made of `tests/checks`. `CODE_what_is_wrong.md` says why something is a problem and how to mend it, and
the broken file and its output stand beside it under the same name, for what `diff` finds the old version too, for W701
the scenarios. The tests fail when the page is out of date.
"""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parent / "checks.md"
CHECKS = Path(__file__).parents[1] / "tests" / "checks"
HEAD = """<!-- Made by docs/write_checks.py from tests/checks. Change those files, not this page. -->
# What lint finds

Each problem is one line, `file:line:column: severity: message [code]`, with the line it stands in and a caret. All
are told at once, sorted by place, but in phases: a file that is not YAML is not checked for keys, one with wrong
keys not for stages, and one whose stages have unknown targets not for dead ends. The files below are in
`tests/checks`, where some codes have further examples.

Codes with E are errors: such a type is not loaded. Codes with W are warnings. A comment silences one of them in the
next line:

```yaml
# campaign: ignore[W304] the large teams come first on purpose
```

It needs a reason, and must silence something. Several of them in a row look at the line after the last.
"""


def page() -> str:
    """The page as it should be."""
    entries = [_entry(text) for text in sorted(CHECKS.rglob("*.md"), key=_by_number)]
    return "\n".join([HEAD, *entries])


def _by_number(text: Path) -> tuple[str, str]:
    """As the codes count, whether errors or warnings."""
    return text.stem[1:4], text.stem


def _entry(text: Path) -> str:
    code = text.stem.partition("_")[0]
    entry = f"## {code}: " + text.read_text(encoding="utf-8").removeprefix("# ")
    broken = text.with_suffix(".yaml")
    if not broken.exists():
        return entry
    output = text.with_suffix(".txt").read_text(encoding="utf-8")
    beside = (text.with_suffix(".old.yaml"), broken, text.with_suffix(".test.yaml"))
    files = [file for file in beside if file.exists()]
    shown = "\n".join(f"```yaml\n{file.read_text(encoding='utf-8')}```\n" for file in files)
    return f"{entry}\n{shown}\n```text\n{output}```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
