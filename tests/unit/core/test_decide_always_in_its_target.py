"""An `always` edge is passed over in its own target stage, also when `visits` sends it back there."""

from __future__ import annotations

from engine.core.compiled import CompiledType
from tests.unit.builders import Story, a_type

ALWAYS = '[{when: answer == "yes", go: ask}]'


def two_stages(visits: str = "") -> CompiledType:
    """The start stage `first`, and `ask`, to which `always` leads on a yes."""
    return a_type(
        f"""
        first: {{on_response: [{{when: answer == "no", go: gave_up}}], timers: [{{after: 20d, go: gave_up}}]}}
        ask:
          {visits}
          on_response: [{{when: answer == "yes", go: bought}}, {{when: rating == 1, go: first}}]
          timers: [{{after: 20d, go: gave_up}}]
        """,
        start="first",
        always=ALWAYS,
    )


def test_it_leads_there_from_elsewhere() -> None:
    assert Story(two_stages()).reply("yes").causes == ["start -> first", "response -> ask"]


def test_in_its_target_the_stage_is_asked_instead() -> None:
    assert Story(two_stages()).reply("yes").reply("yes").steps[-1].edge == "stages.ask.on_response[0]"


def test_in_its_target_it_is_passed_over_also_when_the_target_has_visits_left() -> None:
    story = Story(two_stages("visits: {at_most: 5, then: gave_up}")).reply("yes").reply("yes")
    assert story.steps[-1].edge == "stages.ask.on_response[0]"


def test_in_its_target_it_is_passed_over_also_when_no_visits_are_left() -> None:
    story = Story(two_stages("visits: {at_most: 1, then: gave_up}")).reply("yes").reply("yes")
    assert (story.stage, story.steps[-1].edge) == ("bought", "stages.ask.on_response[0]")


def test_where_visits_would_send_it_back_it_is_passed_over() -> None:
    story = Story(two_stages("visits: {at_most: 1, then: first}")).reply("yes").reply("1")
    assert story.stage == "first"
    story.reply("yes")
    assert (story.stage, story.conversation.seq, story.conversation.visits["first"]) == ("first", 3, 2)


def test_where_visits_would_send_it_back_the_stage_behind_is_not_entered_either() -> None:
    compiled = a_type(
        """
        first:
          visits: {at_most: 3, then: gave_up}
          on_response: [{when: answer == "yes", go: bought}]
          timers: [{after: 20d, go: gave_up}]
        ask:
          visits: {at_most: 1, then: first}
          on_response: [{when: rating == 1, go: first}]
          timers: [{after: 20d, go: gave_up}]
        """,
        start="first",
        always=ALWAYS,
    )
    story = Story(compiled).reply("yes").reply("1").reply("yes")
    assert story.causes == ["start -> first", "response -> ask", "response -> first", "response -> bought"]


def test_where_visits_sends_it_on_to_a_third_place_it_is_taken() -> None:
    compiled = a_type(
        """
        first: {timers: [{after: 20d, go: gave_up}]}
        ask:
          visits: {at_most: 1, then: gave_up}
          on_response: [{when: rating == 1, go: first}]
          timers: [{after: 20d, go: gave_up}]
        """,
        start="first",
        always=ALWAYS,
    )
    story = Story(compiled).reply("yes").reply("1").reply("yes")
    assert (story.stage, story.steps[-1].edge, story.steps[-1].source) == ("gave_up", "always[0]", "first")
