"""Captured values in a conversation: a date, a number within bounds, a phone; in guards, in facts, read in the zone."""

from __future__ import annotations

from datetime import date

from engine.core.compiled import CompiledType
from tests.unit.builders import Story, a_type

RESPONSES = (
    "{on: {date_gt: today}, phone: {phone: true}, at: {time: true}, wish: {any_of: [{number_gt: 9}, {number_lt: 1}]}}"
)


def a_booking(edge: str) -> CompiledType:
    return a_type(
        f"ask: {{on_response: [{edge}, {{otherwise: stay}}]}}",
        facts="{day: 'date?', note: 'text?', hour: 'text?', seats: 'int?'}",
        responses=RESPONSES,
    )


def test_a_captured_date_is_compared_in_guards() -> None:
    compiled = a_booking("{when: on < '2026-04-01', go: bought}")
    assert Story(compiled).reply("on 31.3.2026").conversation.stage == "bought"
    assert Story(compiled).reply("on 1.4.2026").conversation.stage == "ask"
    assert Story(compiled).reply("some day").conversation.stage == "ask"


def test_captured_values_can_be_kept_in_facts() -> None:
    compiled = a_booking("{go: stay, do: [{set: {day: on, note: phone, hour: at, seats: wish}}], at_most: 9}")
    story = Story(compiled).reply("31/3/2026 9:30")
    assert story.conversation.facts["day"] == date(2026, 3, 31)
    assert Story(compiled).reply("call +44 20 7946 0958").conversation.facts["note"] == "+442079460958"
    assert Story(compiled).reply("at 9:30 pm").conversation.facts["hour"] == "21:30"
    assert Story(compiled).reply("5, or rather 12").conversation.facts["seats"] == 12


def test_a_captured_date_may_become_a_text() -> None:
    compiled = a_booking("{go: stay, do: [{set: {note: on}}], at_most: 9}")
    assert Story(compiled).reply("31.3.2026").conversation.facts["note"] == "2026-03-31"
