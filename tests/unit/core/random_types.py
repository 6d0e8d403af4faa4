"""Random campaign types of the whole vocabulary that pass every check, and random people to play them with.

The types are those of `tests.unit.strategies` with more drawn into them: two channels, send windows with business
time, timers `at` a date, limits. Every message is sent through one channel only, so that what left tells by its
name how it left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st

from engine.core.checks import check
from engine.core.durations import parse_duration
from engine.core.loader import LoadedType
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import Document
from tests.unit.strategies import EVENTS, TEXTS, sources

Draw = Callable[[st.SearchStrategy[Any]], Any]

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Antarctica/Troll"]
CHANNEL_OF = {"intro": "email", "tip": "email", "intro_sms": "sms", "tip_sms": "sms"}
_WINDOWS: list[dict[str, Any]] = [
    {"days": "mon-fri", "from": "09:00", "to": "17:00"},
    {"days": "mon-fri", "from": "09:00", "to": "17:00", "holidays": "US", "zone": "America/New_York"},
    {"days": "tue, sat", "from": "22:00", "to": "03:00"},
]
_BUSINESS = ["3 business hours", "9 business hours", "1 business day", "4 business days"]
_STARTS = [
    datetime(2026, 3, 2, 9, tzinfo=UTC),
    datetime(2026, 3, 28, 1, 30, tzinfo=UTC),  # before the clocks of Europe and Troll go forward
    datetime(2026, 10, 20, 0, 15, tzinfo=UTC),  # before they go back
    datetime(2026, 12, 24, 17, 5, tzinfo=UTC),
]


class Arrival(NamedTuple):
    """Something a person does `after` the start: `reply` or `event`."""

    after: timedelta
    reply: str | None
    event: str | None


class Person(NamedTuple):
    key: Any
    facts: dict[str, Any]
    zone: str
    start: datetime
    arrivals: list[Arrival]


@st.composite
def random_specs(draw: Draw) -> CampaignTypeSpec:
    """A campaign type that passes every check."""
    source = draw(sources())
    source["messages"] = {name: {"text": "Hi"} for name in CHANNEL_OF}
    source["facts"]["renewal_on"] = "date?"
    window = draw(st.sampled_from([None, *_WINDOWS]))
    if window is not None:
        source["send_window"] = window
    if draw(st.sampled_from([False, False, True])):
        source["limits"] = {"per_recipient": "2 per 3d"}
    for part in _parts(source):
        if "send" in part and draw(st.booleans()):
            part |= {"send": f"{part['send']}_sms", "channel": "sms"}
        if window is not None and "after" in part and draw(st.sampled_from([False, False, False, True])):
            part["after"] = draw(st.sampled_from(_BUSINESS))
    for stage in source["stages"].values():
        if stage.get("timers") and draw(st.booleans()):
            rule = draw(st.sampled_from(["renewal_on - 3d 09:00", "renewal_on", "renewal_on + 5h"]))
            stage["timers"].insert(0, {"at": rule, "go": draw(st.sampled_from(["gave_up", "bought", "stay"]))})
    for stage in source["stages"].values():
        _leave_time(stage)
    spec = CampaignTypeSpec.model_validate(source)
    assume(all(problem.severity == "warning" for problem in check(LoadedType(spec, Document("", "random"), ""))))
    return spec


def _leave_time(stage: dict[str, Any]) -> None:
    """Let the timer that ends a silent wait come after all follow-ups and escalations."""
    sums = [parse_duration(each["after"]).nominal * each["times"] for each in stage.get("follow_ups", ())]
    each_alone = [parse_duration(each["after"]).nominal for each in stage.get("escalate", ())]
    needed = max(sum(sums, timedelta()), *each_alone, timedelta())
    for timer in stage.get("timers", ()):
        if "when" not in timer and timer["go"] != "stay" and "after" in timer:
            due = parse_duration(timer["after"]).nominal
            timer["after"] = timer["after"] if due > needed else f"{needed // timedelta(hours=1) + 1}h"


def _parts(source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every send, timer, follow-up and escalation."""
    waiting: list[Any] = [source["stages"], source["exits"], source["always"]]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += part.values()
            if "send" in part or "after" in part:
                yield part
        elif isinstance(part, list):
            waiting += part


_hours = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 24.0, 36.0, 72.0]), st.integers(0, 1_500).map(float))
_arrivals = st.one_of(
    st.builds(lambda hours, text: Arrival(timedelta(hours=hours), text, None), _hours, st.sampled_from(TEXTS)),
    st.builds(lambda hours, name: Arrival(timedelta(hours=hours), None, name), _hours, st.sampled_from(EVENTS)),
)
random_people = st.builds(
    Person,
    st.uuids(),
    st.fixed_dictionaries(
        {},
        optional={
            "vip": st.booleans(),
            "seats": st.integers(1, 100),
            "plan": st.sampled_from(["free", "team"]),
            "renewal_on": st.dates(date(2026, 3, 1), date(2026, 12, 31)),
        },
    ),
    st.sampled_from(ZONES),
    st.sampled_from(_STARTS),
    st.lists(_arrivals, max_size=8).map(lambda arrivals: sorted(arrivals, key=lambda it: it.after)),
)
