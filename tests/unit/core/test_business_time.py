from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.core.calendar import EARLIEST, LATEST
from engine.core.durations import parse_duration
from engine.core.windows import Window
from tests.unit.builders import instant
from tests.unit.zones import changes, resolved, shown

MINUTE = timedelta(minutes=1)
OFFICE = Window(frozenset(range(5)), time(9), time(17), None, ("US",), (time(10),))
NIGHT = Window(frozenset({4, 5}), time(22), time(6), "Europe/Berlin")
# Each: duration, window, recipient's zone, start, end
TABLE = [
    ("4 business hours", OFFICE, "America/New_York", "2026-03-02T09:00-05:00", "2026-03-02T13:00-05:00"),
    ("4 business hours", OFFICE, "America/New_York", "2026-03-02T13:00-05:00", "2026-03-02T17:00-05:00"),  # at closing
    ("4 business hours", OFFICE, "America/New_York", "2026-03-02T13:00:01-05:00", "2026-03-03T09:00:01-05:00"),
    ("4 business hours", OFFICE, "America/New_York", "2026-03-02T06:00-05:00", "2026-03-02T13:00-05:00"),
    ("4 business hours", OFFICE, "America/New_York", "2026-03-06T16:00-05:00", "2026-03-09T12:00-04:00"),
    ("40 business hours", OFFICE, "America/New_York", "2026-03-02T09:00-05:00", "2026-03-06T17:00-05:00"),
    ("41 business hours", OFFICE, "America/New_York", "2026-03-02T09:00-05:00", "2026-03-09T10:00-04:00"),
    ("1 business hour", OFFICE, "America/New_York", "2026-07-02T16:30-04:00", "2026-07-06T09:30-04:00"),  # a holiday
    ("0 business hours", OFFICE, "America/New_York", "2026-03-01T12:00-05:00", "2026-03-01T12:00-05:00"),
    ("9 business hours", NIGHT, "Asia/Tokyo", "2026-03-27T21:00+01:00", "2026-03-28T23:00+01:00"),
    ("7 business hours", NIGHT, "Asia/Tokyo", "2026-03-28T23:00+01:00", "2026-04-03T23:00+02:00"),  # one is left out
    ("8 business hours", NIGHT, "Asia/Tokyo", "2026-10-24T22:00+02:00", "2026-10-25T05:00+01:00"),  # one is doubled
    ("1 business day", OFFICE, "America/New_York", "2026-03-02T11:30-05:00", "2026-03-03T11:30-05:00"),
    ("1 business day", OFFICE, "America/New_York", "2026-03-06T20:00-05:00", "2026-03-09T20:00-04:00"),
    ("1 business day", OFFICE, "America/New_York", "2026-03-07T11:30-05:00", "2026-03-09T11:30-04:00"),
    ("1 business day", OFFICE, "America/New_York", "2026-03-08T11:30-04:00", "2026-03-09T11:30-04:00"),
    ("2 business days", OFFICE, "America/New_York", "2026-07-02T10:00-04:00", "2026-07-07T10:00-04:00"),
    ("0 business days", OFFICE, "America/New_York", "2026-03-07T11:30-05:00", "2026-03-07T11:30-05:00"),
    # in the window's zone it is Thursday still, so Friday is next
    ("2 business days", NIGHT, "Asia/Tokyo", "2026-03-27T03:00+09:00", "2026-03-28T19:00+01:00"),
    ("2 business days", NIGHT, "Asia/Tokyo", "2026-10-23T02:30+02:00", "2026-10-30T02:30+01:00"),
    ("1 business day", Window(frozenset({6}), time(9), time(17), None), "Europe/Berlin",
     "2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00"),  # 02:30 is in the gap
]  # fmt: skip


@pytest.mark.parametrize(("text", "window", "zone", "start", "end"), TABLE)
def test_business_time_runs_on_the_days_hours_and_holidays_of_the_window(
    text: str, window: Window, zone: str, start: str, end: str
) -> None:
    assert parse_duration(text).after(instant(start), zone, window) == instant(end)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    clock = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))
    days = draw(st.frozensets(st.integers(0, 6), min_size=4))
    return Window(days, draw(clock), draw(clock), None, draw(st.sampled_from([(), ("US",), ("DE-BY",)])))


around = st.integers(-4 * 1440, 2 * 1440).map(lambda count: timedelta(minutes=count))


def openings(window: Window, zone: str, around: date) -> list[tuple[datetime, datetime]]:
    """The window's openings near a day, from `whenever`'s reading of the clocks."""
    found = []
    for day in (around + timedelta(days=off) for off in range(-3, 30)):
        if day.weekday() in window.days and window.has_day(day):
            end = day + timedelta(days=window.closes <= window.opens)
            edges = datetime.combine(day, window.opens), datetime.combine(end, window.closes)
            found.append((resolved(edges[0], zone), resolved(edges[1], zone)))
    return found


def open_minutes(window: Window, zone: str, start: datetime) -> Iterator[datetime]:
    """Every minute from `start` on in which the window is open, one by one."""
    known = openings(window, zone, start.date())
    moment, last = start, max(closes for _, closes in known)
    while moment < last:
        if any(opens <= moment < closes for opens, closes in known):
            yield moment
        moment += MINUTE


@settings(max_examples=60, deadline=None)
@given(window=windows(), change=changes, off=around, hours=st.integers(1, 20))
def test_business_hours_are_as_many_open_minutes_as_one_counts(
    window: Window, change: tuple[str, datetime], off: timedelta, hours: int
) -> None:
    zone, at = change
    start = resolved(at, zone) + off
    last = next(islice(open_minutes(window, zone, start), hours * 60 - 1, None), None)
    assume(last is not None)
    assert last is not None
    assert parse_duration(f"{hours} business hours").after(start, zone, window) == last + MINUTE


@settings(deadline=None)
@given(window=windows(), change=changes, first=around, second=around, hours=st.integers(0, 30))
def test_business_hours_from_a_later_start_end_no_earlier(
    window: Window, change: tuple[str, datetime], first: timedelta, second: timedelta, hours: int
) -> None:
    zone, at = change
    duration = parse_duration(f"{hours} business hours")
    early, late = sorted([resolved(at, zone) + first, resolved(at, zone) + second])
    assert early + duration.nominal <= duration.after(early, zone, window) <= duration.after(late, zone, window)


@settings(deadline=None)
@given(window=windows(), change=changes, off=around, count=st.integers(1, 15))
def test_business_days_keep_the_time_of_day_and_count_the_days_of_the_window(
    window: Window, change: tuple[str, datetime], off: timedelta, count: int
) -> None:
    zone, at = change
    start = resolved(at, zone) + off
    wall = shown(start, zone)
    day = wall.date()
    for _ in range(count):
        day += timedelta(days=1)
        while not window.has_day(day):
            day += timedelta(days=1)
    expected = resolved(datetime.combine(day, wall.time()), zone)
    assert parse_duration(f"{count} business days").after(start, zone, window) == expected


def test_preferred_times_of_a_window_do_not_matter_to_business_time() -> None:
    plain = Window(OFFICE.days, OFFICE.opens, OFFICE.closes, OFFICE.zone, OFFICE.holidays)
    start = instant("2026-03-02T13:00:01Z")
    for text in ("4 business hours", "1 business day"):
        assert parse_duration(text).after(start, "UTC", OFFICE) == parse_duration(text).after(start, "UTC", plain)


@pytest.mark.parametrize("text", ["1 business hour", "4 business hours", "1 business day", "2  business  days"])
def test_business_time_is_written_in_words(text: str) -> None:
    duration = parse_duration(text)
    assert str(duration) == text
    assert duration.business == ("hours" if "hour" in text else "days")
    assert duration.nominal == timedelta(hours=int(text[0]) * (1 if "hour" in text else 24))


@pytest.mark.parametrize(
    "text",
    ["4business hours", "business day", "30 business minutes", "2 business weeks", "1 business", "1.5 business days",
     "4 Business hours", "367 business days", "8785 business hours"],
)  # fmt: skip
def test_what_is_no_business_time_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_duration(text)


def test_a_factor_makes_business_time_elapsed_time() -> None:
    start = instant("2026-03-07T12:00Z")
    assert parse_duration("4 business hours").scaled(0.5).after(start, "UTC", OFFICE) == start + timedelta(hours=2)
    assert parse_duration("1 business day").scaled(2).after(start, "UTC") == start + timedelta(hours=48)
    assert parse_duration("1 business day").scaled(1).business == "days"


def test_business_time_without_a_window_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="expected a send_window"):
        parse_duration("1 business day").after(instant("2026-03-02T09:00Z"), "UTC")


@pytest.mark.parametrize("text", ["1 business hour", "1 business day", "366 business days", "8784 business hours"])
def test_business_time_ends_even_if_the_window_never_opens_or_the_calendar_ends(text: str) -> None:
    never = Window(frozenset(), time(9), time(17), None)
    start = instant("2026-03-02T09:00Z")
    assert parse_duration(text).after(start, "UTC", never) == start + timedelta(days=36_525)
    for end in ("0001-01-01", "9999-12-31"):
        assert EARLIEST <= parse_duration(text).after(instant(end), "Pacific/Kiritimati", OFFICE) <= LATEST
