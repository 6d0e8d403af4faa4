"""What a campaign type is compiled to: one Machine, whose guards are the guards of the YAML."""

from __future__ import annotations

import gc
from uuid import UUID

import pytest

from engine.core.compiled import NEW, Row
from engine.core.decide import decide
from engine.core.model import Verdict, new_conversation
from tests.unit.builders import SOMEONE, START, a_conversation, a_type

STAGES = """
ask:
  min_stay: 1d
  follow_ups: [{after: 1d, send: bump, times: 2}, {after: 2d, send: tip, when: vip}]
  on_response: [{when: answer == "yes", go: which}, {go: stay, do: [{send: tip}], at_most: 2}, {otherwise: gave_up}]
  on_event: {opened: {when: seats > 3, go: ask}}
  timers: [{after: 3d, go: gave_up}]
  escalate: [{after: 2d, to: lead}]
  visits: {at_most: 2, then: which}
which:
  split: [{when: vip, go: bought}, {share: 50%, go: gave_up}, {otherwise: bought}]
"""
WHOLE = {"always": '[{when: answer == "stop", go: opted_out}]', "ends_within": "{at_most: 30d, then: gave_up}"}


def a_row(state: str, **values: object) -> Row:
    row = Row.of(a_conversation())
    row.state = state
    for name, value in values.items():
        setattr(row, name, value)
    return row


def test_every_edge_is_listed_once_with_its_place_in_the_yaml() -> None:
    edges = a_type(STAGES, **WHOLE).edges
    assert [edge.key for edge in edges] == [
        "stages.ask.on_response[0]",
        "stages.ask.on_response[1]",
        "stages.ask.on_response[2]",
        "stages.ask.on_event.opened[0]",
        "stages.ask.timers[0]",
        "stages.ask.follow_ups[0]",
        "stages.ask.follow_ups[1]",
        "stages.ask.escalate[0]",
        "stages.which.split[0]",
        "stages.which.split[1]",
        "stages.which.split[2]",
        "always[0]",
        "ends_within",
    ]


def test_a_stage_has_its_follow_ups_one_by_one_and_a_split_does_not_wait() -> None:
    stages = a_type(STAGES, **WHOLE).stages
    assert [(each.send.message, each.edge.key[-1 - 1]) for each in stages["ask"].follow_ups] == [
        ("bump", "0"),
        ("bump", "0"),
        ("tip", "1"),
    ]
    assert (stages["ask"].splits, stages["which"].splits, stages["bought"].outcome) == (False, True, "won")


@pytest.mark.parametrize(
    ("trigger", "state", "values", "taken", "lands"),
    [
        ("begin", NEW, {}, "start", "ask"),
        ("begin", "ask", {}, None, "ask"),
        ("respond", "ask", {"said": {"answer": "yes"}}, "stages.ask.on_response[0]", "which"),
        ("respond", "ask", {"said": {"answer": "no"}}, "stages.ask.on_response[1]", "ask"),
        ("respond", "ask", {"used": {"stages.ask.on_response[1]": 2}}, "stages.ask.on_response[2]", "gave_up"),
        ("respond", "which", {}, None, "which"),
        ("always", "ask", {"said": {"answer": "stop"}}, "always[0]", "opted_out"),
        ("always", NEW, {"said": {"answer": "stop"}}, "always[0]", "opted_out"),
        ("always", "bought", {"said": {"answer": "stop"}}, None, "bought"),
        ("opt_out", "bought", {"said": {"answer": "stop"}}, "always[0]", "bought"),
        ("event:opened", "ask", {"facts": {"seats": 4}, "visits": {"ask": 1}}, "stages.ask.on_event.opened[0]", "ask"),
        (
            "event:opened",
            "ask",
            {"facts": {"seats": 4}, "visits": {"ask": 2}},
            "stages.ask.on_event.opened[0]",
            "which",
        ),
        ("event:opened", "ask", {"facts": {"seats": 3}}, None, "ask"),
        ("event:closed", "ask", {}, None, "ask"),
        ("timer0", "ask", {}, "stages.ask.timers[0]", "gave_up"),
        ("timer1", "ask", {}, None, "ask"),
        ("follow1", "ask", {}, "stages.ask.follow_ups[0]", "ask"),
        ("follow2", "ask", {}, None, "ask"),
        ("follow2", "ask", {"facts": {"vip": True}}, "stages.ask.follow_ups[1]", "ask"),
        ("escalate0", "ask", {}, "stages.ask.escalate[0]", "ask"),
        ("end", "ask", {}, "ends_within", "gave_up"),
        ("end", "which", {}, None, "which"),
        ("split", "which", {"facts": {"vip": True}}, "stages.which.split[0]", "bought"),
    ],
)
def test_a_trigger_takes_the_first_edge_that_is_open(
    trigger: str, state: str, values: dict[str, object], taken: str | None, lands: str
) -> None:
    row = a_row(state, **values)
    assert a_type(STAGES, **WHOLE).trigger(trigger, row) is (taken is not None)
    assert (row.edge.key if row.edge else None, row.state) == (taken, lands)


def test_a_guard_leaves_its_inputs_and_verdict_in_the_trace_once_also_where_visits_are_bounded() -> None:
    for visits in ({"ask": 1}, {"ask": 2}):
        for seats, passed in ((4, True), (3, False), (None, None)):
            row = a_row("ask", visits=visits, facts={"seats": seats})
            a_type(STAGES).trigger("event:opened", row)
            assert row.trace == [Verdict("stages.ask.on_event.opened[0]", {"seats": seats}, passed)]


def test_a_share_leaves_where_the_conversation_falls_in_the_trace() -> None:
    row = a_row("which", visits={"which": 1})
    assert a_type(STAGES).trigger("split", row)
    [_, share] = row.trace
    drawn = share.inputs["(share)"]
    assert (0 <= drawn < 1, share.passed, share.edge) == (True, drawn < 0.5, "stages.which.split[1]")


def test_moving_a_row_leaves_the_machine_as_it_was_and_keeps_no_row() -> None:
    compiled = a_type(STAGES, **WHOLE)
    decide(compiled, new_conversation(SOMEONE, START), [], START)
    gc.collect()
    before = sum(isinstance(each, Row) for each in gc.get_objects())
    for number in range(100):
        decide(compiled, new_conversation(UUID(int=number), START), [], START)
    gc.collect()
    assert sum(isinstance(each, Row) for each in gc.get_objects()) == before


def test_names_of_the_machine_itself_are_harmless_as_stages_events_and_facts() -> None:
    compiled = a_type(
        """
        trigger: {on_event: {state: {when: initial > 3, go: events}}}
        events: {on_event: {"event:x": {go: begin}}}
        begin: {timers: [{after: 1d, go: gave_up}]}
        """,
        start="trigger",
        facts={"initial": "int"},
    )
    row = a_row("trigger", facts={"initial": 4})
    assert compiled.trigger("event:state", row)
    assert compiled.trigger("event:event:x", row)
    assert row.state == "begin"
