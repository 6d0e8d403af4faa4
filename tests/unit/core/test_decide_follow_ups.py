"""Follow-ups count from the message before them and end with any response."""

from __future__ import annotations

from engine.core.decide import decide
from engine.core.model import Effect, Event, Step
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after

BUMPING = """
ask:
  on_enter: [{send: intro}]
  follow_ups: [{after: 3d, send: bump, times: 2}, {after: 1d, send: tip}]
  timers: [{after: 20d, go: gave_up}]
"""


def test_each_follow_up_counts_from_the_message_before_it() -> None:
    story = Story(a_type(BUMPING)).wait("20d")
    assert story.sent == [("intro", START), ("bump", after("3d")), ("bump", after("6d")), ("tip", after("7d"))]


def test_a_follow_up_is_one_step_with_one_send_that_stays_where_it_was() -> None:
    story = Story(a_type(BUMPING)).wait("3d")
    assert story.steps[-1] == Step(2, "ask", "ask", "follow_up", "stages.ask.follow_ups[0]", False, 1, after("3d"))
    assert story.effects[-1] == Effect("send", 2, 0, "bump", after("3d"), "follow_up", "ask", awaited=True)


def test_the_last_follow_up_is_not_waited_for() -> None:
    story = Story(a_type(BUMPING)).wait("10d")
    assert [effect.awaited for effect in story.effects if effect.kind == "send"] == [True, True, True, False]


def test_they_wait_while_the_message_before_has_not_left() -> None:
    decision = decide(a_type(BUMPING), a_conversation(), [], START)
    assert decision.conversation.awaits == (1, 0)
    assert decision.next_due == after("20d")


def test_the_sent_at_counts_and_not_when_the_message_was_made_or_the_tick_came() -> None:
    compiled = a_type(BUMPING)
    entered = decide(compiled, a_conversation(), [], START).conversation
    left = decide(compiled, entered, [Event("sent", after("5h"), message=(1, 0))], after("9h"))
    assert left.next_due == after("77h")  # 5 h + 3 days


def test_an_outage_causes_no_burst() -> None:
    story = Story(a_type(BUMPING))
    story.workers = False
    story.until(after("9d"))
    assert (story.names, [each.name for each in story.waiting]) == (["intro"], ["bump"])
    story.workers = True
    assert story.until(after("20d")).sent[1:] == [("bump", after("9d")), ("bump", after("12d")), ("tip", after("13d"))]


def test_they_count_from_the_last_message_that_on_enter_made_in_the_order_of_the_list() -> None:
    compiled = a_type("""
    ask:
      on_enter: [{send: intro, after: 2d}, {send: tip, after: 1d}, {send: goodbye, when: vip}]
      follow_ups: [{after: 1d, send: bump}]
      timers: [{after: 20d, go: gave_up}]
    """)
    story = Story(compiled).wait("20d")
    assert story.sent == [("tip", after("1d")), ("intro", after("2d")), ("bump", after("2d"))]
    assert [(each.name, each.awaited) for each in story.effects if each.kind == "send"][:2] == [
        ("intro", False),
        ("tip", True),
    ]


def test_without_a_message_on_entry_they_count_from_the_entry_also_when_the_edge_sent_one() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: again, do: [{send: intro, after: 5h}]}]}
    again: {follow_ups: [{after: 1d, send: bump}], timers: [{after: 20d, go: gave_up}]}
    """)
    assert Story(compiled).wait("9d").sent == [("intro", after("29h")), ("bump", after("2d"))]


def test_if_the_message_failed_or_was_cancelled_the_remaining_ones_are_dropped() -> None:
    compiled = a_type(BUMPING)
    entered = decide(compiled, a_conversation(), [], START).conversation
    decision = decide(compiled, entered, [Event("dropped", after("1h"), message=(1, 0))], after("1h"))
    assert (decision.conversation.awaits, decision.next_due, decision.steps) == (None, after("20d"), ())
    late = decide(compiled, decision.conversation, [Event("sent", after("2h"), message=(1, 0))], after("2h"))
    assert late.next_due == after("20d")


def test_the_fate_of_any_other_message_changes_nothing() -> None:
    compiled = a_type(BUMPING)
    entered = decide(compiled, a_conversation(), [], START).conversation
    decision = decide(compiled, entered, [Event("sent", after("1h"), message=(1, 1))], after("1h"))
    assert decision.conversation == entered


def test_one_whose_guard_is_false_is_skipped_and_the_next_counts_from_its_due_instant() -> None:
    compiled = a_type("""
    ask:
      follow_ups: [{after: 1d, send: tip, when: vip}, {after: 2d, send: bump}]
      timers: [{after: 20d, go: gave_up}]
    """)
    assert Story(compiled, facts={"vip": False}).wait("9d").sent == [("bump", after("3d"))]
    assert Story(compiled, facts={"vip": True}).wait("9d").sent == [("tip", after("1d")), ("bump", after("3d"))]
    late = Story(compiled)
    late.decide(at=after("2d"))
    assert late.next_due == after("3d")


def test_a_skipped_one_is_no_progression_and_not_counted() -> None:
    compiled = a_type("""
    ask:
      follow_ups: [{after: 1d, send: tip, when: vip}, {after: 1d, send: bump}]
      timers: [{after: 2d, go: stay}, {after: 3d, when: follow_ups_sent == 1, go: bought}, {after: 20d, go: gave_up}]
    """)
    story = Story(compiled).wait("1d")
    assert (story.conversation.seq, story.conversation.follow_ups_sent) == (1, 0)
    assert story.wait("2d").stage == "bought"


def test_a_guard_is_judged_when_the_follow_up_is_due_with_those_sent_before_it() -> None:
    compiled = a_type("""
    ask:
      follow_ups: [{after: 1d, send: bump, times: 5, when: follow_ups_sent < 2}]
      timers: [{after: 20d, go: gave_up}]
    """)
    assert Story(compiled).wait("19d").sent == [("bump", after("1d")), ("bump", after("2d"))]


def test_any_response_ends_them() -> None:
    story = Story(a_type(BUMPING)).wait("3d").reply("hello", after="1h").wait("9d")
    assert story.names == ["intro", "bump"]


def test_a_response_ends_them_also_while_it_is_held_or_taken_by_always() -> None:
    held = a_type(BUMPING.replace("ask:", "ask:\n  min_stay: 10d"))
    assert Story(held).reply("hello", after="1h").wait("9d").names == ["intro"]
    taken = a_type(BUMPING, always="[{when: answer == 'yes', go: stay}]")
    assert Story(taken).reply("yes", after="1h").wait("9d").names == ["intro"]


def test_a_response_cancels_a_follow_up_that_was_made_but_has_not_left() -> None:
    story = Story(a_type(BUMPING)).until(after("2d"))
    story.workers = False
    story.until(after("3d"))
    assert [each.name for each in story.waiting] == ["bump"]
    story.reply("hello")
    assert Effect("cancel", 2, scope="follow_up") in story.effects
    assert story.waiting == []


def test_leaving_the_stage_cancels_a_follow_up_that_was_made_but_has_not_left() -> None:
    story = Story(a_type(BUMPING.replace("go: gave_up", "go: again") + "\nagain: {timers: [{after: 9d, go: gave_up}]}"))
    story.until(after("2d")).workers = False
    story.until(after("20d"))
    assert (story.stage, story.waiting) == ("again", [])


def test_a_response_asks_for_no_cancelling_before_a_follow_up_was_sent() -> None:
    assert Story(a_type(BUMPING)).until(after("2d")).decide(a_reply("hello", after("2d"))).effects == ()


def test_a_follow_up_is_counted_for_what_comes_after_it_in_the_same_evaluation() -> None:
    compiled = a_type("""
    ask:
      follow_ups: [{after: 1d, send: bump}]
      timers: [{after: 2d, when: follow_ups_sent == 1, go: bought}, {after: 9d, go: gave_up}]
    """)
    story = Story(compiled)
    story.decide(at=after("3d"))
    assert story.stage == "bought"


def test_a_response_cancels_no_delayed_message_of_the_stage() -> None:
    compiled = a_type(
        """
        ask:
          on_enter: [{send: intro, after: 2d}]
          follow_ups: [{after: 3d, send: bump}]
          timers: [{after: 20d, go: gave_up}]
        """
    )
    assert Story(compiled).reply("hello", after="1d").wait("9d").names == ["intro"]


def test_a_follow_up_due_before_a_response_that_is_looked_at_with_it_dies_in_the_same_evaluation() -> None:
    story = Story(a_type(BUMPING))
    decision = story.decide(a_reply("hello", after("73h")), at=after("74h"))
    assert [(each.kind, each.name, each.cancelled) for each in decision.effects if each.kind == "send"] == [
        ("send", "bump", True)
    ]
    assert [(step.cause, step.sends) for step in decision.steps] == [("follow_up", 1)]


def test_a_response_at_the_instant_of_a_follow_up_comes_before_it() -> None:
    story = Story(a_type(BUMPING)).until(after("71h"))
    assert story.decide(a_reply("hello", after("3d")), at=after("3d")).steps == ()


def test_a_message_that_left_at_the_instant_of_a_timer_comes_before_it() -> None:
    compiled = a_type(
        """
        ask:
          on_enter: [{send: intro}]
          follow_ups: [{after: 0s, send: bump}]
          timers: [{after: 1d, go: stay, do: [{assign: {to: timer}}]}, {after: 9d, go: gave_up}]
        """
    )
    entered = decide(compiled, a_conversation(), [], START).conversation
    decision = decide(compiled, entered, [Event("sent", after("1d"), message=(1, 0))], after("1d"))
    assert [step.cause for step in decision.steps] == ["timer", "follow_up"]


def test_an_event_ends_no_follow_ups() -> None:
    assert Story(a_type(BUMPING)).event("opened", after="1h").wait("9d").names == ["intro", "bump", "bump", "tip"]


def test_leaving_the_stage_ends_them_and_the_next_visit_begins_them_anew() -> None:
    compiled = a_type("""
    ask:
      visits: {at_most: 2, then: gave_up}
      follow_ups: [{after: 2d, send: bump}, {after: 2d, send: tip}]
      timers: [{after: 3d, when: follow_ups_sent == 1, go: ask}]
    """)
    assert Story(compiled).wait("20d").sent == [("bump", after("2d")), ("bump", after("5d"))]


def test_days_between_follow_ups_count_in_the_recipients_zone() -> None:
    # 27 March 2026 10:00 in Berlin is 09:00 UTC; three days later it is 08:00 UTC
    story = Story(
        a_type("ask: {follow_ups: [{after: 27d, send: bump}], timers: [{after: 60d, go: gave_up}]}"),
        zone="Europe/Berlin",
    )
    assert story.wait("40d").sent == [("bump", after("647h"))]
