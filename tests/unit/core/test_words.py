"""Matchers of words. The tables hold facts of the router tests of nyaruka/goflow (flows/routers/cases)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.responses import compile_matcher, match_response
from engine.core.words import Heard


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
    ],
)
def test_beginning_is_a_prefix_of_the_characters(beginning: str, text: str, value: str | None) -> None:
    assert match_response({"beginning": beginning}, text) == value


@pytest.mark.parametrize("name", ["any_word", "all_words"])
@pytest.mark.parametrize("entry", ["!", "", " ", "...", "\u200b"])
def test_a_list_with_an_entry_that_is_no_word_cannot_be_matched(name: str, entry: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected a word|^{name}: expected a list of words"):
        compile_matcher({name: ["yes", entry]})


def test_a_beginning_that_is_blank_is_refused() -> None:
    with pytest.raises(ValueError, match="a text that is not blank"):
        compile_matcher({"beginning": "  "})


@pytest.mark.parametrize(
    ("matcher", "text", "value"),
    [
        ({"phrase": ""}, "this world Too", ""),
        ({"phrase": "…!"}, "", ""),
        ({"only_phrase": ""}, "this world Too", None),
        ({"only_phrase": "?"}, " ! ", ""),
    ],
    ids=str,
)
def test_a_phrase_without_words_is_in_every_text_as_rapidpro_has_it(
    matcher: dict[str, Any], text: str, value: str | None
) -> None:
    """As the tests of goflow's has_phrase and has_only_phrase; `lint` refuses such a phrase all the same."""
    assert compile_matcher(matcher)(Heard(text)) == value


@given(st.text(st.characters()))
def test_words_and_folded_words_keep_their_places(text: str) -> None:
    heard = Heard(text)
    assert len(heard.words) == len(heard.folded)
    assert heard.folded == [word for each in heard.words for word in Heard(each).folded]
    assert Heard(" ".join(heard.words)).words == heard.words
