from __future__ import annotations

from datetime import datetime

import pytest

from engine.core.compiled import CompiledType
from engine.core.explain import Explanation, explain
from engine.core.model import Event
from tests.unit.builders import START, Story, a_conversation, a_type, after

ASKING = """
ask:
  min_stay: 1d
  on_enter: [{send: intro}]
  follow_ups: [{after: 2d, send: bump, when: vip}, {after: 2d, send: tip}]
  on_response:
    - {when: answer == "yes", go: again}
    - {when: responses >= 2, go: gave_up}
    - {go: stay, do: [{send: tip}], at_most: 1}
  on_event: {opened: {when: event == "opened" and seats > 3, go: bought}}
  timers: [{after: 3d, when: rating > 3, go: bought}, {after: 10d, go: gave_up}]
  escalate: [{after: 5d, to: lead}]
again:
  visits: {at_most: 1, then: gave_up}
  on_response: [{when: answer == "no", go: ask}]
  timers: [{after: 10d, go: again}]
"""


@pytest.fixture
def compiled() -> CompiledType:
    return a_type(
        ASKING, always='[{when: answer == "stop", go: opted_out}]', ends_within="{at_most: 30d, then: gave_up}"
    )


def ways(story: Story, now: datetime | None = None) -> dict[str, Explanation]:
    found = explain(story.compiled, story.conversation, now or story.now)
    assert len({each.edge for each in found}) == len(found)
    return {each.edge.removeprefix(f"stages.{story.stage}."): each for each in found}


def test_every_way_on_is_told_in_the_order_of_the_vocabulary(compiled: CompiledType) -> None:
    assert list(ways(Story(compiled))) == [
        "always[0]",
        "on_response[0]",
        "on_response[1]",
        "on_response[2]",
        "on_event.opened[0]",
        "timers[0]",
        "timers[1]",
        "ends_within",
        "escalate[0]",
        "follow_ups[0]",
    ]


def test_each_way_has_the_earliest_instant_at_which_it_could_be_taken(compiled: CompiledType) -> None:
    story = Story(compiled)
    earliest = {edge: way.earliest for edge, way in ways(story, after("1h")).items()}
    assert earliest == {
        "always[0]": after("1h"),
        "on_response[0]": after("1d"),
        "on_response[1]": after("1d"),
        "on_response[2]": after("1d"),
        "on_event.opened[0]": after("1h"),
        "timers[0]": after("3d"),
        "timers[1]": after("10d"),
        "ends_within": after("30d"),
        "escalate[0]": after("5d"),
        "follow_ups[0]": after("2d"),
    }
    late = ways(story, after("40d"))
    assert {late[edge].earliest for edge in ("on_response[0]", "timers[1]", "ends_within")} == {after("40d")}


def test_a_timer_that_fired_has_no_earliest_instant_any_more(compiled: CompiledType) -> None:
    assert ways(Story(compiled).wait("4d"))["timers[0]"].earliest is None


def test_a_guard_is_told_with_its_text_inputs_and_verdict(compiled: CompiledType) -> None:
    opened = ways(Story(compiled, facts={"seats": 4}))["on_event.opened[0]"]
    assert opened == Explanation(
        "stages.ask.on_event.opened[0]",
        "bought",
        'event == "opened" and seats > 3',
        {"event": "opened", "seats": 4},
        True,
        True,
        "the event opened",
        START,
    )
    assert ways(Story(compiled, facts={"seats": 3}))["on_event.opened[0]"].verdict is False
    unknown = ways(Story(compiled))["on_event.opened[0]"]
    assert (unknown.verdict, unknown.passes, unknown.inputs) == (None, False, {"event": "opened", "seats": None})


def test_a_way_without_a_guard_passes_and_has_no_verdict(compiled: CompiledType) -> None:
    timer = ways(Story(compiled))["timers[1]"]
    assert (timer.passes, timer.verdict, timer.inputs, timer.waits_for) == (True, None, {}, "its time")


def test_what_waits_for_a_response_knows_no_values_of_it_but_counts_it(compiled: CompiledType) -> None:
    story = Story(compiled).reply("yes, a 5")
    found = ways(story)
    assert (found["on_response[0]"].verdict, found["on_response[0]"].inputs) == (None, {"answer": None})
    assert (found["on_response[1]"].verdict, found["on_response[1]"].inputs) == (True, {"responses": 2})
    assert found["always[0]"].verdict is None
    assert found["timers[0]"].verdict is True  # a timer sees what was captured


def test_a_used_up_stay_does_not_pass(compiled: CompiledType) -> None:
    story = Story(compiled).wait("1d")
    assert ways(story)["on_response[2]"].passes
    assert not ways(story.reply("hm"))["on_response[2]"].passes


def test_a_bounded_target_is_the_place_that_would_be_entered(compiled: CompiledType) -> None:
    story = Story(compiled).wait("1d")
    assert ways(story)["on_response[0]"].target == "again"
    assert ways(story.reply("yes"))["timers[0]"].target == "gave_up"


def test_a_follow_up_waits_for_the_message_before_it_to_leave(compiled: CompiledType) -> None:
    story = Story(compiled, workers=False)
    waiting = ways(story)["follow_ups[0]"]
    assert (waiting.waits_for, waiting.earliest) == ("the message before it to leave", None)
    story.decide(Event("sent", after("1h"), message=(1, 0)), at=after("2h"))
    left = ways(story)["follow_ups[0]"]
    assert (left.waits_for, left.earliest) == ("its time", after("49h"))


def test_follow_ups_that_ended_are_no_way_on(compiled: CompiledType) -> None:
    failed = Story(compiled, workers=False)
    failed.decide(Event("dropped", START, message=(1, 0)))
    assert "follow_ups[0]" not in ways(failed)
    assert "follow_ups[0]" not in ways(Story(compiled).reply("hm"))


def test_before_the_start_only_the_start_and_always_are_ways_on(compiled: CompiledType) -> None:
    found = explain(compiled, a_conversation(starts_at=after("2d")), START)
    assert [(each.edge, each.target, each.waits_for, each.earliest) for each in found] == [
        ("always[0]", "opted_out", "a response or event", START),
        ("start", "ask", "the start of the campaign", after("2d")),
    ]


def test_after_an_exit_there_is_no_way_on(compiled: CompiledType) -> None:
    assert explain(compiled, Story(compiled).reply("stop").conversation, START) == []


def test_explaining_changes_nothing(compiled: CompiledType) -> None:
    story = Story(compiled).reply("hm")
    before = story.conversation.copy()
    explain(compiled, story.conversation, START)
    assert story.conversation == before
