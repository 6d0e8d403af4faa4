"""Comments that silence a warning: `# campaign: ignore[W304] the large teams come first on purpose`.

Each silences one finding of its code on the next line; several in a row all look at the line after the last. It has
a reason, names a code of a warning, and silences something, or else it is itself an E107, so that none outlives what
it was written for. Errors cannot be silenced.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.core.composer import Mark
from engine.core.problems import Problem, expected_one_of
from engine.core.yaml_source import Document

WARNINGS = frozenset(
    {"W206", "W207", "W304", "W306", "W402", "W404", "W502", "W503", "W603", "W604", "W605", "W701", "W802"}
)
_FOUND_ELSEWHERE = frozenset({"W701", "W802"})  # by what knows more than the file alone
_COMMENT = re.compile(r"(?<![^\s])#[ \t]*campaign:[ \t]*ignore\b(?:\[([^\]\r\n]*)\])?([^\r\n]*)")
_FORM = "expected a warning's code and a reason, as in # campaign: ignore[W304] large teams come first"


class Ignore(NamedTuple):
    """A comment at `line` and `column` that silences one finding of `code` in the line `target`."""

    line: int
    column: int
    target: int
    code: str
    reason: str


def silence(document: Document, found: Iterable[Problem], *, codes: frozenset[str] | None = None) -> list[Problem]:
    """`found` without what the file's comments silence, with what is wrong with the comments, sorted.

    With `codes`, only comments about these are looked at, `found` being all findings of them; without, only those
    that a file alone can be judged by. A comment that silences nothing is told unless errors hid the warnings.

    >>> from engine.core.yaml_source import read_yaml
    >>> document = read_yaml("# campaign: ignore[W605] sent by hand\\nhi: {text: Hi}", "a.yaml")
    >>> silence(document, [document.problem("W605", "never sent", ("hi",), key=True)])
    []
    >>> print(silence(document, [])[0].message)
    this comment silences nothing; expected a W605 in line 2, or no comment
    """
    left = sorted(found)
    if "campaign:" not in document.source:
        return left
    failed = any(problem.severity == "error" for problem in left)
    wrong: list[Problem] = []
    for each in ignores_of(document):
        elsewhere = each.code in _FOUND_ELSEWHERE
        if elsewhere if codes is None else each.code not in codes:
            continue
        hit = next((it for it in left if (it.line, it.code, it.severity) == (each.target, each.code, "warning")), None)
        if objection := _objection(each):
            wrong.append(document.problem_at("E107", objection, each.line, each.column))
        elif hit is not None:
            left.remove(hit)
        elif not failed:
            message = f"this comment silences nothing; expected a {each.code} in line {each.target}, or no comment"
            wrong.append(document.problem_at("E107", message, each.line, each.column))
    return sorted([*left, *wrong])


def _objection(ignore: Ignore) -> str:
    """Why a comment cannot silence anything, or nothing."""
    if re.fullmatch(r"E[0-9]{3}", ignore.code):
        return f"{ignore.code} is an error and cannot be silenced; mend what it is about"
    if not ignore.code:
        return f"this comment names no code; {_FORM}"
    if ignore.code not in WARNINGS:
        return f"{ignore.code[:40]!r} is no warning; {expected_one_of(ignore.code, WARNINGS)}"
    return "" if ignore.reason else f"this comment gives no reason; {_FORM}"


def ignores_of(document: Document) -> list[Ignore]:
    """Every such comment, in order. What looks like one inside a text is none."""
    comments = list(_comments(document))
    alone = {mark.line for mark, _ in comments if not document.lines[mark.line - 1][: mark.column - 1].strip()}
    found: list[Ignore] = []
    target = 0
    for mark, comment in reversed(comments):
        target = target if mark.line + 1 in alone else mark.line + 1
        code, reason = (comment[1] or "").strip(), comment[2].strip()
        found.append(Ignore(mark.line, mark.column, target, code, reason))
    return found[::-1]


def _comments(document: Document) -> Iterator[tuple[Mark, re.Match[str]]]:
    texts = sorted(document.texts())
    mark = Mark(1, 1, 0)
    for each in _COMMENT.finditer(document.source):
        mark = mark.after(document.source[mark.at : each.start()])
        before = bisect(texts, (mark.at, len(document.source)))
        if before == 0 or texts[before - 1][1] <= mark.at:
            yield mark, each
