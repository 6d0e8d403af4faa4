"""What a name can hold, and the sets of its values that comparisons pick out.

A `Domain` is a line of values; an optional one has one point more, missing. A `Slice` is a set of its values:
disjoint spans between cuts, a cut being the place just before or just after a value. Whole numbers, bools, dates
and instants (in microseconds) are integers, so `seats > 3` and `seats >= 4` are the same slice; numbers and texts
lie densely. Texts are only ever compared for equality, so their slices are finite or lack finitely many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cached_property
from typing import Any, Literal

from engine.core.expressions import Comparison, Constant, as_date, readings
from engine.core.fact_types import FactType, parse_range
from engine.core.matchers import MatcherSpec, OneMatcherSpec, ResponseSpec
from engine.core.plugins import plugins_in_use
from engine.core.vocabulary import OTHER

Kind = Literal["text", "choice", "bool", "int", "number", "date", "datetime"]
Cut = tuple[int, Any, int]  # (0, value, 0) lies just before the value, (0, value, 1) just after it
Span = tuple[Cut, Cut]
_START: Cut = (-1, None, 0)
_END: Cut = (1, None, 0)
_ORDERS = ("<", "<=", ">", ">=")
_UNORDERED = ("text", "choice", "bool")


def domain_of_fact(fact: FactType) -> Domain:
    """What a fact can hold."""
    return Domain(fact.kind, fact.optional, fact.low, fact.high, fact.choices)


def domain_of_response(response: ResponseSpec, *, optional: bool = False) -> Domain:
    """What a response can hold: one of its labels or "other", or else what its matcher captures.

    A response of labels is missing only if the caller says so (before the first response); that of a bare matcher
    is also missing where it did not match.
    """
    if not isinstance(response, MatcherSpec):
        return Domain("choice", optional, choices=tuple(dict.fromkeys((*response, OTHER))))
    parts = tuple(_captured(matcher) for matcher in response.parts)
    kinds = {part.kind for part in parts}
    if len(parts) == 1:
        return parts[0]
    if kinds == {"choice"}:
        return Domain("choice", True, choices=tuple(dict.fromkeys(each for part in parts for each in part.choices)))
    return Domain(parts[0].kind, True, parts=parts) if len(kinds) == 1 else Domain("text", True)


def _captured(matcher: OneMatcherSpec) -> Domain:
    """What one matcher captures; of an argument that makes no sense, told elsewhere, nothing is concluded."""
    if matcher.plugin is not None:
        result = matcher.plugin.result
        return Domain(result.kind, True, result.low, result.high, result.choices)
    [(name, wanted)] = matcher.as_dict.items()
    if name == "only_text":
        return Domain("choice", True, choices=(wanted,))
    if name == "classifier":
        plugin = plugins_in_use().classifiers.get(wanted)
        return Domain("text", True) if plugin is None else replace(domain_of_fact(plugin.result), optional=True)
    if matcher.captures == "number":
        return Domain("number", True, *_bounds_of_number(name, wanted), open=name in ("number_lt", "number_gt"))
    return Domain("date", True, *_bounds_of_date(name, wanted)) if matcher.captures == "date" else Domain("text", True)


def _bounds_of_number(name: str, wanted: Any) -> tuple[Decimal | None, Decimal | None]:
    if name == "number":
        return parse_range(wanted) if isinstance(wanted, str) else (None, None)
    bounds = [Decimal(str(each)) for each in (wanted if isinstance(wanted, list) else [wanted])]
    if name == "number_between" and (len(bounds) != 2 or bounds[0] > bounds[1]):
        return None, None
    low = None if name in ("number_lt", "number_lte") else bounds[0]
    return low, None if name in ("number_gt", "number_gte") else bounds[-1]


def _bounds_of_date(name: str, wanted: Any) -> tuple[date | None, date | None]:
    day = as_date(wanted.strip()) if isinstance(wanted, str) else None
    if day is None:
        return None, None
    if name == "date_lt":
        return None, max(day, _SECOND_DAY) - timedelta(1)
    return (day, day) if name == "date_eq" else (min(day, date.max - timedelta(1)) + timedelta(1), None)


def counter(low: int = 0) -> Domain:
    """What a count can be that is at least `low`."""
    return Domain("int", low=Decimal(low))


@dataclass(frozen=True)
class Slice:
    """Some values of one domain, in disjoint spans in order, and whether missing is among them."""

    spans: tuple[Span, ...]
    missing: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.spans and not self.missing

    @classmethod
    def of(cls, spans: Iterable[Span], missing: bool = False) -> Slice:
        """The slice of any spans, which may be empty, overlap or come in any order."""
        joined: list[Span] = []
        for start, end in sorted(span for span in spans if span[0] < span[1]):
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return cls(tuple(joined), missing)

    def __and__(self, other: Slice) -> Slice:
        found: list[Span] = []
        mine = theirs = 0
        while mine < len(self.spans) and theirs < len(other.spans):
            (a, b), (c, d) = self.spans[mine], other.spans[theirs]
            found.append((max(a, c), min(b, d)))
            mine, theirs = (mine + 1, theirs) if b < d else (mine, theirs + 1)
        return Slice.of(found, self.missing and other.missing)

    def __or__(self, other: Slice) -> Slice:
        return Slice.of(self.spans + other.spans, self.missing or other.missing)

    def __sub__(self, other: Slice) -> Slice:
        cuts = [_START, *(cut for span in other.spans for cut in span), _END]
        gaps = Slice.of(zip(cuts[::2], cuts[1::2], strict=True))
        return Slice((self & gaps).spans, self.missing and not other.missing)


@dataclass(frozen=True)
class Domain:
    """What a name can hold. `choices` list a choice; `parts` together are what they hold, of the same kind.

    `low` and `high` bound int, number and date; both are inside, or if `open` neither is.
    """

    kind: Kind
    optional: bool = False
    low: Any = None
    high: Any = None
    choices: tuple[str, ...] = ()
    open: bool = False
    parts: tuple[Domain, ...] = ()

    @cached_property
    def everything(self) -> Slice:
        return Slice(self.values.spans, self.optional)

    @cached_property
    def values(self) -> Slice:
        """All but missing."""
        if self.parts:
            return Slice.of(span for part in self.parts for span in part.values.spans)
        match self.kind:
            case "choice":
                return self._points(self.choices)
            case "bool":
                return self._points((0, 1))
            case "text":
                return Slice(((_START, _END),))
            case "date":
                low, high = self._place(self.low or date.min), self._place(self.high or date.max)
            case "datetime":
                low, high = self._place(_FIRST), self._place(_LAST)
            case "int":
                low = None if self.low is None else math.ceil(self.low)
                high = None if self.high is None else math.floor(self.high)
            case "number":
                low, high = self.low, self.high
        start = _START if low is None else self._cut(low, int(self.open))
        end = _END if high is None else self._cut(high, int(not self.open))
        return Slice.of([(start, end)])

    def contains(self, slice_: Slice, value: object) -> bool:
        """Whether a value as rows hold it lies in a slice; None is missing."""
        if value is None:
            return slice_.missing
        place = self._place(value)
        return any(start <= (0, place, 0) < end for start, end in slice_.spans)

    def sample(self, slice_: Slice) -> Any:
        """A value in a slice that is not empty; None, for missing, only if there is no other."""
        if not slice_.spans:
            return None
        if self.kind == "text" and slice_.spans[-1][1] == _END:
            candidates = ("another text", f"{slice_.spans[-1][0][1]}…")
            return next(each for each in candidates if self.contains(slice_, each))
        with localcontext(prec=_EXACT):
            return self._value(_between(*slice_.spans[0]))

    def split(self, test: Comparison) -> tuple[Slice, Slice]:
        """The slices in which a comparison is true and false; elsewhere it is unknown."""
        values, nothing = self.values, Slice(())
        if test.operator == "missing":
            return Slice((), self.optional), values
        if test.operator == "not missing":
            return values, Slice((), self.optional)
        places = [place for each in test.constants or (True,) if (place := self.place_of(each)) is not None]
        decided = len(places) == len(test.constants or (True,))
        if test.operator in _ORDERS:
            if not decided or self.kind in _UNORDERED:
                return nothing, nothing
            side = int(test.operator in ("<=", ">"))
            below = values & Slice(((_START, self._cut(places[0], side)),))
            above = values - below
            return (below, above) if test.operator in ("<", "<=") else (above, below)
        inside = values & self._points(places)
        outside = values - inside if decided else nothing
        return (outside, inside) if test.operator == "!=" else (inside, outside)

    def place_of(self, constant: Constant) -> Any:
        """Where a constant lies on this domain's line, or None if it is of another kind."""
        value = readings(constant).get(_READ_AS[self.kind])
        return None if value is None else self._place(value)

    def objection(self, test: Comparison) -> str | None:
        """Why a comparison can never be judged over this domain, or None: what E302 says."""
        if test.operator == "bare" and self.kind != "bool":
            return f"{test.name} is {self.noun}, not a bool; expected a comparison"
        if test.operator in _ORDERS and self.kind in _UNORDERED:
            return f"{test.name} is {self.noun} and has no order; expected == != or in"
        for constant in test.constants:
            if self.place_of(constant) is None:
                return f"{test.name} is {self.noun}; expected {_EXPECTED[self.kind]}, got {_shown(constant)}"
            if self.kind == "choice" and constant not in self.choices:
                return f"{test.name} is never {_shown(constant)}; expected one of {', '.join(self.choices)}"
        return None

    @property
    def noun(self) -> str:
        return _NOUNS[self.kind]

    def _points(self, places: Iterable[Any]) -> Slice:
        return Slice.of((self._cut(place, 0), self._cut(place, 1)) for place in places)

    def _cut(self, place: Any, side: int) -> Cut:
        if self.kind in ("text", "choice", "number"):
            return (0, place, side)
        return (0, math.floor(place) + 1 if side else math.ceil(place), 0)

    def _place(self, value: Any) -> Any:
        if self.kind == "date":
            return value.toordinal()
        if self.kind == "datetime":
            instant = value if value.tzinfo else value.replace(tzinfo=UTC)
            return (instant - _EPOCH) // _TICK
        return int(value) if self.kind == "bool" else value

    def _value(self, place: Any) -> Any:
        match self.kind:
            case "date":
                return date.fromordinal(place)
            case "datetime":
                return _EPOCH + place * _TICK
            case "bool":
                return bool(place)
        return place


_SECOND_DAY = date(1, 1, 2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_EXACT = 20_000  # digits, more than a constant can have
_READ_AS: dict[Kind, str] = {
    "text": "text",
    "choice": "text",
    "bool": "bool",
    "int": "number",
    "number": "number",
    "date": "date",
    "datetime": "instant",
}
_NOUNS: dict[Kind, str] = {
    "text": "a text",
    "choice": "a choice",
    "bool": "a bool",
    "int": "a whole number",
    "number": "a number",
    "date": "a date",
    "datetime": "a date and time",
}
_EXPECTED: dict[Kind, str] = {
    "text": "a text in quotes",
    "choice": "a text in quotes",
    "bool": "true or false",
    "int": "a number",
    "number": "a number",
    "date": 'a date, as in "2026-03-01"',
    "datetime": 'a date and time, as in "2026-03-01T09:00Z"',
}


def _shown(constant: Constant) -> str:
    if isinstance(constant, str):
        return f'"{constant}"'
    return str(constant).lower() if isinstance(constant, bool) else str(constant)


def _between(start: Cut, end: Cut) -> Any:
    """A plain value between two cuts of a numeric line."""
    (low_at, low, low_side), (high_at, high, high_side) = start, end
    if low_at and high_at:
        return 0
    if low_at:
        return high if high_side else high - 1
    if not low_side:
        return low
    return low + 1 if high_at else high if high_side else (low + high) / 2
