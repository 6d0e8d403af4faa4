"""When messages may leave: the `send_window` and `limits` of a campaign type, as the author writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import time
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from engine.core.durations import Duration, parse_duration, zone_of
from engine.core.vocabulary import Span, Spec
from engine.core.windows import DAYS, Window, parse_country, parse_days, parse_time_of_day

RECIPIENT = "recipient"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` messages in any span of length `per`; `text` is what the author wrote."""

    text: str
    count: int
    per: Duration

    def __str__(self) -> str:
        return self.text


_RATE = re.compile(r"([0-9]{1,6})\s+per\s+(.+)")


def parse_rate(text: object) -> Rate:
    """The rate that `text` names. Raises ValueError with what was expected.

    >>> parse_rate("5 per 7d").count
    5
    """
    found = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError(f"{text!r} is not a rate; expected a count and a span, as in 5 per 7d")
    per = parse_duration(found[2])
    if per.business:
        raise ValueError(f"{text!r} counts business time; expected elapsed time or days, as in 5 per 7d")
    return Rate(str(text).strip(), int(found[1]), per)


def _by(parse: Callable[[Any], Any], kind: str, ready: type) -> PlainValidator:
    """A validator that leaves parsed values alone and reports what `parse` says as an error of `kind`."""

    def validate(value: object) -> object:
        if isinstance(value, ready):
            return value
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError(kind, "{reason}", {"reason": str(error)}) from error

    return PlainValidator(validate)


def _zone(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a time zone; expected recipient or a name such as Europe/London")
    if value != RECIPIENT:
        try:
            zone_of(value)
        except (LookupError, ValueError, OSError) as error:
            message = f"unknown time zone {value[:40]!r}; expected recipient or a name such as Europe/London"
            raise ValueError(message) from error
    return value


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def days_text(days: Collection[int]) -> str:
    """The weekdays as authors write them.

    >>> days_text({0, 1, 2, 3, 4}), days_text({6, 0, 2, 3}), days_text(range(7))
    ('mon-fri', 'mon, wed, thu, sun', 'all')
    """
    if len(days) == len(DAYS):
        return "all"
    first, last = min(days), max(days)
    if len(days) > 2 and len(days) == last - first + 1:
        return f"{DAYS[first]}-{DAYS[last]}"
    return ", ".join(DAYS[day] for day in sorted(days))


def _clock(value: time) -> str:
    return value.isoformat("minutes")


TimeOfDay = Annotated[
    time,
    _by(parse_time_of_day, "time_of_day", time),
    PlainSerializer(_clock),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,2}:[0-9]{2}$", "examples": ["09:00"]}),
]
Days = Annotated[
    frozenset[int],
    _by(parse_days, "days", frozenset),
    PlainSerializer(days_text),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, "examples": ["mon-fri"]}),
]
Country = Annotated[
    str,
    _by(parse_country, "country", type(None)),
    WithJsonSchema({"type": "string", "examples": ["US", "DE-BY"]}),
]
Zone = Annotated[
    str,
    _by(_zone, "zone", type(None)),
    WithJsonSchema({"type": "string", "examples": [RECIPIENT, "Europe/London"]}),
]
RateText = Annotated[
    Rate,
    _by(parse_rate, "rate", Rate),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9]{1,6}\s+per\s+.+$", "examples": ["5 per 7d"]}),
]
_MIDNIGHT = time(0)


class WindowSpec(Spec):
    """Messages leave on these days between these times; those planned for another time wait for the next opening."""

    days: Days = frozenset(range(7))
    from_: TimeOfDay = Field(_MIDNIGHT, alias="from")
    to: TimeOfDay = _MIDNIGHT
    at: Annotated[list[TimeOfDay], BeforeValidator(_as_list, json_schema_input_type=TimeOfDay | list[TimeOfDay])] = []
    zone: Zone = RECIPIENT
    holidays: Annotated[list[Country], BeforeValidator(_as_list, json_schema_input_type=Country | list[Country])] = []

    @property
    def window(self) -> Window:
        zone = None if self.zone == RECIPIENT else self.zone
        return Window(self.days, self.from_, self.to, zone, tuple(self.holidays), tuple(sorted(self.at)))


class LimitsSpec(Spec):
    """How often one recipient is written to, all campaigns together; a message that is too many waits its turn."""

    cooldown: Span | None = None
    per_recipient: Annotated[
        list[RateText], BeforeValidator(_as_list, json_schema_input_type=RateText | list[RateText])
    ] = []

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every limit as a rate: a cooldown is one message in that span."""
        cooldown = [Rate(f"cooldown {self.cooldown}", 1, self.cooldown)] if self.cooldown else []
        return (*cooldown, *self.per_recipient)
