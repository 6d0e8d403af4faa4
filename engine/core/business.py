"""Business time: it runs while a window is open, on its days, hours and holidays, by the clocks of its zone.

A window's preferred times do not matter here. A window that opens too rarely ends the search after a hundred years,
and that is the answer then; `lint` refuses windows that never open.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import islice

from engine.core.calendar import LATEST, in_utc, instant_of, later, wall_of
from engine.core.windows import Window

_FARTHEST = timedelta(days=36_525)


def after_business_hours(start: datetime, span: timedelta, window: Window, zone: str) -> datetime:
    """The first instant by which the window was open for `span` since `start`; a span that fills it ends at closing.

    >>> from datetime import time
    >>> office = Window(frozenset(range(5)), time(9), time(17), "UTC")
    >>> friday = datetime.fromisoformat("2026-03-27T15:00Z")
    >>> after_business_hours(friday, timedelta(hours=2), office, "UTC").isoformat()
    '2026-03-27T17:00:00+00:00'
    >>> after_business_hours(friday, timedelta(hours=4), office, "UTC").isoformat()
    '2026-03-30T11:00:00+00:00'
    """
    start = in_utc(start)
    if not span:
        return start
    left = span
    for opening in window.openings(start, zone, _FARTHEST.days):
        since = max(opening.opens, start)
        if left <= opening.closes - since:
            return since + left
        left -= opening.closes - since
    return later(start, _FARTHEST)


def after_business_days(start: datetime, count: int, window: Window, zone: str) -> datetime:
    """The instant at which clocks show the time of `start` again, on the window's `count`-th day after that day.

    >>> from datetime import time
    >>> office = Window(frozenset(range(5)), time(9), time(17), "UTC")
    >>> saturday = datetime.fromisoformat("2026-03-28T15:00Z")
    >>> after_business_days(saturday, 1, office, "UTC").isoformat()
    '2026-03-30T15:00:00+00:00'
    """
    if not count:
        return in_utc(start)
    here = window.zone_for(zone)
    wall = wall_of(start, here)
    today = wall.toordinal()
    ahead = map(date.fromordinal, range(today + 1, min(today + _FARTHEST.days, LATEST.toordinal())))
    day = next(islice(filter(window.has_day, ahead), count - 1, None), None)
    return later(in_utc(start), _FARTHEST) if day is None else instant_of(datetime.combine(day, wall.time()), here)
