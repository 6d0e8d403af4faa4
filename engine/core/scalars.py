"""Scalars of YAML 1.2's core schema: what a plain text means, and where each of its characters stands.

Only `true false null ~`, whole numbers and decimals mean something else than themselves, so `on off yes no`
and dates are text. What YAML 1.1 would read as another number (`9:30`, `010`) is named, never guessed at.
"""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_SEXAGESIMAL = re.compile(r"[-+]?([1-9][0-9_]*(:[0-5]?[0-9])+|[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*)")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_LONGEST_NUMBER = 64
_BIGGEST_INT = 2**63 - 1

_ESCAPE = r"\\(?:u[dD][89abAB]..\\u....|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|[\s\S])"
_VISIBLE = {"'": re.compile(r"''|\S"), '"': re.compile(rf"{_ESCAPE}|\S"), "": re.compile(r"\S")}


def resolve(text: str) -> Scalar:
    """What the plain scalar `text` means. Raises ValueError for a number that no database column could hold.

    >>> [resolve(text) for text in ("yes", "12", "0o17", "1.5", "~", "2026-03-02")]
    ['yes', 12, 15, 1.5, None, '2026-03-02']
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    is_int = _INT.fullmatch(text) is not None
    if _NOT_FINITE.fullmatch(text) or (len(text) > _LONGEST_NUMBER and (is_int or _FLOAT.fullmatch(text))):
        raise ValueError("expected a finite number of at most 64 digits; quote it if it is a text")
    if is_int:
        whole = int(text, {"o": 8, "x": 16}.get(text[1:2], 10))
        if abs(whole) > _BIGGEST_INT:
            raise ValueError(f"expected a whole number of at most {_BIGGEST_INT}; quote it if it is a text")
        return whole
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError("expected a number of at most 1.8e308; quote it if it is a text")
        return number
    return text


def joined(text: str) -> str:
    """`text` with every pair of surrogates, JSON's way to escape an emoji, as the character it means.

    >>> joined("\\ud83d\\ude00") == "\\U0001f600"
    True
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def other_reading(text: str) -> str | None:
    """What YAML 1.1 takes the plain scalar `text` for when it is not what it seems, and the remedy.

    >>> other_reading("9:30"), other_reading("010"), other_reading("10")
    ('a number in base 60; quote it', 'an octal number; quote it, or leave out the leading zero', None)
    """
    if _SEXAGESIMAL.fullmatch(text):
        return "a number in base 60; quote it"
    return "an octal number; quote it, or leave out the leading zero" if _OCTAL.fullmatch(text) else None


def index_in_source(written: str, style: str, text: str, offset: int) -> int:
    """The index in `written`, a scalar as it stands in the file, of the character that became `text[offset]`.

    Folding, indentation and chomping only ever change blanks, so the n-th visible character of the one is the
    n-th visible character of the other. A blank is placed just after the visible character before it.
    `style` is the scalar's first character when that is a quote or a block indicator, else empty.

    >>> index_in_source("'it''s  a\\n  b'", "'", "it's  a b", 8)
    12
    """
    first = 1 if style in ("'", '"') else len(written.partition("\n")[0]) if style in ("|", ">") else 0
    blanks = len(text[:offset]) - len(text[:offset].rstrip())
    at_blank = text[offset : offset + 1].strip() == ""
    wanted = sum(not char.isspace() for char in text[:offset]) + (not at_blank)
    end = first
    for found in _VISIBLE.get(style, _VISIBLE[""]).finditer(written, first):
        if wanted == 0:
            break
        if not _is_blank(found[0]):
            wanted, end = wanted - 1, found.end()
            if wanted == 0 and not at_blank:
                return found.start()
    return min(end + blanks, len(written))


def _is_blank(token: str) -> bool:
    """Whether a token of a double-quoted text is an escape that means a blank."""
    if len(token) > 2 and token[1] in "xuU":
        return chr(int(token[2:].partition("\\")[0], 16)).isspace()
    return len(token) > 1 and token[0] == "\\" and token[1] in "tnrvfNLP_ \t\r\n"
