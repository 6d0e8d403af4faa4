"""How a conversation begins, what it waits for, and in which order due things happen."""

from __future__ import annotations

import pytest

from engine.core.decide import decide
from engine.core.errors import DecisionError
from engine.core.model import Due, Event, Rank, Step
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after, instant


def test_a_new_conversation_has_seq_0_and_waits_for_its_start() -> None:
    decision = decide(a_type(), a_conversation(starts_at=after("2d")), [], START)
    assert decision.steps == ()
    assert decision.conversation == a_conversation(starts_at=after("2d"))
    assert decision.next_due == after("2d")


def test_the_first_tick_enters_the_start_stage_from_nowhere() -> None:
    decision = decide(a_type(), a_conversation(), [], START)
    assert decision.steps == (Step(1, None, "ask", "start", "start", True, 0, START),)
    assert (decision.conversation.stage, decision.conversation.seq) == ("ask", 1)


def test_a_start_long_past_enters_now_and_timers_count_from_now() -> None:
    decision = decide(a_type(), a_conversation(starts_at=instant("2020-01-01")), [], START)
    assert decision.conversation.entered_at == START
    assert decision.next_due == after("10d")


def test_a_timer_fires_at_its_instant_and_not_before() -> None:
    story = Story(a_type()).until(instant("2026-03-12T08:59:59.999999"))
    assert story.stage == "ask"
    story.until(instant("2026-03-12T09:00"))
    assert (story.stage, story.status, story.next_due) == ("gave_up", "completed", None)
    assert story.causes == ["start -> ask", "timer -> gave_up"]


def test_a_stage_entered_late_counts_its_timers_from_the_tick_not_from_what_was_due() -> None:
    compiled = a_type("""
        ask: {timers: [{after: 1d, go: again}]}
        again: {timers: [{after: 1d, go: gave_up}]}
    """)
    story = Story(compiled)
    story.decide(at=after("5d"))
    assert (story.stage, story.conversation.entered_at) == ("again", after("5d"))
    assert story.next_due == after("6d")


def test_days_count_in_the_recipients_zone() -> None:
    story = Story(a_type("ask: {timers: [{after: 30d, go: gave_up}]}"), zone="Europe/Berlin")
    assert story.next_due == instant("2026-04-01T08:00")  # 10:00 there, before and after the change


def test_the_delay_factor_multiplies_every_delay() -> None:
    compiled = a_type(
        """
        ask:
          min_stay: 10h
          on_enter: [{send: intro, after: 2h}]
          follow_ups: [{after: 4d, send: bump}]
          timers: [{after: 10d, go: gave_up}]
          escalate: [{after: 3d, to: lead}]
        """,
        delay_factor=0.5,
        ends_within="{at_most: 30d, then: gave_up}",
    )
    decision = decide(compiled, a_conversation(zone="Europe/Berlin"), [], START)
    assert {due.rank: due.at for due in decision.conversation.agenda} == {
        Rank.STAY_END: after("5h"),
        Rank.TIMER: after("5d"),
        Rank.ESCALATION: after("36h"),
        Rank.ENDS_WITHIN: after("15d"),
    }
    assert decision.effects[0].at == after("1h")
    left = decide(compiled, decision.conversation, [Event("sent", after("1h"), message=(1, 0))], after("1h"))
    assert Due(after("49h"), Rank.FOLLOW_UP, 0) in left.conversation.agenda


def test_a_timers_guard_is_judged_when_it_is_due_and_only_then() -> None:
    compiled = a_type("""
        ask:
          on_event: {upgraded: {go: stay, do: [{set: {plan: team}}], at_most: 1}}
          timers:
            - {after: 1d, when: plan == "team", go: bought}
            - {after: 3d, go: gave_up}
    """)
    early = Story(compiled, facts={"plan": "free"}).event("upgraded", after="1h")
    assert early.wait("23h").stage == "bought"
    late = Story(compiled, facts={"plan": "free"}).event("upgraded", after="25h")
    assert late.wait("60d").causes[-1] == "timer -> gave_up"


def test_a_timer_whose_stay_does_nothing_fires_once_without_a_step() -> None:
    story = Story(a_type("ask: {timers: [{after: 1d, go: stay}, {after: 2d, go: gave_up}]}")).wait("1d")
    assert (story.conversation.seq, story.next_due) == (1, after("2d"))


def test_a_timer_that_stays_does_its_actions_once_and_resets_nothing() -> None:
    story = Story(a_type("ask: {timers: [{after: 1d, go: stay, do: [{send: tip}]}, {after: 3d, go: gave_up}]}")).wait(
        "9d"
    )
    assert story.sent == [("tip", after("1d"))]
    assert story.steps[1] == Step(2, "ask", "ask", "timer", "stages.ask.timers[0]", False, 1, after("1d"))
    assert story.steps[2].at == after("3d")


def test_same_instant_timers_fire_as_listed() -> None:
    story = Story(a_type("ask: {timers: [{after: 24h, go: bought}, {after: 1d, go: gave_up}]}")).wait("1d")
    assert story.stage == "bought"


def test_a_late_tick_takes_due_things_in_the_order_in_which_they_were_due() -> None:
    compiled = a_type("ask: {timers: [{after: 3d, go: gave_up}, {after: 2d, go: bought}]}")
    story = Story(compiled)
    story.decide(at=after("9d"))
    assert story.causes == ["start -> ask", "timer -> bought"]


def test_at_one_instant_a_response_comes_before_a_timer() -> None:
    compiled = a_type("ask: {on_response: [{otherwise: bought}], timers: [{after: 1d, go: gave_up}]}")
    story = Story(compiled)
    story.decide(a_reply("hello", after("1d")), at=after("1d"))
    assert story.stage == "bought"


def test_a_response_after_a_timer_was_due_comes_after_it_even_if_both_are_looked_at_late() -> None:
    compiled = a_type("ask: {on_response: [{otherwise: bought}], timers: [{after: 1d, go: gave_up}]}")
    story = Story(compiled)
    story.decide(a_reply("hello", after("25h")), at=after("2d"))
    assert story.stage == "gave_up"


def test_events_are_taken_by_the_time_they_were_received_however_they_are_listed() -> None:
    compiled = a_type("""
        ask:
          on_response: [{when: answer == "yes", go: bought}, {otherwise: gave_up}]
          timers: [{after: 9d, go: gave_up}]
    """)
    story = Story(compiled)
    story.decide(a_reply("no", after("2h")), a_reply("yes", after("1h")), at=after("3h"))
    assert story.stage == "bought"


def test_an_event_of_the_future_is_not_looked_at() -> None:
    story = Story(a_type("ask: {on_response: [{otherwise: bought}], timers: [{after: 9d, go: gave_up}]}"))
    decision = story.decide(a_reply("hello", after("2h")), at=after("1h"))
    assert (story.stage, decision.readings, story.conversation.responses_total) == ("ask", (), 0)


def test_at_one_instant_min_stay_ends_then_timers_then_ends_within_then_escalations_then_follow_ups() -> None:
    story = Story(
        a_type(
            """
            ask:
              min_stay: 1d
              follow_ups: [{after: 24h, send: bump}]
              on_response: [{go: stay, do: [{send: tip}], at_most: 1}, {otherwise: gave_up}]
              timers: [{after: 24h, go: stay, do: [{assign: {to: timer}}]}, {after: 9d, go: gave_up}]
              escalate: [{after: 1d, to: lead}]
            """,
        )
    )
    story.decide(a_reply("hello", after("1h")), at=after("1h"))
    assert [step.cause for step in story.decide(at=after("1d")).steps] == ["response", "timer", "escalation"]

    story = Story(
        a_type("""
        ask:
          follow_ups: [{after: 24h, send: bump}]
          timers: [{after: 24h, go: stay, do: [{assign: {to: timer}}]}, {after: 9d, go: gave_up}]
          escalate: [{after: 1d, to: lead}]
    """)
    )
    assert [step.cause for step in story.decide(at=after("1d")).steps] == ["timer", "escalation", "follow_up"]

    both = "ask: {timers: [{after: 1d, go: bought}], escalate: [{after: 1d, to: lead}]}"
    assert Story(a_type(both, ends_within="{at_most: 1d, then: gave_up}")).wait("1d").stage == "bought"
    without = "ask: {escalate: [{after: 1d, to: lead}]}"
    story = Story(a_type(without, ends_within="{at_most: 24h, then: gave_up}")).wait("1d")
    assert story.causes == ["start -> ask", "ends_within -> gave_up"]


def test_ends_within_counts_from_the_entry_of_the_start_stage_whatever_stage_came_next() -> None:
    compiled = a_type(
        "{ask: {timers: [{after: 4d, go: again}]}, again: {timers: [{after: 4d, go: bought}]}}",
        ends_within="{at_most: 6d, then: gave_up}",
    )
    story = Story(compiled).wait("6d")
    assert story.steps[-1] == Step(3, "again", "gave_up", "ends_within", "ends_within", True, 0, after("6d"))


def test_a_conversation_remembers_when_it_started() -> None:
    story = Story(a_type("{ask: {timers: [{after: 4d, go: again}]}, again: {timers: [{after: 4d, go: bought}]}}"))
    assert story.wait("5d").conversation.started_at == START


def test_ends_within_counts_from_a_late_entry() -> None:
    compiled = a_type("ask: {}", ends_within="{at_most: 6d, then: gave_up}")
    decision = decide(compiled, a_conversation(starts_at=START), [], after("3d"))
    assert decision.next_due == after("9d")


def test_an_escalation_is_one_step_and_stays_where_it_was() -> None:
    story = Story(a_type("ask: {escalate: [{after: 1d, to: lead}], timers: [{after: 9d, go: gave_up}]}")).wait("1d")
    assert story.assigned == [("lead", "high")]
    assert story.steps[-1] == Step(2, "ask", "ask", "escalation", "stages.ask.escalate[0]", False, 0, after("1d"))


def test_several_stages_entered_in_one_evaluation_are_several_steps() -> None:
    story = Story(a_type("{ask: {timers: [{after: 0s, go: again}]}, again: {timers: [{after: 9d, go: gave_up}]}}"))
    assert [(step.seq, step.source, step.to) for step in story.steps] == [(1, None, "ask"), (2, "ask", "again")]


def test_a_stage_that_the_campaign_type_does_not_have_is_an_error_of_this_conversation() -> None:
    with pytest.raises(DecisionError, match="stands in stage 'gone', which hello version 1 does not have") as caught:
        decide(a_type(), a_conversation(stage="gone"), [], START)
    assert "campaign move" in caught.value.hint


def test_a_loop_without_delay_is_stopped_with_an_error() -> None:
    compiled = a_type("{ask: {timers: [{after: 0s, go: again}]}, again: {timers: [{after: 0s, go: ask}]}}")
    with pytest.raises(DecisionError, match="more than 1000 steps"):
        decide(compiled, a_conversation(), [], START)
