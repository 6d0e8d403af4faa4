"""Durations as authors write them, and the instant one leads to.

`30s 15m 4h` are elapsed time. `3d 2w` are calendar days in the recipient's zone: the same wall-clock time that
many days later. A wall-clock time that a daylight saving gap removes becomes the first instant after the gap; one
that occurs twice becomes the earlier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_SHAPE = re.compile(r"([0-9]{1,9})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DAYS = {"d": 1, "w": 7}
_LONGEST = timedelta(days=36_525)
EXPECTED = "expected a whole number and a unit, as in 30s, 15m, 4h, 3d or 2w"


@dataclass(frozen=True, slots=True)
class Duration:
    """A span: `elapsed` time or `days` of the calendar, never both; `text` is what the author wrote."""

    text: str
    elapsed: timedelta = timedelta()
    days: int = 0

    @property
    def nominal(self) -> timedelta:
        """The span with every day counted as 24 hours, for comparing durations in checks."""
        return self.elapsed + timedelta(days=self.days)

    def scaled(self, factor: float) -> Duration:
        """This duration times `factor`; any factor but 1 turns calendar days into elapsed 24 h days."""
        return self if factor == 1 else Duration(self.text, elapsed=self.nominal * factor)

    def after(self, start: datetime, zone: str = "UTC") -> datetime:
        """The instant, in UTC, that lies this duration after `start` for someone in `zone`.

        >>> start = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
        >>> parse_duration("24h").after(start, "Europe/Berlin").isoformat()
        '2026-03-29T01:30:00+00:00'
        >>> parse_duration("1d").after(start, "Europe/Berlin").isoformat()
        '2026-03-29T01:00:00+00:00'
        """
        if not self.days:
            return start + self.elapsed
        return instant_of(start.astimezone(zone_of(zone)).replace(tzinfo=None) + timedelta(days=self.days), zone)

    def __str__(self) -> str:
        return self.text


def parse_duration(text: object) -> Duration:
    """The duration that `text` names. Raises ValueError with what was expected.

    >>> parse_duration("48h").elapsed
    datetime.timedelta(days=2)
    >>> parse_duration("2w").days
    14
    """
    found = _SHAPE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a duration; {EXPECTED}")
    count, unit = int(found[1]), found[2]
    seconds, days = count * _SECONDS.get(unit, 0), count * _DAYS.get(unit, 0)
    if days > _LONGEST.days or seconds > _LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than 100 years; expected less")
    return Duration(str(text).strip(), elapsed=timedelta(seconds=seconds), days=days)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The time zone called `name` in the IANA database; raises ZoneInfoNotFoundError or ValueError."""
    return ZoneInfo(name)


def instant_of(wall: datetime, zone: str) -> datetime:
    """The instant, in UTC, at which clocks in `zone` show `wall` (without offset), by the rule of the module."""
    here = zone_of(zone)
    instant = wall.replace(tzinfo=here, fold=0).astimezone(UTC)
    if instant.astimezone(here).replace(tzinfo=None) == wall:
        return instant
    # In a gap: fold 0 reads the wall time with the offset before the change, so the change lies between
    # the two readings; halve that span down to the first whole second with the new offset.
    late, early = instant, wall.replace(tzinfo=here, fold=1).astimezone(UTC)
    new_offset = late.astimezone(here).utcoffset()
    low, high = int(early.timestamp()), int(late.timestamp())
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, here).utcoffset() == new_offset:
            high = middle
        else:
            low = middle + 1
    return datetime.fromtimestamp(low, UTC)
