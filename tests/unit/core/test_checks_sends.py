"""Checks of what is sent: opting out, send windows, limits, unused messages, missing variables, long SMS."""

from __future__ import annotations

import pytest

from tests.unit.checking import codes, findings, waiting, warnings

WINDOW = 'send_window: {from: "09:00", to: "17:00"}'
SEND = "on_enter: [{send: intro}]"


def warned(stages: str, more: str = WINDOW) -> list[str]:
    return [problem.code for problem in warnings(stages, more=more)]


@pytest.mark.parametrize(
    ("always", "refused"),
    [
        ("[{when: vip, go: left}]", False),
        ("[{when: vip, go: lost_it}]", True),
        ("[]", True),
        ("[{when: vip, go: sort}]", False),
        ("[{when: vip, go: later}]", True),
    ],
)
def test_who_is_written_to_can_opt_out_in_every_stage(always: str, refused: bool) -> None:
    stages = f"""{waiting(SEND, "on_event: {opened: {go: sort}, closed: {go: later}}")}
  sort: {{split: [{{when: seats > 5, go: lost_it}}, {{otherwise: left}}]}}
  later: {{timers: [{{after: 1d, go: left}}]}}
"""
    assert codes(stages, more=f"always: {always}") == (["E501"] if refused else [])


def test_a_type_that_sends_nothing_needs_no_way_to_opt_out() -> None:
    assert codes(waiting(), more="always: []") == []


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([SEND], True),
        ([SEND, WINDOW], False),
        (["on_enter: [{send: intro, ignore_window: true}]"], False),
        (["follow_ups: [{after: 1d, send: intro}]"], True),
    ],
)
def test_messages_without_a_send_window_are_told_once(lines: list[str], told: bool) -> None:
    found = [problem.code for problem in findings(waiting(*lines)) if problem.code == "W503"]
    assert found == (["W503"] if told else [])
    assert "W503" not in [problem.code for problem in findings(waiting(*lines), more=WINDOW)]


@pytest.mark.parametrize(
    ("limits", "lines", "count"),
    [
        ("cooldown: 24h", [SEND, "follow_ups: [{after: 1d, send: intro}]"], 0),
        ("cooldown: 25h", [SEND, "follow_ups: [{after: 1d, send: intro}]"], 1),
        ("cooldown: 25h", [SEND, "follow_ups: [{after: 1d, send: intro, ignore_limits: true}]"], 0),
        ("per_recipient: 2 per 2d", [SEND, "follow_ups: [{after: 23h, send: intro, times: 2}]"], 1),
        ("per_recipient: 2 per 46h", [SEND, "follow_ups: [{after: 23h, send: intro, times: 2}]"], 0),
        ("per_recipient: [1 per 1h, 2 per 2d]", ["on_enter: [send: intro, send: intro, send: intro]"], 2),
    ],
)
def test_a_visit_that_plans_more_than_limits_allow_is_told_at_the_first_message_held_back(
    limits: str, lines: list[str], count: int
) -> None:
    assert warned(waiting(*lines), more=f"{WINDOW}\nlimits: {{{limits}}}") == ["W502"] * count


def test_a_message_nobody_sends_is_told_unless_a_name_is_misspelt() -> None:
    assert [problem.code for problem in findings(waiting(), more=WINDOW) if "'intro'" in problem.message] == ["W605"]
    assert "W605" not in [problem.code for problem in findings(waiting("on_enter: [{send: inttro}]"), more=WINDOW)]


# --- what messages come to

TYPE = """
campaign_type: hello
version: 1
facts: {{first_name: text, company: "text?", seats: "int 1..100000?", plan: "one of [free, enterprise]"}}
responses: {{rating: {{number: 1..5}}}}
channel: {channel}
send_window: {{from: "09:00", to: "17:00"}}
start: ask
always: [{{when: event == "unsubscribed", go: left}}]
stages: {{ask: {{on_enter: [{send}], timers: [{{after: 3d, go: left}}]}}}}
exits: {{left: stopped}}
messages: {{intro: {{subject: Hello, text: {text}}}}}
"""


def told(text: str, channel: str = "email", send: str = "{send: intro}") -> list[str]:
    from engine.core.loader import parse_campaign_type

    source = TYPE.format(channel=channel, send=send, text=f"'{text}'")
    return [problem.code for problem in parse_campaign_type(source, "hello.yaml").warnings]


@pytest.mark.parametrize(
    "text", ["{{ company }}", "{{ rating }}", "{{ company | upcase }}", "{{ first_name }} {{ seats }}"]
)
def test_a_variable_that_may_be_missing_needs_a_default_or_a_condition(text: str) -> None:
    assert told(text) == ["W603"]


@pytest.mark.parametrize(
    "text",
    [
        "{{ first_name }}",
        '{{ company | default: "you" }}',
        "{% if company %}{{ company }}{% endif %}",
        "{{ recipient.email }}",
    ],
)
def test_a_variable_that_is_there_or_taken_care_of_is_fine(text: str) -> None:
    assert told(text) == []


def test_an_sms_over_three_segments_is_told_wherever_its_channel_is_named() -> None:
    long, short = "a" * 460, "a" * 459
    assert told(long) == []
    assert told(long, channel="sms") == ["W604"]
    assert told(long, send="{send: intro, channel: sms}") == ["W604"]
    assert told(long, channel="sms", send="{send: intro, channel: email}") == []
    assert told(short, channel="sms") == []


def test_the_length_of_an_sms_counts_likely_values() -> None:
    assert told("a" * 440 + "{{ first_name }}", channel="sms") == ["W604"]
    assert told("a" * 439 + "{{ first_name }}", channel="sms") == []
    assert told("a" * 449 + "{{ plan }}", channel="sms") == []
    assert told("a" * 450 + "{{ plan }}", channel="sms") == ["W604"]
    assert told("a" * 450 + "{{ plan | upcase }}", channel="sms") == ["W604"]
