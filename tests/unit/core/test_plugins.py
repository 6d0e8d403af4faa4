"""Plug-ins in the vocabulary: how they are written, what they capture, and what happens when they are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import jsonschema
import pytest

from engine.core.errors import DecisionError, SpecError
from engine.core.fact_types import parse_fact_type
from engine.core.loader import parse_campaign_type
from engine.core.matchers import MatcherSpec
from engine.core.plugins import (
    NO_PLUGINS,
    Argument,
    ClassifierPlugin,
    MatcherPlugin,
    Plugins,
    plugins_in_use,
    using_plugins,
)
from engine.core.responses import compile_responses, match_response
from engine.core.schema import campaign_type_schema

MOOD = ClassifierPlugin("mood", ("glad", "cross"), lambda text, _: {"😀": "glad", "😠": "cross"}.get(text.strip()))


def a_matcher(name: str, argument: Argument, result: str, match: Callable[[Any, str, str], Any]) -> MatcherPlugin:
    return MatcherPlugin(name, argument, parse_fact_type(result), match)


STARS = a_matcher("stars", "true", "int 1..5", lambda _, text, __: text.count("*") or None)
MULTIPLE = a_matcher(
    "multiple_of", "number", "number", lambda by, text, _: Decimal(text) if Decimal(text) % by == 0 else None
)
ENDING = a_matcher("ending", "text", "text", lambda end, text, _: end if text.endswith(end) else None)
RHYMES = a_matcher(
    "rhymes", "words", "text", lambda words, text, _: next((w for w in words if text[-2:] == w[-2:]), None)
)
EASTER = a_matcher("easter", "true", "date", lambda _, __, locale: date(2026, 4, 5) if locale == "en_GB" else None)
PLUGINS = Plugins(
    matchers={each.name: each for each in (STARS, MULTIPLE, ENDING, RHYMES, EASTER)}, classifiers={"mood": MOOD}
)


@pytest.fixture
def plugins() -> Iterator[Plugins]:
    with using_plugins(PLUGINS) as used:
        yield used


def codes(responses: str, when: str = "") -> list[str]:
    """What the checks say of a type with these responses, and a guard over them."""
    edge = f"{{when: {when}, go: won_it}}, " if when else ""
    source = f"""
campaign_type: hello
version: 1
responses: {responses}
start: ask
stages:
  ask:
    on_response: [{edge}{{otherwise: lost_it}}]
    timers: [{{after: 3d, go: lost_it}}]
exits: {{won_it: won, lost_it: lost}}
"""
    try:
        parse_campaign_type(source, "hello.yaml")
    except SpecError as error:
        return [f"{problem.code} {problem.line}:{problem.column} {problem.message}" for problem in error.problems]
    return []


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("matcher", "text", "value"),
    [
        ({"stars": True}, "*** nice", Decimal(3)),
        ({"stars": True}, "nice", None),
        ({"multiple_of": 7}, "21", Decimal(21)),
        ({"multiple_of": 7}, "22", None),
        ({"ending": "bye"}, "good bye", "bye"),
        ({"rhymes": ["moon", "tree"]}, "I see a bee", "tree"),
        ({"classifier": "mood"}, " 😀 ", "glad"),
        ({"classifier": "mood"}, "hello", None),
        ({"any_of": [{"stars": True}, {"number": "1..5"}]}, "I say 4", Decimal(4)),
    ],
)
def test_a_plugin_matches_like_a_built_in(matcher: dict[str, Any], text: str, value: object) -> None:
    assert match_response(matcher, text) == value
    spec = MatcherSpec.model_validate(matcher)
    assert spec.as_dict == matcher == MatcherSpec.model_validate(spec.as_dict).as_dict
    assert compile_responses({"it": spec})(text) == ({} if value is None else {"it": value})


@pytest.mark.usefixtures("plugins")
def test_a_plugin_sees_the_locale_and_may_capture_a_date() -> None:
    read = compile_responses({"on": MatcherSpec.model_validate({"easter": True})})
    assert (read("then", "en_GB"), read("then", "de_DE")) == ({"on": date(2026, 4, 5)}, {})


@pytest.mark.usefixtures("plugins")
def test_the_result_types_of_plugins_are_checked() -> None:
    assert codes("{mood: {classifier: mood}}", "mood == 'glad'") == []
    assert "mood is never 'sad'; expected one of cross, glad" in codes("{mood: {classifier: mood}}", "mood == 'sad'")[0]
    assert "stars is never 9; expected a whole number, 1 to 5" in codes("{stars: {stars: true}}", "stars == 9")[0]
    assert "on is a date; expected a date" in codes("{on: {easter: true}}", "on == 'soon'")[0]


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("responses", "problem"),
    [
        ("{it: {strs: true}}", "E101 4:18 unknown key 'strs'; expected one of"),
        ("{it: {stars: yes}}", "E107 4:13 stars: expected true"),
        ("{it: {multiple_of: x}}", "E107 4:13 multiple_of: expected a number"),
        ("{it: {rhymes: []}}", "E107 4:13 rhymes: expected a list of texts"),
        ("{it: {stars: true, number: true}}", "E107 4:13 expected exactly one of any_word"),
        ("{it: {classifier: moods}}", "E107 4:30 unknown classifier 'moods'; expected one of mood; did you mean mood?"),
        ("{it: {a: {any_of: [{classifier: x}]}}}", "E107 4:44 unknown classifier 'x'; expected one of mood"),
        ("{it: {a: {any_of: [{any_of: [{text: true}]}]}}}", "E107 4:31 any_of cannot stand inside any_of"),
    ],
)
def test_a_plugin_written_wrongly_is_told_with_its_place(responses: str, problem: str) -> None:
    assert codes(responses)[0].startswith(problem)


def test_a_plugin_that_is_not_in_use_is_an_unknown_key() -> None:
    assert codes("{it: {stars: true}}")[0].startswith("E101 4:18 unknown key 'stars'")
    assert "unknown classifier 'mood'; none is declared" in codes("{it: {classifier: mood}}")[0]


def test_the_plugins_in_use_are_put_back() -> None:
    with using_plugins(PLUGINS):
        assert plugins_in_use() is PLUGINS
        with pytest.raises(ValueError, match="unknown classifier"), using_plugins(Plugins()):
            match_response({"classifier": "mood"}, "hello")
        assert plugins_in_use() is PLUGINS
    assert plugins_in_use() is NO_PLUGINS


def test_editors_are_told_of_the_matchers_in_use() -> None:
    document = {
        "campaign_type": "hello",
        "version": 1,
        "start": "ask",
        "responses": {"it": {"stars": True}, "or": {"a": {"any_of": [{"rhymes": ["x"]}]}}},
        "stages": {"ask": {"timers": [{"after": "3d", "go": "lost"}]}},
        "exits": {"lost": "lost"},
    }
    assert not jsonschema.Draft7Validator(campaign_type_schema()).is_valid(document)
    with using_plugins(PLUGINS):
        jsonschema.Draft7Validator(campaign_type_schema()).validate(document)


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ("int 1..5", 9),
        ("int", Decimal("1.5")),
        ("number", "5"),
        ("text", 5),
        ("date", "2026-03-01"),
        ("one of [a]", "b"),
    ],
)
def test_a_plugin_that_gives_what_it_did_not_declare_is_named(result: str, value: object) -> None:
    wrong = a_matcher("wrong", "true", result, lambda *_: value)
    with (
        using_plugins(Plugins(matchers={"wrong": wrong})),
        pytest.raises(DecisionError, match="the plug-in matcher wrong gave"),
    ):
        match_response({"wrong": True}, "hello")


def test_a_plugin_that_fails_is_named_and_says_nothing_of_the_text() -> None:
    def fail(text: str, _: str) -> str:
        raise LookupError(text)

    plugins = Plugins(classifiers={"bad": ClassifierPlugin("bad", None, fail)})
    with (
        using_plugins(plugins),
        pytest.raises(DecisionError, match="the plug-in classifier bad failed: LookupError") as told,
    ):
        match_response({"classifier": "bad"}, "a secret")
    assert "secret" not in str(told.value)


def test_a_plugin_has_one_plain_name_and_captures_what_can_be_kept() -> None:
    with pytest.raises(ValueError, match="'mood' stands under 'temper'"):
        Plugins(classifiers={"temper": MOOD})
    with pytest.raises(ValueError, match="of letters, digits and underscores"):
        Plugins(classifiers={"my mood": ClassifierPlugin("my mood", None, MOOD.classify)})
    with pytest.raises(ValueError, match="matcher m: expected a result of text, choice, int, number, date, got bool"):
        a_matcher("m", "true", "bool", lambda *_: None)
