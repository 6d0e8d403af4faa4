from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.durations import Duration, instant_of, parse_duration
from tests.unit.builders import instant

# Each: zone, local start with its offset, days, the instant in UTC. The transitions are history.
ACROSS_CHANGES = [
    # Berlin, 29 March 2026: 02:00 becomes 03:00, at 01:00 UTC
    ("Europe/Berlin", "2026-03-28T10:00+01:00", "1d", "2026-03-29T08:00"),
    ("Europe/Berlin", "2026-03-28T02:30+01:00", "1d", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-03-28T02:00+01:00", "1d", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-03-28T03:00+01:00", "1d", "2026-03-29T01:00"),
    ("Europe/Berlin", "2026-03-28T01:59:59+01:00", "1d", "2026-03-29T00:59:59"),
    ("Europe/Berlin", "2026-03-15T02:30+01:00", "2w", "2026-03-29T01:00"),
    # Berlin, 25 October 2026: 03:00 becomes 02:00, at 01:00 UTC, so 02:30 is at 00:30 and 01:30 UTC
    ("Europe/Berlin", "2026-10-24T02:30+02:00", "1d", "2026-10-25T00:30"),
    ("Europe/Berlin", "2026-10-24T03:00+02:00", "1d", "2026-10-25T02:00"),
    ("Europe/Berlin", "2026-10-25T02:30+01:00", "1d", "2026-10-26T01:30"),
    ("Europe/Berlin", "2026-10-25T02:30+02:00", "1d", "2026-10-26T01:30"),
    # São Paulo, 4 November 2018: midnight becomes 01:00, at 03:00 UTC
    ("America/Sao_Paulo", "2018-11-03T00:00-03:00", "1d", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-11-03T00:59:59-03:00", "1d", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-11-03T01:00-03:00", "1d", "2018-11-04T03:00"),
    # São Paulo, 18 February 2018: midnight becomes 23:00 of the 17th, at 02:00 UTC
    ("America/Sao_Paulo", "2018-02-16T23:30-02:00", "1d", "2018-02-18T01:30"),
    # Kolkata has half an hour and no changes
    ("Asia/Kolkata", "2026-03-28T02:30+05:30", "1d", "2026-03-28T21:00"),
    # Apia left out the whole of 30 December 2011: 24:00 of the 29th was 00:00 of the 31st, at 10:00 UTC
    ("Pacific/Apia", "2011-12-29T08:00-10:00", "1d", "2011-12-30T10:00"),
    ("Pacific/Apia", "2011-12-28T23:00-10:00", "2d", "2011-12-30T10:00"),
    ("Pacific/Apia", "2011-12-29T08:00-10:00", "2d", "2011-12-30T18:00"),
    # Lord Howe moves by half an hour: 4 October 2026, 02:00 becomes 02:30, at 15:30 UTC of the 3rd
    ("Australia/Lord_Howe", "2026-10-03T02:15+10:30", "1d", "2026-10-03T15:30"),
]


@pytest.mark.parametrize(("zone", "start", "days", "expected"), ACROSS_CHANGES)
def test_days_keep_the_wall_clock_time_of_the_zone_across_its_changes(
    zone: str, start: str, days: str, expected: str
) -> None:
    assert parse_duration(days).after(instant(start), zone) == instant(expected)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia"])
def test_hours_are_elapsed_time_whatever_the_zone(zone: str) -> None:
    start = instant("2026-03-29T00:30")
    assert parse_duration("48h").after(start, zone) == start + timedelta(hours=48)


@pytest.mark.parametrize(
    ("text", "elapsed", "days"),
    [
        ("30s", timedelta(seconds=30), 0),
        ("15m", timedelta(minutes=15), 0),
        ("4h", timedelta(hours=4), 0),
        ("168h", timedelta(hours=168), 0),
        ("3d", timedelta(), 3),
        ("2w", timedelta(), 14),
        (" 3 d ", timedelta(), 3),
        ("0s", timedelta(), 0),
        ("36525d", timedelta(), 36525),
    ],
)
def test_a_duration_is_a_count_and_a_unit(text: str, elapsed: timedelta, days: int) -> None:
    assert parse_duration(text) == Duration(text.strip(), elapsed, days)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "d",
        "-3d",
        "+3d",
        "1.5h",
        "3 days",
        "3D",
        "1h30m",
        "٣d",
        "3d\n4h",
        "1000000000s",
        "36526d",
        3,
        None,
        True,
    ],
)
def test_what_is_no_duration_is_refused_in_words(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected|100 years"):
        parse_duration(text)


def test_a_factor_of_one_keeps_calendar_days() -> None:
    assert parse_duration("1d").scaled(1.0).after(instant("2026-03-28T09:00"), "Europe/Berlin") == instant(
        "2026-03-29T08:00"
    )


def test_any_other_factor_turns_days_into_elapsed_days_of_24_hours() -> None:
    assert parse_duration("1d").scaled(2).after(instant("2026-03-28T09:00"), "Europe/Berlin") == instant(
        "2026-03-30T09:00"
    )
    assert parse_duration("2w").scaled(0.5).elapsed == timedelta(days=7)
    assert parse_duration("4h").scaled(0.25).elapsed == timedelta(hours=1)


@given(
    zone=st.sampled_from(["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "Africa/Casablanca"]),
    seconds=st.integers(0, 47 * 365 * 86_400),
)
def test_a_wall_clock_time_is_its_first_instant_or_the_first_after_the_gap(zone: str, seconds: int) -> None:
    here = ZoneInfo(zone)
    wall = datetime.fromisoformat("1990-01-01") + timedelta(seconds=seconds)
    found = instant_of(wall, zone)

    def shown(at: datetime) -> datetime:
        return at.astimezone(here).replace(tzinfo=None)

    assert found.tzinfo is UTC
    if shown(found) == wall:
        assert all(shown(found - timedelta(minutes=minutes)) != wall for minutes in (30, 60, 120))
    else:
        assert shown(found) > wall
        assert shown(found - timedelta(seconds=1)) < wall
