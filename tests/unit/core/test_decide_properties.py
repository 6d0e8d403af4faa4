"""What is true of every decision, for random campaign types and whatever happens to their conversations."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.errors import RefusedError
from engine.core.explain import explain
from engine.core.model import Conversation, Decision, Event
from engine.core.moves import order
from tests.unit.builders import START, a_conversation
from tests.unit.strategies import EVENTS, EXITS, TEXTS, campaign_types

MOST_TICKS = 2_000


class Move(NamedTuple):
    """Time that passes, what arrived while it did (how long before its end), and whether messages left meanwhile."""

    hours: float
    arrivals: list[tuple[float, Event]]
    leaves: bool


_arrivals = st.one_of(
    st.sampled_from(TEXTS).map(lambda text: Event("response", START, text=text, key=text)),
    st.sampled_from(EVENTS).map(lambda name: Event("event", START, name=name)),
    st.tuples(st.sampled_from(["sent", "dropped"]), st.integers(0, 5), st.integers(0, 2)).map(
        lambda fate: Event(fate[0], START, message=fate[1:])
    ),
)
_hours = st.sampled_from([0, 0.5, 1, 4, 24, 36, 100, 2_000])
_moves = st.lists(
    st.builds(
        Move, _hours, st.lists(st.tuples(st.sampled_from([0, 0, 0.5, 1, 30]), _arrivals), max_size=3), st.booleans()
    ),
    max_size=6,
)
_facts = st.fixed_dictionaries(
    {},
    optional={
        "vip": st.booleans(),
        "seats": st.integers(1, 100),
        "plan": st.sampled_from(["free", "team"]),
        "renewal_on": st.dates(date(2026, 2, 1), date(2026, 6, 1)),
    },
)
_conversations = st.builds(
    lambda key, facts, zone, early: a_conversation(
        id=key, facts=facts, zone=zone, starts_at=START - timedelta(hours=early)
    ),
    st.uuids(),
    _facts,
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
    st.sampled_from([-40, 0, 0, 7]),
)
_lives = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def lived(compiled: CompiledType, conversation: Conversation, moves: Iterable[Move]) -> Iterable[tuple[Any, ...]]:
    """Every decision of a life, with what it was made of."""
    now = START
    for move in moves:
        now += timedelta(hours=move.hours)
        events = [arrived._replace(at=now - timedelta(hours=age)) for age, arrived in move.arrivals]
        if move.leaves and conversation.awaits is not None:
            events.append(Event("sent", now - timedelta(hours=move.hours / 2), message=conversation.awaits))
        decision = decide(compiled, conversation, events, now)
        yield conversation, events, now, decision
        conversation = decision.conversation


def check_steps(before: Conversation, decision: Decision, now: datetime) -> None:
    """History is gapless, one row leads to the next, and each knows how many messages it made."""
    it = decision.conversation
    assert [step.seq for step in decision.steps] == list(range(before.seq + 1, it.seq + 1))
    stage = before.stage
    for step in decision.steps:
        made = [effect.ordinal for effect in decision.effects if effect.kind == "send" and effect.seq == step.seq]
        assert made == list(range(step.sends))
        assert (step.source, step.at) == (stage, now)
        assert step.entered or step.to == step.source
        stage = step.to
    assert it.stage == stage
    assert sum(step.sends for step in decision.steps) == sum(effect.kind == "send" for effect in decision.effects)


def check_standing(it: Conversation, decision: Decision, now: datetime) -> None:
    """Nothing due is left behind; an active conversation has something to wait for, one that is over has nothing."""
    if it.status == "active":
        assert it.stage not in EXITS
        assert decision.next_due is not None
        assert decision.next_due > now
        assert all(due.at > now for due in it.agenda)
    else:
        assert decision.next_due is None
    if it.status in ("completed", "stopped"):
        assert (it.agenda, it.held, it.awaits) == ((), (), None)


@_lives
@given(campaign_types(), _conversations, _moves)
def test_every_decision_is_whole_and_leaves_its_input_alone(
    compiled: CompiledType, conversation: Conversation, moves: list[Move]
) -> None:
    for before, _, now, decision in lived(compiled, deepcopy(conversation), moves):
        check_steps(before, decision, now)
        check_standing(decision.conversation, decision, now)
        event(f"{len(decision.steps)} steps" if len(decision.steps) < 3 else "more steps")


@_lives
@given(campaign_types(), _conversations, _moves)
def test_the_same_arguments_give_the_same_decision_and_are_not_changed(
    compiled: CompiledType, conversation: Conversation, moves: list[Move]
) -> None:
    for before, events, now, decision in lived(compiled, conversation, moves):
        untouched = deepcopy(before)
        assert decide(compiled, before, tuple(events), now) == decision
        assert before == untouched


@_lives
@given(campaign_types(), _conversations, _moves)
def test_deciding_again_at_the_same_instant_without_news_changes_nothing(
    compiled: CompiledType, conversation: Conversation, moves: list[Move]
) -> None:
    for _, _, now, decision in lived(compiled, conversation, moves):
        again = decide(compiled, decision.conversation, [], now)
        assert again == Decision(decision.conversation, (), (), decision.next_due, (), ())


@_lives
@given(campaign_types(), _conversations, _moves, st.booleans())
def test_in_time_or_late_every_conversation_comes_to_an_end(
    compiled: CompiledType, conversation: Conversation, moves: list[Move], leaves: bool
) -> None:
    now, late = START, list(moves)
    for _, _, now, decision in lived(compiled, conversation, late):  # noqa: B007
        conversation = decision.conversation
    for _ in range(MOST_TICKS):
        if conversation.status != "active":
            break
        events = [Event("sent", now, message=conversation.awaits)] if leaves and conversation.awaits else []
        decision = decide(compiled, conversation, events, now)
        conversation, now = decision.conversation, decision.next_due or now
    assert conversation.status in ("completed", "stopped")
    assert conversation.stage in EXITS


@_lives
@given(campaign_types(), _conversations, _moves, st.lists(_arrivals, max_size=4))
def test_a_paused_conversation_takes_no_step_but_an_opt_out(
    compiled: CompiledType, conversation: Conversation, moves: list[Move], arrivals: list[Event]
) -> None:
    now = START
    for _, _, now, decision in lived(compiled, conversation, moves):  # noqa: B007
        conversation = decision.conversation
    if conversation.status != "active":
        return
    conversation = conversation.copy()
    conversation.status = "paused"
    decision = decide(compiled, conversation, [each._replace(at=now) for each in arrivals], now + timedelta(days=400))
    if decision.steps:
        assert [step.to for step in decision.steps] == ["opted_out"]
        assert decision.effects[-1].kind == "unsubscribe"
    else:
        assert (decision.conversation, decision.effects, decision.next_due) == (conversation, (), None)


@_lives
@given(campaign_types(), _conversations, _moves)
def test_what_explain_says_of_a_timer_that_would_fire_now_is_what_decide_does(
    compiled: CompiledType, conversation: Conversation, moves: list[Move]
) -> None:
    for _, _, now, decision in lived(compiled, conversation, moves):
        ways = explain(compiled, decision.conversation, now)
        assert len({way.edge for way in ways}) == len(ways)
        if decision.next_due is None:
            continue
        following = decide(compiled, decision.conversation, [], decision.next_due)
        first = next(iter(following.steps), None)
        timed = {way.edge: way for way in ways if way.earliest == decision.next_due}
        if first is not None and first.cause in ("timer", "ends_within", "start"):
            assert timed[first.edge].passes
            assert timed[first.edge].target == (first.to if first.entered else None)


@settings(_lives, max_examples=30)
@given(campaign_types(), _conversations, _moves, st.data())
def test_every_move_is_whole_wherever_it_leads(
    compiled: CompiledType, conversation: Conversation, moves: list[Move], data: st.DataObject
) -> None:
    now = START
    for _, _, now, decision in lived(compiled, conversation, moves):  # noqa: B007
        conversation = decision.conversation
    target = data.draw(st.sampled_from(sorted(compiled.stages)))
    try:
        word = order(compiled, conversation, target)
    except RefusedError:
        return  # over already, or there as often as may be
    decision = decide(compiled, conversation, [Event("end", START - timedelta(days=9_999), name=word)], now)
    check_steps(conversation, decision, now)
    check_standing(decision.conversation, decision, now)
    first = decision.steps[0]
    assert (first.to, first.cause, first.entered) == (target, "moved", True)
    if compiled.stages[target].outcome == "stopped":
        assert decision.effects[-1].kind == "unsubscribe"
        assert all(effect.cancelled for effect in decision.effects if effect.kind == "send")
