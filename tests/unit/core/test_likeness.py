"""Conversations that are alike come to the same decision, each keeping its own instants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.likeness import Likeness, carried
from engine.core.machine import compile_campaign_type
from engine.core.model import Conversation, Decision, Due, Rank
from engine.core.spec import CampaignTypeSpec
from tests.unit.builders import START, a_conversation, a_type
from tests.unit.core.random_types import Person, random_people, random_specs
from tests.unit.core.test_decide_properties import Move, _moves, lived

_gaps = st.lists(st.sampled_from([0, 1, 5, 5, 30, 400]), min_size=8, max_size=8)


def shifted(it: Conversation, gaps: Sequence[int], now: datetime) -> Conversation:
    """The same conversation with instants of its own: each pending one on its side of `now`, as far as `gaps` say."""
    hours = [timedelta(hours=gap) for gap in gaps]
    moved = [now - gap if due.at <= now else now + gap for due, gap in zip(it.agenda, hours, strict=False)]
    agenda = tuple(due._replace(at=at) for due, at in zip(it.agenda, moved, strict=True))
    entered_at = it.entered_at and it.entered_at - hours[-1]
    return replace(it, agenda=agenda, entered_at=entered_at, started_at=it.started_at and it.started_at - hours[-1])


def told(before: Conversation, decision: Decision, now: datetime) -> tuple[Any, ...]:
    """What a decision says to all who share it: everything but the instants that are the conversation's own."""
    it = decision.conversation
    kept, made = carried(before.agenda, it.agenda)
    entered = any(step.entered for step in decision.steps)
    assert it.entered_at == (now if entered else before.entered_at)
    assert it.started_at == (before.started_at or (now if entered else None))
    own = replace(it, agenda=(), entered_at=None, started_at=None)
    return own, kept, made, decision.steps, decision.effects, decision.readings, decision.trace


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@given(random_specs(), random_people, _moves, _gaps)
def test_who_is_alike_shares_a_decision(
    spec: CampaignTypeSpec, person: Person, moves: list[Move], gaps: list[int]
) -> None:
    compiled = compile_campaign_type(spec)
    conversation = a_conversation(id=person.key, facts=person.facts, zone=person.zone)
    for before, events, now, decision in lived(compiled, conversation, moves):
        heard = [each for each in events if each.kind in ("sent", "dropped")]
        if len(heard) < len(events):
            continue  # one that something arrived for is alike nobody
        other = shifted(before, gaps, now)
        likeness = Likeness(compiled, before, now, len(heard))
        alike = likeness.of([due.at for due in before.agenda]) == likeness.of([due.at for due in other.agenda])
        event(f"alike: {alike}, steps: {min(len(decision.steps), 2)}")
        if alike:
            assert told(other, decide(compiled, other, heard, now), now) == told(before, decision, now)


def waiting(*agenda: Due) -> Conversation:
    return replace(a_conversation(), stage="ask", entered_at=START, started_at=START, seq=1, agenda=agenda)


NOW = START + timedelta(hours=5)
TALK: dict[str, Any] = {
    "stages": "{ask: {follow_ups: [{after: 1h, send: hi}], timers: [{after: 3h, go: stay}, {after: 4h, go: over}]}}",
}


def hours(*since_start: float) -> list[datetime]:
    return [START + timedelta(hours=each) for each in since_start]


def timers() -> Conversation:
    return waiting(Due(START, Rank.TIMER, 0), Due(START, Rank.TIMER, 1))


@pytest.fixture(scope="module")
def talk() -> CompiledType:
    return a_type(**TALK)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (hours(1, 6), hours(2, 9), True),  # the same is due
        (hours(1, 6), hours(6, 1), False),  # another is due
        (hours(6, 7), hours(8, 9), True),  # nothing is due
        (hours(1, 2), hours(3, 4), True),  # both are due, in the same order
        (hours(1, 2), hours(2, 1), False),  # in another order
        (hours(1, 1), hours(2, 3), True),  # at one instant they come as listed
        (hours(1, 5), hours(1, 4), False),  # what is due this very moment may meet what is made now
    ],
)
def test_what_is_due_and_in_which_order_says_who_is_alike(
    talk: CompiledType, one: list[datetime], other: list[datetime], alike: bool
) -> None:
    likeness = Likeness(talk, timers(), NOW)
    assert (likeness.of(one) == likeness.of(other)) is alike


def test_when_an_event_is_heard_while_something_is_due_only_equal_instants_are_alike(talk: CompiledType) -> None:
    likeness = Likeness(talk, timers(), NOW, heard_count=1)
    assert likeness.of(hours(1, 6)) != likeness.of(hours(2, 6))
    assert likeness.of(hours(6, 7)) == likeness.of(hours(8, 9))


def test_a_follow_up_that_may_be_passed_over_counts_on_from_its_own_instant() -> None:
    guarded = a_type(
        facts={"vip": "bool?"},
        stages="{ask: {follow_ups: [{after: 1h, send: hi, when: vip}, {after: 1h, send: hi}], "
        "timers: [{after: 9h, go: over}]}}",
    )
    likeness = Likeness(guarded, waiting(Due(START, Rank.FOLLOW_UP, 0)), NOW)
    assert likeness.of(hours(1)) != likeness.of(hours(2))
    assert likeness.of(hours(6)) == likeness.of(hours(7))
    second = Likeness(guarded, waiting(Due(START, Rank.FOLLOW_UP, 1)), NOW)
    assert second.of(hours(1)) == second.of(hours(2))


def test_with_timers_at_a_date_only_equal_instants_are_alike() -> None:
    dated = a_type(
        facts={"renewal_on": "date?"},
        stages='{ask: {timers: [{at: "renewal_on - 1d", go: over}, {after: 9h, go: over}]}}',
    )
    likeness = Likeness(dated, waiting(Due(START, Rank.TIMER, 0), Due(START, Rank.TIMER, 1)), NOW)
    assert likeness.of(hours(8, 9)) != likeness.of(hours(7, 9))
    assert likeness.of(hours(8, 9)) == likeness.of(hours(8, 9))


def test_what_is_carried_is_told_by_its_place_and_what_is_made_by_its_value() -> None:
    before = [Due(START, Rank.TIMER, 0), Due(START, Rank.TIMER, 1)]
    made = Due(START, Rank.TIMER, 1)  # equal to one that was there, and yet another
    assert carried(before, [before[1], made]) == ([1], [made])
