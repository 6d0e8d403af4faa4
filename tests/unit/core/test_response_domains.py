"""What guards know of captured values: exactly what each matcher can capture."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.domains import Domain, domain_of_response
from engine.core.expressions import parse_expression
from engine.core.matchers import MatcherSpec
from engine.core.responses import match_response

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def domain(**matcher: Any) -> Domain:
    return domain_of_response(MatcherSpec.model_validate(matcher))


def possible(of: Domain, guard: str) -> tuple[bool, bool]:
    """Whether a value can make the guard true, and whether one can make it false."""
    [test] = parse_expression(guard).comparisons
    true, false = of.split(test)
    return not true.is_empty, not false.is_empty


@pytest.mark.parametrize(
    ("matcher", "guard", "verdicts"),
    [
        ({"number_lt": 5}, "it < 5", (True, False)),
        ({"number_lt": 5}, "it == 5", (False, True)),
        ({"number_lte": 5}, "it == 5", (True, True)),
        ({"number_lte": 5}, "it > 5", (False, True)),
        ({"number_eq": 5.5}, "it == 5.5", (True, False)),
        ({"number_gte": 5}, "it < 5", (False, True)),
        ({"number_gt": 5}, "it <= 5", (False, True)),
        ({"number_gt": 5}, "it > 5", (True, False)),
        ({"number_between": [1, 5]}, "it >= 1", (True, False)),
        ({"number_between": [1, 5]}, "it > 1", (True, True)),
        ({"number_between": [5, 1]}, "it > 9", (True, True)),
        ({"date": True}, "it < '2026-03-01'", (True, True)),
        ({"date_lt": "2026-03-01"}, "it < '2026-03-01'", (True, False)),
        ({"date_lt": "2026-03-01"}, "it < '2026-02-28'", (True, True)),
        ({"date_eq": "2026-03-01"}, "it == '2026-03-01'", (True, False)),
        ({"date_gt": "2026-03-01"}, "it >= '2026-03-02'", (True, False)),
        ({"date_gt": "today"}, "it < '1999-01-01'", (True, True)),
        ({"any_of": [{"number_lt": 1}, {"number_gt": 5}]}, "it == 3", (False, True)),
        ({"any_of": [{"number_lt": 1}, {"number_gt": 5}]}, "it < 3", (True, True)),
        ({"any_of": [{"only_text": "a"}, {"only_text": "b"}]}, "it == 'b'", (True, True)),
        ({"any_of": [{"only_text": "a"}, {"text": True}]}, "it == 'c'", (True, True)),
        ({"email": True}, "it == 'ann@example.org'", (True, True)),
        ({"time": True}, "it == '09:30'", (True, True)),
    ],
)
def test_a_guard_over_a_captured_value_is_decided_exactly(
    matcher: dict[str, Any], guard: str, verdicts: tuple[bool, bool]
) -> None:
    assert possible(domain(**matcher), guard) == verdicts


def test_a_captured_value_may_always_be_missing() -> None:
    for matcher in ({"date": True}, {"number_lt": 5}, {"phone": True}, {"any_of": [{"number": True}]}):
        assert domain(**matcher).everything.missing


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("name", ["date_lt", "date_eq", "date_gt"])
def test_the_ends_of_time_are_no_trouble(name: str, day: str) -> None:
    assert domain(**{name: day}).kind == "date"
    assert domain(**{name: day}).sample(domain(**{name: day}).values) is not None


_bounds = st.integers(-9, 9) | st.sampled_from([0.5, -2.5])
_numbers = st.sampled_from(["number_lt", "number_lte", "number_eq", "number_gte", "number_gt"])
_dates = st.sampled_from(["date_lt", "date_eq", "date_gt"])
_days = st.dates(date(2026, 1, 1), date(2026, 1, 5))


@given(_numbers, _bounds, st.decimals(-10, 10, places=1))
def test_a_number_lies_in_the_domain_exactly_if_the_matcher_takes_it(name: str, bound: float, number: Decimal) -> None:
    of = domain(**{name: bound})
    assert of.contains(of.values, number) is (match_response({name: bound}, f"{number:f}") is not None)


@given(_dates, _days, _days)
def test_a_date_lies_in_the_domain_exactly_if_the_matcher_takes_it(name: str, bound: date, day: date) -> None:
    of = domain(**{name: bound.isoformat()})
    assert of.contains(of.values, day) is (match_response({name: bound.isoformat()}, day.isoformat()) is not None)
    ahead = f"today + {(bound - date(2025, 12, 31)).days}d"
    relative = match_response({name: ahead}, day.isoformat(), now=NOW - timedelta(61))
    assert (relative is not None) is of.contains(of.values, day)
