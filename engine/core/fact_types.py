"""The types of facts: what authors write, such as `int 1..100` or `one of [free, team]?`, and what it means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class FactType:
    """What a fact may hold: `kind`, the bounds of a number, the choices of `one of`, whether it may be missing."""

    text: str
    kind: Literal["text", "int", "number", "bool", "date", "datetime", "choice"]
    optional: bool = False
    low: Decimal | None = None
    high: Decimal | None = None
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")
_FACT_TYPE = re.compile(rf"(text|bool|date|datetime|int|number)(?:\s+({_NUMBER}\s*\.\.\s*{_NUMBER}))?(\?)?")
_CHOICE = re.compile(r"one of\s*\[([^\[\]]*)\](\?)?")
_FACT_TYPES = (
    "expected text, int, int 1..9, number, number 0..1, bool, date, datetime or one of [a, b], with ? if optional"
)


def parse_range(text: object) -> tuple[Decimal, Decimal]:
    """The two bounds of `a..b`, both inside. Raises ValueError.

    >>> parse_range("1..5")
    (Decimal('1'), Decimal('5'))
    """
    found = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a range; expected two numbers, as in 1..5")
    low, high = Decimal(found[1]), Decimal(found[2])
    if low > high:
        raise ValueError(f"{text!r} is an empty range; expected the smaller number first")
    return low, high


def parse_fact_type(text: object) -> FactType:
    """The fact type that `text` names. Raises ValueError with what was expected.

    >>> parse_fact_type("one of [free, team]?").choices
    ('free', 'team')
    >>> parse_fact_type("int 1..9").high
    Decimal('9')
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a fact type; {_FACT_TYPES}")
    if choice := _CHOICE.fullmatch(text.strip()):
        choices = tuple(part.strip().strip("'\"") for part in choice[1].split(","))
        if "" in choices or len(set(choices)) < len(choices):
            raise ValueError(f"{text!r} has an empty or doubled choice; expected one of [a, b]")
        return FactType(text, "choice", bool(choice[2]), choices=choices)
    found = _FACT_TYPE.fullmatch(text.strip())
    if found is None or (found[2] and found[1] not in ("int", "number")):
        raise ValueError(f"{text!r} is not a fact type; {_FACT_TYPES}")
    low, high = parse_range(found[2]) if found[2] else (None, None)
    return FactType(text, found[1], bool(found[3]), low, high)  # type: ignore[arg-type]


def _fact_type(value: object) -> FactType:
    if isinstance(value, FactType):
        return value
    try:
        return parse_fact_type(value)
    except ValueError as error:
        raise PydanticCustomError("fact_type", "{reason}", {"reason": str(error)}) from error


FactTypeText = Annotated[
    FactType,
    PlainValidator(_fact_type),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["text", "int 1..100", "one of [free, team]?"]}),
]
