"""Opting out always works, being paused or over stops everything else, and a campaign ends for all."""

from __future__ import annotations

import pytest

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.model import Effect, Event, Step
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after

STOPPING = '[{when: answer == "stop", go: opted_out}, {when: event == "unsubscribed", go: opted_out}]'
STAGES = """
ask:
  on_enter: [{send: intro, after: 2h}]
  on_response: [{when: answer == "yes", go: bought}]
  timers: [{after: 10d, go: gave_up}]
"""


def stopping(stages: str = STAGES, **changes: object) -> CompiledType:
    return a_type(stages, **({"always": STOPPING} | changes))


def paused(compiled: CompiledType) -> Story:
    story = Story(compiled)
    story.conversation.status = "paused"
    return story


# ---- opting out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [a_reply("stop", START), Event("event", START, name="unsubscribed")])
def test_entering_a_stopped_exit_by_a_response_or_event_opts_out_and_sends_nothing(event: Event) -> None:
    always = STOPPING.replace("go: opted_out", "go: opted_out, do: [{send: tip}]")
    story = Story(
        stopping(
            always=always,
            exits="{bought: won, gave_up: lost, opted_out: {outcome: stopped, on_enter: [{send: goodbye}]}}",
        )
    )
    decision = story.decide(event)
    assert [each.kind for each in decision.effects] == ["cancel", "unsubscribe"]
    assert decision.effects[0].scope == "conversation"
    assert (story.stage, story.status, story.next_due, decision.steps[0].sends) == ("opted_out", "stopped", None, 0)


def test_a_stopped_exit_entered_by_the_clock_opts_nobody_out_and_may_say_goodbye() -> None:
    compiled = a_type(
        "ask: {timers: [{after: 1d, go: opted_out}]}",
        exits="{opted_out: {outcome: stopped, on_enter: [{send: goodbye}]}}",
    )
    story = Story(compiled).wait("1d")
    assert (story.status, story.names, story.opted_out) == ("stopped", ["goodbye"], False)


def test_a_stages_own_edge_to_a_stopped_exit_opts_out_too() -> None:
    compiled = a_type("ask: {min_stay: 1d, on_response: [{when: answer == 'stop', go: opted_out}]}")
    assert Story(compiled).reply("stop", after="25h").opted_out
    assert Story(compiled).reply("stop").wait("1d").opted_out


def test_a_response_that_comes_to_a_stopped_exit_through_a_split_opts_out() -> None:
    stages = STAGES + "\nfarewell: {split: [{when: vip, go: gave_up}, {otherwise: opted_out}]}"
    exits = "{bought: won, gave_up: lost, opted_out: {outcome: stopped, on_enter: [{send: goodbye}]}}"
    story = (
        Story(stopping(stages, always="[{when: answer == 'stop', go: farewell}]", exits=exits)).reply("stop").wait("9d")
    )
    assert (story.stage, story.opted_out, story.names) == ("opted_out", True, [])


def test_an_exit_that_is_not_stopped_opts_nobody_out() -> None:
    story = Story(stopping()).reply("yes")
    assert (story.stage, story.status, story.opted_out) == ("bought", "completed", False)


def test_opting_out_cancels_what_the_same_evaluation_sent_before() -> None:
    compiled = stopping(
        STAGES.replace("timers:", "on_event: {opened: {go: stay, do: [{send: tip}], at_most: 1}}\n  timers:")
    )
    story = Story(compiled)
    decision = story.decide(Event("event", after("1h"), name="opened"), a_reply("stop", after("2h")), at=after("3h"))
    assert [(each.name, each.cancelled) for each in decision.effects if each.kind == "send"] == [("tip", True)]
    assert story.wait("9d").names == []


# ---- paused ---------------------------------------------------------------------------------------------------------


def test_while_paused_nothing_is_due_and_responses_wait() -> None:
    story = paused(stopping())
    before = story.conversation.copy()
    decision = story.decide(a_reply("yes", after("1h")), Event("event", after("1h"), name="opened"), at=after("30d"))
    assert (decision.conversation, decision.steps, decision.effects, decision.next_due) == (before, (), (), None)


def test_what_waited_while_paused_is_taken_in_its_order_on_resume() -> None:
    story = paused(stopping())
    story.decide(a_reply("yes", after("1h")), at=after("2d"))
    story.conversation.status = "active"
    story.decide(a_reply("yes", after("1h")), at=after("20d"))
    assert (story.stage, story.conversation.responses_total) == ("bought", 1)


def test_opting_out_works_while_paused() -> None:
    story = paused(stopping())
    decision = story.decide(a_reply("hello", after("1h")), a_reply("stop", after("2h")), at=after("3h"))
    assert decision.steps == (Step(2, "ask", "opted_out", "response", "always[0]", True, 0, after("3h")),)
    assert [each.kind for each in decision.effects] == ["cancel", "unsubscribe"]
    assert (story.status, story.next_due) == ("stopped", None)


def test_while_paused_no_other_edge_of_always_is_taken() -> None:
    story = paused(stopping(always="[{go: stay, do: [{send: tip}], at_most: 9}, {when: answer == 'yes', go: bought}]"))
    decision = story.decide(a_reply("yes", after("1h")), at=after("2h"))
    assert (decision.steps, decision.effects, story.stage) == ((), (), "ask")


def test_opting_out_by_an_event_works_while_paused() -> None:
    story = paused(stopping())
    story.decide(Event("event", after("1h"), name="unsubscribed"), at=after("2h"))
    assert (story.stage, story.opted_out, story.conversation.responses_total) == ("opted_out", True, 0)


def test_an_opt_out_while_paused_counts_and_captures_as_any_response() -> None:
    story = paused(
        stopping(always="[{when: answer == 'stop' and responses_total == 1 and responses == 1, go: opted_out}]")
    )
    story.decide(a_reply("stop", after("1h")), at=after("2h"))
    assert (story.stage, story.conversation.responses_total) == ("opted_out", 1)
    assert story.conversation.captured == {"answer": "stop"}


def test_opting_out_works_before_the_start_while_paused() -> None:
    compiled = stopping()
    decision = decide(compiled, a_conversation(status="paused"), [a_reply("stop", START)], after("1h"))
    assert (decision.conversation.stage, decision.conversation.seq, decision.next_due) == ("opted_out", 1, None)


# ---- over -----------------------------------------------------------------------------------------------------------


def test_after_an_exit_a_response_is_recorded_only() -> None:
    story = Story(stopping()).reply("yes")
    before = story.conversation.copy()
    decision = story.decide(a_reply("yes", after("1h")), at=after("1h"))
    assert (decision.conversation, decision.steps, decision.effects) == (before, (), ())
    assert [(each.stage, each.values) for each in decision.readings] == [("bought", {"answer": "yes"})]


def test_after_an_exit_opting_out_keeps_stage_and_outcome_without_a_step() -> None:
    story = Story(stopping()).reply("yes")
    decision = story.decide(a_reply("stop", after("1h")), at=after("1h"))
    assert (decision.steps, [each.kind for each in decision.effects]) == ((), ["unsubscribe"])
    assert (story.stage, story.status) == ("bought", "completed")


def test_after_an_exit_an_event_opts_out_too() -> None:
    story = Story(stopping()).reply("yes")
    assert [each.kind for each in story.decide(Event("event", START, name="unsubscribed")).effects] == ["unsubscribe"]


def test_an_opt_out_right_after_the_exit_in_the_same_evaluation_cancels_the_goodbye() -> None:
    compiled = stopping(
        exits="{bought: {outcome: won, on_enter: [{send: goodbye}]}, gave_up: lost, opted_out: stopped}"
    )
    story = Story(compiled)
    decision = story.decide(a_reply("yes", after("1h")), a_reply("stop", after("2h")), at=after("3h"))
    assert (story.stage, story.status, len(decision.steps)) == ("bought", "completed", 1)
    assert [(each.kind, each.cancelled) for each in decision.effects if each.kind in ("send", "unsubscribe")] == [
        ("send", True),
        ("unsubscribe", False),
    ]


def test_opting_out_of_a_failed_conversation_works_and_leaves_it_as_it_is() -> None:
    story = Story(stopping())
    story.conversation.status = "failed"
    decision = story.decide(a_reply("yes", after("1h")), a_reply("stop", after("2h")), at=after("3h"))
    assert [each.kind for each in decision.effects] == ["unsubscribe"]
    assert (story.stage, story.status, decision.steps) == ("ask", "failed", ())


# ---- the end of a campaign ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "status"), [("campaign_end", "stopped"), ("cancelled", "stopped"), ("completed", "completed")]
)
def test_an_end_closes_the_conversation_where_it_stands_with_a_step(cause: str, status: str) -> None:
    story = Story(stopping())
    decision = story.decide(Event("end", after("1h"), name=cause), at=after("1h"))
    assert decision.steps == (Step(2, "ask", "ask", cause, "", False, 0, after("1h")),)
    assert decision.effects == (Effect("cancel", 2, scope="conversation"),)
    assert (story.stage, story.status, story.next_due, story.conversation.agenda) == ("ask", status, None, ())
    assert story.wait("30d").names == []


def test_an_end_cancels_also_what_edges_of_the_same_evaluation_sent() -> None:
    compiled = stopping(
        "ask: {on_response: [{go: stay, do: [{send: tip}], at_most: 1}], timers: [{after: 9d, go: gave_up}]}"
    )
    story = Story(compiled)
    decision = story.decide(
        a_reply("hello", after("1h")), Event("end", after("2h"), name="campaign_end"), at=after("3h")
    )
    assert [(each.name, each.cancelled) for each in decision.effects if each.kind == "send"] == [("tip", True)]


def test_an_end_reaches_a_paused_and_a_not_yet_started_conversation() -> None:
    end = Event("end", after("1h"), name="cancelled")
    story = paused(stopping())
    story.decide(end, at=after("2h"))
    assert (story.status, story.causes[-1]) == ("stopped", "cancelled -> ask")
    early = decide(stopping(), a_conversation(starts_at=after("2d")), [end], after("2h"))
    assert (early.conversation.status, early.steps) == (
        "stopped",
        (Step(1, None, None, "cancelled", "", False, 0, after("2h")),),
    )


def test_an_end_changes_nothing_after_an_exit() -> None:
    story = Story(stopping()).reply("yes")
    decision = story.decide(Event("end", after("1h"), name="cancelled"), at=after("2h"))
    assert (decision.steps, decision.effects, story.status) == ((), (), "completed")


def test_what_is_due_by_the_end_happens_before_it_and_nothing_after() -> None:
    compiled = stopping(
        """
        ask:
          timers:
            - {after: 1d, go: stay, do: [{assign: {to: one}}]}
            - {after: 25h, go: stay, do: [{assign: {to: two}}]}
            - {after: 9d, go: gave_up}
        """
    )
    story = Story(compiled)
    story.decide(Event("end", after("1d"), name="campaign_end"), a_reply("stop", after("26h")), at=after("3d"))
    assert story.causes == ["start -> ask", "timer -> ask", "campaign_end -> ask"]
    assert (story.assigned, story.opted_out, story.status) == ([("one", "normal")], True, "stopped")
