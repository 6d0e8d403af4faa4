"""Zones whose clocks do what most do not, and a second opinion on what clocks show: that of `whenever`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from hypothesis import strategies as st
from whenever import Instant, PlainDateTime

# Apia left out 30 December 2011, Kiritimati 31 December 1994.
ZONES = (
    "Europe/Berlin",
    "America/Santiago", "Asia/Beirut", "Africa/Cairo", "America/Sao_Paulo", "America/Havana",  # change at midnight
    "America/St_Johns",  # three and a half hours; until 2011 it changed a minute past midnight
    "Asia/Kolkata", "Australia/Lord_Howe",  # half an hour; Lord Howe also changes by half an hour
    "Asia/Tokyo",  # no changes
    "Pacific/Apia", "Pacific/Kiritimati",  # at the date line
    "Africa/Casablanca", "Europe/Dublin",  # summer time is the rule, winter the exception
    "Antarctica/Troll",  # changes by two hours
)  # fmt: skip

zones = st.sampled_from(ZONES)
walls = st.datetimes(datetime.fromisoformat("1980-01-01"), datetime.fromisoformat("2036-12-31"))

# Where clocks change, as zone and wall-clock time; the dates are history or law. In the last two nothing happens.
_CHANGES = """
    Europe/Berlin 2026-03-29T02:00          Europe/Berlin 2026-10-25T02:00
    America/Santiago 2026-09-06T00:00       America/Santiago 2026-04-04T23:00
    Asia/Beirut 2026-03-29T00:00            Asia/Beirut 2026-10-24T23:00
    Africa/Cairo 2026-04-24T00:00           Africa/Cairo 2026-10-29T23:00
    America/Sao_Paulo 2018-11-04T00:00      America/Sao_Paulo 2018-02-17T23:00
    America/Havana 2026-03-08T00:00         America/Havana 2026-11-01T00:00
    America/St_Johns 2010-03-14T00:01       America/St_Johns 2010-11-06T23:01
    Australia/Lord_Howe 2026-10-04T02:00    Australia/Lord_Howe 2026-04-05T01:30
    Antarctica/Troll 2026-03-29T01:00       Antarctica/Troll 2026-10-25T01:00
    Pacific/Apia 2011-12-30T00:00           Pacific/Kiritimati 1994-12-31T00:00
    Asia/Tokyo 2026-03-29T00:00             Asia/Kolkata 2026-03-29T00:00
"""
CHANGES = tuple((zone, datetime.fromisoformat(at)) for zone, at in re.findall(r"(\S+) (\S+)", _CHANGES))
changes = st.sampled_from(CHANGES)


def resolved(wall: datetime, zone: str) -> datetime:
    """The instant of a wall-clock time, as `whenever` knows it: the earlier of two, the change itself in a gap."""
    plain = PlainDateTime(wall.isoformat())
    earlier = plain.assume_tz(zone, disambiguation="earlier")
    if earlier.to_plain() == plain:
        return earlier.to_instant().to_stdlib().astimezone(UTC)
    change = earlier.next_transition()
    assert change is not None
    return change.to_instant().to_stdlib().astimezone(UTC)


def shown(instant: datetime, zone: str) -> datetime:
    """What clocks in the zone show at an instant, as `whenever` knows it."""
    return Instant(instant).to_tz(zone).to_plain().to_stdlib()
