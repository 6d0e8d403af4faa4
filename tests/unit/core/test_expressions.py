"""The language of `when`: what is read, where errors stand, and how three-valued judging goes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.expressions import (
    And,
    Comparison,
    Expression,
    ExpressionError,
    Not,
    Or,
    as_date,
    as_instant,
    compile_guard,
    parse_expression,
)
from engine.core.grammar import DEEPEST, LONGEST


def judge(text: str, **values: Any) -> bool | None:
    def getter(name: str) -> Any:
        return lambda row: row.get(name)

    return compile_guard(parse_expression(text), getter)(values)


def bare(name: str, offset: int) -> Comparison:
    return Comparison(name, "bare", (), offset, offset)


@pytest.mark.parametrize(
    ("text", "operator", "constants"),
    [
        ("a == 1", "==", (Decimal(1),)),
        ("a != -1.50", "!=", (Decimal("-1.50"),)),
        ("a<+3", "<", (Decimal(3),)),
        ("a <= 'x'", "<=", ("x",)),
        ('a > "it\'s"', ">", ("it's",)),
        ("a >= true", ">=", (True,)),
        ("a == False", "==", (False,)),
        ("a == ''", "==", ("",)),
        ("a in [1, 'x', true,]", "in", (Decimal(1), "x", True)),
        ("a in ('x')", "in", ("x",)),
        ("a", "bare", ()),
        ("a is missing", "missing", ()),
        ("a is\nnot missing", "not missing", ()),
        ("a == 'x\\'", "==", ("x\\",)),
    ],
)
def test_a_test_is_read_with_its_operator_and_constants(text: str, operator: str, constants: tuple[Any, ...]) -> None:
    (found,) = parse_expression(text).comparisons
    assert (found.name, found.operator, found.constants) == ("a", operator, constants)


@pytest.mark.parametrize(
    ("sign", "kept"), [("<", ">"), ("<=", ">="), (">", "<"), (">=", "<="), ("==", "=="), ("!=", "!=")]
)
def test_a_constant_may_stand_on_the_left(sign: str, kept: str) -> None:
    text = f"b and 3 {sign} seats"
    found = parse_expression(text).comparisons[1]
    assert (found.name, found.operator, found.constants) == ("seats", kept, (Decimal(3),))
    assert text[found.offset :].startswith("3")
    assert text[found.name_offset :] == "seats"


def test_not_binds_tighter_than_and_and_and_tighter_than_or() -> None:
    assert parse_expression("a or not b and c").tree == Or((bare("a", 0), And((Not(bare("b", 9)), bare("c", 15)))))
    assert parse_expression("not (a or b) and c").tree == And((Not(Or((bare("a", 5), bare("b", 10)))), bare("c", 17)))


def test_not_is_the_opposite_of_the_whole_comparison() -> None:
    assert parse_expression("not a == 1").tree == Not(Comparison("a", "==", (Decimal(1),), 4, 4))
    assert judge("not a == 1", a=2) is True
    assert judge("not a in [1, 2]", a=2) is False


def test_missing_is_a_name_wherever_it_does_not_follow_is() -> None:
    assert judge("missing is not missing and missing == 1", missing=1) is True


def test_names_are_listed_once() -> None:
    assert parse_expression("a == 1 or b and a == 2").names == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "expected a name to test, as in seats >= 3, but the expression ends"),
        ("  ", 0, "expected a name to test"),
        ("a ==", 4, "expected a constant: a number, a text in quotes, true or false, but the expression ends"),
        ("a == b", 5, "expected a constant: .* (a text needs quotes), got b"),
        ("1 == 2", 5, "expected a name: one side is a name, the other a constant, got 2"),
        ("true", 4, "expected == != < <= > or >= and a name after a constant, but the expression ends"),
        ("1 < a < 3", 6, "comparisons do not chain; expected and between two of them, got <"),
        ("a == 1 == 2", 7, "comparisons do not chain"),
        ("a = 1", 2, "a comparison is written ==, got ="),
        ("a && b", 2, "expected and, got &"),
        ("a || b", 2, "expected or, got |"),
        ("a > 2026-01-01", 4, 'a date needs quotes, as in "2026-01-01"'),
        ("a in [2026-01-01T10:00Z]", 6, 'a date needs quotes, as in "2026-01-01T10:00Z"'),
        ("!a", 0, "expected not, or != between two sides, got !"),
        ("a == 'x", 5, "this text has no closing quote"),
        ('a == "x', 5, "this text has no closing quote"),
        ("a not in [1]", 2, "expected and, or, or the end (not x in [...] is the order), got not"),
        ("a in b", 5, "expected a list of constants after in, as in [1, 2], got b"),
        ("a in []", 6, "expected a constant"),
        ("a in [1", 7, "expected , or ], but the expression ends"),
        ("a in [1)", 7, "expected , or ], got )"),
        ("a in [b]", 6, "expected a constant: .* (a text needs quotes), got b"),
        ("a is 3", 5, "expected is missing or is not missing, got 3"),
        ("a is", 4, "expected is missing or is not missing, but the expression ends"),
        ("a equals 3", 2, "expected == != < <= > >= in or is after a name, got equals"),
        ("(a", 2, "expected ), and, or or, but the expression ends"),
        ("a)", 1, "expected and, or, or the end, got )"),
        ("a and", 5, "expected a name to test"),
        ("not", 3, "expected a name to test"),
        ("a.b == 1", 0, "expected a name to test, as in seats >= 3, got a.b"),
        ("a + 1 == 2", 2, "expected a name to test, as in seats >= 3, got +"),
        ("len(a) == 2", 3, "expected and, or, or the end, got ("),
        ("a == 1e5", 5, "got 1e5"),
        ("a == 1.", 5, "got 1."),
        ("a == 12abc", 5, "got 12abc"),
        ("größe == 1", 0, "got größe"),
        ("a == ١", 5, "got ١"),
        ("a == 1 \0", 7, "got \0"),
    ],
)
def test_an_error_says_what_was_expected_and_where(text: str, offset: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert caught.value.offset == offset
    start, _, rest = message.partition(".*")
    assert caught.value.message.startswith(start) or start in caught.value.message
    assert rest in caught.value.message


def test_depth_and_length_are_bounded() -> None:
    assert parse_expression("(" * DEEPEST + "a" + ")" * DEEPEST).names == {"a"}
    for text, offset in [("(" * 5000, DEEPEST), ("not " * 2000, 4 * DEEPEST), ("a" * (LONGEST + 1), LONGEST)]:
        with pytest.raises(ExpressionError) as caught:
            parse_expression(text)
        assert caught.value.offset == offset
    assert len(parse_expression(" or ".join(["a"] * 1000)).comparisons) == 1000


SIGNS = ["==", "!=", "<", ">=", "=", "!", "(", ")", "[", "]", ",", ".", "&", '"', " ", "\0"]
WORDS = ["in", "is", "not", "missing", "and", "or", "true", "False", "a", "b_1", "é", "1", "-2.5", "'x'"]
PIECES = st.sampled_from(SIGNS + WORDS)


@given(st.one_of(st.text(st.characters()), st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join)))
@settings(deadline=None, max_examples=400)
def test_any_text_is_an_expression_or_an_expression_error(text: str) -> None:
    found: Expression | ExpressionError
    try:
        found = parse_expression(text)
    except ExpressionError as error:
        found = error
    assert isinstance(found, Expression) or 0 <= found.offset <= len(text)


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        ("a == 'x'", {"a": "x"}, True),
        ("a == 'x'", {"a": "X"}, False),
        ("a == 'x'", {}, None),
        ("not a == 'x'", {}, None),
        ("a != 'x'", {"a": "y"}, True),
        ("a != 'x'", {}, None),
        ("a < 'x'", {"a": "b"}, None),
        ("a == 3", {"a": 3}, True),
        ("a == 0.1", {"a": Decimal("0.10")}, True),
        ("a == 0.1", {"a": 0.1}, False),
        ("a >= 2.5", {"a": 2}, False),
        ("a > 2.5", {"a": Decimal("2.51")}, True),
        ("a == 1", {"a": True}, None),
        ("a == true", {"a": 1}, None),
        ("a < 1", {"a": False}, None),
        ("a == 1", {"a": "1"}, None),
        ("a == '1'", {"a": 1}, None),
        ("a", {"a": True}, True),
        ("a", {"a": False}, False),
        ("a", {}, None),
        ("a", {"a": "yes"}, None),
        ("a == true", {"a": True}, True),
        ("a > true", {"a": True}, None),
        ("a in ['x', 'y']", {"a": "y"}, True),
        ("a in ['x', 'y']", {"a": "z"}, False),
        ("a in ['x', 1]", {"a": "x"}, True),
        ("a in ['x', 1]", {"a": "z"}, None),
        ("a in [1, 2]", {"a": Decimal("2.0")}, True),
        ("a in [1, 2]", {}, None),
        ("a is missing", {}, True),
        ("a is missing", {"a": ""}, False),
        ("a is not missing", {}, False),
        ("a is not missing", {"a": False}, True),
        ("a == 1", {"a": float("nan")}, None),
        ("a < 1", {"a": Decimal("nan")}, None),
        ("a != 1", {"a": Decimal("snan")}, None),
        ("a == 1", {"a": [1]}, None),
    ],
)
def test_a_test_is_true_false_or_unknown(text: str, values: Mapping[str, Any], verdict: bool | None) -> None:
    assert judge(text, **values) is verdict


@pytest.mark.parametrize(
    ("text", "value", "verdict"),
    [
        ("a == '2026-03-01'", date(2026, 3, 1), True),
        ("a < '2026-03-01'", date(2026, 2, 28), True),
        ("a in ['2026-03-01', '2026-03-02']", date(2026, 3, 2), True),
        ("a < 'tomorrow'", date(2026, 2, 28), None),
        ("a != 'tomorrow'", date(2026, 2, 28), None),
        ("a < '2026-03-01T10:00Z'", date(2026, 2, 28), None),
        ("a == '2026-03-01'", datetime(2026, 3, 1, tzinfo=UTC), True),
        ("a >= '2026-03-01T10:00'", datetime(2026, 3, 1, 10, tzinfo=UTC), True),
        ("a > '2026-03-01T10:00+02:00'", datetime(2026, 3, 1, 8, 0, 1, tzinfo=UTC), True),
        ("a == '2026-03-01T08:00Z'", datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=2))), True),
        ("a == '2026-03-01 08:00'", datetime(2026, 3, 1, 8), True),  # noqa: DTZ001 - read as UTC
        ("a > '2026-03-01'", datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), None),
        ("a == '2026-03-01'", "2026-03-01", True),
        ("a < 3", date(2026, 3, 1), None),
    ],
)
def test_dates_and_instants_compare_with_iso_texts(text: str, value: Any, verdict: bool | None) -> None:
    assert judge(text, a=value) is verdict


def test_and_and_or_are_those_of_kleene() -> None:
    words: dict[str, bool | None] = {"t": True, "f": False, "u": None}
    for left, a in words.items():
        for right, b in words.items():
            both = False if a is False or b is False else None if a is None or b is None else True
            either = True if a is True or b is True else None if a is None or b is None else False
            assert judge(f"{left} and {right}", **words) is both
            assert judge(f"{left} or {right}", **words) is either
            assert judge(f"not ({left} and {right})", **words) is (None if both is None else not both)


@given(
    st.sampled_from(["a == 1", "a != 'x'", "a < 2.5", "a >= '2026-01-01'", "a in [1, 'x', true]", "a", "a is missing"]),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(allow_nan=True), st.text(), st.binary(),
        st.dates(), st.datetimes(), st.datetimes(timezones=st.just(UTC)), st.lists(st.integers()),
    ),
)  # fmt: skip
@settings(deadline=None)
def test_judging_never_raises(text: str, value: Any) -> None:
    verdict = judge(text, a=value)
    assert verdict in (True, False, None)
    assert value is not None or verdict is (True if text == "a is missing" else None)


def test_constants_name_dates_only_in_iso_form() -> None:
    assert as_date("2026-03-01") == date(2026, 3, 1)
    assert [as_date(text) for text in ("2026-02-30", "20260301", "2026-W10-1", "2026-03-01T10:00", "")] == [None] * 5
    assert as_instant("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert as_instant("0001-01-01T00:00+14:00") is None
    assert [as_instant(text) for text in ("2026-03-01x10:00", "2026-03-01T25:00", "now")] == [None] * 3
