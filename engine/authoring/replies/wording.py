r"""Texts that a regular expression matches: a few of its branches, with every repeat as short as it may be.

Works on the tree into which the standard library reads an expression; the dialect of RE2 that authors write is
nearly the same, and what is not is answered with nothing. A text that comes out must still be tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_MOST = 40
_LETTERS = "ay5 -.@!éж"
_CATEGORIES = {"CATEGORY_DIGIT": "5", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}
_INVERTED = {"CATEGORY_NOT_DIGIT": "a", "CATEGORY_NOT_SPACE": "a", "CATEGORY_NOT_WORD": " "}


def wording_of(pattern: str) -> Iterator[str]:
    r"""Texts that ought to match a pattern, at most forty; none for one that cannot be read.

    >>> list(wording_of(r"\b(not|never)\s+(\w+\s+)?accept"))
    ['not accept', 'not a accept', 'never accept', 'never a accept']
    """
    try:
        tree = parser.parse(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError):
        return
    yield from islice(_texts(tree), _MOST)


def _texts(nodes: Sequence[Any]) -> Iterator[str]:
    choices = [list(islice(_of(code, value), _MOST)) for code, value in nodes]
    return ("".join(chosen) for chosen in product(*choices))


def _of(code: Any, value: Any) -> Iterator[str]:
    match code:
        case codes.LITERAL:
            yield chr(value)
        case codes.NOT_LITERAL:
            yield next(letter for letter in _LETTERS if ord(letter) != value)
        case codes.ANY:
            yield "a"
        case codes.IN:
            yield from islice(_members(value), 2)
        case codes.BRANCH:
            for branch in value[1]:
                yield from _texts(branch)
        case codes.SUBPATTERN:
            yield from _texts(value[3])
        case codes.MAX_REPEAT | codes.MIN_REPEAT | codes.POSSESSIVE_REPEAT:
            low, high, inner = value
            for times in dict.fromkeys((low, min(low + 1, high)) if low == 0 else (low,)):
                yield from (text * times for text in islice(_texts(inner), _MOST if times else 1))
        case codes.AT | codes.ASSERT | codes.ASSERT_NOT:
            yield ""


def _members(members: Sequence[Any]) -> Iterator[str]:
    """Characters of a set."""
    if members[0][0] is codes.NEGATE:
        forbidden = {char for code, value in members[1:] for char in _of_member(code, value)}
        yield from (letter for letter in _LETTERS if letter not in forbidden)
        return
    for code, value in members:
        yield from islice(_of_member(code, value), 1)


def _of_member(code: Any, value: Any) -> Iterator[str]:
    if code is codes.LITERAL:
        yield chr(value)
    elif code is codes.RANGE:
        yield from (chr(point) for point in range(value[0], min(value[1], value[0] + 200) + 1))
    elif code is codes.CATEGORY:
        yield _CATEGORIES.get(str(value)) or _INVERTED.get(str(value), "a")
