"""How texts are understood. The tables hold facts of RapidPro's router tests, which these matchers follow."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.matchers import MATCHERS, MatcherSpec
from engine.core.responses import PatternError, compile_matcher, compile_responses, match_response

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
]


@pytest.mark.parametrize(
    ("words", "text", "value"),
    [
        (["WORD", "word2", "word"], "this.is.my.word", "word"),
        (["βήτα"], "this.is.my.βήτα", "βήτα"),
        (["📴"], "I say to you📴", "📴"),
        (["world"], "this World too", "World"),
        (["don't", "dont"], "I don't like it", "don't"),
        (["fox", "quick"], "The Quick Brown Fox", "Quick Fox"),
        (["red", "fox"], "The Quick Brown Fox", "Fox"),
        (["world"], "BUT not this one", None),
        (["world"], "", None),
        (["ยกเลิก"], "ยกเลิก sasa", "ยกเลิก"),
        (["বাতিল"], "বাতিল sasa", "বাতিল"),
        (["👍"], "👍🏿", "👍"),
        (["iptal"], "İPTAL", "İPTAL"),
        (["οδος"], "ΟΔΟΣ", "ΟΔΟΣ"),
        (["art"], "start", None),
        (["foo"], "foo_bar", None),
        (["£"], "spend£", "£"),
        (["call me"], "Me? Now?", "Me"),
        (["!"], "no words!", None),
    ],
)
def test_any_word_finds_its_words_as_they_were_written(words: list[str], text: str, value: str | None) -> None:
    assert match_response({"any_word": words}, text) == value


@pytest.mark.parametrize(
    ("words", "text", "value"),
    [
        (["WORD", "word"], "this.is.my.word", "word"),
        (["world", "too"], "this World too", "World too"),
        (["the", "fox"], "the quick brown FOX", "the FOX"),
        (["red", "fox"], "the quick brown fox", None),
        (["a", "b"], "b a b", "b a b"),
    ],
)
def test_all_words_may_come_in_any_order(words: list[str], text: str, value: str | None) -> None:
    assert match_response({"all_words": words}, text) == value


@pytest.mark.parametrize(
    ("phrase", "text", "value"),
    [
        ("must resist", "you Must resist", "Must resist"),
        ("world too", "this world Too", "world Too"),
        ("", "this world Too", ""),
        ("this world", "this is not world", None),
        ("brown fox", "the quick brown, fox!", "brown fox"),
        ("call me", "call call me", "call me"),
        ("all me", "call me", None),
    ],
)
def test_a_phrase_has_no_words_in_between(phrase: str, text: str, value: str | None) -> None:
    assert match_response({"phrase": phrase}, text) == value


@pytest.mark.parametrize(
    ("phrase", "text", "value"),
    [
        ("must resist", "Must resist", "Must resist"),
        ("world too", " world Too ", "world Too"),
        ("", "this world Too", None),
        ("", "", ""),
        ("this world", "this world is my world", None),
        ("this mighty", "this world", None),
        ("yes", "YES!!!", "YES"),
    ],
)
def test_only_phrase_is_the_whole_text(phrase: str, text: str, value: str | None) -> None:
    assert match_response({"only_phrase": phrase}, text) == value


@pytest.mark.parametrize(
    ("beginning", "text", "value"),
    [
        ("hell", "hello", "hell"),
        ("hello", "  HelloThere", "Hello"),
        ("206", " 2061212", "206"),
        ("world too", " world Too foo", "world Too"),
        ("the   quick", "The Quick Brown", None),
        ("hello", "hel", None),
        ("hello", "", None),
        ("", "hello", None),
        (" ", "hello", None),
    ],
)
def test_beginning_is_a_prefix_of_the_characters(beginning: str, text: str, value: str | None) -> None:
    assert match_response({"beginning": beginning}, text) == value


@pytest.mark.parametrize(
    ("pattern", "text", "value"),
    [
        (r"<\w+>", "<html>x</html>", "<html>"),
        ("HTML", "<html>x</html>", "html"),
        ("(?-i)HTML", "<html>x</html>", None),
        (r"\A\d{5}\z", "12345", "12345"),
        (r"\A\d{5}\z", "12345 ", None),
        (r"\A\d{5}\z", " 12345", None),
        ("[😀-🙏]", "hi there 😂", "😂"),
        ("[😀-🙏]", "hi there", None),
        (r"buy (\w+)", "Buy cheese please", "Buy cheese"),
        ("^two$", "one\ntwo", "two"),
        ("é(.)", "café \ud800 é!", "é "),
    ],
)
def test_a_pattern_reads_the_text_as_it_came(pattern: str, text: str, value: str | None) -> None:
    assert match_response({"pattern": pattern}, text) == value


@pytest.mark.parametrize(
    ("pattern", "position"),
    [("[", 0), ("ab**", 2), ("x(?=a)", 1), ("(a", 2), ("ab)", 2), ("  [b-a]", 3), ("a\ud800", 1)],
)
def test_an_invalid_pattern_says_where(pattern: str, position: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError, match="expected RE2 syntax") as caught:
        compile_matcher({"pattern": pattern})
    assert caught.value.position == position
    assert capfd.readouterr() == ("", "")


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
        ({}, "expected exactly one of any_word, .*, number, got nothing"),
        ({"word": ["x"]}, "expected exactly one of .*, got word"),
        ({"text": True, "number": True}, "got text, number"),
        ("yes", "expected exactly one of .*, got 'yes'"),
        ({"any_word": "yes"}, "any_word: expected a list of words, got 'yes'"),
        ({"any_word": []}, r"any_word: expected a list of words, got \[\]"),
        ({"any_word": [1]}, r"any_word: expected a list of words, got \[1\]"),
        ({"any_word": [["x"]]}, r"any_word: expected a list of words, got \[\['x'\]\]"),
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
    assert {name for matcher in MATCHER_EXAMPLES for name in matcher} == set(MATCHERS)


@settings(deadline=None)
@given(st.text(st.characters()), st.sampled_from(MATCHER_EXAMPLES), st.sampled_from(["en", "de", "fr", "x" * 9, ""]))
def test_any_text_is_understood_or_not_but_never_raises(text: str, matcher: dict[str, Any], locale: str) -> None:
    value = match_response(matcher, text, locale=locale)
    assert value is None or isinstance(value, Decimal if "number" in matcher else str)


@pytest.mark.parametrize("matcher", MATCHER_EXAMPLES, ids=str)
@pytest.mark.parametrize("piece", ["a", "1,", ". ", "1 000 ", "\ud800", "\0", "'", "👍🏿", "Σ", "=", "-+"])
def test_the_time_for_a_huge_text_is_bounded(matcher: dict[str, Any], piece: str) -> None:
    def seconds(length: int) -> float:
        started = time.perf_counter()
        match_response(matcher, piece * length)
        return time.perf_counter() - started

    assert min(seconds(100_000) for _ in range(2)) < 2


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
