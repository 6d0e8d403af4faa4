from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.at_times import AtRule, AtRuleError, parse_at
from engine.core.calendar import EARLIEST, LATEST
from engine.core.durations import parse_duration
from tests.unit.builders import instant
from tests.unit.zones import changes, resolved, shown, zones

RENEWAL = date(2026, 4, 15)
STARTS = instant("2026-03-29T12:00+02:00")
# Each: rule, the fact's value, the recipient's zone, the instant
TABLE = [
    ("renewal_on", RENEWAL, "Europe/Berlin", "2026-04-15T00:00+02:00"),
    ("renewal_on 09:00", RENEWAL, "Asia/Kolkata", "2026-04-15T09:00+05:30"),
    ("renewal_on - 30d 09:00", RENEWAL, "Europe/Berlin", "2026-03-16T09:00+01:00"),
    ("renewal_on + 2w", RENEWAL, "Asia/Tokyo", "2026-04-29T00:00+09:00"),
    ("renewal_on - 2h", RENEWAL, "UTC", "2026-04-14T22:00Z"),
    ("renewal_on-30d 9:00", RENEWAL, "Pacific/Kiritimati", "2026-03-15T19:00Z"),
    ("renewal_on - 17d 02:30", RENEWAL, "Europe/Berlin", "2026-03-29T03:00+02:00"),  # in the gap
    ("renewal_on + 193d 02:30", RENEWAL, "Europe/Berlin", "2026-10-25T02:30+02:00"),  # doubled: the earlier
    ("renewal_on", date(2026, 9, 6), "America/Santiago", "2026-09-06T01:00-03:00"),  # no midnight there
    ("renewal_on 12:00", date(2011, 12, 30), "Pacific/Apia", "2011-12-31T00:00+14:00"),  # no such day there
    ("starts_at", STARTS, "Asia/Tokyo", "2026-03-29T12:00+02:00"),
    ("starts_at - 2h", STARTS, "Asia/Tokyo", "2026-03-29T10:00+02:00"),
    ("starts_at - 24h", STARTS, "Europe/Berlin", "2026-03-28T11:00+01:00"),
    ("starts_at - 1d", STARTS, "Europe/Berlin", "2026-03-28T12:00+01:00"),
    ("starts_at - 1d 09:00", STARTS, "Europe/Berlin", "2026-03-28T09:00+01:00"),
    ("starts_at 09:00", instant("2026-03-29T20:00Z"), "Asia/Tokyo", "2026-03-30T09:00+09:00"),  # the day there
    ("starts_at", instant("2026-10-25T02:30+01:00"), "Europe/Berlin", "2026-10-25T02:30+01:00"),  # not the earlier
    ("starts_at + 0d", instant("2026-10-25T02:30+01:00"), "Europe/Berlin", "2026-10-25T02:30+01:00"),
    ("starts_at + 1h", datetime.fromisoformat("2026-03-29T12:00"), "Europe/Berlin", "2026-03-29T13:00+02:00"),
]


@pytest.mark.parametrize(("text", "value", "zone", "expected"), TABLE)
def test_an_at_rule_is_an_instant_in_the_zone_of_the_recipient(
    text: str, value: date | datetime, zone: str, expected: str
) -> None:
    found = parse_at(text).instant(value, zone)
    assert found == instant(expected)
    assert found.tzinfo is UTC


@given(change=changes, days=st.integers(0, 400), minute=st.integers(0, 1439), off=st.integers(-1, 1))
def test_a_date_with_offset_and_time_of_day_is_what_whenever_resolves(
    change: tuple[str, datetime], days: int, minute: int, off: int
) -> None:
    zone, at = change
    value = at.date() + timedelta(days=days + off)
    clock = time(*divmod(minute, 60))
    rule = parse_at(f"renewal_on - {days}d {clock:%H:%M}")
    assert rule.instant(value, zone) == resolved(datetime.combine(value - timedelta(days=days), clock), zone)


@given(change=changes, minutes=st.integers(-2000, 2000), days=st.integers(1, 60))
def test_a_datetime_with_days_keeps_what_clocks_show(change: tuple[str, datetime], minutes: int, days: int) -> None:
    zone, at = change
    value = resolved(at, zone) + timedelta(minutes=minutes)
    expected = resolved(shown(value, zone) - timedelta(days=days), zone)
    assert parse_at(f"starts_at - {days}d").instant(value, zone) == expected
    assert parse_at(f"starts_at + {days}d").instant(value, zone) == parse_duration(f"{days}d").after(value, zone)


@given(
    value=st.dates() | st.datetimes(timezones=st.just(UTC)) | st.datetimes(),
    zone=zones,
    text=st.sampled_from(["x", "x 23:59", "x + 36525d", "x - 36525d 00:00", "x - 876600h", "x + 876600h"]),
)
def test_no_value_leads_out_of_the_calendar(value: date | datetime, zone: str, text: str) -> None:
    assert EARLIEST <= parse_at(text).instant(value, zone) <= LATEST


def test_a_rule_keeps_its_text_and_its_parts() -> None:
    rule = parse_at("  renewal_on - 30d 09:00 ")
    assert rule == AtRule("renewal_on - 30d 09:00", "renewal_on", -1, parse_duration("30d"), time(9))
    assert str(rule) == "renewal_on - 30d 09:00"


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "expected the name of a date or datetime fact"),
        ("  9:00", 2, "expected the name of a date"),
        ("renewal_on -", 12, "expected a duration such as 30d"),
        ("renewal_on - soon", 13, "expected a duration such as 30d"),
        ("renewal_on - 30", 13, "'30' is not an offset"),
        ("renewal_on - 30 days", 13, "'30 days' is not an offset"),
        ("renewal_on - 3 business days", 13, "'3 business' is not an offset; expected a duration such as 30d"),
        ("renewal_on - 30d 9am", 17, "'9am' is not a time of day"),
        ("renewal_on 25:00", 11, 'expected "HH:MM"'),
        ("renewal_on 24:00", 11, "24:00 ends a day"),
        ("renewal_on - 2h 09:00", 16, "expected days or weeks"),
        ("renewal_on 09:00 - 30d", 17, "expected nothing after the time of day"),
        ("renewal_on − 30d", 11, "is not a time of day"),
        ("2026-04-15", 0, "expected the name of a date"),
        (None, 0, "expected a fact with an offset"),
        (9, 0, "expected a fact with an offset"),
    ],
)
def test_what_is_no_rule_is_refused_in_words_at_its_place(text: object, offset: int, message: str) -> None:
    with pytest.raises(AtRuleError, match=message) as caught:
        parse_at(text)
    assert caught.value.offset == offset


@given(text=st.text(alphabet="renwal_o +-0123456789dhw:. \n", max_size=40))
def test_any_text_is_a_rule_or_a_value_error_with_a_place(text: str) -> None:
    try:
        rule: AtRule | None = parse_at(text)
        place = 0
    except AtRuleError as error:
        rule, place = None, error.offset
    assert 0 <= place <= len(text)
    assert rule is None or parse_at(rule.text) == rule
