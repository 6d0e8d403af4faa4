"""One finding in a file: where it is, what is wrong, what was expected. Rendered with the source line and a caret."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A finding at `file:line:column` (both count from 1); problems sort by place, then code.

    A code with W is a warning, unless the finding is `grave`.

    >>> print(Problem("a.yaml", 3, 5, "E103", "unknown stage 'hello'", source="  go: hello"))
    a.yaml:3:5: error: unknown stage 'hello' [E103]
      |   go: hello
      |     ^
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    source: str = field(default="", compare=False)
    grave: bool = field(default=False, compare=False)

    @property
    def severity(self) -> Severity:
        return "warning" if self.code.startswith("W") and not self.grave else "error"

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message} [{self.code}]"
        if not self.source:
            return head
        caret = "".join("\t" if char == "\t" else " " for char in self.source[: self.column - 1]) + "^"
        return f"{head}\n  | {self.source}\n  | {caret}"

    def as_dict(self) -> dict[str, object]:
        """The finding as the JSON output of `campaign types lint` gives it."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
        }


def expected_one_of(given: str, known: Iterable[str]) -> str:
    """The second half of a message about an unknown name: what was expected, and the nearest match.

    >>> expected_one_of("inttro", ["intro", "bump"])
    'expected one of bump, intro; did you mean intro?'
    >>> expected_one_of("x", [])
    'none is declared'
    """
    names = sorted(known)
    if not names:
        return "none is declared"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    near = difflib.get_close_matches(given, names, n=1)
    return f"expected one of {shown}" + (f"; did you mean {near[0]}?" if near else "")


def shown(value: object) -> str:
    """`value` as a message names it: short, in an author's words.

    >>> [shown(value) for value in (None, True, 3, "yes", [1], {})]
    ['nothing', 'true', 'the number 3', "the text 'yes'", 'a list', 'a mapping']
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value if len(value) <= 40 else value[:39] + '…'!r}"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return f"the number {value}"
