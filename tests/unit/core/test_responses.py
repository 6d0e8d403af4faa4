"""How texts are understood. The tables hold facts of RapidPro's router tests, which these matchers follow."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.matchers import MATCHERS, MatcherSpec
from engine.core.responses import Value, compile_responses, match_response

MATCHER_EXAMPLES: list[dict[str, Any]] = [
    {"any_word": ["yes", "ok"]},
    {"all_words": ["call", "me"]},
    {"phrase": "call me"},
    {"only_phrase": "yes"},
    {"beginning": "yes"},
    {"pattern": r"(\w+)\s*=\s*(\d+)|^.*$"},
    {"text": True},
    {"only_text": "yes"},
    {"number": True},
    {"number": "1..5"},
    {"number_lt": 5},
    {"number_lte": 5.5},
    {"number_eq": 5},
    {"number_gte": Decimal("5.5")},
    {"number_gt": 5},
    {"number_between": [1, 5]},
    {"date": True},
    {"date_lt": "2026-03-01"},
    {"date_eq": "today"},
    {"date_gt": "today - 1w"},
    {"time": True},
    {"email": True},
    {"phone": True},
    {"phone": "GB"},
    {"any_of": [{"any_word": ["yes"]}, {"number": True}, {"date": True}]},
]
NOW = datetime(2018, 4, 11, 13, 24, 30, 123456, UTC)


@pytest.mark.parametrize(("text", "value"), [("hello", "hello"), (" a b \n", "a b"), ("  ", None), ("", None)])
def test_text_is_any_text_but_space(text: str, value: str | None) -> None:
    assert match_response({"text": True}, text) == value


@pytest.mark.parametrize(
    ("wanted", "text", "matches"),
    [("foo", "foo", True), ("foo", "FOO", False), ("foo", " foo ", False), ("a-b", "a-b", True)],
)
def test_only_text_is_exact(wanted: str, text: str, matches: bool) -> None:
    assert match_response({"only_text": wanted}, text) == (text if matches else None)


@pytest.mark.parametrize(
    ("wanted", "text", "value"),
    [
        ("8..12", "the number 10", "10"),
        ("20..24", "24ans", "24"),
        ("-12.51..-10", "another is -12.51", "-12.51"),
        ("8..12", "١٠", "10"),
        ("10..15", "nothing here", None),
        ("1..5", "between 10 and 4", "4"),
        ("1..5", "6", None),
        (True, "the first of 7 and 9", "7"),
    ],
)
def test_number_is_the_first_within_its_bounds(wanted: bool | str, text: str, value: str | None) -> None:
    assert match_response({"number": wanted}, text) == (Decimal(value) if value else None)


def test_a_number_is_read_in_the_locale_of_the_reader() -> None:
    assert match_response({"number": True}, "1.000,50 €", locale="de_DE") == Decimal("1000.50")
    assert match_response({"number": True}, "£1,000.50", locale="en_GB") == Decimal("1000.50")


@pytest.mark.parametrize(
    ("matcher", "message"),
    [
        ({}, "expected exactly one of any_word, .*, any_of, got nothing"),
        ({"word": ["x"]}, "expected exactly one of .*, got word"),
        ({"text": True, "number": True}, "got text, number"),
        ("yes", "expected exactly one of .*, got 'yes'"),
        ({"any_word": "yes"}, "any_word: expected a list of words, got 'yes'"),
        ({"any_word": []}, r"any_word: expected a list of words, got \[\]"),
        ({"any_word": [1]}, r"any_word: expected a list of words, got \[1\]"),
        ({"any_word": [["x"]]}, r"any_word: expected a list of words, got \[\['x'\]\]"),
        ({"number_lt": "5"}, "number_lt: expected a number, got '5'"),
        ({"number_eq": True}, "number_eq: expected a number, got True"),
        ({"number_gt": float("nan")}, "number_gt: expected a number, got nan"),
        ({"number_between": [1]}, r"number_between: expected two numbers, .*, got \[1\]"),
        ({"number_between": [5, 1]}, r"number_between: expected the smaller number first, got \[5, 1\]"),
        ({"date": False}, "date: expected true, got False"),
        ({"date_lt": "1.10.2017"}, "date_lt: expected a date, as in 2026-03-01, or one relative .*, got '1.10.2017'"),
        ({"date_eq": "2026-02-30"}, "date_eq: expected a date"),
        ({"date_gt": "today + 3h"}, "date_gt: expected a date"),
        ({"date_gt": "today + 99999w"}, "date_gt: 'today .* 99999w' is more than 100 years away"),
        ({"phone": "UK"}, "phone: expected true or a country, as in GB or US, got 'UK'"),
        ({"any_of": []}, "any_of: expected a list of matchers"),
        ({"any_of": [{"any_of": [{"text": True}]}]}, "any_of: expected all matchers in one list"),
        ({"any_of": [{"phrase": 1}]}, "phrase: expected a string, got 1"),
        ({"classifier": "mood"}, "unknown classifier 'mood'; none is declared"),
        ({"phrase": ["x"]}, r"phrase: expected a string, got \['x'\]"),
        ({"text": 1}, "text: expected true, got 1"),
        ({"number": 5}, r"number: expected true or a range, as in 1\.\.5, got 5"),
        ({"number": "5..1"}, "empty range"),
    ],
)
def test_a_wrong_matcher_is_told_what_was_expected(matcher: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        match_response(matcher, "yes")


def test_every_matcher_of_the_spec_can_be_run() -> None:
    assert {name for matcher in MATCHER_EXAMPLES for name in matcher} == set(MATCHERS) - {"classifier"}


PIECES = st.sampled_from(
    ["yes", "1", "31", "12.", "/02/", "2026-03-01", "99", ":", "pm", "@", "a.b", "+44", "(0)", " "]
)
TEXTS = st.text(st.characters()) | st.lists(PIECES | st.text(st.characters(), max_size=2)).map("".join)


@settings(deadline=None, max_examples=300)
@given(
    TEXTS,
    st.sampled_from(MATCHER_EXAMPLES),
    st.sampled_from(["en", "de", "fr_CA", "en-US", "x" * 9, ""]),
    st.sampled_from(["UTC", "Pacific/Apia", "Asia/Kathmandu"]),
)
def test_any_text_is_understood_or_not_but_never_raises(
    text: str, matcher: dict[str, Any], locale: str, zone: str
) -> None:
    def found() -> Value | None:
        return match_response(matcher, text, locale=locale, zone=zone, now=NOW)

    assert found() == found()
    kinds = {part.captures for part in MatcherSpec.model_validate(_as_yaml(matcher)).parts}
    assert found() is None or type(found()) in [{"text": str, "number": Decimal, "date": date}[kind] for kind in kinds]


def _as_yaml(matcher: dict[str, Any]) -> dict[str, Any]:
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in matcher.items()}


@pytest.mark.parametrize("matcher", MATCHER_EXAMPLES, ids=str)
@pytest.mark.parametrize(
    "piece", ["a", "1,", ". ", "1 000 ", "\ud800", "\0", "'", "👍🏿", "Σ", "=", "-+", "a@", "07700 9001 x", "12:3 "]
)
def test_the_time_for_a_huge_text_is_bounded(matcher: dict[str, Any], piece: str) -> None:
    def seconds(length: int) -> float:
        started = time.perf_counter()
        match_response(matcher, piece * length)
        return time.perf_counter() - started

    assert min(seconds(100_000) for _ in range(2)) < 2


@pytest.mark.parametrize(
    ("matcher", "text", "value"),
    [
        ({"number_lt": 11}, "the number 10", "10"),
        ({"number_lt": 12}, "another is -12.51", "-12.51"),
        ({"number_lt": 12}, "too big 15", None),
        ({"number_lt": 10}, "the number 10", None),
        ({"number_lt": 12}, "15, or rather 7", "7"),
        ({"number_lte": 10}, "the number 10", "10"),
        ({"number_lte": 9.5}, "the number 10", None),
        ({"number_eq": 10}, "the number 10", "10"),
        ({"number_eq": -12.51}, "another is -12.51", "-12.51"),
        ({"number_eq": 0.61}, "wrong .51", None),
        ({"number_gte": 10}, "the number 10", "10"),
        ({"number_gte": -11}, "too small -12", None),
        ({"number_gt": 9}, "the number 10", "10"),
        ({"number_gt": -12.51}, "not great -12.51", None),
        ({"number_between": [20, 24]}, "24ans", "24"),
        ({"number_between": [-12.51, -10]}, "another is -12.51", "-12.51"),
        ({"number_between": [10, 15]}, "nothing here", None),
        ({"number_eq": 3}, "٣", "3"),
    ],
)
def test_numbers_are_compared(matcher: dict[str, Any], text: str, value: str | None) -> None:
    """As in nyaruka/goflow, flows/routers/cases/tests_test.go, `has_number_*`."""
    assert match_response(matcher, text) == (Decimal(value) if value else None)


@pytest.mark.parametrize(
    ("matcher", "text", "value"),
    [
        ({"date": True}, "last date was 1.10.2017", date(2017, 10, 1)),
        ({"date_lt": "2017-10-03"}, "last date was 1.10.2017", date(2017, 10, 1)),
        ({"date_lt": "1998-10-03"}, "last date was 1.10.99", None),
        ({"date_lt": "2017-10-01"}, "last date was 1.10.2017", None),
        ({"date_eq": "2017-10-01"}, "last date was 1.10.2017", date(2017, 10, 1)),
        ({"date_eq": "2017-10-01"}, "2017-10-01T23:55:55.123456+02:00", date(2017, 10, 1)),
        ({"date_eq": "2017-10-01"}, "2017-10-01T23:55:55.123456+01:00", None),
        ({"date_gt": "2016-10-03"}, "last date was 1.10.2017", date(2017, 10, 1)),
        ({"date_gt": "2001-10-03"}, "last date was 1.10.99", None),
        ({"date_gt": "2001-10-03"}, "no date at all", None),
        ({"date_eq": "today"}, "11.4.2018", date(2018, 4, 11)),
        ({"date_gt": "today + 3d"}, "14.4.2018", None),
        ({"date_gt": "today+3d"}, "15.4.2018", date(2018, 4, 15)),
        ({"date_lt": "today - 1w"}, "3/4/18", date(2018, 4, 3)),
    ],
)
def test_dates_are_compared_by_the_day_in_the_zone(matcher: dict[str, Any], text: str, value: date | None) -> None:
    """As in nyaruka/goflow, flows/routers/cases/tests_test.go, `has_date_*`: Kigali, day before month."""
    assert match_response(matcher, text, zone="Africa/Kigali", now=NOW) == value


def test_today_is_the_day_of_the_receipt_in_the_recipients_zone() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
    assert match_response({"date_eq": "today"}, "2026-03-01", now=late) == date(2026, 3, 1)
    assert match_response({"date_eq": "today"}, "2026-03-01", now=late, zone="Europe/Paris") is None
    assert match_response({"date_eq": "today"}, "2026-03-02", now=late, zone="Pacific/Kiritimati") == date(2026, 3, 2)


def test_a_relative_date_without_now_and_an_unknown_order_are_refused() -> None:
    with pytest.raises(ValueError, match="'today' is relative to today; expected `now` as well"):
        match_response({"date_eq": "today"}, "2026-03-01")
    with pytest.raises(ValueError, match=r"date_order: expected one of dmy, mdy, ymd; did you mean ymd\?, got 'dym'"):
        match_response({"date": True}, "2026-03-01", date_order="dym")


def test_dates_and_phones_are_read_as_in_the_locale_of_the_reader() -> None:
    read = compile_responses({"on": MatcherSpec(date=True), "phone": MatcherSpec(phone=True)})
    assert read("3/4/2026", "en_GB")["on"] == read("3/4/2026")["on"] == date(2026, 4, 3)
    assert read("3/4/2026", "en_US")["on"] == date(2026, 3, 4)
    assert read("26-3-4", "sv_SE", now=NOW)["on"] == date(1926, 3, 4)
    assert read("call 020 7946 0958", "en_GB") == {"phone": "+442079460958"}
    assert read("call 020 7946 0958", "en") == {}
    assert match_response({"phone": "GB"}, "call 020 7946 0958", locale="fr_FR") == "+442079460958"


def test_any_of_takes_the_first_matcher_that_matches() -> None:
    matcher = {"any_of": [{"any_word": ["yes", "sure"]}, {"phrase": "call me"}]}
    assert match_response(matcher, "please call me, sure") == "sure"
    assert match_response(matcher, "Call me!") == "Call me"
    assert match_response(matcher, "no") is None
    read = compile_responses({"intent": {"interested": MatcherSpec.model_validate(matcher)}})
    assert (read("call me"), read("no")) == ({"intent": "interested"}, {"intent": "other"})


def test_a_bare_any_of_captures_one_kind_of_value() -> None:
    mixed = MatcherSpec.model_validate({"any_of": [{"number": True}, {"text": True}]})
    with pytest.raises(ValueError, match="capture one kind of value, got number and text"):
        compile_responses({"said": mixed})
    assert compile_responses({"answer": {"some": mixed}})("hello") == {"answer": "some"}


def test_a_reader_gives_labels_always_and_bare_matchers_when_they_match() -> None:
    read = compile_responses(
        {
            "intent": {"stop": MatcherSpec(any_word=["stop"]), "yes": MatcherSpec(any_word=["yes", "stop"])},
            "rating": MatcherSpec(number="1..5"),
            "said": MatcherSpec(text=True),
        }
    )
    assert read("Stop, yes?") == {"intent": "stop", "said": "Stop, yes?"}
    assert read(" yes 4 ", "en", "UTC", None) == {"intent": "yes", "rating": Decimal(4), "said": "yes 4"}
    assert read("") == {"intent": "other"}


def test_a_label_named_after_nothing_said_is_other() -> None:
    read = compile_responses({"plan": {"team": MatcherSpec(only_text="Team")}})
    assert read("team") == {"plan": "other"}
