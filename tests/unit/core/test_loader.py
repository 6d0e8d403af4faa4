"""A campaign type's text becomes a loaded type, or every problem of it at once, in an author's words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.durations import parse_duration
from engine.core.errors import CampaignError, SpecError
from engine.core.loader import LoadedType, parse_campaign_type
from engine.core.problems import Problem
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import read_yaml

HELLO = """\
campaign_type: hello
version: 1
facts:
  first_name: text
responses:
  answer: {yes_please: {any_word: [yes, sure]}}
start: greet
always:
  - {when: responses_total > 9, go: left}
stages:
  greet:
    on_enter:
      - send: hi
    on_response:
      - {when: answer == "yes_please", go: won}
      - otherwise: lost
    on_event:
      opened: {go: won}
    timers:
      - {after: 3d, go: lost}
exits:
  won: won
  lost: {outcome: lost}
  left: stopped
messages:
  hi: {text: "Hello {{ first_name }}"}
"""
JARGON = re.compile(
    r"Input should|Extra inputs|Field required|valid (string|dict|list)|function-|\[key\]|Spec\b|NoneType"
)


def problems_of(source: str, read_file: Callable[[str], str] | None = None) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        parse_campaign_type(source, "hello.yaml", read_file)
    return list(caught.value.problems)


def changed(*changes: tuple[str, str]) -> str:
    source = HELLO
    for old, new in changes:
        assert old in source
        source = source.replace(old, new, 1)
    return source


def test_a_right_file_is_loaded_with_its_document_and_source() -> None:
    loaded = parse_campaign_type(HELLO, "hello.yaml")
    assert isinstance(loaded, LoadedType)
    assert loaded.source == HELLO
    assert loaded.spec.stages["greet"].timers[0].after == parse_duration("3d")
    assert loaded.spec.stages["greet"].on_event["opened"][0].go == "won"
    assert loaded.spec.exits["won"].outcome == "won"
    assert loaded.document.position(("stages", "greet", "timers", 0, "after")) == (20, 17)


def test_a_spec_survives_json() -> None:
    spec = parse_campaign_type(HELLO, "hello.yaml").spec
    assert CampaignTypeSpec.model_validate_json(spec.model_dump_json(by_alias=True, exclude_unset=True)) == spec


MISFITS = [
    # Unknown keys; what is suggested are the keys of that very place.
    ("start:", "§strat:", "E101", "did you mean start?"),
    ("send: hi", "§snd: hi", "E101", "send, set; did you mean send?"),
    ("send: hi", "{send: hi, §aftr: 1d}", "E101", "ignore_window, send, when; did you mean after?"),
    ("any_word", "§any_wrod", "E101", "did you mean any_word?"),
    ("{go: won}", "{§goo: won}", "E101", "did you mean go?"),
    ("{go: won}", "[{go: won}, {go: stay, §doo: x}]", "E101", "expected one of at_most, do, go"),
    ("{outcome: lost}", "{outcome: lost, on_enter: [{send: hi, §x: 1}]}", "E101", "'x'"),
    ("yes_please: {any_word", "matcher: {§any_wrod", "E101", "did you mean any_word?"),
    ("yes_please: {any_word: [yes, sure]}", "§yes_please: yes", "E101", "expected one of all_words, any_of, any_word"),
    # Durations.
    ("3d", "§3 days", "E105", "'3 days' is not a duration"),
    ("3d", "§3", "E105", "expected a duration, as in 48h, got the number 3"),
    ("3d", "§[3d]", "E105", "expected a duration, as in 48h, got a list"),
    ("3d", "§99999w", "E105", "longer than 100 years"),
    # Wrong types and values.
    ("won: won", "won: §winner", "E107", "unknown value 'winner'; expected one of lost, stopped, won"),
    ("won: won", "won: §1", "E107", "expected a mapping, got the number 1"),
    ("outcome: lost", "outcome: §lots", "E107", "did you mean lost?"),
    ("version: 1", "version: §'1'", "E107", "expected a whole number, got the text '1'"),
    ("version: 1", "version: §0", "E107", "expected at least 1, got 0"),
    ("version: 1", "version: §1.0", "E107", "expected a whole number, got the number 1.0"),
    ("version: 1", "version: §true", "E107", "expected a whole number, got true"),
    ("version: 1", "§version:", "E107", "the key 'version' has no value"),
    ("[yes, sure]", "[yes, §1]", "E107", "expected a text, got the number 1; quote it"),
    ("[yes, sure]", "§yes", "E107", "expected a list, got the text 'yes'; put it in [ ]"),
    ("[yes, sure]", "§[]", "E107", "at least one entry"),
    ("any_word: [yes, sure]", "text: §false", "E107", "expected true, got false"),
    ("any_word: [yes, sure]", "number: §5", "E107", "expected true or a text, as in 1..5"),
    ("any_word: [yes, sure]", "number: §5..1", "E107", "empty range"),
    ("yes_please: {any_word: [yes, sure]}", "§yes_please: {}", "E107", "expected exactly one of any_word"),
    ("sure]}}", "sure]}, no: §never}", "E107", "expected a mapping, got the text 'never'"),
    ("send: hi", "§hello", "E107", "expected an action: one of send, assign, set, emit"),
    ("send: hi", "§{after: 1d}", "E107", "expected an action"),
    ("send: hi", "set: {first_name: §[1]}", "E107", "true or false, a whole number, a number or a text"),
    ("send: hi", "assign: §bob", "E107", "expected a mapping, got the text 'bob'"),
    ("otherwise: lost", "§{otherwise: lost, when: x}", "E107", "no when: beside it"),
    ("otherwise: lost", "§{when: x}", "E107", "expected either go: or otherwise:"),
    ("otherwise: lost", "§{go: won, at_most: 1}", "E107", "expected go: stay"),
    ("{go: won}", "§won", "E107", "expected a mapping, got the text 'won'"),
    ("{go: won}", "{go: stay, at_most: §0}", "E107", "expected at least 1, got 0"),
    ("first_name: text", "first_name: §string", "E107", "'string' is not a fact type"),
    ("first_name: text", "first_name: §3", "E107", "expected a fact type, as in text, got the number 3"),
    ("first_name: text", "§first name: text", "E107", "expected a name of at most 63"),
    ("first_name: text", f"§{'x' * 64}: text", "E107", "expected a name of at most 63"),
    ('hi: {text: "Hello {{ first_name }}"}', "§hi: {subject: x}", "E107", "expected either text: or file:"),
    ('text: "Hello {{ first_name }}"', "text: §''", "E107", "got an empty one"),
    ("greet:\n", "greet: §hello\n  other:\n", "E107", "expected a mapping, got the text 'hello'"),
    # Missing keys, at the key or list item they are missing from.
    ("campaign_type: hello\nversion: 1", "§version: 1", "E107", "the key 'campaign_type' is missing"),
    ("{after: 3d, go: lost}", "§{go: lost}", "E107", "a timer needs one time; expected either after: or at:"),
    ("lost: {outcome: lost}", "§lost: {on_enter: []}", "E107", "'outcome' is missing; expected one of won"),
    ("on_enter:\n      - send: hi", "§visits:\n      at_most: 2", "E107", "the key 'then' is missing"),
]


@pytest.mark.parametrize(("old", "new", "code", "says"), MISFITS)
def test_what_does_not_fit_is_named_where_it_stands(old: str, new: str, code: str, says: str) -> None:
    marked = changed((old, new))
    before, _, _ = marked.partition("§")
    place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
    problem, *others = problems_of(marked.replace("§", ""))
    assert others == []
    assert (problem.code, problem.line, problem.column) == (code, *place)
    assert says in problem.message


def test_all_problems_of_reading_and_shape_come_at_once_and_sorted() -> None:
    source = changed(
        ("version: 1", "version: 010\nversion: 2"), ("3d", "9:30"), ("won: won", "won: winner"), ("hi:", "h i:")
    )
    found = [(each.code, each.line) for each in problems_of(source)]
    assert found == [("E104", 2), ("E102", 3), ("E104", 21), ("E107", 23), ("E107", 27)]


def test_what_cannot_be_read_hides_nothing_found_before_it() -> None:
    assert [each.code for each in problems_of("a: 010\nb: [")] == ["E104", "E100"]


def test_an_empty_value_is_a_problem_even_where_the_key_may_be_left_out() -> None:
    problem, *others = problems_of(changed(('when: answer == "yes_please"', "when: ")))
    assert others == []
    assert (problem.line, problem.column, problem.code) == (15, 10, "E107")
    assert "'when' has no value" in problem.message


def test_a_problem_in_what_an_anchor_shares_is_told_once() -> None:
    source = changed(("- {after: 3d, go: lost}", "- &wait {after: 3, go: lost}\n      - *wait\n      - <<: *wait"))
    assert [(each.code, each.line, each.column) for each in problems_of(source)] == [("E105", 20, 23)]


@pytest.mark.parametrize("loc", [("facts",), ("exits",), ("messages",), ("responses", "answer")])
@pytest.mark.parametrize("key", ["[key]", "matcher", "labels", "0", " ", "literal[True]"])
def test_a_key_that_looks_like_pydantics_own_is_a_key(loc: tuple[str, ...], key: str) -> None:
    spoilt = read_yaml(HELLO, "hello.yaml").data
    parent: Any = spoilt
    for part in loc:
        parent = parent[part]
    parent[key] = 3
    source = yaml.safe_dump(spoilt, sort_keys=False)
    line = next(number for number, text in enumerate(source.splitlines(), 1) if text.endswith(": 3"))
    assert {each.line for each in problems_of(source)} == {line}


def test_many_problems_behind_aliases_take_no_long_time() -> None:
    edges = ", ".join(["{x: 1}"] * 200)
    stages = "\n".join(f"  s{number}: *s" for number in range(350))
    begin = time.process_time()
    assert problems_of(f"campaign_type: hello\nstages:\n  s: &s {{on_response: [{edges}]}}\n{stages}\n")
    assert time.process_time() - begin < 10


def test_a_message_file_becomes_the_text_of_its_message() -> None:
    source = changed(('{text: "Hello {{ first_name }}"}', "{subject: Hi, file: hi.liquid}"))
    spec = parse_campaign_type(source, "hello.yaml", {"hi.liquid": "Hello {{ first_name }}!"}.__getitem__).spec
    message = spec.messages["hi"]
    assert (message.subject, message.text, message.file) == ("Hi", "Hello {{ first_name }}!", None)
    assert spec.as_json()["messages"]["hi"] == {"subject": "Hi", "text": "Hello {{ first_name }}!"}


@pytest.mark.parametrize("content", [None, "", "a\0b"])
def test_a_message_file_that_cannot_be_used_is_a_problem_at_its_name(content: str | None) -> None:
    def read_file(name: str) -> str:
        if content is None:
            raise CampaignError(f"there is no file {name}")
        return content

    problem, *others = problems_of(changed(('text: "Hello {{ first_name }}"', "file: hi.liquid")), read_file)
    assert others == []
    assert (problem.code, problem.line, problem.column) == ("E103", 26, 14)
    assert "hi.liquid" in problem.message


def test_checks_run_on_a_right_shape_only() -> None:
    unknown_target = ("go: lost", "go: nowhere")
    assert [each.code for each in problems_of(changed(unknown_target))] == ["W503", "E103"]
    assert [each.code for each in problems_of(changed(unknown_target, ("3d", "3 days")))] == ["E105"]


PLAIN = read_yaml(HELLO, "hello.yaml").data
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 2**63), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "3d", "stay", "won", "answer", "1..5", "one of [a]", "{{ x", "and or", "é\x85", "a" * 80]),
    st.text(max_size=5), st.lists(st.just({"go": "won"}), max_size=2),
    st.dictionaries(st.sampled_from(["send", "matcher", "labels", "go", "after", "0"]), st.just("3d"), max_size=2),
)  # fmt: skip


def _spoil(value: Any, draw: Any) -> Any:
    """`value` with one part, somewhere in it, replaced, removed or renamed."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(ODD)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    part = draw(st.sampled_from(keys))
    if isinstance(value, list):
        return [*value[:part], _spoil(value[part], draw), *value[part + 1 :]]
    what = draw(st.sampled_from(["change", "change", "change", "remove", "rename"]))
    if what == "change":
        return {**value, part: _spoil(value[part], draw)}
    left = {key: inner for key, inner in value.items() if key != part}
    return left if what == "remove" else {**left, draw(st.text(max_size=4)): value[part]}


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_spoilt_file_brings_problems_in_an_authors_words_and_nothing_else(data: st.DataObject) -> None:
    spoilt = _spoil(PLAIN, data.draw)
    source = yaml.safe_dump(spoilt, default_flow_style=data.draw(st.booleans()), allow_unicode=True)
    problems: tuple[Problem, ...]
    try:
        problems = parse_campaign_type(source, "hello.yaml").warnings
    except SpecError as error:
        problems = error.problems or (Problem("", 0, 0, "", "a SpecError without problems"),)
    for problem in problems:
        assert 1 <= problem.line <= source.count("\n") + 1, problem
        assert not JARGON.search(problem.message), problem.message


@given(st.text(max_size=80))
def test_any_text_at_all_is_a_campaign_type_or_a_spec_error(source: str) -> None:
    assert problems_of(source)
