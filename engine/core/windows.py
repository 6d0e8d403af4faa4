"""Windows: the days and hours at which messages may leave, and at which business time runs.

The day a window opens decides whether it opens at all: one that spans midnight belongs to the day it starts.
`opens` is inside and `closes` outside; equal ones are 24 hours. Edges are wall-clock times by the rule of
`engine.core.calendar`, so a gap may shorten an opening or leave it out. All instants that come back are in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from engine.core.calendar import LATEST, in_utc, instant_of, later
from engine.core.public_holidays import is_holiday
from engine.core.public_holidays import parse_country as parse_country

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_A_DAY = timedelta(days=1)
_LAST_DAY = LATEST.toordinal()
_HORIZON = 2 * 366  # days in which a window must open
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])|24:00")


class Opening(NamedTuple):
    """One time a window is open: from `opens` until just before `closes`, with the preferred instants within."""

    opens: datetime
    closes: datetime
    preferred: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Open on `days` (0 is Monday, the day an opening starts) from `opens` to `closes`, by the clocks of `zone`.

    Without a `zone` it is the recipient's. A day that is a public holiday in any of `holidays` is no day of the
    window. With preferred times `at`, messages leave at the next of these instead of at once or at the opening.
    """

    days: frozenset[int]
    opens: time
    closes: time
    zone: str | None
    holidays: tuple[str, ...] = ()
    at: tuple[time, ...] = ()

    def next_open(self, instant: datetime, recipient_zone: str) -> datetime | None:
        """When a message planned for `instant` may leave: then, or at the next opening, or at a preferred time.

        None when the window does not open within two years, or has no preferred time within its hours.

        >>> office = Window(parse_days("mon-fri"), time(9), time(17), None)
        >>> saturday = datetime.fromisoformat("2026-03-28T12:00Z")
        >>> office.next_open(saturday, "Europe/Berlin").isoformat()
        '2026-03-30T07:00:00+00:00'
        """
        instant = in_utc(instant)
        for opening in self.openings(instant, recipient_zone):
            if not self.at:
                return instant if instant > opening.opens else opening.opens
            for preferred in opening.preferred:
                if preferred >= instant:
                    return preferred
        return None

    def is_open(self, instant: datetime, recipient_zone: str) -> bool:
        """Whether `instant` lies in the window. Preferred times do not count: a late message may still leave.

        >>> night = Window(parse_days("fri"), time(22), time(6), "UTC")
        >>> saturday = [datetime.fromisoformat(f"2026-03-28T0{hour}:00Z") for hour in (0, 5, 6)]
        >>> [night.is_open(instant, "UTC") for instant in saturday]
        [True, True, False]
        """
        instant = in_utc(instant)
        near = _openings_near(self, self.zone or recipient_zone, instant.toordinal())
        return any(opening.opens <= instant < opening.closes for opening in near)

    def openings(self, instant: datetime, recipient_zone: str, days: int = _HORIZON) -> Iterator[Opening]:
        """The openings that close after `instant`, which is in UTC, in order, as far as they start within `days`."""
        zone, today = self.zone or recipient_zone, instant.toordinal()
        for opening in _openings_near(self, zone, today):
            if opening.closes > instant:
                yield opening
        for day in range(today + _NEAR + 1, min(today + days, _LAST_DAY) + 1) if self.days else ():
            if (found := _opening(self, zone, date.fromordinal(day))) is not None:
                yield found

    def zone_for(self, recipient_zone: str) -> str:
        """The zone whose clocks and days the window follows for a recipient of `recipient_zone`."""
        return self.zone or recipient_zone

    def has_day(self, day: date) -> bool:
        """Whether the window opens on `day`: one of its weekdays and no holiday.

        >>> us = Window(parse_days("mon-fri"), time(9), time(17), None, ("US",))
        >>> us.has_day(date(2026, 7, 2)), us.has_day(date(2026, 7, 3))  # the 4th is a Saturday
        (True, False)
        """
        return day.weekday() in self.days and not (self.holidays and is_holiday(day, self.holidays))

    def has_hour(self, at: time) -> bool:
        """Whether the time of day lies within the window's hours; a preferred time that does not is never used.

        >>> night = Window(parse_days("all"), time(22), time(6), None)
        >>> night.has_hour(time(22)), night.has_hour(time(6))
        (True, False)
        """
        if self.closes <= self.opens:
            return at >= self.opens or at < self.closes
        return self.opens <= at < self.closes


# An offset, an opening over midnight and a doubled midnight can each put an opening a day away from its UTC day.
_NEAR = 2


@lru_cache(maxsize=16_384)
def _openings_near(window: Window, zone: str, today: int) -> tuple[Opening, ...]:
    """The openings that an instant of the UTC day `today`, counted as ordinal, can lie in or just before."""
    found = (
        _opening(window, zone, date.fromordinal(day))
        for day in range(max(today - _NEAR, 1), min(today + _NEAR, _LAST_DAY) + 1)
    )
    return tuple(each for each in found if each is not None and each.closes.toordinal() >= today)


@lru_cache(maxsize=16_384)
def _opening(window: Window, zone: str, day: date) -> Opening | None:
    """The opening that starts on `day`; None when the window does not open then."""
    if not window.has_day(day):
        return None
    opens = instant_of(datetime.combine(day, window.opens), zone)
    closes = _wall_after(day, window.closes, next_day=window.closes <= window.opens, zone=zone)
    if opens >= closes:
        return None
    inside = (_wall_after(day, at, next_day=at < window.opens, zone=zone) for at in window.at if window.has_hour(at))
    return Opening(opens, closes, tuple(sorted(at for at in inside if opens <= at < closes)))


def _wall_after(day: date, at: time, *, next_day: bool, zone: str) -> datetime:
    wall = datetime.combine(day, at)
    return instant_of(later(wall, _A_DAY) if next_day else wall, zone)


def parse_days(text: object) -> frozenset[int]:
    """The weekdays that `text`, or a list of such texts, names; 0 is Monday. Raises ValueError with what was expected.

    >>> sorted(parse_days("mon-fri")), sorted(parse_days("fri-mon")), sorted(parse_days(["tue", "sat, sun"]))
    ([0, 1, 2, 3, 4], [0, 4, 5, 6], [1, 5, 6])
    >>> parse_days("monday")
    Traceback (most recent call last):
    ValueError: 'monday' names no day; expected mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or all; \
did you mean mon?
    """
    parts = text if isinstance(text, list | tuple) else [text]
    if not parts:
        raise ValueError("a window needs a day; expected days such as mon-fri, or all")
    return frozenset(day for part in parts for each in str(part).split(",") for day in _days_of(each.strip()))


def _days_of(text: str) -> Iterator[int]:
    if text.lower() == "all":
        yield from range(7)
        return
    first, dash, last = (each.strip() for each in text.partition("-"))
    start, end = _day_of(first, text), _day_of(last if dash else first, text)
    yield from ((start + step) % 7 for step in range((end - start) % 7 + 1))


def _day_of(name: str, text: str) -> int:
    if name.lower() in DAYS:
        return DAYS.index(name.lower())
    near = name[:3].lower()
    hint = f"; did you mean {near}?" if near in DAYS else ""
    raise ValueError(f"{text[:40]!r} names no day; expected {', '.join(DAYS)}, a range such as mon-fri, or all{hint}")


def parse_time_of_day(text: object) -> time:
    """The time of day that `text` names; 24:00 is midnight too. Raises ValueError with what was expected.

    >>> parse_time_of_day("09:00"), parse_time_of_day("24:00")
    (datetime.time(9, 0), datetime.time(0, 0))
    """
    found = _TIME.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f'{str(text)[:40]!r} is not a time of day; expected "HH:MM", as in "09:00"')
    return time(int(found[1]), int(found[2])) if found[1] else time(0)
