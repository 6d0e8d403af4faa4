"""People files: read with places, held against the campaign type, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.linting import lint_file
from engine.authoring.simulation.people_file import (
    check_people_file,
    find_misfits,
    load_people,
    people_file_beside,
    read_people,
)
from engine.authoring.simulation.people_spec import PeopleSpec
from engine.core.errors import CampaignError, SpecError
from tests.unit.builders import a_spec

SPEC = a_spec("ask: {on_enter: [{send: intro}], on_event: {paid: {go: bought}}, timers: [{after: 9d, go: gave_up}]}")
TYPE = """
campaign_type: hello
version: 1
start: ask
stages: {ask: {timers: [{after: 1d, go: done}]}}
exits: {done: lost}
"""


def problems(source: str) -> list[str]:
    """Every problem as `line:column message [code]`."""
    try:
        found = find_misfits(read_people(source, "a.sim.yaml"), SPEC)
    except SpecError as error:
        found = list(error.problems)
    return [f"{each.line}:{each.column} {each.message} [{each.code}]" for each in found]


def test_a_file_that_says_little_is_enough() -> None:
    assert read_people("per_day: 5", "a.sim.yaml").spec == PeopleSpec(per_day=5)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "per_day: 5\nper_dai: 6",
            "2:1 unknown key 'per_dai'; expected one of awake, facts, messages, per_day, places, "
            "stages, start; did you mean per_day? [E101]",
        ),
        (
            "stages: {ask: {answers: 3%}}",
            "1:16 unknown key 'answers'; expected one of after, answer, events, says, "
            "spread, stop; did you mean answer? [E101]",
        ),
        ("stages: {ask: {says: [{text: hi}]}}", "1:24 unknown key 'text'"),
        (
            "places:\n  - {timezone: UTC, place: x}",
            "2:21 unknown key 'place'; expected one of locale, timezone, weight",
        ),
        ("per_day: 0", "1:10 expected at least 1, got 0 [E107]"),
        ("per_day: many", "1:10 expected a whole number, got the text 'many' [E107]"),
        ("start: soon", "1:8 'soon' is not a time; expected an instant, as in 2026-03-02T09:00:00Z [E107]"),
        ("awake: {from: noon}", '1:15 \'noon\' is not a time of day; expected "HH:MM", as in "09:00" [E107]'),
        (
            "stages: {ask: {answer: often}}",
            "1:24 'often' is not a share; expected a percentage from 0% to 100%, as in 30%",
        ),
        ("stages: {ask: {answer: 0.3}}", "1:24 0.3 is not a share"),
        ("stages: {ask: {answer: 100.5%}}", "1:24 '100.5%' is not a share"),
        ("stages: {ask: {after: soon}}", "1:23 'soon' is not a duration; expected"),
        ("stages: {ask: {after: 2 business hours}}", "1:23 2 business hours is business time; expected elapsed time"),
        ("stages: {ask: {spread: 0}}", "1:24 expected at least 1, got 0 [E107]"),
        ("stages: {ask: {spread: wide}}", "1:24 expected a number, got the text 'wide' [E107]"),
        ("stages: {events: {says: 1}}", "1:25 expected a list, got the number 1 [E107]"),
        ("stages: {events: {answr: 1%}}", "1:19 unknown key 'answr'; expected one of after, answer, events"),
        ("stages: {ask: {says: []}}", "1:22 expected at least one entry, got a list [E107]"),
        ("stages: {ask: {says: [{weight: 2}]}}", "1:23 something to say needs words; expected either texts: or means:"),
        (
            "stages: {ask: {says: [{texts: hi, weight: 0}]}}",
            "1:22 nothing of this is ever said; expected a weight above 0",
        ),
        ("stages: {ask: {events: {paid: {share: 5%}}}}", "1:25 the key 'after' is missing; expected it here [E107]"),
        (
            "places: [{timezone: Mars/Base}]",
            "1:21 unknown time zone 'Mars/Base'; expected a name such as Europe/London",
        ),
        ("places: [{weight: 0}]", "1:9 nobody lives in any of these places; expected a weight above 0 [E107]"),
        (
            "facts: {plam: free}",
            "1:9 unknown fact 'plam'; expected one of name, plan, score, seats, vip; did you mean plan?",
        ),
        ("facts: {plan: [free, gold]}", "1:22 expected one of [free, team], got 'gold' [E107]"),
        ("facts: {plan: {gold: 1}}", "1:16 expected one of [free, team], got 'gold' [E107]"),
        ("facts: {seats: 9..1}", "1:16 expected the smaller value first, got '9..1' [E107]"),
        ("facts: {seats: {5: -1}}", "1:17 expected a text as the key, got the number 5; quote it [E107]"),
        ('facts: {seats: {"5": -1}}', "1:16 the weight of '5' is -1; expected a number from 0 [E107]"),
        ('facts: {seats: {"5": 0}}', "1:16 every weight is 0; expected one that is more [E107]"),
        ("facts: {seats: []}", "1:16 expected a value, a list of values, or values with weights"),
        ("stages: {aks: {answer: 3%}}", "1:10 unknown stage 'aks'; expected one of ask; did you mean ask? [E103]"),
        (
            "messages: {intor: {answer: 3%}}",
            "1:12 unknown message 'intor'; expected one of bump, goodbye, intro, tip; did you mean intro? [E601]",
        ),
        ("stages: {ask: {events: {payed: {after: 1d}}}}", "1:25 unknown event 'payed'; expected one of paid"),
        (
            "stages: {ask: {says: [{texts: hi, then: {event: x, after: 1d}}]}}",
            "1:49 unknown event 'x'; expected one of paid",
        ),
        (
            "stages: {ask: {says: [{means: {answr: yes}}]}}",
            "1:32 unknown response 'answr'; expected one of answer, rating",
        ),
        (
            "stages: {ask: {says: [{means: {answer: maybe}}]}}",
            "1:40 unknown label 'maybe'; expected one of no, other, stop",
        ),
        (
            "stages: {ask: {says: [{means: {rating: 9}}]}}",
            "1:24 no words can be made that are read like this; write them",
        ),
        ("stages: 5", "1:9 expected a mapping, got the number 5 [E107]"),
        ("a: b: c", "1:5"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(source: str, expected: str) -> None:
    [found] = problems(source)
    assert found.startswith(expected)


def test_all_problems_are_told_at_once() -> None:
    found = problems("facts: {plam: x}\nstages: {aks: {after: 2 business days}}\nmessages: {nope: {answer: 1%}}")
    assert [each.split("[")[-1] for each in found] == ["E301]", "E103]", "E105]", "E601]"]


def test_the_file_beside_a_campaign_type_is_found_and_linted_with_it(tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(TYPE)
    assert people_file_beside(tmp_path / "hello.yaml") is None
    people = tmp_path / "hello.sim.yaml"
    people.write_text("stages: {asking: {answer: 1%}}")
    assert people_file_beside(tmp_path / "hello.yaml") == people
    assert [each.code for each in lint_file(people).problems] == ["E103"]
    assert lint_file(people).problems == check_people_file(people)
    people.write_text("stages: {ask: {answer: 1%}}")
    assert lint_file(people).problems == []


def test_people_without_a_campaign_type_beside_them_cannot_be_checked(tmp_path: Path) -> None:
    (tmp_path / "hello.sim.yaml").write_text("per_day: 3")
    with pytest.raises(CampaignError, match=r"there is no .*hello\.yaml beside hello\.sim\.yaml"):
        check_people_file(tmp_path / "hello.sim.yaml")


def test_a_file_that_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.sim.yaml").write_bytes(b"facts: {name: \xff}")
    with pytest.raises(SpecError, match=r"a\.sim\.yaml:1:15: error: the byte 0xFF is not UTF-8 text"):
        load_people(tmp_path / "a.sim.yaml", SPEC)
    with pytest.raises(CampaignError, match="there is no file"):
        load_people(tmp_path / "b.sim.yaml", SPEC)


KEYS = ["start", "per_day", "awake", "places", "facts", "stages", "messages", "ask", "intro", "says", "after", "plan"]
data = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["30%", "1d", "yes", "a..b", "x"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)),
    max_leaves=12,
)


def flow(value: object) -> str:
    """The value as YAML in flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return "null" if value is None else str(value)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), data, min_size=1, max_size=4))
def test_whatever_a_file_says_it_is_people_or_problems_with_places(value: dict[str, object]) -> None:
    for problem in problems(flow(value)):
        assert not problem.startswith("0:")
