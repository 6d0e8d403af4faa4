"""What a worker hands to a channel, and what a channel promises.

A message may come twice, after a crash between sending and recording, always with the same `idempotency_key`.
A channel that can forget repeated keys makes the delivery exactly-once; the others deliver at least once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One rendered message on its way to one recipient. Its repr shows neither address nor text."""

    idempotency_key: str
    channel: str
    to: str = field(repr=False)
    subject: str | None = field(repr=False)
    text: str = field(repr=False)
    campaign_id: UUID
    conversation_id: UUID
    recipient_key: str = field(repr=False)
    message: str
    at: datetime


class Channel(Protocol):
    """A way out. One worker calls it, one message after the other.

    A channel opens what it needs at the first message, so that an outage at the start is like any other: the
    message is tried again later. `ChannelError` tells a passing failure from a permanent one; every other
    exception counts as passing. Its text is stored and logged, so it holds no address and no message text.
    """

    async def send(self, message: OutgoingMessage) -> None:
        """Take `message`. It may be kept back until `flush`."""
        ...

    async def flush(self) -> None:
        """Return when all that was taken has left; on an error, none since the last flush counts as sent."""
        ...

    async def close(self) -> None:
        """Let go of what was opened."""
        ...
