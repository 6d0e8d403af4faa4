"""Dates and times in texts. The tables hold facts of nyaruka/goflow, envs/dates_test.go and the tests of `has_date`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.dates import find_date, find_time, parse_day, today
from engine.core.locales import DATE_ORDERS, DateOrder

IN_2018 = datetime(2018, 9, 13, 13, 36, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("order", "text", "found"),
    [
        ("dmy", "01-02-2001", date(2001, 2, 1)),
        ("dmy", "date is 01.02.2001 yes", date(2001, 2, 1)),
        ("dmy", "date is 1-2-99 yes", date(1999, 2, 1)),
        ("dmy", "01/02/2001", date(2001, 2, 1)),
        ("dmy", "01\\02\\2001", date(2001, 2, 1)),
        ("dmy", "01_02 2001", date(2001, 2, 1)),
        ("dmy", "it's 31-12-18 ok", date(2018, 12, 31)),
        ("dmy", "01-01-19", date(1919, 1, 1)),
        ("dmy", "01-01-16a", None),
        ("dmy", "33-01-2001", None),
        ("dmy", "01-13-2001", None),
        ("dmy", "just the year 2017", None),
        ("dmy", "on the 3.4.", None),
        ("dmy", "it's 2018-13-01 ok", None),
        ("mdy", "01-02-2001", date(2001, 1, 2)),
        ("mdy", "it's 12-31-18 ok", date(2018, 12, 31)),
        ("ymd", "2001-02-01", date(2001, 2, 1)),
        ("ymd", "99-02-01", date(1999, 2, 1)),
        ("ymd", "it's 18/12/31 ok", date(2018, 12, 31)),
    ],
)
def test_a_date_is_read_in_the_order_of_the_environment(order: DateOrder, text: str, found: date | None) -> None:
    assert find_date(text, order, now=IN_2018) == found


@pytest.mark.parametrize("order", DATE_ORDERS)
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2001-01-02", date(2001, 1, 2)),
        (" 2001-01-02 ", date(2001, 1, 2)),
        ("2001-01-02 10:34, I think", date(2001, 1, 2)),
        ("2001-01-02T10:34:56Z", date(2001, 1, 2)),
        ("2017-06-10T17:34-06:00", date(2017, 6, 10)),
        ("1977-06-23T08:34:00.000250500-07:00", date(1977, 6, 23)),
    ],
)
def test_an_iso_date_at_the_start_needs_no_order(order: DateOrder, text: str, found: date) -> None:
    assert find_date(text, order, now=IN_2018) == found


@pytest.mark.parametrize("text", ["on 2001-01-02", "2001_01_02", "2001-1-2"])
def test_an_iso_date_elsewhere_is_read_only_where_years_come_first(text: str) -> None:
    assert find_date(text, "dmy") is find_date(text, "mdy") is None
    assert find_date(text, "ymd") == date(2001, 1, 2)


def test_an_instant_is_the_day_it_falls_on_in_the_zone() -> None:
    assert find_date("2026-03-28T23:30:00Z") == date(2026, 3, 28)
    assert find_date("2026-03-28T23:30:00Z", zone="Europe/Berlin") == date(2026, 3, 29)
    assert find_date("2026-03-29T01:30:00+14:00", zone="Pacific/Niue") == date(2026, 3, 28)
    assert find_date("9999-12-31T23:59:59Z", zone="Pacific/Kiritimati") is None


def test_a_day_that_no_calendar_has_is_no_date() -> None:
    assert find_date("31.2.2017") is None
    assert find_date("31.2.2017, sorry, 1.3.2017") == date(2017, 3, 1)
    assert (find_date("29.2.2024"), find_date("29.2.2023")) == (date(2024, 2, 29), None)


def test_a_short_year_lies_before_the_end_of_this_one_where_the_reader_lives() -> None:
    eve = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert find_date("1.1.27", now=eve) == date(1927, 1, 1)
    assert find_date("1.1.27", zone="Asia/Tokyo", now=eve) == date(2027, 1, 1)
    assert (find_date("1.1.68"), find_date("1.1.69")) == (date(2068, 1, 1), date(1969, 1, 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("it's 10 ok", "10:00"),
        ("it's 10 PM ok", "22:00"),
        ("it's 10:30pm ok", "22:30"),
        ("it's 10:30 pm ok", "22:30"),
        ("it's 1030 ok", "10:30"),
        ("it's 1030 PM ok", "22:30"),
        ("it's 10:30:45 ok", "10:30:45"),
        ("it's 10:30:45.123456789123456789 pm ok", "22:30:45"),
        ("it's 10:30:00", "10:30"),
        ("it's 12:00 AM", "00:00"),
        ("it's 12pm", "12:00"),
        ("it's 24:00:00 ok", "00:00"),
        ("at 25:30, no, at 9:05", "09:05"),
        ("it's ok", None),
        ("it's 25:30", None),
        ("it's 10:61", None),
        ("it's 10:30:61", None),
        ("just the number 25", None),
        ("this isn't a valid time 59:77", None),
        ("at 9h", None),
    ],
)
def test_a_time_is_read(text: str, found: str | None) -> None:
    assert find_time(text) == found


def test_a_time_that_clocks_do_not_show_is_no_time() -> None:
    assert (find_time("24:30"), find_time("10:60"), find_time("23:59:60")) == (None, None, None)


@given(st.dates(), st.sampled_from(DATE_ORDERS), st.sampled_from("-./ _\\"), st.sampled_from(["", "on ", "é"]))
def test_every_date_is_found_as_it_is_written(day: date, order: DateOrder, mark: str, before: str) -> None:
    parts = {"d": f"{day.day}", "m": f"{day.month:02}", "y": f"{day.year:04}"}
    assert find_date(f"{before}{mark.join(parts[each] for each in order)}, please", order) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-03-01", date(2026, 3, 1)),
        ("today", timedelta()),
        (" today + 3d ", timedelta(3)),
        ("today-2w", timedelta(-14)),
    ],
)
def test_an_author_names_a_day(text: str, day: date | timedelta) -> None:
    assert parse_day(text) == day


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "today + 3", "today + 3h", "today +", "2026-02-30", "20260301", "1.3.26"]
)
def test_what_is_no_day_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a date, as in 2026-03-01, or one relative to today"):
        parse_day(text)


def test_today_is_another_day_elsewhere() -> None:
    instant = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)
    assert today(instant, "Pacific/Kiritimati") == date(2026, 3, 2)
    assert today(instant, "Pacific/Niue") == date(2026, 2, 28)
