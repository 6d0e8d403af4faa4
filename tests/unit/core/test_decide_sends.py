"""What actions do, which message belongs to what, and what cancels those that have not left."""

from __future__ import annotations

from decimal import Decimal

from engine.core.decide import decide
from engine.core.model import Decision, Effect, Event
from tests.unit.builders import START, Story, a_conversation, a_reply, a_type, after


def sends(decision: Decision) -> list[tuple[int, int, str, bool]]:
    """The messages made: seq, ordinal, name and whether they died at once."""
    return [(each.seq, each.ordinal, each.name, each.cancelled) for each in decision.effects if each.kind == "send"]


# ---- actions --------------------------------------------------------------------------------------------------------


def test_actions_run_in_order_and_their_messages_are_numbered_within_the_step() -> None:
    compiled = a_type("""
    ask:
      on_enter:
        - send: intro
        - assign: {to: inbox}
        - {send: tip, after: 4h}
        - {send: bump, when: vip}
        - send: goodbye
    """)
    decision = decide(compiled, a_conversation(), [], START)
    assert decision.effects == (
        Effect("send", 1, 0, "intro", START, "conversation", "ask"),
        Effect("assign", 1, 0, "inbox", START, stage="ask", priority="normal"),
        Effect("send", 1, 1, "tip", after("4h"), "stage", "ask"),
        Effect("send", 1, 2, "goodbye", START, "conversation", "ask"),
    )
    assert decision.steps[0].sends == 3


def test_an_edges_do_runs_before_on_enter_in_the_same_step() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: again, do: [{send: tip}, {assign: {to: inbox, priority: high}}]}]}
    again: {on_enter: [{send: intro}, {assign: {to: lead}}]}
    """)
    story = Story(compiled).wait("1d")
    assert sends(story.decide()) == []
    assert [(each.kind, each.seq, each.ordinal, each.name) for each in story.effects if each.kind != "cancel"] == [
        ("send", 2, 0, "tip"),
        ("assign", 2, 0, "inbox"),
        ("send", 2, 1, "intro"),
        ("assign", 2, 1, "lead"),
    ]
    assert story.assigned == [("inbox", "high"), ("lead", "normal")]


def test_a_sends_guard_is_judged_when_the_action_runs_after_the_actions_before_it() -> None:
    compiled = a_type("ask: {on_enter: [{send: intro, when: vip}, {set: {vip: true}}, {send: tip, when: vip}]}")
    assert Story(compiled).names == ["tip"]


def test_the_guard_of_a_delayed_send_is_not_judged_again_when_it_leaves() -> None:
    compiled = a_type("""
    ask:
      on_enter: [{send: intro, after: 1d, when: vip}]
      on_event: {downgraded: {go: stay, do: [{set: {vip: false}}], at_most: 1}}
    """)
    assert Story(compiled, facts={"vip": True}).event("downgraded").wait("1d").names == ["intro"]


def test_set_takes_a_constant_of_the_facts_type() -> None:
    compiled = a_type("ask: {on_enter: [{set: {name: Ann, plan: team, seats: 3, score: 2.5, vip: true}}]}")
    facts = Story(compiled).conversation.facts
    assert facts == {"name": "Ann", "plan": "team", "seats": 3, "score": Decimal("2.5"), "vip": True}
    assert facts["vip"] is True


def test_set_takes_the_captured_value_when_it_names_a_response() -> None:
    compiled = a_type("ask: {on_response: [{go: stay, do: [{set: {score: rating, name: answer}}], at_most: 9}]}")
    assert Story(compiled).reply("yes, 4.5").conversation.facts == {"score": Decimal("4.5"), "name": "yes"}


def test_set_from_a_response_that_has_no_value_leaves_the_fact() -> None:
    compiled = a_type("ask: {on_response: [{go: stay, do: [{set: {score: rating}}], at_most: 9}]}")
    assert Story(compiled, facts={"score": Decimal(1)}).reply("4").reply("hm").conversation.facts == {
        "score": Decimal(4)
    }


def test_set_from_a_response_on_entry_takes_what_was_last_captured() -> None:
    compiled = a_type(
        "ask: {on_response: [{when: answer == 'yes', go: bought}]}",
        exits="{bought: {outcome: won, on_enter: [{set: {score: rating}}]}, gave_up: lost}",
    )
    assert Story(compiled).reply("4").reply("yes").conversation.facts == {"score": Decimal(4)}


def test_set_never_gives_a_fact_a_value_outside_its_type() -> None:
    compiled = a_type(
        "ask: {on_response: [{go: stay, do: [{set: {seats: rating, plan: words}}], at_most: 9}]}",
        responses="{rating: {number: true}, words: {text: true}}",
    )
    facts = {"seats": 7, "plan": "free"}
    for text in ("1001", "2.5", "hello"):
        assert Story(compiled, facts=facts).reply(text).conversation.facts == facts
    found = Story(compiled, facts=facts).reply("1000").conversation.facts
    assert (found, type(found["seats"])) == ({"seats": 1000, "plan": "free"}, int)
    assert Story(compiled, facts=facts).reply("team").conversation.facts["plan"] == "team"


def test_a_stay_with_actions_is_a_step_and_resets_nothing() -> None:
    compiled = a_type("""
    ask:
      on_enter: [{send: intro}]
      follow_ups: [{after: 2d, send: bump}]
      on_event: {opened: {go: stay, do: [{send: tip, after: 4h}], at_most: 1}}
      timers: [{after: 3d, go: gave_up}]
    """)
    story = Story(compiled).event("opened", after="1d").wait("9d")
    assert story.sent == [("intro", START), ("tip", after("28h")), ("bump", after("2d"))]
    assert story.causes == ["start -> ask", "event:opened -> ask", "follow_up -> ask", "timer -> gave_up"]
    assert [step.sends for step in story.steps] == [1, 1, 1, 0]


# ---- cancelling -----------------------------------------------------------------------------------------------------

LEAVING = """
ask:
  on_enter: [{send: intro}, {send: tip, after: 2d}]
  timers: [{after: 1d, go: again}]
again:
  timers: [{after: 9d, go: gave_up}]
"""


def unsent() -> Story:
    """A story of LEAVING whose workers are down from the start."""
    return Story(a_type(LEAVING), workers=False)


def test_a_delayed_send_dies_when_the_stage_is_left_before_it_left() -> None:
    assert Story(a_type(LEAVING)).wait("9d").names == ["intro"]
    assert Story(a_type(LEAVING.replace("after: 2d", "after: 23h"))).wait("9d").names == ["intro", "tip"]


def test_any_other_send_stands_when_its_stage_is_left() -> None:
    story = unsent().until(after("1d"))
    assert (story.stage, [each.name for each in story.waiting]) == ("again", ["intro"])


def test_entering_an_exit_cancels_all_that_has_not_left() -> None:
    story = unsent().until(after("10d"))
    assert (story.stage, story.waiting) == ("gave_up", [])


def test_an_exits_own_messages_and_those_of_the_edge_into_it_leave() -> None:
    compiled = a_type(
        "ask: {timers: [{after: 1d, go: gave_up, do: [{send: tip}, {send: bump, after: 2h}]}]}",
        exits="{gave_up: {outcome: lost, on_enter: [{send: goodbye}, {send: intro, after: 1d}]}}",
    )
    story = Story(compiled).wait("9d")
    assert story.sent == [
        ("tip", after("1d")),
        ("goodbye", after("1d")),
        ("bump", after("26h")),
        ("intro", after("2d")),
    ]
    assert story.next_due is None


def test_an_evaluations_own_edge_sends_survive_the_exit_but_not_what_a_stage_sent_on_entry() -> None:
    compiled = a_type("""
    ask:
      on_response: [{otherwise: again, do: [{send: tip}]}]
    again:
      on_enter: [{send: intro}]
      timers: [{after: 0s, go: gave_up, do: [{send: goodbye}]}]
    """)
    story = Story(compiled)
    assert sends(story.decide(a_reply("hello", START))) == [
        (2, 0, "tip", False),
        (2, 1, "intro", True),
        (3, 0, "goodbye", False),
    ]


def test_a_delayed_edge_send_belongs_to_the_stage_it_leads_to() -> None:
    stages = """
    ask: {timers: [{after: 1d, go: again, do: [{send: tip, after: 2d}]}]}
    again: {timers: [{after: 3d, go: last}]}
    last: {timers: [{after: 9d, go: gave_up}]}
    """
    assert Story(a_type(stages)).wait("9d").sent == [("tip", after("3d"))]
    assert Story(a_type(stages.replace("after: 3d", "after: 1d"))).wait("9d").sent == []


def test_a_delayed_edge_send_belongs_to_the_stage_finally_entered_split_chains_passed() -> None:
    stages = """
    ask: {timers: [{after: 1d, go: which, do: [{send: tip, after: 2d}]}]}
    which: {on_enter: [{send: intro}, {send: goodbye, after: 1h}], split: [{otherwise: which_now}]}
    which_now: {split: [{otherwise: again, do: [{send: bump, after: 1d}]}]}
    again: {timers: [{after: 3d, go: last}]}
    last: {timers: [{after: 9d, go: gave_up}]}
    """
    assert Story(a_type(stages)).wait("9d").sent == [
        ("intro", after("1d")),
        ("bump", after("2d")),
        ("tip", after("3d")),
    ]
    assert Story(a_type(stages.replace("after: 3d", "after: 36h"))).wait("9d").names == ["intro", "bump"]


def test_a_delayed_edge_send_through_a_split_into_an_exit_leaves() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: which, do: [{send: tip, after: 2d}]}]}
    which: {split: [{otherwise: gave_up}]}
    """)
    assert Story(compiled).wait("9d").sent == [("tip", after("3d"))]


def test_a_delayed_send_of_a_stay_dies_with_the_visit() -> None:
    compiled = a_type("""
    ask:
      on_event: {opened: {go: stay, do: [{send: tip, after: 4h}], at_most: 1}}
      timers: [{after: 1d, go: again}]
    again: {timers: [{after: 9d, go: gave_up}]}
    """)
    assert Story(compiled).event("opened", after="19h").wait("9d").names == ["tip"]
    assert Story(compiled).event("opened", after="21h").wait("9d").names == []


def test_a_late_tick_lets_a_delayed_edge_send_die_with_its_visit_as_one_in_time_would() -> None:
    for target in ("again", "gave_up"):
        compiled = a_type(f"""
        ask:
          on_event: {{opened: {{go: stay, do: [{{send: tip, after: 4h}}], at_most: 1}}}}
          timers: [{{after: 1d, go: {target}}}]
        again: {{timers: [{{after: 9d, go: gave_up}}]}}
        """)
        in_time = Story(compiled).event("opened", after="21h").wait("5h")
        assert (in_time.stage, in_time.names, in_time.waiting) == (target, [], [])
        late = Story(compiled)
        decision = late.decide(Event("event", after("21h"), name="opened"), at=after("26h"))
        assert sends(decision) == [(2, 0, "tip", True)]


def test_leaving_a_stage_that_planned_nothing_asks_for_no_cancelling() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: again}]}
    again: {timers: [{after: 1d, go: last}]}
    last: {timers: [{after: 9d, go: gave_up}]}
    """)
    story = Story(compiled).wait("2d")
    assert [each for each in story.effects if each.kind == "cancel"] == []


def test_a_first_decision_asks_for_no_cancelling_since_nothing_was_made_before() -> None:
    compiled = a_type("ask: {on_enter: [{send: intro, after: 1h}], timers: [{after: 0s, go: gave_up}]}")
    decision = decide(compiled, a_conversation(), [], START)
    assert [(each.kind, each.cancelled) for each in decision.effects] == [("send", True)]


def test_delays_of_sends_are_calendar_days_in_the_recipients_zone() -> None:
    story = Story(a_type("ask: {on_enter: [{send: intro, after: 27d}]}"), zone="Europe/Berlin")
    assert story.effects[0].at == after("647h")  # 29 March, 10:00 there
