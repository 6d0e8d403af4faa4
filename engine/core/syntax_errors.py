"""What a YAML syntax error means to the person who wrote the file.

PyYAML's parser says which token it did not expect. Authors mostly meet five causes: a text that must be
quoted, a bracket or quote never closed, a tab, wrong indentation, and a stray colon. Each is named with its
remedy and, where that differs, placed where the mistake begins and not where the parser gave up.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import yaml


class _Cause(NamedTuple):
    """What to say when the parser's context and problem hold these words."""

    context: str
    problem: str
    message: str
    at_begin: bool = False


_CAUSES = (
    _Cause("", r"found character '\t'", "a tab cannot indent or separate here; use spaces"),
    _Cause("", "cannot start any token", "a text cannot begin with this character; quote it"),
    _Cause("quoted", "escape", r"unknown escape; write \\ for a backslash, or use single quotes"),
    _Cause("quoted", "", "this quoted text is never closed; expected its quote again", True),
    _Cause("", "mapping values", "unexpected ':'; quote the text it belongs to, or check the indentation"),
    _Cause("", "expected ':'", "expected ':' and a value after this key, on the same line", True),
    _Cause("", "sequence entries", "unexpected list item; put it on a line of its own, indented"),
    _Cause("alias", "", "a text cannot begin with '*'; quote it", True),
    _Cause("anchor", "", "a text cannot begin with '&'; quote it", True),
    _Cause("tag", "", "tags are not allowed; quote the text if it begins with '!'", True),
    _Cause("", "tag handle", "tags are not allowed; quote the text if it begins with '!'"),
    _Cause("block scalar", "", "expected a line break after | or >, and the text indented below"),
    _Cause("", "<document start>", "this is not part of the mapping above; expected one mapping of keys and values"),
    _Cause("", "<stream end>", "unexpected end of the file; expected the rest of this"),
    _Cause("directive", "", "unknown directive; remove the line that begins with '%'", True),
    _Cause("", "<block end>", "this does not fit what stands before it; check the indentation, or quote the text"),
)
_TOKEN = re.compile(r"got '(.*)'$")
_QUOTE_IT = 'quote the text, as in {plan: "one of [free, team]", renewal_on: "date?"}'


def explain(error: yaml.MarkedYAMLError) -> tuple[str, yaml.Mark | None]:
    """A message that says what to do, and the mark where the mistake most likely is."""
    context, problem = error.context or "", error.problem or ""
    begin, here = error.context_mark or error.problem_mark, error.problem_mark
    token = _TOKEN.search(problem)
    if "flow" in context and token:
        return _in_flow(("{", "}") if "mapping" in context else ("[", "]"), token[1], begin, here)
    for cause in _CAUSES:
        if cause.context in context and cause.problem in problem:
            return (cause.message, begin if cause.at_begin else here)
    return (f"this is not YAML: {problem}", here)


def _in_flow(
    brackets: tuple[str, str], token: str, begin: yaml.Mark | None, here: yaml.Mark | None
) -> tuple[str, yaml.Mark | None]:
    """What broke a mapping in braces or a list in brackets."""
    opening, closing = brackets
    if token == "<stream end>":
        return (f"this '{opening}' is never closed; expected '{closing}'", begin)
    if token in ("[", "{", "?"):
        return (f"unexpected '{token}' inside '{opening}'; {_QUOTE_IT}", here)
    since = f" since line {begin.line + 1}" if begin and here and begin.line != here.line else ""
    return (f"expected ',' or '{closing}' ('{opening}' is open{since}); quote the text if it goes on", here)
