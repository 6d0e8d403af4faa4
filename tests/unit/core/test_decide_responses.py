"""Who gets a response or event, what is counted and captured, and what guards see of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.decide import decide
from engine.core.model import Event, Reading, Verdict
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after

ASKING = """
ask:
  on_response:
    - {when: answer == "yes", go: bought}
    - {when: answer == "no", go: gave_up}
  timers: [{after: 10d, go: gave_up}]
"""


def test_the_first_edge_that_matches_is_taken() -> None:
    compiled = a_type("""
    ask:
      on_response:
        - {when: answer == "yes", go: bought}
        - {when: answer == "yes" or answer == "no", go: gave_up}
      timers: [{after: 10d, go: gave_up}]
    """)
    assert Story(compiled).reply("yes").stage == "bought"
    assert Story(compiled).reply("no").stage == "gave_up"


def test_otherwise_takes_what_remains_even_an_empty_text() -> None:
    compiled = a_type("ask: {on_response: [{when: answer == 'yes', go: gave_up}, {otherwise: bought}]}")
    assert Story(compiled).reply("").stage == "bought"


def test_a_response_that_no_edge_takes_changes_no_stage_but_counts() -> None:
    story = Story(a_type(ASKING)).reply("perhaps", after="1h")
    assert (story.stage, story.conversation.seq, story.next_due) == ("ask", 1, after("10d"))
    assert (story.conversation.responses, story.conversation.responses_total) == (1, 1)
    assert story.conversation.captured == {"answer": "other"}


def test_every_understood_value_is_captured_and_other_overwrites_but_what_is_absent_does_not() -> None:
    story = Story(a_type(ASKING.replace("go: bought", "go: stay"))).reply("yes, a 4")
    assert story.conversation.captured == {"answer": "yes", "rating": Decimal(4)}
    story.reply("hm")
    assert story.conversation.captured == {"answer": "other", "rating": Decimal(4)}


def test_a_reading_tells_how_a_response_was_understood_where_and_whether_it_was_the_first_of_the_visit() -> None:
    story = Story(a_type(ASKING)).reply("maybe").reply("no")
    assert story.readings == [
        Reading("maybe", "ask", {"answer": "other"}, first=True),
        Reading("no", "ask", {"answer": "no"}),
    ]


def test_counts_include_the_current_response_and_begin_again_with_a_visit() -> None:
    compiled = a_type("""
    ask:
      on_response: [{when: responses >= 2, go: again}]
      timers: [{after: 10d, go: gave_up}]
    again:
      on_response:
        - {when: responses == 1 and responses_total == 3, go: bought}
        - {otherwise: gave_up}
      timers: [{after: 10d, go: gave_up}]
    """)
    story = Story(compiled).reply("one")
    assert story.stage == "ask"
    assert story.reply("two").stage == "again"
    assert story.reply("three").stage == "bought"


def test_visits_counts_the_entries_to_the_stage_the_current_one_included() -> None:
    compiled = a_type("""
    ask:
      visits: {at_most: 3, then: gave_up}
      on_response: [{when: visits == 2, go: bought}, {otherwise: ask}]
      timers: [{after: 10d, go: gave_up}]
    """)
    story = Story(compiled).reply("one")
    assert (story.stage, story.conversation.visits) == ("ask", {"ask": 2})
    assert story.reply("two").stage == "bought"


def test_on_response_sees_only_the_responses_own_values() -> None:
    compiled = a_type("""
    ask:
      on_response: [{when: rating >= 4 and answer == "yes", go: bought}]
      timers: [{after: 10d, go: gave_up}]
    """)
    story = Story(compiled).reply("5").reply("yes")
    assert story.stage == "ask"
    assert story.reply("yes 5").stage == "bought"


def test_a_timer_sees_the_values_last_captured() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, when: rating >= 4 and answer == "other", go: bought}, {after: 2d, go: gave_up}]}
    """)
    assert Story(compiled).reply("5").reply("hm").wait("1d").stage == "bought"
    assert Story(compiled).reply("hm").wait("2d").stage == "gave_up"


def test_on_event_sees_the_values_last_captured() -> None:
    compiled = a_type("""
    ask: {on_event: {opened: {when: answer == "yes", go: bought}}, timers: [{after: 9d, go: gave_up}]}
    """)
    assert Story(compiled).reply("yes").event("opened").stage == "bought"
    assert Story(compiled).reply("no").event("opened").stage == "ask"


def test_always_sees_no_response_values_when_an_event_comes() -> None:
    compiled = a_type(
        ASKING,
        always="""
        - {when: answer == "stop" and event is missing, go: stay}
        - {when: answer == "stop", go: bought}
        - {when: answer is missing and event == "opened", go: gave_up}
        """,
    )
    assert Story(compiled).reply("stop").event("opened").stage == "gave_up"


def test_a_missing_value_makes_a_guard_unknown_and_so_false_negated_or_not() -> None:
    for guard in ("seats > 3", "not seats > 3", "seats != 3", "vip", "not vip"):
        assert (
            Story(a_type(f"ask: {{on_event: {{opened: {{when: {guard}, go: bought}}}}}}")).event("opened").stage
            == "ask"
        )
    compiled = a_type("ask: {on_event: {opened: {when: seats is missing and not vip is not missing, go: bought}}}")
    assert Story(compiled).event("opened").stage == "bought"


def test_always_comes_before_the_stage() -> None:
    story = Story(a_type(ASKING, always='[{when: answer == "yes", go: gave_up}]')).reply("yes")
    assert (story.stage, story.steps[-1].edge) == ("gave_up", "always[0]")


def test_what_always_takes_with_a_stay_is_neither_offered_to_the_stage_nor_held() -> None:
    always = '[{when: answer == "yes", go: stay}]'
    story = Story(a_type(ASKING, always=always)).reply("yes")
    assert (story.stage, story.conversation.responses) == ("ask", 1)
    held = Story(a_type(ASKING.replace("ask:", "ask:\n  min_stay: 1d"), always=always)).reply("yes")
    assert held.conversation.held == ()
    assert held.wait("2d").stage == "ask"


def test_always_is_not_asked_on_entry_or_by_timers() -> None:
    compiled = a_type(
        "ask: {timers: [{after: 1d, go: again}]}\nagain: {timers: [{after: 1d, go: bought}]}", always="[{go: gave_up}]"
    )
    assert Story(compiled).wait("9d").stage == "bought"
    assert Story(compiled).event("anything").stage == "gave_up"


def test_always_runs_before_the_start_stage_is_entered() -> None:
    compiled = a_type(ASKING, always='[{when: answer == "stop", go: opted_out}]')
    early = a_conversation(starts_at=after("2d"))
    decision = decide(compiled, early, [a_reply("stop", START)], START)
    assert [(step.seq, step.source, step.to) for step in decision.steps] == [(1, None, "opted_out")]
    assert (decision.conversation.status, decision.next_due) == ("stopped", None)


def test_a_stay_before_the_start_does_its_actions_and_leaves_the_start_waiting() -> None:
    compiled = a_type(ASKING, always="[{when: event == 'opened', go: stay, do: [{set: {vip: true}}], at_most: 1}]")
    early = a_conversation(starts_at=after("2d"))
    decision = decide(compiled, early, [Event("event", START, name="opened")], START)
    assert [(step.seq, step.source, step.to, step.entered) for step in decision.steps] == [(1, None, None, False)]
    assert (decision.conversation.facts, decision.next_due) == ({"vip": True}, after("2d"))


def test_a_response_before_the_start_is_recorded_and_counted_only_in_the_whole() -> None:
    compiled = a_type(ASKING)
    early = a_conversation(starts_at=after("2d"))
    decision = decide(compiled, early, [a_reply("yes", START)], START)
    assert (decision.steps, decision.next_due) == ((), after("2d"))
    started = decide(compiled, decision.conversation, [], after("2d")).conversation
    assert (started.stage, started.responses, started.responses_total) == ("ask", 0, 1)


def test_a_response_received_before_the_stages_entry_is_recorded_only() -> None:
    compiled = a_type("""
    ask: {on_response: [{otherwise: again}], timers: [{after: 1d, go: again}]}
    again:
      follow_ups: [{after: 1d, send: bump}]
      on_response: [{otherwise: bought}]
      timers: [{after: 10d, go: gave_up}]
    """)
    story = Story(compiled)
    story.decide(a_reply("one", after("1h")), a_reply("two", after("2h")), at=after("3h"))
    assert (story.stage, story.conversation.responses, story.conversation.responses_total) == ("again", 0, 2)
    assert story.wait("1d").names == ["bump"]  # it did not cancel the follow-ups of a stage it never met


def test_a_response_received_before_the_stages_entry_still_goes_to_always() -> None:
    compiled = a_type(
        """
        ask: {timers: [{after: 1d, go: again}]}
        again: {timers: [{after: 10d, go: gave_up}]}
        """,
        always='[{when: answer == "stop", go: opted_out}]',
    )
    story = Story(compiled)
    story.decide(a_reply("stop", after("25h")), at=after("26h"))
    assert story.causes == ["start -> ask", "timer -> again", "response -> opted_out"]


def test_an_event_received_before_the_stages_entry_is_recorded_only() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: again}]}
    again: {on_event: {opened: {go: bought}}, timers: [{after: 10d, go: gave_up}]}
    """)
    story = Story(compiled)
    story.decide(Event("event", after("25h"), name="opened"), at=after("26h"))
    assert story.stage == "again"


def test_a_response_at_the_very_entry_of_a_stage_meets_it() -> None:
    assert Story(a_type(ASKING)).reply("yes", after="0s").stage == "bought"


def test_on_event_takes_one_edge_or_several() -> None:
    compiled = a_type("""
    ask:
      on_event:
        opened: [{when: seats >= 200, go: bought}, {when: seats < 200, go: gave_up}]
        closed: {go: gave_up}
      timers: [{after: 10d, go: gave_up}]
    """)
    assert Story(compiled, facts={"seats": 200}).event("opened").causes[-1] == "event:opened -> bought"
    assert Story(compiled, facts={"seats": 199}).event("opened").stage == "gave_up"
    assert Story(compiled).event("closed").stage == "gave_up"
    assert Story(compiled).event("unheard_of").stage == "ask"


def test_an_event_counts_as_no_response() -> None:
    story = Story(a_type(ASKING)).event("opened")
    assert (story.conversation.responses, story.conversation.responses_total, story.readings) == (0, 0, [])


@pytest.mark.parametrize(("text", "stage"), [("yes", "bought"), ("no", "gave_up"), ("hm", "ask")])
def test_the_trace_tells_every_guard_that_ran_with_its_inputs(text: str, stage: str) -> None:
    story = Story(a_type(ASKING))
    trace = story.decide(a_reply(text, START)).trace
    label = text if text in ("yes", "no") else "other"
    ran = [
        Verdict(f"stages.ask.on_response[{n}]", {"answer": label}, label == own) for n, own in enumerate(("yes", "no"))
    ]
    assert list(trace) == (ran[:1] if text == "yes" else ran)
    assert story.stage == stage
