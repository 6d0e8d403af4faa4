"""Dates and times of day inside a text, found as RapidPro's `has_date` and `has_time` find them.

A date is digits: at the very start of a text `2026-03-01`, anywhere in it day, month and year in the order of the
reader's locale, parted by one of `- . / \\ _` or a space, the year of two or four digits. A whole instant with its
offset is the day it falls on in the reader's zone. A day without a year is no date, nor is one that the calendar
lacks; RapidPro moves 31 February on to March.

A time is an hour, which may have minutes, seconds and am or pm.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from engine.core.durations import zone_of
from engine.core.locales import DateOrder

_SPLITS = r"[-./\\_ ]"
_YEAR_LAST = re.compile(rf"\b([0-9]{{1,2}}){_SPLITS}([0-9]{{1,2}}){_SPLITS}([0-9]{{4}}|[0-9]{{2}})\b", re.ASCII)
_YEAR_FIRST = re.compile(rf"\b([0-9]{{4}}|[0-9]{{2}}){_SPLITS}([0-9]{{1,2}}){_SPLITS}([0-9]{{1,2}})\b", re.ASCII)
_PATTERNS: dict[DateOrder, re.Pattern[str]] = {"dmy": _YEAR_LAST, "mdy": _YEAR_LAST, "ymd": _YEAR_FIRST}
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CLOCK = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
_ISO_INSTANT = re.compile(rf"{_ISO_DATE.pattern}T{_CLOCK}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})")
_TIME = re.compile(r"\b(\d{1,2})(?::?(\d{2})(?::(\d{2})(?:\.\d+)?)?)?\W*([ap]m)?\b", re.ASCII | re.IGNORECASE)
_BLANKS = " \n\r\t"
_LATEST_SHORT_YEAR = 68  # of this century, where nobody says what year it is; the rule of POSIX

_DAY = re.compile(r"today(?:\s*([+-])\s*([0-9]{1,6})\s*([dw]))?")
EXPECTED_DAY = "expected a date, as in 2026-03-01, or one relative to today, as in today + 3d or today - 1w"


def find_date(text: str, order: DateOrder = "dmy", zone: str = "UTC", now: datetime | None = None) -> date | None:
    """The first date in `text`; `now` tells to which century a year of two digits belongs.

    >>> find_date("born on 3/4/1999"), find_date("born on 3/4/1999", "mdy")
    (datetime.date(1999, 4, 3), datetime.date(1999, 3, 4))
    """
    written = text.strip(_BLANKS)
    if _ISO_INSTANT.fullmatch(written):
        return _day_of_instant(written, zone)
    if _ISO_DATE.match(written) and (found := _date(*map(int, written[:10].split("-")))):
        return found
    for match in _PATTERNS[order].finditer(written):
        part = dict(zip(order, match.groups(), strict=True))
        if found := _date(_whole_year(part["y"], zone, now), int(part["m"]), int(part["d"])):
            return found
    return None


def find_time(text: str) -> str | None:
    """The first time of day in `text`, as `HH:MM`, or `HH:MM:SS` when it has seconds.

    >>> find_time("at 9:30 pm, or 10"), find_time("24:00"), find_time("just the number 25")
    ('21:30', '00:00', None)
    """
    for match in _TIME.finditer(text):
        hour, minute, second = (int(part or 0) for part in match.groups()[:3])
        half = (match[4] or "").lower()
        if half == "pm" and hour < 12:
            hour += 12
        elif (half == "am" and hour == 12) or (hour, minute, second) == (24, 0, 0):
            hour = 0
        if hour < 24 and minute < 60 and second < 60:
            return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")
    return None


def parse_day(text: str) -> date | timedelta:
    """The day that an author names: a date, or its distance from today. Raises ValueError with what was expected.

    >>> parse_day("2026-03-01"), parse_day("today - 1w")
    (datetime.date(2026, 3, 1), datetime.timedelta(days=-7))
    """
    written = text.strip()
    if _ISO_DATE.fullmatch(written) and (found := _date(*map(int, written.split("-")))):
        return found
    if (relative := _DAY.fullmatch(written)) is None:
        raise ValueError(f"{EXPECTED_DAY}, got {text!r}")
    sign, count, unit = relative.groups(default="")
    days = int(count or 0) * (7 if unit == "w" else 1)
    if days > 36_525:
        raise ValueError(f"{text!r} is more than 100 years away; expected less")
    return timedelta(days=-days if sign == "-" else days)


def today(now: datetime, zone: str) -> date:
    """The date in `zone` at the instant `now`.

    >>> today(datetime.fromisoformat("2026-03-01T23:30Z"), "Asia/Kathmandu")
    datetime.date(2026, 3, 2)
    """
    return now.astimezone(zone_of(zone)).date()


def _day_of_instant(written: str, zone: str) -> date | None:
    try:
        return today(datetime.fromisoformat(written), zone)
    except (ValueError, OverflowError):
        return None


def _whole_year(written: str, zone: str, now: datetime | None) -> int:
    year = int(written)
    if len(written) == 4:
        return year
    latest = _LATEST_SHORT_YEAR if now is None else today(now, zone).year % 100
    return year + (1900 if year > latest else 2000)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
