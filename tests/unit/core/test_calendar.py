from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from whenever import Instant, PlainDateTime, RepeatedTime, SkippedTime

from engine.core.calendar import EARLIEST, LATEST, in_utc, instant_of, later, wall_of, zone_of
from engine.core.durations import parse_duration
from tests.unit.builders import instant
from tests.unit.zones import CHANGES, ZONES, changes, resolved, shown, walls, zones

minutes = st.integers(-3 * 1440, 3 * 1440).map(lambda count: timedelta(minutes=count))


@given(wall=walls, zone=zones)
def test_a_wall_clock_time_is_the_instant_that_whenever_finds(wall: datetime, zone: str) -> None:
    assert instant_of(wall, zone) == resolved(wall, zone)


@given(change=changes, off=minutes, seconds=st.integers(0, 59))
def test_gaps_and_doubled_times_around_a_change_are_as_whenever_resolves_them(
    change: tuple[str, datetime], off: timedelta, seconds: int
) -> None:
    zone, at = change
    wall = at + off + timedelta(seconds=seconds)
    assert instant_of(wall, zone) == resolved(wall, zone)


def test_all_but_two_of_the_changes_looked_at_leave_times_out_or_double_them() -> None:
    found: Counter[str] = Counter()
    for zone, at in CHANGES:
        try:
            PlainDateTime(at.isoformat()).assume_tz(zone, disambiguation="raise")
        except SkippedTime:
            found["gap"] += 1
        except RepeatedTime:
            found["doubled"] += 1
    assert found == {"gap": len(CHANGES) // 2, "doubled": len(CHANGES) // 2 - 2}


@given(change=changes, off=minutes, days=st.integers(0, 30))
def test_days_after_an_instant_are_as_whenever_adds_them(
    change: tuple[str, datetime], off: timedelta, days: int
) -> None:
    zone, at = change
    start = resolved(at + off - timedelta(days=days), zone)
    expected = resolved(shown(start, zone) + timedelta(days=days), zone)
    assert parse_duration(f"{days}d").after(start, zone) == (expected if days else start)
    added = Instant(start).to_tz(zone).add(days=days, disambiguation="earlier")
    if days and added.to_plain().to_stdlib() == shown(start, zone) + timedelta(days=days):  # outside a gap
        assert parse_duration(f"{days}d").after(start, zone) == added.to_instant().to_stdlib()


@given(wall=walls, zone=zones, hours=st.integers(0, 2000))
def test_hours_are_absolute_in_every_zone(wall: datetime, zone: str, hours: int) -> None:
    start = resolved(wall, zone)
    assert parse_duration(f"{hours}h").after(start, zone) == start + timedelta(hours=hours)


def test_two_days_over_a_change_are_47_or_49_hours() -> None:
    two_days = parse_duration("2d")
    spring, autumn = instant("2026-03-28T09:00Z"), instant("2026-10-24T09:00Z")
    assert two_days.after(spring, "Europe/Berlin") - spring == timedelta(hours=47)
    assert two_days.after(autumn, "Europe/Berlin") - autumn == timedelta(hours=49)
    assert two_days.after(spring, "Asia/Tokyo") - spring == timedelta(hours=48)


@given(first=walls, off=st.timedeltas(timedelta(), timedelta(days=2)), zone=zones)
def test_a_later_wall_clock_time_is_never_an_earlier_instant(first: datetime, off: timedelta, zone: str) -> None:
    assert instant_of(first, zone) <= instant_of(first + off, zone)


@given(wall=walls, zone=zones)
def test_clocks_show_what_whenever_says_they_show(wall: datetime, zone: str) -> None:
    at = wall.replace(tzinfo=UTC)
    assert wall_of(at, zone) == shown(at, zone)


@settings(deadline=None)
@given(
    moment=st.datetimes(
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))])
    ),
    span=st.timedeltas(),
    zone=zones,
    duration=st.sampled_from(["0s", "876600h", "36525d", "5217w"]),
)
@example(datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))), timedelta.max, "Pacific/Kiritimati", "36525d")
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), timedelta.min, "America/Santiago", "36525d")
def test_nothing_leads_out_of_the_calendar(moment: datetime, span: timedelta, zone: str, duration: str) -> None:
    found = [in_utc(moment), later(in_utc(moment), span), instant_of(moment.replace(tzinfo=None), zone)]
    found += [parse_duration(duration).after(moment, zone), instant_of(later(wall_of(moment, zone), span), zone)]
    assert all(EARLIEST <= each <= LATEST and each.tzinfo is UTC for each in found)
    assert parse_duration(duration).scaled(1e9).after(LATEST) == LATEST


@pytest.mark.parametrize("end", [EARLIEST, LATEST])
@pytest.mark.parametrize("zone", ZONES)
def test_every_zone_can_show_the_ends_of_the_calendar(zone: str, end: datetime) -> None:
    assert abs(end.astimezone(zone_of(zone)).replace(tzinfo=None) - end.replace(tzinfo=None)) < timedelta(days=1)


@pytest.mark.parametrize(
    "name", ["Europe/Londn", "", "Europe", "../etc/passwd", "/etc/passwd", "UTC\0", "x" * 5000, "é"]
)
def test_an_unknown_zone_is_refused_in_words(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown time zone .* expected a name such as Europe/London"):
        instant_of(datetime.fromisoformat("2026-03-02"), name)
