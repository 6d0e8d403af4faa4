"""Send windows, business time and dates in decisions: what moves, and what must not."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from engine.core.decide import decide
from engine.core.errors import DecisionError
from engine.core.model import Effect, Event
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after, instant

OFFICE = "{days: mon-fri, from: '09:00', to: '17:00'}"
DATES = {"renewal_on": "date?", "name": "text?"}
REMIND = """
    ask: {timers: [{at: renewal_on - 2d 09:00, go: stay, do: [{send: tip}]}, {after: 30d, go: gave_up}]}
"""


def planned(story: Story) -> list[tuple[str, datetime]]:
    return [(each.name, each.at) for each in story.effects if each.kind == "send" and each.at is not None]


# ---- windows --------------------------------------------------------------------------------------------------------


def test_a_message_planned_outside_the_window_waits_for_it_and_the_deadline_does_not_move() -> None:
    story = Story(
        a_type("ask: {on_enter: [{send: intro, after: 10h}], timers: [{after: 20h, go: gave_up}]}", send_window=OFFICE)
    )
    assert planned(story) == [("intro", instant("2026-03-03T09:00"))], "19:00 waits for the next morning"
    story.until(after("20h"))
    assert story.conversation.stage == "gave_up", "the timer counts from the entry, whatever the window does"


def test_a_message_may_ignore_the_window() -> None:
    story = Story(a_type("ask: {on_enter: [{send: intro, after: 10h, ignore_window: true}]}", send_window=OFFICE))
    assert planned(story) == [("intro", after("10h"))]


def test_the_window_is_read_on_the_recipients_clock_unless_it_names_a_zone() -> None:
    stage = "ask: {on_enter: [{send: intro}]}"
    assert planned(Story(a_type(stage, send_window=OFFICE), zone="America/New_York")) == [
        ("intro", instant("2026-03-02T14:00"))
    ]
    berlin = "{from: '09:00', to: '17:00', zone: Europe/Berlin}"
    assert planned(Story(a_type(stage, send_window=berlin), zone="America/New_York")) == [("intro", START)]


def test_what_is_sent_before_the_start_stage_keeps_to_the_types_window() -> None:
    always = "[{when: event == 'told', go: again, do: [{send: tip}]}]"
    compiled = a_type("again: {timers: [{after: 9d, go: gave_up}]}", start="again", always=always, send_window=OFFICE)
    early = instant("2026-03-02T05:00")
    decision = decide(compiled, a_conversation(), [Event("event", early, name="told")], early)
    assert [(each.stage, each.at) for each in decision.effects if each.kind == "send"] == [(None, START)]


def test_a_stage_may_have_a_window_of_its_own() -> None:
    stages = """
    ask: {send_window: {from: "18:00", to: "20:00"}, on_enter: [{send: intro}], timers: [{after: 1d, go: again}]}
    again: {on_enter: [{send: tip}], timers: [{after: 1d, go: gave_up}]}
    """
    story = Story(a_type(stages, send_window=OFFICE)).until(after("1d"))
    assert planned(story) == [("intro", instant("2026-03-02T18:00")), ("tip", instant("2026-03-03T09:00"))]


def test_an_edges_delayed_message_leaves_in_the_window_of_the_stage_it_leads_to() -> None:
    stages = """
    ask: {on_response: [{go: which, do: [{send: tip, after: 1h}]}]}
    which: {split: [{otherwise: late}]}
    late: {send_window: {from: "20:00", to: "22:00"}, timers: [{after: 3d, go: gave_up}]}
    """
    story = Story(a_type(stages, send_window=OFFICE)).reply("hello")
    assert planned(story) == [("tip", instant("2026-03-02T20:00"))]
    assert [each.stage for each in story.effects if each.kind == "send"] == ["late"]


def test_a_follow_up_leaves_in_the_window_and_the_next_counts_from_there() -> None:
    story = Story(
        a_type("ask: {on_enter: [send: intro], follow_ups: [{after: 10h, send: bump, times: 2}]}", send_window=OFFICE)
    ).until(after("3d"))
    assert story.sent == [
        ("intro", START),
        ("bump", instant("2026-03-03T09:00")),
        ("bump", instant("2026-03-04T09:00")),
    ]


def test_a_window_that_never_opens_is_this_conversations_error() -> None:
    never = "{days: mon, from: '09:00', to: '17:00', at: '20:00'}"
    with pytest.raises(DecisionError, match="the send window never opens"):
        decide(a_type("ask: {on_enter: [send: intro]}", send_window=never), a_conversation(), [], START)


def test_business_time_runs_on_the_window_for_timers_delays_and_escalations() -> None:
    stages = """
    ask:
      on_enter: [{send: intro, after: 1 business day}]
      escalate: [{after: 9 business hours, to: lead}]
      timers: [{after: 5 business days, go: gave_up}]
    """
    story = Story(a_type(stages, send_window=OFFICE)).until(after("7d"))
    assert planned(story) == [("intro", instant("2026-03-03T09:00"))]
    assert [(each.cause, each.at) for each in story.steps[1:]] == [
        ("escalation", instant("2026-03-03T10:00")),
        ("timer", instant("2026-03-09T09:00")),
    ]


# ---- timers at a date -----------------------------------------------------------------------------------------------


def test_a_timer_at_a_date_is_due_on_the_recipients_clock() -> None:
    compiled = a_type(REMIND, facts=DATES)
    story = Story(compiled, zone="Asia/Kolkata", facts={"renewal_on": date(2026, 3, 10)}).until(after("8d"))
    assert story.sent == [("tip", instant("2026-03-08T03:30"))]


@pytest.mark.parametrize("day", [None, date(2026, 3, 4), date(2026, 3, 3)])
def test_a_date_that_is_missing_or_past_when_the_stage_is_entered_never_fires(day: date | None) -> None:
    facts = {} if day is None else {"renewal_on": day}
    story = Story(a_type(REMIND, facts=DATES), starts_at=instant("2026-03-02T10:00"), facts=facts)
    assert story.until(after("29d")).sent == []


def test_an_instant_equal_to_the_entry_fires() -> None:
    story = Story(a_type(REMIND, facts=DATES), facts={"renewal_on": date(2026, 3, 4)})
    assert story.sent == [("tip", START)]


def test_a_date_that_is_overdue_because_the_tick_was_late_still_fires_once() -> None:
    compiled = a_type(REMIND, facts=DATES)
    story = Story(compiled, facts={"renewal_on": date(2026, 3, 10)})
    late = story.decide(at=instant("2026-03-09T12:00"))
    assert [(each.cause, each.at) for each in late.steps] == [("timer", instant("2026-03-09T12:00"))]
    assert story.decide(at=instant("2026-03-10T12:00")).steps == ()


def test_a_changed_date_moves_the_timer_and_one_that_has_fired_stays_fired() -> None:
    compiled = a_type(REMIND, facts=DATES)
    story = Story(compiled, facts={"renewal_on": date(2026, 3, 10)})
    story.conversation.facts = {"renewal_on": date(2026, 3, 20)}
    story.decide(at=after("1d"))
    assert story.next_due == instant("2026-03-18T09:00")
    story.until(after("17d"))
    assert story.names == ["tip"]
    story.conversation.facts = {"renewal_on": date(2026, 3, 25)}
    story.decide()
    assert story.until(after("29d")).names == ["tip"]


def test_a_date_changed_to_the_past_does_not_fire_at_all() -> None:
    story = Story(a_type(REMIND, facts=DATES), facts={"renewal_on": date(2026, 3, 20)})
    story.conversation.facts = {"renewal_on": date(2026, 3, 5)}
    story.decide(at=instant("2026-03-04T10:00"))
    assert story.until(after("29d")).sent == []


def test_a_date_set_by_an_action_of_the_stage_is_waited_for() -> None:
    stages = """
    ask:
      on_enter: [{set: {renewal_on: "2026-03-12"}}]
      timers: [{at: renewal_on - 2d 09:00, go: stay, do: [{send: tip}]}, {after: 30d, go: gave_up}]
    """
    assert Story(a_type(stages, facts=DATES)).until(after("29d")).sent == [("tip", instant("2026-03-10T09:00"))]


def test_the_delay_factor_does_not_touch_dates() -> None:
    compiled = a_type(REMIND, delay_factor=0.5, facts=DATES)
    assert Story(compiled, facts={"renewal_on": date(2026, 3, 10)}).next_due == instant("2026-03-08T09:00")


# ---- channels, answers, events for others ---------------------------------------------------------------------------


def test_a_message_names_its_own_channel_and_what_it_ignores() -> None:
    [effect] = Story(
        a_type("ask: {on_enter: [{send: intro, channel: sms, ignore_window: true, ignore_limits: true}]}")
    ).effects
    assert (effect.channel, effect.ignores_window, effect.ignores_limits) == ("sms", True, True)


def test_what_a_response_sends_is_an_answer_and_what_an_event_or_timer_sends_is_not() -> None:
    stages = """
    ask:
      on_enter: [send: intro]
      on_response: [{go: stay, do: [{send: tip}, {send: bump, after: 1h}], at_most: 1}]
      on_event: {opened: {go: stay, do: [{send: tip}], at_most: 1}}
      timers: [{after: 1d, go: again}]
    again: {on_enter: [send: bump], timers: [{after: 1d, go: gave_up}]}
    """
    story = Story(a_type(stages)).reply("hello")
    story.decide(Event("event", story.now, name="opened"))
    story.until(after("1d"))
    answers = [(each.name, each.ignores_limits) for each in story.effects if each.kind == "send"]
    assert answers == [("intro", False), ("tip", True), ("bump", True), ("tip", False), ("bump", False)]


def test_what_a_held_response_leads_to_is_an_answer_too() -> None:
    stages = """
    ask: {min_stay: 1d, on_response: [{otherwise: again}]}
    again: {on_enter: [send: bump], timers: [{after: 1d, go: gave_up}]}
    """
    story = Story(a_type(stages))
    story.decide(a_reply("hello", START))
    story.until(after("1d"))
    assert [(each.name, each.ignores_limits) for each in story.effects if each.kind == "send"] == [("bump", True)]


def test_an_event_for_other_systems_is_an_effect_in_its_place() -> None:
    story = Story(
        a_type("ask: {on_enter: [{emit: asked}, {send: intro}, {emit: told}], timers: [{after: 1d, go: gave_up}]}")
    )
    assert [each for each in story.effects if each.kind == "emit"] == [
        Effect("emit", 1, 0, "asked", START, stage="ask"),
        Effect("emit", 1, 1, "told", START, stage="ask"),
    ]
    assert story.steps[0].sends == 1


def test_all_instants_are_in_utc() -> None:
    story = Story(
        a_type(REMIND, facts=DATES, send_window=OFFICE), zone="Asia/Tokyo", facts={"renewal_on": date(2026, 3, 9)}
    )
    assert {each.at.tzinfo for each in story.conversation.agenda} == {UTC}
