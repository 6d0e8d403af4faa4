"""Regions decide guards exactly: they agree with the guards themselves at every sampled point."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from engine.core.expressions import compile_guard, parse_expression
from engine.core.fact_types import parse_fact_type
from engine.core.matchers import MatcherSpec
from engine.core.regions import (
    Domain,
    Region,
    TooComplex,
    counter,
    domain_of_fact,
    domain_of_response,
    region_of,
)

DOMAINS = {
    "plan": domain_of_fact(parse_fact_type("one of [free, team, enterprise]")),
    "size": domain_of_fact(parse_fact_type("one of [s, m, l]?")),
    "vip": domain_of_fact(parse_fact_type("bool?")),
    "seats": domain_of_fact(parse_fact_type("int 1..9")),
    "score": domain_of_fact(parse_fact_type("number 0..1?")),
    "rating": domain_of_response(MatcherSpec(number="1..5")),
    "town": domain_of_fact(parse_fact_type("text?")),
    "born": domain_of_fact(parse_fact_type("date?")),
    "seen": domain_of_fact(parse_fact_type("datetime")),
    "responses": counter(1),
}
DAY, SECOND, TICK = timedelta(days=1), timedelta(seconds=1), timedelta(microseconds=1)
BORN, SEEN = date(2000, 1, 1), datetime(2026, 3, 1, 10, tzinfo=UTC)
POINTS: dict[str, list[Any]] = {
    "plan": ["free", "team", "enterprise"],
    "size": ["s", "m", "l", None],
    "vip": [True, False, None],
    "seats": list(range(1, 10)),
    "score": [*map(Decimal, ("0", "0.25", "0.4999", "0.5", "0.5001", "0.75", "1")), None],
    "rating": [*map(Decimal, ("1", "2", "2.5", "3", "4.5", "5")), None],
    "town": ["Rome", "Oslo", "", "rome", "another", None],
    "born": [BORN - DAY, BORN, BORN + DAY, BORN + 2 * DAY, date.min, date.max, None],
    "seen": [SEEN - TICK, SEEN, SEEN + TICK, SEEN + SECOND, SEEN.replace(hour=0)],
    "responses": [1, 2, 3, 4, 10**9],
}
CONSTANTS = {
    "plan": ['"free"', '"team"', '"gold"', "1"],
    "size": ['"s"', '"m"'],
    "vip": ["true", "false", "1"],
    "seats": ["0", "1", "3", "4", "3.5", "9", "10", '"3"'],
    "score": ["0", "0.25", "0.5", "1", "1.5", "-1"],
    "rating": ["1", "2.5", "3", "5"],
    "town": ['"Rome"', '"Oslo"', '""', "3"],
    "born": ['"2000-01-01"', '"2000-01-02"', '"2000-01-01T10:00"', '"soon"'],
    "seen": ['"2026-03-01"', '"2026-03-01T10:00"', '"2026-03-01T10:00:01Z"', '"soon"'],
    "responses": ["0", "1", "2", "3"],
}


@st.composite
def comparisons(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    name = draw(st.sampled_from(names))
    constant = st.sampled_from(CONSTANTS[name])
    shape = draw(st.sampled_from(["compare", "compare", "in", "missing", "bare"]))
    if shape == "compare":
        return f"{name} {draw(st.sampled_from(['==', '!=', '<', '<=', '>', '>=']))} {draw(constant)}"
    if shape == "in":
        return f"{name} in [{', '.join(draw(st.lists(constant, min_size=1, max_size=3)))}]"
    return f"{name} is {draw(st.sampled_from(['', 'not ']))}missing" if shape == "missing" else name


def expressions(names: tuple[str, ...] = tuple(DOMAINS)) -> st.SearchStrategy[str]:
    return st.recursive(
        comparisons(names),
        lambda inner: st.one_of(
            inner.map(lambda part: f"not ({part})"),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + ") and (".join(parts) + ")"),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: "(" + ") or (".join(parts) + ")"),
        ),
        max_leaves=6,
    )


FEW = ("plan", "vip", "seats", "score")


def points(*texts: str) -> list[dict[str, Any]]:
    """Every combination of the sampled values of the names in `texts`, thinned evenly when there are very many."""
    names = sorted(set().union(*(parse_expression(text).names for text in texts)))
    every = list(itertools.product(*(POINTS[name] for name in names)))
    step = max(1, len(every) // 500)
    return [dict(zip(names, point, strict=True)) for point in every[::step]]


@lru_cache
def guard(text: str) -> Callable[[Any], bool | None]:
    return compile_guard(parse_expression(text), itemgetter)


def holds(text: str, point: dict[str, Any]) -> bool:
    return guard(text)(point) is True


def region(text: str) -> Region:
    try:
        return region_of(parse_expression(text), DOMAINS)
    except TooComplex:
        reject()


@given(expressions())
@settings(deadline=None, max_examples=300)
def test_a_region_holds_exactly_the_points_where_the_guard_is_true(text: str) -> None:
    found = region(text)
    for point in points(text):
        assert (point in found) is holds(text, point), point


@given(expressions())
@settings(deadline=None)
def test_a_witness_is_a_point_where_the_guard_is_true(text: str) -> None:
    found = region(text)
    assume(not found.is_empty)
    others = {name: values[0] for name, values in POINTS.items()}
    assert holds(text, others | found.witness())


@given(expressions(FEW), expressions(FEW))
@settings(deadline=None, max_examples=200)
def test_algebra_agrees_with_the_points(one: str, two: str) -> None:
    first, second = region(one), region(two)
    every = points(one, two)
    less, either, both = first.minus(second), first.union(second), first.intersection(second)
    for point in every:
        mine, theirs = holds(one, point), holds(two, point)
        assert (point in less) is (mine and not theirs)
        assert (point in either) is (mine or theirs)
        assert (point in both) is (mine and theirs)
        assert first.intersects(second) or not (mine and theirs)
        assert not first.covers(second) or mine or not theirs
    assert first.intersects(second) is not both.is_empty


@given(expressions(FEW), expressions(FEW))
@settings(deadline=None)
def test_laws_of_sets_hold(one: str, two: str) -> None:
    first, second = region(one), region(two)
    rest = Region.everything(DOMAINS).minus(first)
    assert first.union(rest).is_everything
    assert not first.intersects(rest)
    assert first.covers(first.intersection(second))
    assert first.union(second).covers(second)
    assert first.covers(second) is second.minus(first).is_empty
    assert first.minus(second).union(first.intersection(second)).covers(first)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("seats > 3", "seats >= 4"),
        ("seats > 3", "seats > 3.5"),
        ("not seats > 3", "seats in [1, 2, 3]"),
        ("born > '2000-01-01'", "born >= '2000-01-02'"),
        ("not vip", "vip == false"),
        ("seen > '2026-03-01T10:00'", "seen >= '2026-03-01T10:00:00.000001Z'"),
        ("plan != 'free'", "plan in ['team', 'enterprise']"),
        ("seats >= 1", "seats is not missing"),
        ("seats <= 3 or seats >= 2", "plan is not missing"),
        ("not (plan == 'free' and vip)", "plan != 'free' or not vip"),
        ("rating >= 1", "rating is not missing"),
        ("responses >= 1", "seats > 0"),
    ],
)
def test_equal_guards_have_equal_regions(one: str, two: str) -> None:
    assert region(one).covers(region(two))
    assert region(two).covers(region(one))


@pytest.mark.parametrize(
    "text",
    [
        "plan == 'gold'",
        "seats > 9",
        "seats == 3.5",
        "seats > 3 and seats < 4",
        "seats == '3'",
        "plan < 'team'",
        "seats",
        "plan is missing",
        "responses == 0",
        "town == 'Rome' and town != 'Rome'",
        "vip and not vip",
        "score > 0.5 and score < 0.5",
        "born > '9999-12-31'",
        "born == '2026-03-01T10:00'",
    ],
)
def test_what_can_never_be_is_empty(text: str) -> None:
    assert region(text).is_empty


@pytest.mark.parametrize(
    "text", ["score > 0.5 and score < 0.5000001", "town != 'Rome' and town != ''", "vip is missing"]
)
def test_what_can_just_be_is_not_empty(text: str) -> None:
    assert not region(text).is_empty


def test_a_missing_value_is_neither_in_a_comparison_nor_in_its_opposite() -> None:
    left = Region.everything(DOMAINS).minus(region("vip")).minus(region("not vip"))
    assert left.witness() == {"vip": None}
    assert left.minus(region("vip is missing")).is_empty


def test_coverage_is_told_by_what_is_left() -> None:
    edges = ["plan == 'free'", "plan == 'team' and seats < 5", "plan in ['team', 'enterprise'] and seats > 5"]
    left = Region.everything(DOMAINS)
    for edge in edges:
        left = left.minus(region(edge))
    assert holds("plan != 'free' and seats <= 5", {"plan": "team", "seats": 5} | left.witness())
    assert left.minus(region("seats <= 5")).is_empty


def test_alternatives_of_one_name_are_one_box() -> None:
    domains = {"n": counter()}
    text = " or ".join(f"n == {number}" for number in range(0, 400, 2))
    assert len(region_of(parse_expression(text), domains).boxes) == 1


def test_a_guard_of_more_than_64_boxes_is_too_complex() -> None:
    domains = {f"{side}{number}": counter() for side in "ab" for number in range(7)}
    pairs = [f"(a{number} == 1 or b{number} == 1)" for number in range(7)]
    assert len(region_of(parse_expression(" and ".join(pairs[:6])), domains).boxes) == 64
    with pytest.raises(TooComplex, match="more than 64 separate cases"):
        region_of(parse_expression(" and ".join(pairs)), domains)
    with pytest.raises(TooComplex):
        region_of(parse_expression("not (" + " or ".join(pair.replace("or", "and") for pair in pairs) + ")"), domains)


HARD = {
    "one_clause_with_two_constant_parts": ("and", 180, '(town != "{0}" or plan == "free" or rating != 1)'),
    "clauses_of_five_parts": (
        "and", 40, '(town != "{0}" or vip or rating != 1 or born != "2026-03-01" or size != "s{0}")'
    ),
    "clauses_over_two_texts": ("and", 150, '(town != "{0}" or name != "{0}" or rating == 1)'),
    "conjunctions_of_exclusions": ("or", 150, '(town != "{0}" and name != "{0}" and score != 0.{0})'),
    "clauses_of_long_lists": ("and", 20, 'not (name in [{1}] and other == "{0}")'),
}  # fmt: skip


@pytest.mark.parametrize("case", HARD)
def test_any_guard_is_judged_or_refused_in_little_time(case: str) -> None:
    word, count, clause = HARD[case]
    lists = (", ".join(f"'{each}{number}'" for each in range(50)) for number in range(count))
    text = f" {word} ".join(clause.format(number, many) for number, many in enumerate(lists))
    assert len(text) <= 10_000
    expression, domains = parse_expression(text), DOMAINS | {"name": Domain("text"), "other": Domain("text")}
    began = time.process_time()
    with suppress(TooComplex):
        region_of(expression, domains)
    assert time.process_time() - began < 1


def test_a_long_guard_of_few_boxes_is_judged() -> None:
    text = " and ".join(f'(town != "{number}" or plan == "free" or rating != 1)' for number in range(120))
    assert len(region_of(parse_expression(text), DOMAINS).boxes) == 3


def test_boxes_inside_others_do_not_count() -> None:
    domains = {f"n{number}": counter() for number in range(8)}
    anything = "(" + " or ".join(f"n{number} == 1" for number in range(8)) + ")"
    assert len(region_of(parse_expression(" and ".join([anything] * 4)), domains).boxes) == 8


def test_a_name_without_a_domain_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="nobody"):
        region_of(parse_expression("nobody == 1"), DOMAINS)


def test_an_empty_region_has_no_witness() -> None:
    with pytest.raises(ValueError, match="empty region"):
        Region.nothing(DOMAINS).witness()


@pytest.mark.parametrize(
    ("text", "witness"),
    [
        ("town == 'Rome'", {"town": "Rome"}),
        ("not town in ['Rome', 'another text']", {"town": "another text…"}),
        ("town != 'Rome'", {"town": "another text"}),
        ("seats > 3", {"seats": 4}),
        ("responses > 3", {"responses": 4}),
        ("score > 0.5", {"score": Decimal(1)}),
        ("score < 0.5 and score > 0", {"score": Decimal("0.25")}),
        ("born == '2000-01-01'", {"born": date(2000, 1, 1)}),
        ("seen == '2026-03-01T10:00'", {"seen": SEEN}),
        ("not vip", {"vip": False}),
        ("seats >= 1", {}),
    ],
)
def test_a_witness_is_a_plain_value(text: str, witness: dict[str, Any]) -> None:
    assert region(text).witness() == witness


def test_unbounded_numbers_have_witnesses_on_both_sides() -> None:
    domains = {"n": Domain("number"), "i": Domain("int")}
    for text, point in [
        ("n > 1" + "0" * 40, {"n": Decimal(10**40 + 1)}),
        ("n < 0", {"n": Decimal(-1)}),
        ("i <= -5", {"i": -5}),
        ("n != 0", {"n": Decimal(-1)}),
    ]:
        assert region_of(parse_expression(text), domains).witness() == point


def test_a_response_of_labels_is_one_of_them_or_other() -> None:
    labels = {"yes": MatcherSpec(any_word=["yes"]), "other": MatcherSpec(any_word=["hm"])}
    assert domain_of_response(labels).choices == ("yes", "other")
    assert not domain_of_response(labels).optional
    assert domain_of_response(labels, optional=True).optional


def test_a_bare_matcher_is_missing_where_it_does_not_match() -> None:
    assert domain_of_response(MatcherSpec(number="1..5")) == Domain("number", True, Decimal(1), Decimal(5))
    assert domain_of_response(MatcherSpec(number=True)) == Domain("number", True)
    assert domain_of_response(MatcherSpec(phrase="x")) == Domain("text", True)
    assert domain_of_response(MatcherSpec(only_text="x")) == Domain("choice", True, choices=("x",))


@pytest.mark.parametrize(
    ("text", "objection"),
    [
        ("seats == 'x'", 'seats is a whole number; expected a number, got "x"'),
        ("seats == true", "seats is a whole number; expected a number, got true"),
        ("seats", "seats is a whole number, not a bool; expected a comparison"),
        ("plan < 'team'", "plan is a choice and has no order; expected == != or in"),
        ("plan == 'gold'", 'plan is never "gold"; expected one of free, team, enterprise'),
        ("plan in ['free', 1]", "plan is a choice; expected a text in quotes, got 1"),
        ("vip == 1", "vip is a bool; expected true or false, got 1"),
        ("born > 'soon'", 'born is a date; expected a date, as in "2026-03-01", got "soon"'),
        ("seen > 3", 'seen is a date and time; expected a date and time, as in "2026-03-01T09:00Z", got 3'),
        ("seats is missing", None),
        ("vip", None),
        ("vip is missing", None),
        ("seats > 100", None),
        ("born > '2026-03-01'", None),
        ("town in ['x', 'y']", None),
    ],
)
def test_an_impossible_comparison_is_objected_to(text: str, objection: str | None) -> None:
    (test,) = parse_expression(text).comparisons
    assert DOMAINS[test.name].objection(test) == objection
