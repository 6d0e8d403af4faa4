from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from whenever import Instant

from engine.core.public_holidays import is_holiday, parse_country
from engine.core.windows import Window, parse_days, parse_time_of_day
from tests.unit.builders import instant
from tests.unit.zones import changes, resolved, shown, zones

MINUTE = timedelta(minutes=1)


def a_window(
    days: str = "all", hours: str = "09:00-17:00", zone: str | None = None, holidays: str = "", at: str = ""
) -> Window:
    opens, closes = (parse_time_of_day(each) for each in hours.split("-"))
    preferred = tuple(parse_time_of_day(each) for each in at.split())
    return Window(parse_days(days), opens, closes, zone, tuple(holidays.split()), preferred)


OFFICE = a_window("mon-fri")
NIGHT = a_window("fri", "22:00-06:00")
# Each: window, recipient's zone, instant, when a message planned for it leaves ("" for at once).
TABLE = [
    (OFFICE, "Europe/Berlin", "2026-03-02T08:59:59+01:00", "2026-03-02T09:00+01:00"),
    (OFFICE, "Europe/Berlin", "2026-03-02T09:00+01:00", ""),
    (OFFICE, "Europe/Berlin", "2026-03-02T16:59:59.999999+01:00", ""),
    (OFFICE, "Europe/Berlin", "2026-03-02T17:00+01:00", "2026-03-03T09:00+01:00"),
    (OFFICE, "Europe/Berlin", "2026-03-27T17:00+01:00", "2026-03-30T09:00+02:00"),  # over the change
    (OFFICE, "Asia/Tokyo", "2026-03-27T16:00+01:00", "2026-03-30T09:00+09:00"),
    (OFFICE, "Asia/Kolkata", "2026-03-30T03:29:59Z", "2026-03-30T03:30Z"),
    (OFFICE, "Pacific/Kiritimati", "2026-03-29T12:00Z", "2026-03-29T19:00Z"),  # Monday there, Sunday in UTC
    (a_window("mon-fri", zone="Europe/London"), "Asia/Tokyo", "2026-03-02T18:00+09:00", ""),
    (a_window("mon-fri", zone="Europe/London"), "Asia/Tokyo", "2026-03-02T09:00+09:00", "2026-03-02T09:00Z"),
    # over midnight: the window belongs to the day it starts
    (NIGHT, "UTC", "2026-03-27T21:59:59Z", "2026-03-27T22:00Z"),
    (NIGHT, "UTC", "2026-03-28T05:59:59Z", ""),
    (NIGHT, "UTC", "2026-03-28T06:00Z", "2026-04-03T22:00Z"),
    (NIGHT, "UTC", "2026-03-28T22:00Z", "2026-04-03T22:00Z"),
    (NIGHT, "UTC", "2026-03-27T05:00Z", "2026-03-27T22:00Z"),  # the night before belongs to Thursday
    # equal times are 24 hours, 24:00 is the end of the day
    (a_window("tue", "09:00-09:00"), "UTC", "2026-03-04T08:59:59Z", ""),
    (a_window("tue", "09:00-09:00"), "UTC", "2026-03-04T09:00Z", "2026-03-10T09:00Z"),
    (a_window("all", "00:00-24:00"), "Europe/Berlin", "2026-10-25T00:59Z", ""),
    (a_window("tue", "09:00-24:00"), "UTC", "2026-03-03T23:59:59Z", ""),
    (a_window("tue", "09:00-24:00"), "UTC", "2026-03-04T00:00Z", "2026-03-10T09:00Z"),
    # gaps: an edge in one is its end, an hour that it swallows does not open
    (a_window(hours="02:00-03:00"), "Europe/Berlin", "2026-03-29T01:00Z", "2026-03-30T02:00+02:00"),
    (a_window(hours="02:30-05:00"), "Europe/Berlin", "2026-03-29T00:59Z", "2026-03-29T03:00+02:00"),
    (a_window("sun", "00:00-02:00"), "America/Santiago", "2026-09-06T03:59Z", "2026-09-06T01:00-03:00"),
    (a_window("sun", "00:15-02:00"), "Asia/Beirut", "2026-03-28T21:59Z", "2026-03-29T01:00+03:00"),
    (a_window("fri", "00:00-00:30"), "Africa/Cairo", "2026-04-23T21:59Z", "2026-05-01T00:00+03:00"),
    (a_window(hours="02:15-04:00"), "Australia/Lord_Howe", "2026-10-03T15:29Z", "2026-10-04T02:30+11:00"),
    (a_window("fri"), "Pacific/Apia", "2011-12-29T12:00-10:00", "2012-01-06T09:00+14:00"),  # no 30 December
    (a_window("thu", "22:00-06:00"), "Pacific/Apia", "2011-12-30T10:00Z", "2012-01-05T22:00+14:00"),
    # doubled times: an edge is the earlier one
    (a_window(hours="02:00-02:30"), "Europe/Berlin", "2026-10-25T02:15+02:00", ""),
    (a_window(hours="02:00-02:30"), "Europe/Berlin", "2026-10-25T02:15+01:00", "2026-10-26T02:00+01:00"),
    (a_window(hours="02:00-03:00"), "Europe/Berlin", "2026-10-25T02:30+01:00", ""),
    (a_window("sun", "00:00-01:00"), "America/St_Johns", "2010-11-06T23:30-03:30", ""),  # Saturday again
    # holidays: 3 July 2026 stands for the 4th, a Saturday; Epiphany is one in Bavaria only
    (a_window("mon-fri", holidays="US"), "America/New_York", "2026-07-02T17:00-04:00", "2026-07-06T09:00-04:00"),
    (a_window("mon-fri", holidays="DE"), "Europe/Berlin", "2026-01-06T10:00+01:00", ""),
    (a_window("mon-fri", holidays="US DE-BY"), "Europe/Berlin", "2026-01-06T10:00+01:00", "2026-01-07T09:00+01:00"),
    (a_window("all", "22:00-06:00", holidays="DE"), "UTC", "2026-12-25T03:00Z", ""),  # began on the 24th
    (a_window("all", "22:00-06:00", holidays="DE"), "UTC", "2026-12-25T06:00Z", "2026-12-27T22:00Z"),
    (a_window("all", holidays="US"), "UTC", "2021-12-31T12:00Z", "2022-01-02T09:00Z"),  # observed the year before
    # preferred times
    (a_window("mon-fri", at="10:00 15:30"), "UTC", "2026-03-02T09:15Z", "2026-03-02T10:00Z"),
    (a_window("mon-fri", at="15:30 10:00"), "UTC", "2026-03-02T10:00Z", ""),
    (a_window("mon-fri", at="10:00 15:30"), "UTC", "2026-03-02T10:00:00.000001Z", "2026-03-02T15:30Z"),
    (a_window("mon-fri", at="10:00 15:30"), "UTC", "2026-03-06T15:31Z", "2026-03-09T10:00Z"),
    (a_window("fri", "22:00-06:00", at="02:00 23:00"), "UTC", "2026-03-27T23:30Z", "2026-03-28T02:00Z"),
    (a_window("all", "01:00-05:00", at="02:30"), "Europe/Berlin", "2026-03-29T00:00Z", "2026-03-29T03:00+02:00"),
    (a_window("all", at="08:00 10:00"), "UTC", "2026-03-02T07:00Z", "2026-03-02T10:00Z"),
]  # fmt: skip


@pytest.mark.parametrize(("window", "zone", "planned", "leaves"), TABLE)
def test_a_message_leaves_when_its_window_opens(window: Window, zone: str, planned: str, leaves: str) -> None:
    assert window.next_open(instant(planned), zone) == instant(leaves or planned)
    if not window.at:
        assert window.is_open(instant(planned), zone) == (not leaves)


@st.composite
def windows(draw: st.DrawFn, at: bool = False) -> Window:
    clock = st.builds(time, st.integers(0, 23), st.sampled_from([0, 0, 15, 30]))
    days = draw(st.frozensets(st.integers(0, 6), min_size=1))
    preferred = tuple(draw(st.lists(clock, min_size=1, max_size=3))) if at else ()
    zone = draw(st.none() | zones)
    return Window(
        days, draw(clock), draw(clock), zone, draw(st.sampled_from([(), ("US",), ("DE-BY", "JP")])), preferred
    )


AFTER_A_DAY_LEFT_OUT = [("Pacific/Apia", date(2011, 12, 31)), ("Pacific/Kiritimati", date(1995, 1, 1))]
around = st.integers(-4 * 1440, 2 * 1440).map(lambda count: timedelta(minutes=count))


@settings(deadline=None)
@given(window=windows(), change=changes, off=around)
def test_a_window_is_open_when_clocks_show_its_hours(
    window: Window, change: tuple[str, datetime], off: timedelta
) -> None:
    zone, at = change
    moment = resolved(at, zone) + off
    zone = window.zone_for(zone)
    wall = shown(moment, zone)
    assume(not Instant(moment).to_tz(zone).is_repeated())
    assume((zone, wall.date()) not in AFTER_A_DAY_LEFT_OUT)  # which may have begun an opening: see the table
    today, yesterday = (window.has_day(wall.date() - timedelta(days=back)) for back in (0, 1))
    if window.opens < window.closes:
        expected = today and window.opens <= wall.time() < window.closes
    else:
        expected = (today and wall.time() >= window.opens) or (yesterday and wall.time() < window.closes)
    assert window.is_open(moment, change[0]) == expected


@settings(max_examples=60, deadline=None)
@given(window=windows(), change=changes, off=around)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    window: Window, change: tuple[str, datetime], off: timedelta
) -> None:
    zone, at = change
    start = resolved(at, zone) + off
    found = window.next_open(start, zone)
    assume(found is not None)
    assert found is not None
    assert found >= start
    assert found.tzinfo is UTC
    assert window.is_open(found, zone)
    assert window.next_open(found, zone) == found
    closed = (start + MINUTE * step for step in range(min((found - start) // MINUTE, 3000)))
    assert not any(window.is_open(each, zone) for each in closed)
    assert found == start or not window.is_open(found - timedelta(microseconds=1), zone)


@settings(max_examples=60, deadline=None)
@given(window=windows(at=True), change=changes, off=around)
def test_a_preferred_time_is_the_next_minute_at_which_clocks_show_one(
    window: Window, change: tuple[str, datetime], off: timedelta
) -> None:
    zone, at = change
    start = resolved(at, zone) + off
    found = window.next_open(start, zone)
    assert (found is None) == (not any(window.has_hour(each) for each in window.at))
    if found is None:
        return
    assert window.is_open(found, zone)
    assert window.next_open(found, zone) == found >= start
    here = window.zone_for(zone)
    for step in range(min((found - start) // MINUTE, 3000)):
        moment = start + MINUTE * step
        wall = shown(moment, here)
        if wall.time() in window.at and window.has_hour(wall.time()) and window.is_open(moment, zone):
            assert Instant(moment).to_tz(here).is_repeated()  # its second time


@settings(deadline=None)
@given(window=windows(), change=changes, first=around, second=around)
def test_who_plans_later_leaves_no_earlier(
    window: Window, change: tuple[str, datetime], first: timedelta, second: timedelta
) -> None:
    zone, at = change
    early, late = sorted([resolved(at, zone) + first, resolved(at, zone) + second])
    before, after = window.next_open(early, zone), window.next_open(late, zone)
    assert before is None or after is None or before <= after


def test_a_late_message_may_leave_after_its_preferred_time() -> None:
    window = a_window(at="10:00")
    assert window.is_open(instant("2026-03-02T10:07Z"), "UTC")


def test_a_window_that_never_opens_has_no_next_opening() -> None:
    assert Window(frozenset(), time(9), time(17), None).next_open(instant("2026-03-02T09:00Z"), "UTC") is None
    assert a_window(at="08:00 17:00").next_open(instant("2026-03-02T09:00Z"), "UTC") is None


@pytest.mark.parametrize("moment", ["0001-01-01", "0001-01-03", "9999-12-28T20:00", "9999-12-31T23:59:59.999999"])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Santiago"])
def test_the_ends_of_the_calendar_raise_nothing(moment: str, zone: str) -> None:
    for window in (OFFICE, NIGHT, a_window(hours="00:00-00:00", at="12:00"), a_window(holidays="US IN")):
        found = window.next_open(instant(moment), zone)
        assert found is None or found.year in (1, 9999)
        assert window.is_open(instant(moment), zone) in (True, False)


def test_an_unknown_zone_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="unknown time zone 'Mars/Base'"):
        OFFICE.next_open(instant("2026-03-02T09:00Z"), "Mars/Base")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-fri", {0, 1, 2, 3, 4}),
        ("mon,wed", {0, 2}),
        ("sat", {5}),
        ("mon-fri,sun", {0, 1, 2, 3, 4, 6}),
        ("fri-mon", {4, 5, 6, 0}),
        ("mon-mon", {0}),
        ("all", set(range(7))),
        (" Mon - Wed , SAT ", {0, 1, 2, 5}),
        (["tue", "thu-fri"], {1, 3, 4}),
    ],
)
def test_days_are_names_ranges_and_lists(text: object, days: set[int]) -> None:
    assert parse_days(text) == days


@pytest.mark.parametrize(
    "text", ["", "mo", "mon-", "-fri", "mon-fri-sun", "mon,", "1-5", 3, None, True, [], [None], {}]
)
def test_what_names_no_day_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected .*mon-fri"):
        parse_days(text)


def test_a_day_written_in_full_is_recognised() -> None:
    with pytest.raises(ValueError, match="did you mean wed"):
        parse_days("mon-wednesday")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("09:00", time(9)), ("9:05", time(9, 5)), ("23:59", time(23, 59)), ("00:00", time()), (" 24:00 ", time())],
)
def test_a_time_of_day_is_hours_and_minutes(text: str, expected: time) -> None:
    assert parse_time_of_day(text) == expected


@pytest.mark.parametrize(
    "text", ["", "9", "9am", "24:01", "25:00", "09:60", "09:00:00", "٠٩:٠٠", "09:00Z", 540, None, []]
)
def test_what_is_no_time_of_day_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValueError, match=r'expected "HH:MM"'):
        parse_time_of_day(text)


@pytest.mark.parametrize("text", ["US", "DE-BY", "NO", "GB-SCT", "FR-Zone A", " AU-NSW "])
def test_a_country_is_its_code_with_its_subdivision(text: str) -> None:
    assert parse_country(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("us", "did you mean US"),
        ("UK", "did you mean GB"),
        ("DEU-BY", "did you mean DE-BY"),
        ("Germany", "did you mean DE"),
        ("XX", "expected an ISO 3166 code such as US"),
        ("", "expected an ISO 3166 code"),
        ("__doc__", "expected an ISO 3166 code"),
        ("HolidayBase", "expected an ISO 3166 code"),
        ("NYSE", "expected an ISO 3166 code"),
        ("US-ZZ", "US has no subdivision 'ZZ'; expected one of AK, AL"),
        ("DE-", "DE has no subdivision ''"),
        ("TV-X", "TV has no subdivision 'X'"),
        (None, "expected an ISO 3166 code"),
        (False, "expected an ISO 3166 code"),
        (["US"], "expected an ISO 3166 code"),
    ],
)
def test_what_is_no_country_is_refused_in_words(text: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_country(text)


def test_years_that_nobody_knows_holidays_of_have_none() -> None:
    assert not any(is_holiday(date(year, 1, 1), ["US", "IN"]) for year in (1, 1500, 9999))
    assert is_holiday(date(2026, 1, 26), ["IN"])


def test_the_package_of_holidays_is_loaded_for_windows_with_holidays_only() -> None:
    program = """
import sys
from datetime import UTC, datetime, time
from engine.core.windows import Window, parse_days
for countries in ((), ("US",)):
    Window(parse_days("all"), time(9), time(17), None, countries).next_open(datetime(2026, 3, 2, tzinfo=UTC), "UTC")
    print("holidays" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
