"""Parting a batch: what leaves, what is held and until when, and what concerns one message only."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import ChannelError
from engine.core.schedules import parse_rate
from engine.core.windows import Window, parse_days
from engine.db.messages import LeasedMessage, MessageKey
from engine.holding import find_limited, opens_at, part

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ANN, BEN = UUID(int=1), UUID(int=2)
NEVER = Window(frozenset(), time(9), time(17), None)
OFFICE = Window(parse_days("mon-fri"), time(9), time(17), None)


def a_message(recipient: UUID = ANN, **given: Any) -> LeasedMessage:
    known: dict[str, Any] = {
        "key": MessageKey(recipient, 1, 0, NOW), "not_before": NOW, "attempts": 0, "awaited": False,
        "cancel_requested": False, "stage": "ask", "channel": "email", "message": "one", "context": {}, "version": 1,
        "timezone": "UTC", "locale": "en", "recipient_key": "ann", "email": None, "phone": None,
        "unsubscribed_at": None, "campaign_id": UUID(int=9), "campaign_name": "Spring", "campaign_type": "letters",
        "campaign_status": "active", "recipient_id": recipient,
    }  # fmt: skip
    return LeasedMessage(**known | given)


def a_type(*limits: str, window: Window | None = None) -> Any:
    stages = {"ask": SimpleNamespace(window=window)}
    compiled = SimpleNamespace(limits=tuple(map(parse_rate, limits)), window=OFFICE, stages=stages)
    return lambda _: compiled


def test_a_message_whose_type_is_not_at_hand_goes_on_for_the_renderer_to_say_so() -> None:
    message = a_message()
    assert part([message], lambda _: None, {ANN: [NOW]}, NOW) == ([message], [], [])
    assert opens_at(message, None, NOW) == NOW


def test_what_will_not_leave_goes_through_and_counts_for_nothing() -> None:
    off = [a_message(cancel_requested=True), a_message(unsubscribed_at=NOW), a_message(context=None),
           a_message(campaign_status="cancelled"), a_message(campaign_status="paused")]  # fmt: skip
    messages = [*off, a_message()]
    assert part(messages, a_type("1 per 1h"), {}, NOW).leaving == messages


def test_a_window_that_never_opens_again_refuses_its_message_for_good_and_no_other() -> None:
    shut = part([a_message()], a_type(window=NEVER), {}, NOW)
    ((_, error),) = shut.refused
    assert isinstance(error, ChannelError)
    assert not error.retryable
    assert not shut.leaving
    free = a_message(ignores_window=True)
    assert part([free], a_type(window=NEVER), {}, NOW).leaving == [free]


def test_a_zone_that_nobody_knows_refuses_its_message_only() -> None:
    lost, other = a_message(timezone="Europe/Nowhere"), a_message(BEN)
    parting = part([lost, other], a_type("1 per 1d"), {ANN: [NOW]}, NOW)
    assert (parting.leaving, [message for message, _ in parting.refused]) == ([other], [lost])


def test_a_message_of_a_stage_its_type_does_not_have_follows_the_types_window() -> None:
    evening = NOW.replace(hour=20)
    held = part([a_message(stage="gone")], a_type(), {}, evening).held
    assert [at for _, at in held] == [NOW + timedelta(days=1)]


def test_only_those_whom_limits_bind_are_asked_about() -> None:
    messages = [a_message(ANN, ignores_limits=True), a_message(BEN)]
    assert find_limited(messages, a_type("2 per 1h", "7 per 1d")) == ({BEN}, 7)
    assert find_limited(messages, a_type()) == (set(), 0)


@given(
    st.lists(st.integers(0, 600).map(lambda minutes: NOW - timedelta(minutes=minutes)), max_size=12).map(sorted),
    st.lists(st.booleans(), max_size=8),
    st.integers(1, 4),
    st.integers(1, 300),
)
def test_a_message_leaves_exactly_when_its_limit_allows_one_more(
    sent: list[datetime], answers: list[bool], count: int, minutes: int
) -> None:
    per, known = timedelta(minutes=minutes), list(sent)
    messages = [
        a_message(key=MessageKey(ANN, 1, ordinal, NOW), ignores_limits=answer) for ordinal, answer in enumerate(answers)
    ]
    leaving, held, _ = part(messages, a_type(f"{count} per {minutes}m"), {ANN: list(sent)}, NOW)

    def in_span(at: datetime) -> int:
        return sum(at - per < each for each in known)

    until = {message.key: at for message, at in held}
    for message in messages:
        assert (message in leaving) == (message.ignores_limits or in_span(NOW) < count)
        if message in leaving:
            known.append(NOW)
        else:
            at = until[message.key]
            assert in_span(at) < count <= in_span(at - timedelta(microseconds=1))
