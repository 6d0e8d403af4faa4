from __future__ import annotations

import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.checks import check
from engine.core.errors import SpecError
from engine.core.loader import parse_campaign_type
from engine.core.problems import Problem
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import read_yaml

FACTS = "{seats: int 1..1000, plan: 'one of [free, team]?', vip: bool, name: text, renewal_on: date}"
RESPONSES = """
  answer: {"yes": {any_word: [yes, sure]}, "no": {any_word: [no]}, stop: {phrase: stop}}
  rating: {number: 1..5}
  words: {text: true}
"""


def problems(stages: str, *, more: str = "", start: str = "ask") -> list[Problem]:
    """What the checks find in a type with these stages, the exits `won_it lost_it left` and one message."""
    source = f"""
campaign_type: hello
version: 1
facts: {FACTS}
responses: {RESPONSES.rstrip()}
start: {start}
{more}
stages:
{stages}
exits: {{won_it: won, lost_it: lost, left: stopped}}
messages: {{intro: {{text: Hello}}}}
"""
    try:
        parse_campaign_type(source, "hello.yaml")
    except SpecError as error:
        return list(error.problems)
    return []


def codes(stages: str, **options: str) -> list[str]:
    return [problem.code for problem in problems(stages, **options)]


def waiting(*lines: str) -> str:
    """The stage `ask` with these lines in it, which otherwise gives up after three days."""
    return "\n".join(["  ask:", *(f"    {line}" for line in lines), "    timers: [{after: 3d, go: lost_it}]"])


def answering(*edges: str) -> str:
    return waiting("on_response:", *(f"  - {edge}" for edge in edges))


def splitting(*edges: str) -> str:
    return "\n".join(["  ask:", "    split:", *(f"      - {edge}" for edge in edges)])


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


@pytest.mark.parametrize("edge", ["{go: stay, do: [{send: intro}]}", "{otherwise: stay, do: [{send: intro}]}"])
def test_a_stay_that_acts_needs_a_bound(edge: str) -> None:
    assert codes(answering(edge)) == ["E204"]
    assert codes(answering(edge.replace("do:", "at_most: 2, do:"))) == []
    assert codes(waiting(), more=f"always: [{edge}]") == ["E204"]


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


# --- guards


@pytest.mark.parametrize(
    ("line", "code", "at"),
    [
        ("follow_ups: [{after: 1d, send: intro, when: vip and seatz > 3}]", "E301", "seatz"),
        ("on_enter: [{send: intro, when: seatz > 3}]", "E301", "seatz"),
        ("on_event: {opened: {go: left, do: [{send: intro, when: not seatz > 3}]}}", "E301", "seatz"),
        ('on_enter: [{send: intro, when: event == "opened"}]', "E301", "event"),
        ("on_enter: [{send: intro, when: vip and seats >}]", "E107", "}"),
        ("on_enter: [{send: intro, when: vip and seats > name}]", "E107", "name"),
        ('on_event: {opened: {go: left, when: event == "closed"}}', "E302", "event"),
        ("on_enter: [{set: {seat: 3}}]", "E301", "seat"),
        ("on_enter: [{set: {seats: 3, vip: maybe}}]", "E302", "maybe"),
        ("on_enter: [{set: {seats: 2000}}]", "E302", "2000"),
        ("on_enter: [{set: {vip: rating}}]", "E302", "rating"),
        ("on_enter: [{set: {seats: answer}}]", "E302", "answer"),
    ],
)
def test_a_wrong_name_or_value_is_pointed_at(line: str, code: str, at: str) -> None:
    [problem] = problems(waiting(line))
    assert problem.code == code
    assert problem.source[problem.column - 1 :].startswith(at)


def test_a_set_takes_constants_of_the_facts_type_and_captured_values() -> None:
    values = "{seats: 3, plan: team, vip: true, name: words, renewal_on: '2026-03-01'}"
    assert codes(waiting(f"on_enter: [{{set: {values}}}]")) == []


def test_priority_sees_facts_only() -> None:
    assert codes(waiting(), more="priority: [{when: seats > 100, is: high}]") == []
    assert codes(waiting(), more='priority: [{when: answer == "yes", is: high}]') == ["E301"]
    assert codes(waiting(), more="priority: [{when: responses > 1, is: high}]") == ["E301"]


def test_the_event_is_known_to_always_and_on_event() -> None:
    more = 'always: [{when: event == "bounced", go: lost_it}]'
    assert codes(waiting('on_event: {opened: {go: left, when: event == "opened"}}'), more=more) == []


@pytest.mark.parametrize(
    "when",
    [
        'plan == "teem"', 'plan in ["free", "teem"]', "plan > 3", 'name < "b"', 'seats == "ten"', "seats == 2000",
        "seats in [0, 2000]", "seats", "not vip == 3", 'renewal_on > "soon"', "visits == 0", "rating == 6",
    ],
)  # fmt: skip
def test_a_comparison_that_nothing_can_answer_is_impossible(when: str) -> None:
    assert codes(waiting(f"on_enter: [{{send: intro, when: '{when}'}}]")) == ["E302"]


@pytest.mark.parametrize(
    "when",
    ["seats >= 1", "seats > 1000", 'plan == "team"', "vip", 'renewal_on < "2026-03-01"', "words is missing"],
)
def test_an_ordinary_comparison_is_possible(when: str) -> None:
    assert codes(waiting(f"on_enter: [{{send: intro, when: '{when}'}}]")) == []


# --- coverage


def test_an_edge_after_one_that_takes_all_it_could_is_shadowed() -> None:
    [problem] = problems(splitting("{when: seats > 9, go: won_it}", "{when: seats > 99, go: left}", "otherwise: left"))
    assert problem.code == "E303"
    assert problem.source[problem.column - 1 :].startswith("seats > 99")


@pytest.mark.parametrize(
    ("edges", "shadowed"),
    [
        (["{when: seats > 9, go: won_it}", "{when: seats <= 9, go: left}", "otherwise: left"], True),
        (["{when: vip, go: won_it}", "{when: not vip, go: left}", "otherwise: left"], True),
        (["{when: plan == 'free', go: won_it}", "{when: plan == 'team', go: left}", "otherwise: left"], False),
        (["{share: 40%, go: won_it}", "{share: 60%, go: left}", "otherwise: left"], True),
        (["{share: 40%, go: won_it}", "{when: vip, go: left}", "otherwise: left"], False),
        (["otherwise: won_it", "{when: vip, go: left}"], True),
        (["{go: won_it}", "otherwise: left"], True),
    ],
)
def test_what_is_left_for_an_edge_is_decided_exactly(edges: list[str], shadowed: bool) -> None:
    assert codes(splitting(*edges)) == (["E303"] if shadowed else [])


def test_a_bounded_edge_hides_nothing() -> None:
    edges = ("{when: responses >= 1, go: stay, at_most: 1}", "otherwise: won_it")
    assert codes(answering(*edges)) == []
    assert codes(answering(edges[0].replace(", at_most: 1", ""), edges[1])) == ["E303"]


def test_an_edge_of_always_can_be_shadowed_too() -> None:
    more = """
always:
  - {when: 'answer in ["stop", "no"]', go: left}
  - {when: answer == "no", go: lost_it}
"""
    assert codes(waiting(), more=more) == ["E303"]


@pytest.mark.parametrize(
    ("edges", "left_out"),
    [
        (['{when: answer == "yes", go: won_it}'], "answer is"),
        (["""{when: "answer in ['yes', 'no', 'stop']", go: won_it}"""], "answer is 'other'"),
        (["""{when: "answer in ['yes', 'no', 'stop', 'other']", go: won_it}"""], None),
        (["{when: rating >= 4, go: won_it}", "{when: rating < 4, go: left}"], "rating is missing"),
        (["{when: rating >= 4, go: won_it}", "{when: rating is missing or rating < 4, go: left}"], None),
        (["{when: responses > 1, go: won_it}", "{when: responses == 1, go: left}"], None),
        (["{when: vip, go: stay, at_most: 1}", "{when: not vip, go: left}"], None),
        (["{go: stay, at_most: 1}"], None),
    ],
)
def test_every_response_must_be_taken(edges: list[str], left_out: str | None) -> None:
    found = problems(answering(*edges))
    assert [problem.code for problem in found] == (["E305"] if left_out else [])
    assert all(left_out in problem.message for problem in found if left_out)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        (["{when: plan == 'free', go: won_it}", "{when: plan == 'team', go: left}"], ["E305"]),
        (["{share: 40%, go: won_it}", "{share: 59.9%, go: left}"], ["E305"]),
        (["{share: 40%, go: won_it}", "{share: 60%, go: left}"], []),
        (["{when: seats > 9, go: won_it}", "{when: seats < 10, go: left}"], []),
        (["{when: seats > 9, share: 40%, go: won_it}", "otherwise: left"], ["E308"]),
        (["{share: 40%, go: won_it}", "{share: 60.1%, go: left}"], ["E308"]),
    ],
)
def test_a_split_must_lead_everyone_on_and_share_out_no_more_than_there_is(
    edges: list[str], expected: list[str]
) -> None:
    assert codes(splitting(*edges)) == expected


def test_what_always_takes_need_not_be_taken_again() -> None:
    stages = answering("""{when: "answer in ['yes', 'no', 'other']", go: won_it}""")
    assert codes(stages, more='always: [{when: answer == "stop", go: left}]') == []
    assert codes(stages, more='always: [{when: answer == "stop", go: ask}]') == ["E305"]


def test_a_wrong_guard_is_told_once_and_its_list_not_judged() -> None:
    assert codes(answering('{when: answer == "yess", go: won_it}')) == ["E302"]
    assert codes(answering('{when: anser == "yes", go: won_it}')) == ["E301"]


# --- texts


def message_problems(messages: str) -> list[Problem]:
    source = f"""
campaign_type: hello
version: 1
facts: {{first_name: text}}
responses: {{rating: {{number: true}}}}
start: ask
stages: {{ask: {{timers: [{{after: 3d, go: lost_it}}]}}}}
exits: {{lost_it: lost}}
messages:
{messages}
"""
    with pytest.raises(SpecError) as caught:
        parse_campaign_type(source, "hello.yaml", read_file=lambda _: "Hi\n {{ nobody }}")
    return list(caught.value.problems)


def test_an_unknown_variable_is_found_in_subject_and_text_at_its_place() -> None:
    subject, text = message_problems(
        """
  intro:
    subject: "{{ first_name }} {{ nam }}"
    text: |
      {{ rating }} {{ recipient.email }} {{ campaign.name }} {{ unsubscribe_url }}

      {{ recipient.age }}
"""
    )
    assert (subject.code, text.code) == ("E602", "E602")
    assert subject.source[subject.column - 1 :].startswith("nam }}")
    assert text.source[text.column - 1 :].startswith("recipient.age")


def test_a_variable_of_a_message_file_is_reported_at_the_file_with_its_line() -> None:
    [problem] = message_problems("  intro: {file: intro.liquid}")
    assert problem.code == "E602"
    assert problem.source[problem.column - 1 :].startswith("intro.liquid")
    assert "line 2, column 5 of that file" in problem.message


def test_a_text_that_is_no_template_is_reported_at_its_place() -> None:
    [problem] = message_problems("  intro: {text: 'Hi {{ first_name | shout }}'}")
    assert problem.code == "E107"
    assert problem.source[problem.column - 1 :].startswith("shout")


def test_a_pattern_that_is_no_regular_expression_is_reported_at_its_place() -> None:
    responses = "{code: {pattern: 'a(b'}, kind: {x: {pattern: '[0-9'}}}"
    with pytest.raises(SpecError) as caught:
        parse_campaign_type(
            "campaign_type: hello\nversion: 1\nstart: ask\nstages: {ask: {timers: [{after: 1d, go: end}]}}\n"
            f"exits: {{end: won}}\nresponses: {responses}",
            "hello.yaml",
        )
    assert [problem.code for problem in caught.value.problems] == ["E107", "E107"]
    assert caught.value.problems[1].source[caught.value.problems[1].column - 1 :].lstrip("'").startswith("[0-9")


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
