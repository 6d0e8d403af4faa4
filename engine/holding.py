"""What holds a message back at the moment it is to leave: its send window, and the limits of its recipient.

`decide` plans every message into its window. Two things are known only at the departure: that the message is late,
because a worker was down or a try failed, and what all campaigns have sent to the recipient. A message that may not
leave now gets a new earliest time, which is no failure and no try; then it is looked at again. A late message may
leave while its window is open, also after the window's preferred times.

The limits are those of the message's own campaign type, and count the messages of all. One in flight counts as sent
now, whatever becomes of it, so a failing channel can make others wait a little longer, but never exceed. Pure; who
calls holds the bucket's gate, or two workers could each let the last allowed message go. A message whose campaign type
is not at hand goes on, for whoever renders it to say so.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from engine.core.compiled import CompiledType
from engine.core.departures import leaves_at
from engine.core.errors import ChannelError, DecisionError
from engine.db.messages import LeasedMessage

TypeOf = Callable[[LeasedMessage], CompiledType | None]
Sends = dict[UUID, list[datetime]]


class Parting(NamedTuple):
    """Messages that leave now, those held until a later time, and those for which no time can be found, and why."""

    leaving: list[LeasedMessage]
    held: list[tuple[LeasedMessage, datetime]]
    refused: list[tuple[LeasedMessage, Exception]]


class Limited(NamedTuple):
    """The recipients whose sends must be known, and how many of the last ones."""

    recipients: set[UUID]
    most: int


def find_limited(messages: Iterable[LeasedMessage], type_of: TypeOf) -> Limited:
    """Whose sends `part` needs to know for these messages; nobody's when none is bound by limits."""
    recipients: set[UUID] = set()
    most = 0
    for message in messages:
        compiled = type_of(message)
        if compiled is not None and compiled.limits and not message.ignores_limits:
            recipients.add(message.recipient_id)
            most = max(most, *(rate.count for rate in compiled.limits))
    return Limited(recipients, most)


def part(messages: Iterable[LeasedMessage], type_of: TypeOf, sends: Sends, now: datetime) -> Parting:
    """Which of `messages`, in the order to leave, may leave now.

    Each that leaves counts for those after it. What will not leave anyhow goes through, and counts for nothing.
    """
    parting = Parting([], [], [])
    for message in messages:
        compiled = type_of(message)
        if compiled is None or message.is_off or message.campaign_status == "paused":
            parting.leaving.append(message)
            continue
        known = sends.setdefault(message.recipient_id, [])
        try:
            at = _leaves_at(message, compiled, known, now)
        except (ChannelError, ValueError) as error:
            parting.refused.append((message, error))
            continue
        if at > now:
            parting.held.append((message, at))
        else:
            parting.leaving.append(message)
            insort(known, now)
    return parting


def opens_at(message: LeasedMessage, compiled: CompiledType | None, instant: datetime) -> datetime:
    """`instant` when the message's window is open then, else the next time it may leave.

    Raises: ChannelError when the window never opens again, ValueError for an unknown time zone.
    """
    return instant if compiled is None else _leaves_at(message, compiled, (), instant)


def _leaves_at(message: LeasedMessage, compiled: CompiledType, sends: Sequence[datetime], now: datetime) -> datetime:
    try:
        return leaves_at(message, compiled, _zone(message), now, sends)
    except DecisionError as error:
        raise ChannelError(error.message, hint=error.hint, retryable=False) from error


def _zone(message: LeasedMessage) -> str:
    return message.timezone or "UTC"
