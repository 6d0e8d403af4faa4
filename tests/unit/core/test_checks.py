from __future__ import annotations

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.checks import check
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import read_yaml
from tests.unit.checking import answering, codes, problems, waiting

# --- names


def test_a_campaign_type_with_nothing_wrong_has_no_problems() -> None:
    assert problems(answering('{when: answer == "yes", go: won_it}', "{otherwise: stay}")) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("ends_within: {at_most: 60d, then: ask}", "'ask' is not possible here, this must be an exit"),
        ("ends_within: {at_most: 60d, then: stay}", "'stay' is not possible here, this must be an exit"),
        ("always: [{otherwise: nowhere}]", "unknown target 'nowhere'"),
    ],
)
def test_a_target_must_exist_and_be_possible_where_it_stands(more: str, expected: str) -> None:
    [problem] = problems(waiting(), more=more)
    assert problem.code == "E103"
    assert problem.message.startswith(expected)


def test_start_and_visits_lead_to_stages_that_can_be_entered() -> None:
    assert codes(waiting(), start="won_it") == ["E103"]
    assert codes(waiting("visits: {at_most: 2, then: stay}")) == ["E103"]


def test_every_edge_that_waits_may_stay() -> None:
    stages = """
  ask:
    on_response: [{otherwise: stay}]
    on_event: {opened: {go: stay}, clicked: [{go: stay}]}
    timers: [{after: 1d, go: stay}, {after: 3d, go: lost_it}]
"""
    assert codes(stages, more='always: [{when: answer == "stop", go: stay}]') == []


def test_the_target_of_a_single_event_edge_is_pointed_at() -> None:
    [problem] = problems(waiting("on_event: {opened: {go: nowhere}}"))
    assert problem.source[problem.column - 1 :].startswith("nowhere")


def test_the_graph_is_not_judged_while_a_target_is_unknown() -> None:
    stages = "  ask: {timers: [{after: 3d, go: lst_it}]}\n  later: {timers: [{after: 3d, go: lost_it}]}"
    assert codes(stages) == ["E103"]


def spec_codes(**parts: Any) -> list[str]:
    spec: dict[str, Any] = {
        "campaign_type": "hello", "version": 1, "start": "ask", "stages": {"ask": {}}, "exits": {"end": "won"},
    }  # fmt: skip
    return [problem.code for problem in check(loaded(spec | parts))]


def loaded(spec: dict[str, Any]) -> Any:
    """A loaded type whose file says nothing, so that every problem stands in its first line."""
    return SimpleNamespace(spec=CampaignTypeSpec.model_validate(spec), document=read_yaml("{}", "hello.yaml"))


@pytest.mark.parametrize("name", ["visits", "event", "responses", "recipient", "unsubscribe_url", "and", "stay"])
def test_a_fact_or_response_cannot_have_a_name_that_means_something_already(name: str) -> None:
    assert "E108" in spec_codes(facts={name: "text"})
    assert "E108" in spec_codes(responses={name: {"text": True}})


def test_a_name_belongs_to_one_fact_or_response_and_to_one_stage_or_exit() -> None:
    assert "E108" in spec_codes(facts={"plan": "text"}, responses={"plan": {"text": True}})
    assert "E108" in spec_codes(exits={"ask": "won"})
    assert "E108" in spec_codes(stages={"ask": {}, "stay": {}})
    assert "E108" in spec_codes(responses={"answer": {"other": {"text": True}}})


@pytest.mark.parametrize(
    "line",
    [
        "on_enter: [send: bye]",
        "follow_ups: [{after: 1d, send: bye}]",
        "on_event: {opened: {go: left, do: [{send: bye}]}}",
        "on_response: [{otherwise: left, do: [{send: bye}]}]",
    ],
)
def test_a_message_that_is_sent_must_exist(line: str) -> None:
    [problem] = problems(waiting(line))
    assert problem.code == "E601"
    assert problem.source[problem.column - 1 :].startswith("bye")


# --- the graph


def test_a_stage_is_reached_by_edges_visits_and_always() -> None:
    stages = """
  ask: {visits: {at_most: 1, then: second}, timers: [{after: 3d, go: lost_it}]}
  second: {timers: [{after: 3d, go: lost_it}]}
  third: {timers: [{after: 3d, go: lost_it}]}
"""
    assert codes(stages) == ["E201"]
    assert codes(stages, more='always: [{when: answer == "stop", go: third}]') == []


@pytest.mark.parametrize(
    "timers",
    ["[]", "[{after: 1d, when: vip, go: lost_it}]", "[{after: 1d, go: stay}]"],
)
def test_a_wait_needs_a_timer_without_a_guard_that_leaves_or_an_end_of_the_whole(timers: str) -> None:
    stages = f"  ask: {{on_response: [{{otherwise: won_it}}], timers: {timers}}}"
    assert codes(stages, more='always: [{when: answer == "stop", go: left}]') == ["E202"]
    assert codes(stages, more="ends_within: {at_most: 60d, then: lost_it}") == []


LOOP = """
  ask: {{timers: [{{after: 1d, go: rest}}], on_response: [{{otherwise: won_it}}]}}
  rest: {{{visits} timers: [{{after: 1d, go: ask}}]}}
"""


def test_a_loop_needs_visits_on_one_of_its_stages() -> None:
    [problem] = problems(LOOP.format(visits=""))
    assert problem.code == "E204"
    assert "ask -> rest -> ask" in problem.message
    assert codes(LOOP.format(visits="visits: {at_most: 2, then: lost_it},")) == []


def test_visits_that_lead_back_into_the_loop_do_not_end_it() -> None:
    assert codes(LOOP.format(visits="visits: {at_most: 2, then: ask},")) == ["E204"]


def test_an_always_edge_is_passed_over_in_its_own_target_and_so_makes_no_loop() -> None:
    person = "  person: {timers: [{after: 3d, go: lost_it}]}"
    assert codes(f"{waiting()}\n{person}", more='always: [{when: answer == "stop", go: person}]') == []


def test_an_always_edge_can_close_a_loop() -> None:
    person = "  person: {timers: [{after: 3d, go: ask}]}"
    assert codes(f"{waiting()}\n{person}", more='always: [{when: answer == "stop", go: person}]') == ["E204"]


def test_a_loop_that_used_up_visits_close_names_the_stage_that_has_them() -> None:
    stages = """
  a: {visits: {at_most: 1, then: b}, timers: [{after: 1d, go: b}]}
  b: {timers: [{after: 1d, go: c}]}
  c: {timers: [{after: 1d, go: lost_it}]}
"""
    [problem] = problems(stages, start="a", more='always: [{when: answer == "stop", go: a}]')
    assert problem.code == "E204"
    assert "b -> c -> a (visits over) -> b" in problem.message


@pytest.mark.parametrize("edge", ["{go: stay, do: [{send: intro}]}", "{otherwise: stay, do: [{send: intro}]}"])
def test_a_stay_that_acts_needs_a_bound(edge: str) -> None:
    assert codes(answering(edge)) == ["E204"]
    assert codes(answering(edge.replace("do:", "at_most: 2, do:"))) == []
    assert codes(waiting(), more=f"always: [{{when: vip, go: left}}, {edge}]") == ["E204"]


def test_a_timer_fires_once_so_its_stay_needs_no_bound() -> None:
    timers = "[{after: 1d, go: stay, do: [{send: intro}]}, {after: 2d, go: lost_it}]"
    assert codes(f"  ask: {{timers: {timers}}}") == []


def test_splits_in_a_circle_are_told_once_also_with_visits() -> None:
    stages = """
  ask: {{ {visits} split: [{{share: 50%, go: again}}, {{otherwise: won_it}}]}}
  again: {{split: [{{when: vip, go: lost_it}}, {{otherwise: ask}}]}}
"""
    assert codes(stages.format(visits="")) == ["E205"]
    assert codes(stages.format(visits="visits: {at_most: 3, then: lost_it},")) == ["E205"]


def test_visits_that_lead_in_a_circle_once_used_up_are_an_instant_cycle() -> None:
    stages = """
  ask: {visits: {at_most: 2, then: again}, timers: [{after: 1d, go: lost_it}]}
  again: {split: [{when: vip, go: lost_it}, {otherwise: ask}]}
"""
    assert codes(stages) == ["E205"]
    assert codes(waiting("visits: {at_most: 2, then: ask}")) == ["E205"]


def test_a_stage_waits_or_splits() -> None:
    [problem] = problems("  ask:\n    min_stay: 1d\n    on_enter: [send: intro]\n    split: [{otherwise: won_it}]")
    assert problem.code == "E206"
    assert problem.source.strip().startswith("split:"), "of the two places the later one is reported"


# --- any spec at all

NAMES = st.sampled_from(["ask", "rest", "end", "gone", "stay", "other", "seats", "plan", "answer", "rating", "visits"])
WHENS = st.none() | st.sampled_from(
    ["seats > 3", 'plan == "a"', 'answer == "x"', "rating < 3", "visits > 1", "plan is missing", "seats", "zzz > 1",
     'event == "e"', "not (seats > 3 or rating in [1, 2])", "(", 'answer in ["x", "other"] and responses == 1']
)  # fmt: skip
ACTIONS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"send": NAMES}, optional={"after": st.just("1h"), "when": WHENS}),
        st.just({"assign": {"to": "sales"}}),
        st.fixed_dictionaries({"set": st.dictionaries(NAMES, st.sampled_from([1, "a", True, "answer"]), min_size=1)}),
    ),
    max_size=2,
)


def edges(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    going = st.fixed_dictionaries({"go": NAMES, "when": WHENS, "do": ACTIONS, **more})
    rest = st.fixed_dictionaries({"otherwise": NAMES, **more})
    stay = st.fixed_dictionaries({"go": st.just("stay"), "at_most": st.none() | st.just(2), "when": WHENS, **more})
    return st.lists(st.one_of(going, rest, stay), max_size=4)


STAGES = st.fixed_dictionaries(
    {},
    optional={
        "on_enter": ACTIONS,
        "follow_ups": st.lists(
            st.fixed_dictionaries({"after": st.just("1d"), "send": NAMES, "when": WHENS}), max_size=2
        ),
        "on_response": edges(),
        "on_event": st.dictionaries(st.sampled_from(["e", "f"]), edges(), max_size=2),
        "split": edges(share=st.none() | st.sampled_from(["50%", "100%", "0%"])),
        "timers": edges(after=st.just("2d")),
        "visits": st.fixed_dictionaries({"at_most": st.just(1), "then": NAMES}),
    },
)
MATCHERS = st.sampled_from([{"text": True}, {"number": "1..5"}, {"pattern": "("}, {"x": {"text": True}}])
SPECS = st.fixed_dictionaries(
    {
        "campaign_type": st.just("any"),
        "version": st.just(1),
        "start": NAMES,
        "stages": st.dictionaries(NAMES, STAGES, min_size=1, max_size=5),
        "exits": st.dictionaries(NAMES, st.sampled_from(["won", "stopped"]), min_size=1, max_size=2),
    },
    optional={
        "facts": st.dictionaries(NAMES, st.sampled_from(["int 1..9", "one of [a, b]?", "bool", "text?"]), max_size=4),
        "responses": st.dictionaries(NAMES, MATCHERS, max_size=3),
        "always": edges(),
        "priority": st.lists(st.fixed_dictionaries({"when": WHENS.filter(bool), "is": st.just("high")}), max_size=2),
        "ends_within": st.fixed_dictionaries({"at_most": st.just("9d"), "then": NAMES}),
        "messages": st.dictionaries(NAMES, st.just({"text": "{{ seats }} {% if"}), max_size=2),
    },
)


@given(SPECS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_spec_of_the_right_shape_is_checked_without_an_exception(spec: dict[str, Any]) -> None:
    found = check(loaded(spec))
    assert found == sorted(found)
    assert all(problem.message and problem.code for problem in found)


def large(stages: int, edges_each: int) -> str:
    def stage(number: int) -> Iterable[str]:
        yield f"  s{number}:"
        yield "    on_response:"
        for edge in range(edges_each):
            yield f'      - {{when: word == "w{edge}" and seats > {edge}, go: s{(number + edge) % stages}}}'
        yield "      - otherwise: done"
        yield f"    visits: {{at_most: 2, then: done}}\n    timers: [{{after: 1d, go: s{(number + 1) % stages}}}]"

    head = "campaign_type: large\nversion: 1\nstart: s0\nfacts: {seats: int}\nresponses: {word: {text: true}}\n"
    return head + "stages:\n" + "\n".join(line for n in range(stages) for line in stage(n)) + "\nexits: {done: won}\n"


def test_a_large_type_is_checked_in_well_under_a_second() -> None:
    source = read_yaml(large(60, 4), "large.yaml")
    assert source.data is not None
    case: Any = SimpleNamespace(spec=CampaignTypeSpec.model_validate(source.data), document=source)
    began = time.process_time()
    assert check(case) == []
    assert time.process_time() - began < 1
