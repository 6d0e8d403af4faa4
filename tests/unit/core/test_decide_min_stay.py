"""`min_stay` holds responses until its end and offers them in order."""

from __future__ import annotations

from decimal import Decimal

from engine.core.model import Event
from tests.unit.builders import Story, a_reply, a_type, after

HOLDING = """
ask:
  min_stay: 1d
  on_response:
    - {when: answer == "yes", go: bought}
    - {when: answer == "no", go: gave_up}
  timers: [{after: 10d, go: gave_up}]
"""


def test_a_response_within_min_stay_waits_for_its_end() -> None:
    story = Story(a_type(HOLDING)).reply("yes", after="1h")
    assert (story.stage, story.next_due) == ("ask", after("1d"))
    assert story.until(after("1d")).causes[-1] == "response -> bought"
    assert story.steps[-1].at == after("1d")


def test_without_a_held_response_nothing_is_due_at_the_end_of_min_stay() -> None:
    assert Story(a_type(HOLDING)).next_due == after("10d")


def test_a_response_after_min_stay_is_offered_at_once() -> None:
    assert Story(a_type(HOLDING)).reply("yes", after="25h").stage == "bought"


def test_held_responses_are_offered_in_order_until_one_leaves_the_stage() -> None:
    story = Story(a_type(HOLDING)).reply("hm", after="1h").reply("no", after="1h").reply("yes", after="1h")
    assert story.until(after("1d")).causes == ["start -> ask", "response -> gave_up"]


def test_a_response_at_the_very_end_is_held_and_offered_after_earlier_ones() -> None:
    compiled = a_type("""
    ask: {min_stay: 1d, on_response: [{when: responses == 2, go: bought}], timers: [{after: 9d, go: gave_up}]}
    """)
    story = Story(compiled).reply("one", after="1h")
    story.decide(a_reply("two", after("1d")), at=after("1d"))
    assert story.stage == "bought"
    first = Story(a_type(HOLDING)).reply("no", after="1h")
    first.decide(a_reply("yes", after("1d")), at=after("1d"))
    assert first.stage == "gave_up"


def test_each_held_response_is_judged_with_the_counts_and_values_of_its_receipt() -> None:
    compiled = a_type("""
    ask:
      min_stay: 1d
      on_response:
        - {when: responses == 1 and responses_total == 1 and rating == 5 and answer == "other", go: bought}
        - {otherwise: gave_up}
      timers: [{after: 9d, go: gave_up}]
    """)
    story = Story(compiled).reply("a 5", after="1h").reply("no, 1", after="1h").reply("no, 2", after="1h")
    assert story.until(after("1d")).stage == "bought"


def test_follow_ups_sent_is_that_of_the_receipt_too() -> None:
    compiled = a_type("""
    ask:
      min_stay: 5d
      follow_ups: [{after: 1d, send: bump, times: 3}]
      on_response: [{when: follow_ups_sent == 2, go: bought}, {otherwise: gave_up}]
      timers: [{after: 9d, go: gave_up}]
    """)
    assert Story(compiled).reply("hello", after="50h").until(after("5d")).stage == "bought"
    assert Story(compiled).reply("hello", after="20h").until(after("5d")).stage == "gave_up"


def test_a_stay_takes_a_held_response_and_the_next_one_is_offered_with_the_bound_used_up() -> None:
    compiled = a_type("""
    ask:
      min_stay: 1d
      on_response: [{go: stay, do: [{send: tip}], at_most: 1}, {otherwise: bought}]
      timers: [{after: 9d, go: gave_up}]
    """)
    story = Story(compiled).reply("one", after="1h").reply("two", after="1h").until(after("1d"))
    assert story.causes == ["start -> ask", "response -> ask", "response -> bought"]


def test_the_stage_that_a_held_response_enters_sees_what_was_last_captured_and_counted() -> None:
    compiled = a_type("""
    ask: {min_stay: 1d, on_response: [{when: rating == 1, go: which}], timers: [{after: 9d, go: gave_up}]}
    which:
      split:
        - {when: rating == 3 and answer == "no" and responses_total == 3 and responses == 0, go: bought}
        - {otherwise: gave_up}
    """)
    story = Story(compiled).reply("1", after="1h").reply("2", after="1h").reply("no, 3", after="1h")
    assert story.until(after("1d")).stage == "bought"


def test_the_do_of_a_held_response_sees_its_own_values() -> None:
    compiled = a_type("""
    ask:
      min_stay: 1d
      on_response:
        - when: rating == 1
          go: bought
          do: [{set: {score: rating}}, {send: tip, when: rating == 1 and responses_total == 1}]
      timers: [{after: 9d, go: gave_up}]
    """)
    story = Story(compiled).reply("1", after="1h").reply("5", after="1h").until(after("1d"))
    assert (story.conversation.facts, story.names) == ({"score": Decimal(1)}, ["tip"])


def test_counts_go_on_after_the_held_responses_were_offered_in_vain() -> None:
    compiled = a_type("""
    ask:
      min_stay: 1d
      on_response: [{when: responses == 4 and responses_total == 4, go: bought}]
      timers:
        - {after: 2d, when: responses == 3 and responses_total == 3, go: stay, do: [{send: tip}]}
        - {after: 9d, go: gave_up}
    """)
    story = Story(compiled)
    for text in ("one", "two", "three"):
        story.reply(text, after="1h")
    assert story.until(after("2d")).names == ["tip"]
    assert story.reply("four").stage == "bought"


def test_those_that_are_left_when_one_leaves_the_stage_are_not_offered_to_the_next() -> None:
    compiled = a_type("""
    ask: {min_stay: 1d, on_response: [{otherwise: again}], timers: [{after: 9d, go: gave_up}]}
    again: {on_response: [{otherwise: bought}], timers: [{after: 9d, go: gave_up}]}
    """)
    story = Story(compiled).reply("one", after="1h").reply("two", after="1h").until(after("2d"))
    assert story.causes == ["start -> ask", "response -> again"]


def test_counts_are_whole_again_also_when_always_took_the_last_response() -> None:
    compiled = a_type(
        """
        ask:
          min_stay: 1d
          on_response: [{when: rating == 5, go: gave_up}]
          timers: [{after: 24h, when: responses == 2 and responses_total == 2, go: bought}, {after: 9d, go: gave_up}]
        """,
        always='[{when: answer == "yes", go: stay}]',
    )
    assert Story(compiled).reply("one", after="1h").reply("yes", after="1h").until(after("1d")).stage == "bought"


def test_counts_are_whole_again_for_a_timer_in_the_same_evaluation() -> None:
    compiled = a_type("""
    ask:
      min_stay: 1d
      on_response: [{when: rating == 5, go: gave_up}]
      timers: [{after: 24h, when: responses == 2, go: bought}, {after: 9d, go: gave_up}]
    """)
    assert Story(compiled).reply("one", after="1h").reply("two", after="1h").until(after("1d")).stage == "bought"


def test_min_stay_holds_neither_events_nor_timers_nor_always() -> None:
    stages = HOLDING.replace("timers:", "on_event: {opened: {go: bought}}\n  timers:")
    assert Story(a_type(stages)).event("opened", after="1h").stage == "bought"
    timed = stages.replace("after: 10d", "after: 2h")
    assert Story(a_type(timed)).reply("yes", after="1h").wait("1h").stage == "gave_up"
    opting = a_type(stages, always='[{when: answer == "stop", go: opted_out}]')
    assert Story(opting).reply("stop", after="1h").stage == "opted_out"


def test_always_saw_a_held_response_at_its_receipt_and_is_not_asked_again() -> None:
    compiled = a_type(
        """
        ask:
          min_stay: 1d
          on_event: {upgraded: {go: stay, do: [{set: {vip: true}}], at_most: 1}}
          on_response: [{when: answer == "yes", go: bought}]
          timers: [{after: 9d, go: gave_up}]
        """,
        always='[{when: vip and answer == "yes", go: gave_up}]',
    )
    story = Story(compiled).reply("yes", after="1h").event("upgraded", after="1h").until(after("1d"))
    assert story.stage == "bought"


def test_held_responses_die_with_the_visit() -> None:
    compiled = a_type("""
    ask:
      min_stay: 2d
      on_response: [{when: answer == "yes", go: bought}]
      timers: [{after: 1d, go: again}]
    again: {on_response: [{when: answer == "yes", go: bought}], timers: [{after: 9d, go: gave_up}]}
    """)
    story = Story(compiled).reply("yes", after="1h").wait("5d")
    assert (story.stage, story.conversation.held) == ("again", ())


def test_a_late_tick_holds_what_came_within_min_stay_and_offers_it_in_its_place() -> None:
    story = Story(a_type(HOLDING))
    story.decide(a_reply("yes", after("2h")), a_reply("no", after("30h")), at=after("3d"))
    assert story.stage == "bought"


def test_a_late_tick_lets_a_timer_after_the_end_of_min_stay_come_second() -> None:
    story = Story(a_type(HOLDING.replace("after: 10d", "after: 26h")))
    story.decide(a_reply("yes", after("2h")), Event("event", after("27h"), name="opened"), at=after("3d"))
    assert story.causes[-1] == "response -> bought"
