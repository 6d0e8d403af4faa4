"""Durations as authors write them, and the instant one leads to.

`30s 15m 4h` are elapsed time. `3d 2w` are calendar days in the recipient's zone: the same wall-clock time that
many days later, by the rule of `engine.core.calendar`. `4 business hours` and `1 business day` run on a window, as
`engine.core.business` says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from engine.core.business import after_business_days, after_business_hours
from engine.core.calendar import in_utc, later, wall_of
from engine.core.calendar import instant_of as instant_of
from engine.core.calendar import zone_of as zone_of
from engine.core.windows import Window

Business = Literal["hours", "days"]

PATTERN = r"\s*[0-9]{1,9}(\s*(s|m|h|d|w)|\s+business\s+(hours?|days?))\s*"
_SHAPE = re.compile(r"([0-9]{1,9})(?:\s*(s|m|h|d|w)|\s+business\s+(hour|day)s?)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DAYS = {"d": 1, "w": 7}
_LONGEST = timedelta(days=36_525)
_LONGEST_BUSINESS = timedelta(days=366)
EXPECTED = "expected a whole number and a unit, as in 30s, 15m, 4h, 3d, 2w, 4 business hours or 1 business day"


@dataclass(frozen=True, slots=True)
class Duration:
    """A span: `elapsed` time or `days` of the calendar, never both; `text` is what the author wrote.

    With `business`, it is that much open time of a window, or that many of its days.
    """

    text: str
    elapsed: timedelta = timedelta()
    days: int = 0
    business: Business | None = None

    @property
    def nominal(self) -> timedelta:
        """The span with every day counted as 24 hours and business time as elapsed, for comparisons in checks.

        >>> parse_duration("2 business days").nominal == parse_duration("48h").nominal
        True
        """
        return self.elapsed + timedelta(days=self.days)

    def scaled(self, factor: float) -> Duration:
        """This duration times `factor`; any factor but 1 turns days and business time into elapsed time.

        >>> parse_duration("1 business day").scaled(0.5).elapsed
        datetime.timedelta(seconds=43200)
        """
        if factor == 1:
            return self
        try:
            return Duration(self.text, elapsed=self.nominal * factor)
        except OverflowError:
            return Duration(self.text, elapsed=timedelta.max)

    def after(self, start: datetime, zone: str = "UTC", window: Window | None = None) -> datetime:
        """The instant, in UTC, that lies this duration after `start` for someone in `zone`.

        Business time runs on `window`. It never leads out of the calendar, but to its end.

        Raises: ValueError for business time without a window, or an unknown zone.

        >>> start = datetime.fromisoformat("2026-03-28T01:30Z")
        >>> parse_duration("24h").after(start, "Europe/Berlin").isoformat()
        '2026-03-29T01:30:00+00:00'
        >>> parse_duration("1d").after(start, "Europe/Berlin").isoformat()
        '2026-03-29T01:00:00+00:00'
        """
        if self.business:
            return self._after_business(start, zone, window)
        if not self.days:
            return later(start if start.tzinfo is UTC else in_utc(start), self.elapsed)
        return instant_of(later(wall_of(start, zone), timedelta(days=self.days)), zone)

    def _after_business(self, start: datetime, zone: str, window: Window | None) -> datetime:
        if window is None:
            raise ValueError(f"{self.text!r} is business time; expected a send_window that says when that runs")
        if self.business == "hours":
            return after_business_hours(start, self.elapsed, window, zone)
        return after_business_days(start, self.days, window, zone)

    def __str__(self) -> str:
        return self.text


def parse_duration(text: object) -> Duration:
    """The duration that `text` names. Raises ValueError with what was expected.

    >>> parse_duration("48h").elapsed
    datetime.timedelta(days=2)
    >>> parse_duration("2w").days
    14
    >>> parse_duration("1 business day").business
    'days'
    """
    found = _SHAPE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a duration; {EXPECTED}")
    count, unit = int(found[1]), found[2] or found[3][0]
    seconds, days = count * _SECONDS.get(unit, 0), count * _DAYS.get(unit, 0)
    longest = _LONGEST_BUSINESS if found[3] else _LONGEST
    if days > longest.days or seconds > longest.total_seconds():
        limit = "366 business days (of 24 hours)" if found[3] else "100 years"
        raise ValueError(f"{text!r} is longer than {limit}; expected less")
    business: Business | None = ("hours" if unit == "h" else "days") if found[3] else None
    return Duration(str(text).strip(), timedelta(seconds=seconds), days, business)
