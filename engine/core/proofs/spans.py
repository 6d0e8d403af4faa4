"""How short and how long a duration can be, whenever and wherever it starts: true bounds for the proofs.

Elapsed time is what it says. Calendar days last 24 hours each, but for one change of the clocks: no zone of the
IANA database moves its clocks by more than two hours after 2026 (Antarctica/Troll does that, the others one hour
or less, and none that stays where it is crosses the date line), and over any number of days the changes back and
forth cancel out. So a span of days is at most two hours longer or shorter than its days.

Business time depends on where in the week and the year it starts. It is longest from a closing time on; the days
of the window from 2020 to 2040, with their public holidays, are laid out and the worst start among them is taken.
"""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from functools import lru_cache

from engine.core.durations import Duration
from engine.core.windows import Window

CLOCK_CHANGE = timedelta(hours=2)
_DAY = timedelta(days=1)
_FIRST, _LAST = date(2020, 1, 1).toordinal(), date(2040, 12, 31).toordinal()


def longest(duration: Duration, window: Window | None = None) -> timedelta:
    """The most time that can pass between an instant and this duration after it.

    >>> from engine.core.durations import parse_duration
    >>> longest(parse_duration("36h")), longest(parse_duration("2d"))
    (datetime.timedelta(days=1, seconds=43200), datetime.timedelta(days=2, seconds=7200))
    """
    if duration.business and window is not None:
        return _longest_business(duration, window)
    return duration.nominal + CLOCK_CHANGE if duration.days else duration.nominal


def shortest(duration: Duration) -> timedelta:
    """The least time that can pass between an instant and this duration after it.

    >>> from engine.core.durations import parse_duration
    >>> shortest(parse_duration("2d")), shortest(parse_duration("4 business hours"))
    (datetime.timedelta(days=1, seconds=79200), datetime.timedelta(seconds=14400))
    """
    return max(duration.nominal - CLOCK_CHANGE, timedelta()) if duration.days else duration.nominal


@lru_cache(maxsize=256)
def _longest_business(duration: Duration, window: Window) -> timedelta:
    days = _days_of(window)
    if duration.business == "days":
        return _widest(days, duration.days) + CLOCK_CHANGE
    hours = _hours_of(window)
    span = duration.elapsed + CLOCK_CHANGE  # a change of the clocks may cut an opening
    openings = math.ceil(span / hours)
    return _widest(days, openings) - (openings * hours - span) + CLOCK_CHANGE


def _widest(days: tuple[int, ...], count: int) -> timedelta:
    """The most days between one day of the window and the `count`-th after it."""
    known = len(days) - 1
    if known < 1:
        return timedelta(days=36_525)  # where business time ends its search
    whole, rest = divmod(count, known)
    wide = max(later - earlier for earlier, later in zip(days, days[rest:], strict=False)) if rest else 0
    return timedelta(days=wide + whole * (days[-1] - days[0] + 7))


@lru_cache(maxsize=64)
def _days_of(window: Window) -> tuple[int, ...]:
    """The days on which the window opens; without holidays every week is like the first."""
    last = _LAST if window.holidays else _FIRST + 7 * 53
    return tuple(day for day in range(_FIRST, last + 1) if window.has_day(date.fromordinal(day)))


def _hours_of(window: Window) -> timedelta:
    opens, closes = (datetime.combine(date.min, at) for at in (window.opens, window.closes))
    return closes - opens + (_DAY if closes <= opens else timedelta())
