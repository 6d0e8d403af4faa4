"""The variables of a message that writes out nothing but plain values, `Hi {{ first_name }}`, as most messages do.

What such a text needs can be told without the template library, which takes long to load. Everything else is read by
`engine.core.templates`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

NAMESPACES = frozenset({"recipient", "campaign"})
_OUTPUT = re.compile(r"(?<!\{)\{\{-?[ \t\n]*([A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)[ \t\n]*-?\}\}", re.ASCII)
_WORDS = frozenset(
    {"and", "blank", "contains", "else", "empty", "false", "if", "nil", "not", "null", "or", "reversed", "true"}
)


class Use(NamedTuple):
    """One place where a template needs a value from outside."""

    name: str
    line: int
    column: int


def plain_uses(text: str) -> tuple[Use, ...] | None:
    """The variables that `text` writes out, in order; None when it has any other markup.

    >>> plain_uses("Hi {{ first_name }},\\nyou are {{ recipient.email }}.")
    (Use(name='first_name', line=1, column=7), Use(name='recipient.email', line=2, column=12))
    >>> plain_uses("{% if x %}{{ x | upcase }}{% endif %}") is None
    True
    """
    found = list(_OUTPUT.finditer(text))
    if "{%" in text or text.count("{{") != len(found) or any(each[1] in _WORDS for each in found):
        return None
    return tuple(Use(_name(each), *line_and_column(text, each.start(1))) for each in found)


def filled(text: str, values: Mapping[str, object]) -> str:
    """A text that `plain_uses` can read, with a value for each of its variables.

    >>> filled("Hi {{ first_name }}, are you {{ recipient.email }}?", {"first_name": "Ann", "recipient.email": "a@b"})
    'Hi Ann, are you a@b?'
    """
    return _OUTPUT.sub(lambda output: str(values.get(_name(output), "")), text)


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """The line and column, both from 1, of the character with this index."""
    before = text[:index]
    return before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1


def _name(output: re.Match[str]) -> str:
    """The variable's root, or `recipient.email` and the like."""
    parts = output[2].split(".")
    return f"{output[1]}.{parts[1]}" if output[1] in NAMESPACES and len(parts) > 1 else output[1]
