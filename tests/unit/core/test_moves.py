"""A conversation that somebody moves by hand leaves where it stands and enters where it is sent, as by any edge."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.core.decide import decide
from engine.core.errors import DecisionError, RefusedError
from engine.core.model import Event
from engine.core.moves import order
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after

LONG_AGO = START - timedelta(days=9_999)  # what is said about all of it comes before all of it
TYPE = a_type(
    """
    ask:
      on_enter: [{send: intro}, {send: tip, after: 3d}]
      follow_ups: [{after: 2d, send: bump}]
      on_response: [{when: answer == "yes", go: bought}, {otherwise: wait}]
      timers: [{after: 10d, go: gave_up}]
    wait:
      visits: {at_most: 1, then: gave_up}
      on_enter: [{send: tip}]
      timers: [{after: 5d, go: ask}]
    part:
      split: [{when: vip, go: bought}, {otherwise: wait}]
    """,
    always="[{when: answer == 'stop', go: opted_out}]",
    exits="{bought: {outcome: won, on_enter: [{send: goodbye}]}, gave_up: lost, opted_out: {outcome: stopped, "
    "on_enter: [{send: goodbye}]}}",
)


def moved(story: Story, target: str, *others: Event) -> Story:
    """The story after a move, with whatever else is heard of in the same evaluation."""
    name = order(story.compiled, story.conversation, target)
    story.decide(Event("end", LONG_AGO, name=name), *others)
    return story.until(story.now)


def test_a_move_is_one_step_that_enters_the_stage_and_what_the_visit_had_planned_dies() -> None:
    story = moved(Story(TYPE).wait("1d"), "wait")
    assert story.causes == ["start -> ask", "moved -> wait"]
    step = story.steps[-1]
    assert (step.seq, step.source, step.edge, step.entered, step.sends) == (2, "ask", "", True, 1)
    assert story.names == ["intro", "tip"]
    assert story.next_due == after("5d", story.now)
    assert story.wait("5d").causes[-1] == "timer -> ask"


def test_a_move_to_an_exit_ends_the_conversation_there() -> None:
    story = moved(Story(TYPE).wait("1d"), "bought")
    assert (story.stage, story.status, story.next_due) == ("bought", "completed", None)
    assert story.names == ["intro", "goodbye"]
    assert not story.opted_out


def test_a_move_to_a_stopped_exit_opts_out_and_sends_nothing() -> None:
    story = moved(Story(TYPE).wait("1d"), "opted_out")
    assert (story.stage, story.status, story.opted_out) == ("opted_out", "stopped", True)
    assert story.names == ["intro"]
    assert story.waiting == []


def test_a_split_takes_what_was_moved_to_it_on() -> None:
    story = moved(Story(TYPE, facts={"vip": False}), "part")
    assert story.causes[1:] == ["moved -> part", "split -> wait"]
    assert moved(Story(TYPE, facts={"vip": True}), "part").stage == "bought"


def test_a_move_into_the_stage_it_stands_in_begins_a_visit_anew() -> None:
    story = moved(Story(TYPE).wait("9d"), "ask")
    assert story.conversation.visits == {"ask": 2}
    assert story.next_due == after("10d", story.now)
    assert story.wait("9d").stage == "ask"


def test_a_conversation_that_has_not_begun_begins_where_it_is_moved() -> None:
    conversation = a_conversation(starts_at=after("9d"))
    word = Event("end", LONG_AGO, name=order(TYPE, conversation, "wait"))
    decision = decide(TYPE, conversation, [word], START)
    assert [(step.source, step.to, step.cause) for step in decision.steps] == [(None, "wait", "moved")]
    assert (decision.conversation.started_at, decision.next_due) == (START, after("5d"))


def test_the_move_comes_before_what_is_due_and_before_what_was_said_in_the_stage_left() -> None:
    story = Story(TYPE, workers=False)
    story.now = after("11d")
    moved(story, "wait", a_reply("yes", after("1d")))
    assert story.causes == ["start -> ask", "moved -> wait"]
    assert (story.conversation.responses, story.conversation.responses_total) == (0, 1)


def test_an_opt_out_that_waited_is_heard_in_the_stage_it_is_moved_to_and_what_that_sent_dies() -> None:
    story = Story(TYPE).wait("1d")
    moved(story, "wait", a_reply("stop", story.now))
    assert story.causes[1:] == ["moved -> wait", "response -> opted_out"]
    assert story.names == ["intro"]
    assert story.opted_out


def test_a_conversation_in_a_stage_that_is_gone_can_be_moved_and_only_that() -> None:
    lost = a_conversation(stage="gone", seq=4, entered_at=START)
    with pytest.raises(DecisionError, match="'gone', which hello version 1 does not have") as caught:
        decide(TYPE, lost, [a_reply("yes", START)], START)
    assert "campaign move CONVERSATION STAGE" in caught.value.hint
    decision = decide(TYPE, lost, [Event("end", LONG_AGO, name=order(TYPE, lost, "ask"))], START)
    assert [(step.seq, step.source, step.to) for step in decision.steps] == [(5, "gone", "ask")]


def test_an_unknown_stage_is_refused_with_what_may_have_been_meant() -> None:
    with pytest.raises(RefusedError, match=r"unknown stage 'wiat'; .*did you mean wait"):
        order(TYPE, a_conversation(), "wiat")


@pytest.mark.parametrize("status", ["completed", "stopped"])
def test_what_has_ended_is_not_moved(status: str) -> None:
    with pytest.raises(RefusedError, match=f"is {status}"):
        order(TYPE, a_conversation(status=status), "ask")


def test_a_bound_of_visits_holds_for_moves_too() -> None:
    story = moved(Story(TYPE), "wait")
    with pytest.raises(RefusedError, match="visited stage 'wait' as often as its campaign type allows") as caught:
        order(TYPE, story.conversation, "wait")
    assert "gave_up" in caught.value.hint
