from __future__ import annotations

import pytest

from engine.core.errors import SpecError
from engine.core.loader import parse_campaign_type
from engine.core.problems import Problem
from tests.unit.checking import answering, codes, problems, splitting, waiting

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


def test_a_name_that_is_taken_twice_or_has_a_reserved_label_is_told_once() -> None:
    source = """
campaign_type: hello
version: 1
facts: {rating: int, plan: "text?"}
send_window: {from: "09:00", to: "17:00"}
responses:
  answer: {"yes": {any_word: [yes]}, other: {any_word: [stop]}}
  rating: {number: true}
  plan: {text: true}
start: ask
always: [{when: answer == "stop", go: left}]
stages:
  ask:
    on_enter: [send: intro]
    on_response: [{when: 'rating == "a" or plan > 3', go: left}]
    timers: [{after: 3d, go: won_it}]
exits: {won_it: won, left: stopped}
messages: {intro: {text: "Hi {{ plan }} {{ rating }}"}}
"""
    with pytest.raises(SpecError) as caught:
        parse_campaign_type(source, "hello.yaml")
    assert [problem.code for problem in caught.value.problems] == ["E108", "E108", "E108"]


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
        (["{when: responses == 0 and follow_ups_sent == 0, go: won_it}"], []),
        (["{when: responses < 2, go: won_it}", "otherwise: left"], ["E303"]),
        (["{when: responses_total == 0, go: won_it}"], ["E305"]),
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
    return [problem for problem in caught.value.problems if problem.severity == "error"]


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi {% for i in (1..100000000) %}x{% endfor %}", "loop iteration limit"),
        ("Hi {% for i in (1..9999) %}{{ 'An output that soon is too long' }}{% endfor %}", "output stream limit"),
        ("Hi {% for i in (1..rating) %}x{% endfor %}", None),
        ("Hi {% if rating > 3 %}x{% endif %}", None),
    ],
)
def test_a_text_that_always_runs_into_a_limit_is_reported_at_its_place(text: str, expected: str | None) -> None:
    found = message_problems(f'  intro: {{text: "{text}"}}\n  other: {{text: "{{{{ nobody }}}}"}}')
    told = [problem for problem in found if problem.code == "E107"]
    assert [problem.message.split(": ")[1].startswith(expected or "") for problem in told] == [True] * bool(expected)
    assert all(problem.source[problem.column - 1 :].startswith("for i in") for problem in told)


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
