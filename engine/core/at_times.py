"""Instants relative to a date of the recipient: the `at:` of timers.

`renewal_on - 30d 09:00` is a fact, an offset and a time of day, the last two optional. Days and weeks move the date
in the recipient's zone, a time of day then sets the clock; hours, minutes and seconds are elapsed time from the
fact's instant. A date without a time of day is its midnight. Gaps and doubled times as in `engine.core.calendar`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from engine.core.calendar import in_utc, instant_of, later, wall_of
from engine.core.durations import Duration, parse_duration
from engine.core.windows import parse_time_of_day

_SPACE = re.compile(r"\s*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGN = re.compile(r"[+-]\s*")
_OFFSET = re.compile(r"[0-9]+\s*[a-z]*")
_WORD = re.compile(r"\S+")
_EXAMPLE = "as in renewal_on - 30d 09:00"


class AtRuleError(ValueError):
    """A text that is no `at:` rule; `offset` counts the characters before the place that is wrong."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class AtRule:
    """`offset` after (`sign` 1) or before (`sign` -1) the fact's value, at `time_of_day`; `text` as written."""

    text: str
    fact: str
    sign: int = 1
    offset: Duration | None = None
    time_of_day: time | None = None

    def instant(self, value: date | datetime, zone: str) -> datetime:
        """The instant, in UTC, for a recipient in `zone` whose fact is `value`; the calendar's end if beyond it.

        A datetime without offset is read in `zone`. Raises: ValueError for an unknown zone.

        >>> parse_at("renewal_on - 30d 09:00").instant(date(2026, 4, 15), "Europe/Berlin").isoformat()
        '2026-03-16T08:00:00+00:00'
        """
        days = timedelta(days=self.sign * self.offset.days) if self.offset else timedelta()
        elapsed = self.sign * self.offset.elapsed if self.offset else timedelta()
        if isinstance(value, datetime) and value.tzinfo and not days and self.time_of_day is None:
            return later(in_utc(value), elapsed)  # not by the wall clock, which may show it twice
        wall = later(_wall(value, zone), days)
        if self.time_of_day is not None:
            wall = datetime.combine(wall.date(), self.time_of_day)
        return later(instant_of(wall, zone), elapsed)

    def __str__(self) -> str:
        return self.text


def parse_at(text: object) -> AtRule:
    """The rule that `text` names. Raises AtRuleError, a ValueError, with the place and what was expected.

    >>> parse_at("starts_at - 2h").offset.elapsed
    datetime.timedelta(seconds=7200)
    >>> parse_at("renewal_on 09:00").time_of_day
    datetime.time(9, 0)
    """
    if not isinstance(text, str):
        raise AtRuleError(f"{str(text)[:40]!r} is not a time; expected a fact with an offset, {_EXAMPLE}")
    at = _skip(_SPACE, text, 0)
    if not (name := _NAME.match(text, at)):
        raise AtRuleError(f"expected the name of a date or datetime fact, {_EXAMPLE}", at)
    at = _skip(_SPACE, text, name.end())
    sign, offset = 1, None
    if signed := _SIGN.match(text, at):
        sign = 1 if signed[0][0] == "+" else -1
        offset, at = _offset(text, signed.end())
    time_of_day = None
    if word := _WORD.match(text, at):
        time_of_day, at = _time_of_day(word[0], at, offset), _skip(_SPACE, text, word.end())
    if at < len(text):
        raise AtRuleError(f"expected nothing after the time of day, {_EXAMPLE}; got {text[at : at + 40]!r}", at)
    return AtRule(text.strip(), name[0], sign, offset, time_of_day)


def _offset(text: str, at: int) -> tuple[Duration, int]:
    """The duration that starts at a place in the text, and the place after it and its space."""
    found = _OFFSET.match(text, at)
    if found is None:
        raise AtRuleError(f"expected a duration such as 30d, 2w or 4h after the sign, {_EXAMPLE}", at)
    try:
        duration = parse_duration(found[0])
    except ValueError as error:
        raise AtRuleError(
            f"{found[0][:40]!r} is not an offset; expected a duration such as 30d, 2w or 4h", at
        ) from error
    return duration, _skip(_SPACE, text, found.end())


def _time_of_day(word: str, at: int, offset: Duration | None) -> time:
    if offset is not None and offset.elapsed:
        message = f"a time of day cannot follow an offset of {offset}; expected days or weeks, {_EXAMPLE}"
        raise AtRuleError(message, at)
    try:
        if word == "24:00":
            raise ValueError(f'24:00 ends a day; expected "00:00", with an offset of a day more, {_EXAMPLE}')
        return parse_time_of_day(word)
    except ValueError as error:
        raise AtRuleError(str(error), at) from error


def _wall(value: date | datetime, zone: str) -> datetime:
    if not isinstance(value, datetime):
        return datetime.combine(value, time())
    return wall_of(value, zone) if value.tzinfo else value


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
