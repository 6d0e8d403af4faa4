"""Facts as values: read from the cell of a table, kept as JSON.

A cell is text as people type it into a spreadsheet. The value is what guards compare and messages show: str,
int, Decimal, bool, date or an aware datetime in UTC. In JSON a number is a number, a date its ISO text;
reading it back gives an equal value.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from engine.core.durations import instant_of
from engine.core.fact_types import FactType

_INT = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BEYOND_INT64 = Decimal(2**63)
_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_fact(fact_type: FactType, cell: str, zone: str = "UTC") -> Any:
    """The value that `cell` says; a datetime without an offset is in `zone`.

    Raises: ValueError with what was expected.

    >>> from engine.core.fact_types import parse_fact_type
    >>> parse_fact(parse_fact_type("int 1..9"), "7")
    7
    >>> parse_fact(parse_fact_type("bool"), "Yes")
    True
    >>> parse_fact(parse_fact_type("int 1..9"), "12")
    Traceback (most recent call last):
    ValueError: expected int 1..9, got '12'
    """
    try:
        return _PARSERS[fact_type.kind](fact_type, cell, zone)
    except (ValueError, OverflowError) as error:
        shown = cell if len(cell) <= 40 else cell[:39] + "…"
        expected = _EXPECTED.get(fact_type.kind, fact_type.text.removesuffix("?"))
        raise ValueError(f"expected {expected}, got {shown!r}") from error


def parse_constant(fact_type: FactType, value: bool | int | float | str) -> Any:
    """The value that a constant of a campaign type says. Raises ValueError with what was expected.

    >>> from engine.core.fact_types import parse_fact_type
    >>> parse_constant(parse_fact_type("date"), "2026-03-02"), parse_constant(parse_fact_type("bool"), True)
    (datetime.date(2026, 3, 2), True)
    """
    return parse_fact(fact_type, str(value).lower() if isinstance(value, bool) else str(value))


def fit_fact(fact_type: FactType, value: str | Decimal | date | None) -> Any:
    """A captured response value as the fact holds it; None when there is none or the type does not hold it.

    >>> from engine.core.fact_types import parse_fact_type
    >>> fit_fact(parse_fact_type("int 1..9"), Decimal("4.0")), fit_fact(parse_fact_type("int 1..9"), Decimal("4.5"))
    (4, None)
    >>> fit_fact(parse_fact_type("date"), date(2026, 3, 2)), fit_fact(parse_fact_type("text"), date(2026, 3, 2))
    (datetime.date(2026, 3, 2), '2026-03-02')
    """
    if value is None or (isinstance(value, date) and fact_type.kind == "datetime"):
        return None
    cell = f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
    try:
        return parse_fact(fact_type, cell)
    except ValueError:
        return None


def fact_to_json(value: Any) -> Any:
    """The fact as JSON data.

    >>> fact_to_json(Decimal("2.5")), fact_to_json(date(2026, 3, 2))
    (2.5, '2026-03-02')

    A number that JSON readers would round is its text.

    >>> fact_to_json(Decimal("12345678901234567890.1"))
    '12345678901234567890.1'
    """
    if isinstance(value, Decimal):
        return _plain_number(value)
    return value.isoformat() if isinstance(value, date) else value


def fact_from_json(fact_type: FactType, value: Any) -> Any:
    """The fact that `fact_to_json` wrote.

    >>> from engine.core.fact_types import parse_fact_type
    >>> fact_from_json(parse_fact_type("number"), 2.5)
    Decimal('2.5')
    """
    if value is None:
        return None
    match fact_type.kind:
        case "number":
            return Decimal(str(value))
        case "int":  # `set` may have put any captured number there
            return value if type(value) is int else Decimal(str(value))
        case "date":
            return date.fromisoformat(value)
        case "datetime":
            return datetime.fromisoformat(value)
    return value


def _plain_number(number: Decimal) -> int | float | str:
    if number == number.to_integral_value():
        return int(number) if abs(number) < _BEYOND_INT64 else str(number)
    rounded = float(number)
    return rounded if Decimal(str(rounded)) == number else str(number)


def _parse_text(_fact_type: FactType, cell: str, _zone: str) -> str:
    if "\0" in cell:
        raise ValueError("NUL")
    return cell


def _parse_int(fact_type: FactType, cell: str, _zone: str) -> int:
    return int(_bounded(fact_type, cell, _INT, 18))


def _parse_number(fact_type: FactType, cell: str, _zone: str) -> Decimal:
    return _bounded(fact_type, cell, _NUMBER, 15)


def _bounded(fact_type: FactType, cell: str, shape: re.Pattern[str], digits: int) -> Decimal:
    """The number in `cell`, within the type's bounds and with no more digits than JSON keeps exactly."""
    if not shape.fullmatch(cell):
        raise ValueError("no number")
    number = Decimal(cell)
    if len(number.as_tuple().digits) > digits:
        raise ValueError("too many digits")
    low, high = fact_type.low, fact_type.high
    if low is not None and high is not None and not low <= number <= high:
        raise ValueError("out of range")
    return number


def _parse_bool(_fact_type: FactType, cell: str, _zone: str) -> bool:
    if (found := _BOOLS.get(cell.lower())) is None:
        raise ValueError("no bool")
    return found


def _parse_date(_fact_type: FactType, cell: str, _zone: str) -> date:
    if not _DATE.fullmatch(cell):
        raise ValueError("no date")
    return date.fromisoformat(cell)


def _parse_datetime(_fact_type: FactType, cell: str, zone: str) -> datetime:
    if not _DATE.match(cell):
        raise ValueError("no date")
    instant = datetime.fromisoformat(cell)
    return instant.astimezone(UTC) if instant.tzinfo else instant_of(instant, zone)


def _parse_choice(fact_type: FactType, cell: str, _zone: str) -> str:
    if cell not in fact_type.choices:
        raise ValueError("no choice")
    return cell


_PARSERS = {
    "text": _parse_text,
    "int": _parse_int,
    "number": _parse_number,
    "bool": _parse_bool,
    "date": _parse_date,
    "datetime": _parse_datetime,
    "choice": _parse_choice,
}
_EXPECTED = {
    "text": "text without NUL",
    "bool": "true, false, yes, no, 1 or 0",
    "date": "a date such as 2026-03-31",
    "datetime": "an instant such as 2026-03-31T09:00:00Z",
}
