"""What the facts of simulated people are drawn from: values with weights, ranges, or a default for the fact's type."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import Any

from engine.core.expressions import ExpressionError, parse_expression
from engine.core.fact_types import FactType
from engine.core.facts import parse_fact
from engine.core.spec import CampaignTypeSpec

Draw = Callable[[Random], Any]
MISSING = "missing"
_MISSING_SHARE = 0.2
_WORDS = ("Alex", "Kim", "Noor", "Robin", "Sam", "Yuki")
_PAST, _FUTURE = timedelta(days=60), timedelta(days=365)
_MOST_DECIMALS = 6


def draw_of(
    name: str, kind: FactType, cells: Mapping[str, float] | None, type_: CampaignTypeSpec, start: datetime
) -> Draw:
    """A function that draws the fact, None for missing. Raises ValueError for a cell that the type does not hold."""
    if cells is None:
        draw = _default(name, kind, type_, start)
        return _sometimes(draw) if kind.optional else draw
    draws = [cell_draw(kind, cell) for cell in cells]
    if len(draws) == 1:
        return draws[0]
    weights = list(accumulate(cells.values()))
    return lambda random: draws[bisect(weights, random.random() * weights[-1], hi=len(weights) - 1)](random)


def cell_draw(kind: FactType, cell: str) -> Draw:
    """What one cell draws: its value, one of a range `a..b`, or nothing for `missing`. Raises ValueError.

    >>> from engine.core.fact_types import parse_fact_type
    >>> seats = parse_fact_type("int 1..9?")
    >>> [cell_draw(seats, cell)(Random(1)) for cell in ("4", "2..5", "missing")]
    [4, 3, None]
    """
    if cell == MISSING and kind.optional:
        return _constant(None)
    low, dots, high = cell.partition("..")
    if dots and kind.kind in ("int", "number", "date", "datetime"):
        first, last = parse_fact(kind, low.strip()), parse_fact(kind, high.strip())
        if first > last:
            raise ValueError(f"expected the smaller value first, got {cell!r}")
        return _between(kind, first, last)
    return _constant(parse_fact(kind, cell))


def _constant(value: Any) -> Draw:
    return lambda _: value


def _between(kind: FactType, low: Any, high: Any) -> Draw:
    match kind.kind:
        case "int":
            return lambda random: random.randint(low, high)
        case "number":
            decimals = min(max(-min(low.as_tuple().exponent, high.as_tuple().exponent), 1), _MOST_DECIMALS)
            unit = Decimal(1).scaleb(-decimals)
            return lambda random: low + unit * random.randint(0, int((high - low) / unit))
        case "date":
            days = (high - low).days
            return lambda random: low + timedelta(days=random.randint(0, days))
    seconds = int((high - low).total_seconds())
    return lambda random: low + timedelta(seconds=random.randint(0, seconds))


def _sometimes(draw: Draw) -> Draw:
    return lambda random: draw(random) if random.random() >= _MISSING_SHARE else None


def _default(name: str, kind: FactType, type_: CampaignTypeSpec, start: datetime) -> Draw:
    """Any value of the type, alike; where the type has no bounds, some around those that guards compare it with."""
    asked = [constant for expression in guards_of(type_) for constant in _constants(expression, name)]
    match kind.kind:
        case "choice":
            return lambda random: random.choice(kind.choices)
        case "bool":
            return lambda random: random.random() < 0.5
        case "date":
            return _between(kind, (start - _PAST).date(), (start + _FUTURE).date())
        case "datetime":
            return _between(kind, start - _PAST, start + _FUTURE)
        case "text":
            words = tuple(dict.fromkeys((*(each for each in asked if isinstance(each, str)), *_WORDS)))
            return lambda random: random.choice(words)
    numbers = [each for each in asked if isinstance(each, Decimal)]
    low = kind.low if kind.low is not None else min(Decimal(0), *(each * 2 for each in numbers), Decimal(0))
    high = kind.high if kind.high is not None else max(Decimal(100), *(each * 2 for each in numbers), Decimal(0))
    if kind.kind == "int":
        first, last = int(low.to_integral_value("ROUND_CEILING")), int(high.to_integral_value("ROUND_FLOOR"))
        return _between(kind, first, max(first, last))
    return _between(kind, low, high)


def guards_of(type_: CampaignTypeSpec) -> Iterator[str]:
    """Every `when` of a campaign type, wherever it stands."""
    waiting: list[Any] = [type_.as_json()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(when := part.get("when"), str):
                yield when
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def _constants(expression: str, name: str) -> Iterator[Any]:
    try:
        tests = parse_expression(expression).comparisons
    except ExpressionError:
        return
    for test in tests:
        if test.name == name:
            yield from test.constants
