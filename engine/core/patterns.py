"""Regular expressions of authors, run by RE2: the time is linear in the text, whatever the expression says.

As in RapidPro's `has_pattern`, case does not matter, `^` and `$` match at every line, and the text is taken as it
came, blanks and all. A pattern that cannot be read is a PatternError that knows the place.
"""

from __future__ import annotations

import re

import re2

from engine.core.words import Heard, Matcher

_FLAGS = "(?mi)"
_SURROGATE = re.compile("[\ud800-\udfff]")


class PatternError(ValueError):
    """A `pattern` that is not a regular expression; `position` counts characters from 0."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"not a pattern: {reason} at position {position}; expected RE2 syntax")
        self.reason = reason
        self.position = position


def pattern(wanted: str) -> Matcher:
    r"""Matches a text in which the expression is found: the first place. Raises PatternError.

    >>> pattern(r"\d+ (kg|lb)")(Heard("about 20 KG"))
    '20 KG'
    """
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(f"{_FLAGS}{wanted.strip()}", options)
    except re2.error as error:
        raise _pattern_error(wanted, error.args[0].decode(errors="replace")) from None
    except UnicodeEncodeError as error:
        raise PatternError("half a surrogate pair", max(error.start - len(_FLAGS), 0)) from None

    def match(heard: Heard) -> str | None:
        try:
            found = compiled.search(heard.raw)
        except UnicodeEncodeError:
            found = compiled.search(_SURROGATE.sub("\ufffd", heard.raw))
        return None if found is None else heard.raw[found.start() : found.end()]

    return match


def _pattern_error(wanted: str, said: str) -> PatternError:
    """What RE2 said, with the place in `wanted` worked out from the part of the pattern that it quotes."""
    reason, _, part = said.partition(": ")
    if part.startswith(_FLAGS):  # it quotes the whole pattern when brackets do not pair up
        return PatternError(reason, len(wanted) if reason.startswith("missing") else wanted.rfind(")"))
    return PatternError(f"{reason} {part[:40]!r}", max(wanted.find(part), 0))
