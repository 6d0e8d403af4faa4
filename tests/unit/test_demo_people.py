"""The demo's people: the same for a seed, awake when they answer, and speaking so that the shipped types understand."""

from __future__ import annotations

from datetime import UTC, datetime, time
from io import StringIO
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from engine.authoring.files import load_spec
from engine.authoring.simulation.people_file import load_people
from engine.channels.protocol import OutgoingMessage
from engine.core.responses import compile_responses
from engine.demo.people import Crowd, Home
from engine.demo.view import funnel
from engine.inbox import Inbound

TYPES = Path(__file__).parents[2] / "campaign_types"
NURTURE = load_spec(TYPES / "b2b_nurture.yaml").spec
SUPPORT = load_spec(TYPES / "support_followup.yaml").spec
PEOPLE = [load_people(TYPES / f"{spec.campaign_type}.sim.yaml", spec) for spec in (NURTURE, SUPPORT)]
HABITS = {message: habit for people in PEOPLE for message, habit in people.messages.items()}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
KEYS = [f"p{number}" for number in range(400)]
ZONES = ("Asia/Tokyo", "America/Los_Angeles", "Europe/Kyiv", "Pacific/Auckland", "")


def a_message(key: str, name: str = "offer", campaign: int = 1) -> OutgoingMessage:
    return OutgoingMessage(
        idempotency_key=f"{campaign}-{key}:1:0",
        channel="email",
        to="",
        subject=None,
        text="",
        campaign_id=UUID(int=campaign),
        conversation_id=UUID(int=campaign),
        recipient_key=key,
        message=name,
        at=NOON,
    )


def reactions(seed: int = 1, name: str = "offer", zone: str = "", campaign: int = 1) -> list[list[Inbound]]:
    crowd = Crowd(seed, PEOPLE, dict.fromkeys(KEYS, Home(zone)) if zone else {})
    return [crowd.react(a_message(key, name, campaign)) for key in KEYS]


def test_the_seed_decides_and_nothing_else() -> None:
    def said(found: list[list[Inbound]]) -> list[list[tuple[str, datetime | None]]]:
        return [[(each.body, each.received_at) for each in answers] for answers in found]

    assert said(reactions(1)) == said(reactions(1, campaign=2))
    assert said(reactions(1)) != said(reactions(2))


@pytest.mark.parametrize("name", HABITS)
def test_about_as_many_answer_as_the_habit_says(name: str) -> None:
    answering = sum(bool(answers) for answers in reactions(name=name))
    assert answering / len(KEYS) == pytest.approx(HABITS[name].spec.answer, abs=0.08)


@pytest.mark.parametrize("zone", ZONES)
def test_they_answer_after_the_message_and_while_it_is_day_where_they_live(zone: str) -> None:
    for answers in reactions(zone=zone):
        for each in answers[:1]:
            assert each.received_at is not None
            assert each.received_at > NOON
            assert time(7, 30) <= each.received_at.astimezone(ZoneInfo(zone or "UTC")).time() < time(22)


def test_a_few_answers_come_twice_with_the_same_message_id() -> None:
    twice = [answers for answers in reactions() if len(answers) > 1]
    assert 0 < len(twice) < 40
    for first, second in twice:
        assert (first.message_id, first.body) == (second.message_id, second.body)
        assert first.received_at is not None
        assert second.received_at is not None
        assert first.received_at < second.received_at


def test_most_tickets_that_are_not_solved_are_closed_later() -> None:
    reader = compile_responses(SUPPORT.responses)
    answers = [each for each in reactions(name="solved_question") if each and reader(each[0].body)["solved"] == "no"]
    closed = [each for each in answers if each[-1].name == "ticket_closed"]
    assert len(answers) / 2 < len(closed) < len(answers)


def test_a_message_that_asks_nothing_gets_no_answer() -> None:
    assert not any(reactions(name="newsletter"))


def test_there_is_a_habit_for_every_message_of_the_shipped_types_and_for_no_other() -> None:
    assert HABITS.keys() == NURTURE.messages.keys() | SUPPORT.messages.keys()


def heard(name: str) -> list[set[object]]:
    """What the campaign type reads in each thing that people say about a message."""
    spec, response = (NURTURE, "answer") if name in NURTURE.messages else (SUPPORT, "solved")
    response = "rating" if name.startswith("rating") else response
    reader = compile_responses(spec.responses)
    return [{reader(text).get(response) for text in saying.texts} for saying in HABITS[name].sayings[""]]


def test_their_words_are_understood_as_they_are_meant() -> None:
    assert heard("introduction") == [{"other"}, {"other"}, {"stop"}]
    assert heard("offer") == [{"accept"}, {"other"}, {"refuse"}, {"stop"}]
    assert heard("solved_question") == [{"yes"}, {"no"}, {"other"}, {"stop"}]
    assert heard("rating_question") == [{4, 5}, {1, 2, 3}, {None}, {None}]


def test_the_funnel_draws_each_stage_with_its_counts_and_each_outcome() -> None:
    drawn = StringIO()
    stages = {"awareness": {"entered": 1000, "current": 250}, "consideration": {"entered": 500, "current": 0}}
    metrics = {
        "campaign_type": "b2b_nurture", "total_conversations": 1000, "stages": stages, "outcomes": {"won": 125},
    }  # fmt: skip
    Console(file=drawn, width=100).print(funnel(metrics))
    rows = [line.split() for line in drawn.getvalue().splitlines()]
    assert rows == [
        ["b2b_nurture", "entered", "here", "now"],
        ["awareness", "█" * 40, "1,000", "250"],
        ["consideration", "█" * 20, "500", "0"],
        ["won", "█" * 5, "125"],
    ]
