"""The expressions of `when`, compiled to fast closures over a row.

Judging is three-valued (None is unknown) and total. A missing value makes its test unknown, and so does a
value of another kind than the constant. `not` of unknown is unknown, `and` and `or` are Kleene's, `is missing`
is never unknown. Numbers compare exactly, whether int or Decimal. A date is a quoted ISO date; a date and time
without offset is read as UTC. How expressions are written is told in `engine.core.grammar`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from engine.core.grammar import (
    KEYWORDS,
    And,
    Comparison,
    Constant,
    ExpressionError,
    Node,
    Not,
    Or,
    parse_tree,
)

__all__ = [
    "KEYWORDS",
    "And",
    "Comparison",
    "Constant",
    "Expression",
    "ExpressionError",
    "Not",
    "Or",
    "as_date",
    "as_instant",
    "compile_guard",
    "parse_expression",
    "readings",
]

Accessor = Callable[[Any], Any]
Guard = Callable[[Any], bool | None]


@dataclass(frozen=True)
class Expression:
    """A parsed `when`: its `text` and `tree`, its comparisons in the order of the text, the names in them."""

    text: str
    tree: Node

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        return tuple(_comparisons(self.tree))

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(comparison.name for comparison in self.comparisons)


def parse_expression(text: str) -> Expression:
    """The expression that `text` says. Raises ExpressionError and nothing else.

    >>> sorted(parse_expression('plan == "team" and not 200 <= seats').names)
    ['plan', 'seats']
    """
    return Expression(text, parse_tree(text))


def compile_guard(expression: Expression, getter: Callable[[str], Accessor]) -> Guard:
    """The expression as a function of a row: True, False, or None when unknown.

    `getter(name)` gives the function that reads a name from a row; None is missing.

    >>> guard = compile_guard(parse_expression("seats > 3"), lambda name: lambda row: row.get(name))
    >>> guard({"seats": 4}), guard({"seats": 3}), guard({})
    (True, False, None)
    """
    return _compile(expression.tree, getter)


def readings(constant: Constant) -> dict[str, Any]:
    """What a constant is to a value of each kind that it compares with.

    >>> readings("2026-03-01")["date"], readings(True)
    (datetime.date(2026, 3, 1), {'bool': True})
    """
    if isinstance(constant, bool):
        return {"bool": constant}
    if isinstance(constant, Decimal):
        whole = int(constant)
        return {"number": whole if whole == constant else constant}  # counters compare faster with an int
    found = {"text": constant, "date": as_date(constant), "instant": as_instant(constant)}
    return {kind: value for kind, value in found.items() if value is not None}


def as_date(text: str) -> date | None:
    """The date that a text names, as in `2026-03-01`, or None."""
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def as_instant(text: str) -> datetime | None:
    """The instant, in UTC, that a text names, or None; a date is its midnight.

    >>> as_instant("2026-03-01T10:00+02:00").isoformat()
    '2026-03-01T08:00:00+00:00'
    """
    try:
        return _in_utc(datetime.fromisoformat(text)) if _INSTANT.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(rf"{_DATE.pattern}(?:[T ][0-9:.+Z-]+)?")


def _in_utc(instant: datetime) -> datetime:
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)


def _comparisons(node: Node) -> Iterator[Comparison]:
    if isinstance(node, Comparison):
        yield node
    else:
        for part in (node.part,) if isinstance(node, Not) else node.parts:
            yield from _comparisons(part)


def _compile(node: Node, getter: Callable[[str], Accessor]) -> Guard:
    if isinstance(node, Comparison):
        return _compile_test(node, getter(node.name))
    if isinstance(node, Not):
        part = _compile(node.part, getter)
        return lambda row: None if (verdict := part(row)) is None else not verdict
    parts = tuple(_compile(each, getter) for each in node.parts)
    decisive = isinstance(node, Or)

    def combine(row: Any) -> bool | None:
        verdict: bool | None = not decisive
        for part in parts:
            said = part(row)
            if said is decisive:
                return decisive
            if said is None:
                verdict = None
        return verdict

    return combine


def _compile_test(test: Comparison, get: Accessor) -> Guard:
    if test.operator == "missing":
        return lambda row: get(row) is None
    if test.operator == "not missing":
        return lambda row: get(row) is not None
    judge = _order(test) if test.operator in _ORDERS else _membership(test)
    usual = _usual(test)
    if usual is None:
        return lambda row: judge(get(row))
    kind, compare, constant = usual

    def compare_usual(row: Any) -> bool | None:
        value = get(row)
        return compare(value, constant) if type(value) is kind else judge(value)

    return compare_usual


_EQUALITIES: dict[str, Callable[[Any, Any], bool]] = {"==": operator.eq, "!=": operator.ne}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _usual(test: Comparison) -> tuple[type, Callable[[Any, Any], bool], Any] | None:
    """The type that the value of a frequent test has, and the plain comparison that decides then: the fast way."""
    known = readings(test.constants[0]) if test.constants else {}
    if test.operator in _EQUALITIES and "text" in known:
        return str, _EQUALITIES[test.operator], known["text"]
    compare = (_EQUALITIES | _ORDERS).get(test.operator)
    return (int, compare, known["number"]) if compare and "number" in known else None


_KINDS: dict[type, str] = {
    str: "text",
    int: "number",
    Decimal: "number",
    float: "number",
    bool: "bool",
    date: "date",
    datetime: "instant",
}


def _order(test: Comparison) -> Callable[[Any], bool | None]:
    compare = _ORDERS[test.operator]
    known = readings(test.constants[0])
    known = {kind: known[kind] for kind in ("number", "date", "instant") if kind in known}

    def judge(value: Any) -> bool | None:
        kind = _KINDS.get(type(value))
        if kind not in known:
            return None
        try:
            return compare(_in_utc(value) if kind == "instant" else value, known[kind])
        except ArithmeticError:  # a NaN has no order, an instant at the end of time no UTC
            return None

    return judge


def _membership(test: Comparison) -> Callable[[Any], bool | None]:
    """`==`, `!=`, `in` and a bare name: unknown unless found, or all constants are of the value's kind."""
    each = [readings(constant) for constant in test.constants or (True,)]
    kinds = {kind for reading in each for kind in reading}
    known = {kind: frozenset(reading[kind] for reading in each if kind in reading) for kind in kinds}
    decided = {kind for kind in kinds if all(kind in reading for reading in each)}
    found = test.operator != "!="

    def judge(value: Any) -> bool | None:
        kind = _KINDS.get(type(value))
        if kind not in known:
            return None
        try:
            if (_in_utc(value) if kind == "instant" else value) in known[kind]:
                return found
            return (not found) if kind in decided and value == value else None
        except (ArithmeticError, TypeError):  # a NaN equals nothing, a signalling one has no hash
            return None

    return judge
