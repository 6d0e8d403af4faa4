"""`visits` bounds the entries to a stage, `at_most` how often a stay is taken."""

from __future__ import annotations

from engine.core.model import Event
from tests.unit.builders import Story, a_type, after

SNOOZING = """
ask:
  timers: [{after: 1d, go: snooze}]
snooze:
  visits: {at_most: 2, then: gave_up}
  on_enter: [{send: bump}]
  timers: [{after: 1d, go: ask}]
"""


def test_an_entry_beyond_the_bound_goes_to_then_with_no_step_for_the_stage_passed_over() -> None:
    story = Story(a_type(SNOOZING)).wait("9d")
    assert [step.to for step in story.steps] == ["ask", "snooze", "ask", "snooze", "ask", "gave_up"]
    last = story.steps[-1]
    assert (last.source, last.edge, last.at) == ("ask", "stages.ask.timers[0]", after("5d"))
    assert story.names == ["bump", "bump"]


def test_then_may_lead_to_another_bounded_stage_which_is_passed_over_too() -> None:
    compiled = a_type("""
    ask: {on_response: [{when: answer == "yes", go: one}, {otherwise: two}]}
    one: {visits: {at_most: 1, then: two}, on_response: [{otherwise: ask}]}
    two: {visits: {at_most: 1, then: gave_up}, on_response: [{otherwise: ask}]}
    """)
    story = Story(compiled)
    for text in ("yes", "back", "yes", "back", "yes"):
        story.reply(text)
    assert [step.to for step in story.steps] == ["ask", "one", "ask", "two", "ask", "gave_up"]


def test_the_edges_do_runs_also_when_visits_leads_elsewhere() -> None:
    compiled = a_type("""
    ask:
      visits: {at_most: 1, then: gave_up}
      on_response: [{otherwise: ask, do: [{send: tip}]}]
    """)
    story = Story(compiled).reply("hello")
    assert (story.stage, story.names) == ("gave_up", ["tip"])


def test_an_edge_into_its_own_stage_is_an_entry_and_resets_timers() -> None:
    compiled = a_type("""
    ask:
      visits: {at_most: 3, then: bought}
      on_response: [{otherwise: ask}]
      timers: [{after: 2d, go: gave_up}]
    """)
    story = Story(compiled).reply("one", after="1d")
    assert (story.stage, story.conversation.seq, story.next_due) == ("ask", 2, after("3d"))
    assert story.reply("two", after="1d").reply("three", after="1d").stage == "bought"


def test_a_split_counts_its_visits() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: which}]}
    which: {visits: {at_most: 2, then: gave_up}, split: [{when: visits == 3, go: bought}, {otherwise: ask}]}
    """)
    assert [step.to for step in Story(compiled).wait("9d").steps] == ["ask", "which", "ask", "which", "ask", "gave_up"]


STAYING = """
ask:
  on_event: {opened: {go: stay, do: [{send: tip}], at_most: 2}}
  on_response: [{go: stay, at_most: 1}, {when: answer == "no", go: gave_up}, {otherwise: ask}]
"""


def test_a_used_up_stay_is_passed_over() -> None:
    story = Story(a_type(STAYING)).event("opened").event("opened").event("opened")
    assert story.names == ["tip", "tip"]
    assert story.reply("one").conversation.seq == 3
    assert story.reply("no").stage == "gave_up"


def test_a_stay_is_bounded_per_visit_of_the_stage() -> None:
    story = Story(a_type(STAYING)).event("opened").event("opened").reply("one").reply("two")
    assert (story.conversation.visits, story.conversation.responses) == ({"ask": 2}, 0)
    story.event("opened").event("opened").event("opened").reply("three")
    assert (story.names, story.conversation.visits) == (["tip"] * 4, {"ask": 2})


def test_a_stay_of_always_is_bounded_per_conversation() -> None:
    compiled = a_type(SNOOZING, always="[{when: event == 'opened', go: stay, do: [{send: tip}], at_most: 2}]")
    story = Story(compiled).event("opened").wait("1d").event("opened").wait("1d").event("opened").event("opened")
    assert story.names == ["tip", "bump", "tip"]


def test_a_stay_is_bounded_within_one_evaluation_too() -> None:
    story = Story(a_type(STAYING))
    story.decide(*(Event("event", after(f"{hours}h"), name="opened") for hours in (1, 2, 3)), at=after("4h"))
    assert [step.sends for step in story.steps[1:]] == [1, 1]


def test_visits_counts_for_guards_where_the_conversation_stands_and_in_do_where_it_leaves() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: snooze, do: [{send: tip, when: visits == 2}]}]}
    snooze:
      visits: {at_most: 3, then: gave_up}
      on_enter: [{send: bump, when: visits == 3}]
      timers: [{after: 1d, go: ask}]
    """)
    assert Story(compiled).wait("30d").sent == [("tip", after("3d")), ("bump", after("5d"))]
