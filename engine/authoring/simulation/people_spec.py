"""What a people file, `NAME.sim.yaml`, may say: who the simulated recipients are and what they do about messages.

Shape only, as typed values; `people_file` reads the file and holds it against the campaign type.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from engine.core.durations import parse_duration
from engine.core.schedules import TimeOfDay
from engine.core.vocabulary import Name, Span, Spec, Text

_PERCENT = re.compile(r"(100|[0-9]{1,2})(\.[0-9]{1,4})?%")
_YEARS = range(1970, 2200)
START = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday; summer time begins on the way
_SOME_HOURS = parse_duration("8h")


def _percent(value: object) -> float:
    if not isinstance(value, str) or not _PERCENT.fullmatch(value) or float(value[:-1]) > 100:
        reason = f"{value!r} is not a share; expected a percentage from 0% to 100%, as in 30%"
        raise PydanticCustomError("percent", "{reason}", {"reason": reason})
    return float(value[:-1]) / 100


def _instant(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime) or moment.year not in _YEARS:
        reason = f"{value!r} is not a time; expected an instant, as in 2026-03-02T09:00:00Z"
        raise PydanticCustomError("instant", "{reason}", {"reason": reason})
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _cells(value: object) -> dict[str, float]:
    """What a fact is drawn from: one value, a list of values that are alike, or values with their weights."""
    if isinstance(value, dict) and value:
        for cell, weight in value.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e9:
                reason = f"the weight of {str(cell)[:40]!r} is {weight!r}; expected a number from 0"
                raise PydanticCustomError("draw", "{reason}", {"reason": reason})
        if not any(value.values()):
            raise PydanticCustomError("draw", "every weight is 0; expected one that is more")
        return {str(cell): float(weight) for cell, weight in value.items()}
    cells = value if isinstance(value, list) else [value]
    if not cells or any(isinstance(cell, list | dict) or cell is None for cell in cells):
        reason = "expected a value, a list of values, or values with weights, as in {free: 70, team: 30}"
        raise PydanticCustomError("draw", "{reason}", {"reason": reason})
    return dict.fromkeys((str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in cells), 1.0)


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


Percent = Annotated[
    float,
    PlainValidator(_percent),
    PlainSerializer(lambda share: f"{share * 100:g}%"),
    WithJsonSchema({"type": "string", "pattern": r"^(100|[0-9]{1,2})(\.[0-9]{1,4})?%$", "examples": ["30%"]}),
]
Instant = Annotated[
    datetime, PlainValidator(_instant), WithJsonSchema({"type": "string", "examples": ["2026-03-02T09:00:00Z"]})
]
Cells = Annotated[
    dict[str, float],
    PlainValidator(_cells),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}},
                {"type": "object", "minProperties": 1, "additionalProperties": {"type": "number", "minimum": 0}},
            ],
            "examples": [{"free": 70, "team": 30}, ["Ann", "Bo"], "1..50"],
        }
    ),
]
Weight = Annotated[int | float, Field(ge=0, le=1_000_000_000)]
Spread = Annotated[int | float, Field(ge=1, le=100)]


class PlaceSpec(Spec):
    """Where some of the people live: it decides the hours at which they read, and how they write numbers and dates."""

    timezone: Text = "UTC"
    locale: Text = "en"
    weight: Weight = 1


class AwakeSpec(Spec):
    """The hours, by their own clocks, at which people answer."""

    from_: TimeOfDay = Field(time(7, 30), alias="from")
    to: TimeOfDay = time(22)


class EventSpec(Spec):
    """An event that other systems tell of somebody, `after` a median delay."""

    share: Percent = 1.0
    after: Span
    spread: Spread = 2


class ThenSpec(EventSpec):
    """An event that follows an answer."""

    event: Text


class SayingSpec(Spec):
    """One thing that people say: in these `texts`, or in words made so that the campaign type reads what it `means`."""

    texts: Annotated[list[Text], BeforeValidator(_as_list, json_schema_input_type=Text | list[Text])] | None = Field(
        None, min_length=1
    )
    means: dict[Name, Any] | None = Field(None, min_length=1)
    weight: Weight = 1
    then: ThenSpec | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> SayingSpec:
        if (self.texts is None) == (self.means is None):
            raise PydanticCustomError("saying", "something to say needs words; expected either texts: or means:")
        return self


class HabitSpec(Spec):
    """What people do about a message, or about a stage that sends none."""

    answer: Percent = 0.3
    after: Span = _SOME_HOURS
    spread: Spread = 3
    says: list[SayingSpec] | None = Field(None, min_length=1)
    stop: Percent = 0.02
    events: dict[Text, EventSpec] = Field(default_factory=dict)


class PeopleSpec(Spec):
    """Simulated recipients. Everything has a default, which comes from the campaign type itself."""

    start: Instant = START
    per_day: Annotated[int, Field(ge=1)] | None = None
    awake: AwakeSpec = AwakeSpec()
    places: list[PlaceSpec] = Field(default_factory=list)
    facts: dict[Name, Cells] = Field(default_factory=dict)
    stages: dict[Name, HabitSpec] = Field(default_factory=dict)
    messages: dict[Name, HabitSpec] = Field(default_factory=dict)
