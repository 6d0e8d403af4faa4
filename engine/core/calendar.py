"""Instants and the wall-clock times that people in a zone read off them.

One rule for all times an author writes: a wall-clock time that a change of the clocks leaves out becomes the first
instant after the gap, one that occurs twice becomes the earlier. Everything here is total: what would lie outside
the calendar becomes EARLIEST or LATEST, which every zone can show, and an unknown zone is a ValueError.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
LATEST = datetime(9999, 12, 29, tzinfo=UTC)
# A day further in: clocks that show these are at an instant between the two, whatever the zone.
_FIRST_WALL = (EARLIEST + timedelta(days=1)).replace(tzinfo=None)
_LAST_WALL = (LATEST - timedelta(days=1)).replace(tzinfo=None)


def instant_of(wall: datetime, zone: str) -> datetime:
    """The instant, in UTC, at which clocks in `zone` show `wall` (without offset), by the rule of the module.

    >>> instant_of(datetime(2026, 3, 29, 2, 30), "Europe/Berlin").isoformat()  # 02:00 becomes 03:00
    '2026-03-29T01:00:00+00:00'
    >>> instant_of(datetime(2026, 10, 25, 2, 30), "Europe/Berlin").isoformat()  # 03:00 becomes 02:00
    '2026-10-25T00:30:00+00:00'
    """
    here, wall = zone_of(zone), _kept(wall)
    instant = wall.replace(tzinfo=here, fold=0).astimezone(UTC)
    if instant.astimezone(here).replace(tzinfo=None) == wall:
        return instant
    # In a gap: fold 0 reads the wall time with the offset before the change, so the change lies between
    # the two readings; halve that span down to the first whole second with the new offset.
    late, early = instant, wall.replace(tzinfo=here, fold=1).astimezone(UTC)
    new_offset = late.astimezone(here).utcoffset()
    low, high = int(early.timestamp()), int(late.timestamp())
    while low < high:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, here).utcoffset() == new_offset:
            high = middle
        else:
            low = middle + 1
    return datetime.fromtimestamp(low, UTC)


def wall_of(instant: datetime, zone: str) -> datetime:
    """What clocks in `zone` show at `instant`, without offset.

    >>> wall_of(datetime(2026, 3, 29, 1, tzinfo=UTC), "Europe/Berlin")
    datetime.datetime(2026, 3, 29, 3, 0)
    """
    return in_utc(instant).astimezone(zone_of(zone)).replace(tzinfo=None, fold=0)


def in_utc(instant: datetime) -> datetime:
    """The same instant in UTC, or EARLIEST or LATEST when it lies beyond.

    >>> in_utc(datetime.max.replace(tzinfo=UTC)) == LATEST
    True
    """
    try:
        return _kept(instant if instant.tzinfo is UTC else instant.astimezone(UTC))
    except OverflowError:  # its offset leads out of the calendar
        return EARLIEST if instant.year == 1 else LATEST


def later(moment: datetime, span: timedelta) -> datetime:
    """`moment` plus `span`, either in UTC or without offset, or the end of the calendar.

    >>> later(datetime(2026, 3, 2, tzinfo=UTC), timedelta.max) == LATEST
    True
    """
    try:
        return _kept(moment + span)
    except OverflowError:
        end = datetime.max if span > timedelta() else datetime.min  # noqa: DTZ901 - gets the zone of the moment
        return _kept(end.replace(tzinfo=moment.tzinfo))


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The time zone called `name` in the IANA database. Raises ValueError when there is none.

    >>> zone_of("Europe/Londn")
    Traceback (most recent call last):
    ValueError: unknown time zone 'Europe/Londn'; expected a name such as Europe/London
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:  # OSError for a folder of zones and for absurd lengths
        raise ValueError(f"unknown time zone {name[:40]!r}; expected a name such as Europe/London") from error


def _kept(moment: datetime) -> datetime:
    first, last = (EARLIEST, LATEST) if moment.tzinfo else (_FIRST_WALL, _LAST_WALL)
    return moment if first <= moment <= last else min(max(moment, first), last)
