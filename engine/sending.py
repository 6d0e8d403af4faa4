"""Sends leased messages, with no database in reach, and says what is to become of each.

Whatever goes wrong with a message concerns that message only. A passing failure is tried again with growing
delays, inside the send window; a permanent one ends it at once, and so does one too many. Reasons are short and name
no address and no text: a `ChannelError` has such a reason, of any other exception only the type is kept.

When message after message fails, it is the channel's fault. Its circuit then opens, and what is in hand for it is
given back untried.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from random import Random
from time import monotonic
from typing import NamedTuple

from engine.channels.circuits import ChannelCircuits, may_pass
from engine.channels.registry import Channels
from engine.core.errors import ChannelError
from engine.db.messages import LeasedMessage, Mark, MessageStatus, Place, place_of
from engine.holding import opens_at
from engine.recovery import retry_delay
from engine.rendering import Renderer
from engine.settings import Settings

_VOLLEY_SECONDS = 1.0


class Outcome(NamedTuple):
    """What is to be written down about a message."""

    message: LeasedMessage
    mark: Mark

    @property
    def place(self) -> Place:
        return place_of(self.mark)

    def with_status(self, status: MessageStatus) -> Outcome:
        return self._replace(mark=replace(self.mark, status=status))

    @property
    def tried(self) -> bool:
        return self.mark.attempts > self.message.attempts


class Sender:
    """Renders messages and hands them to their channels, one after the other."""

    def __init__(
        self, channels: Channels, circuits: ChannelCircuits, renderer: Renderer, settings: Settings, random: Random
    ) -> None:
        self._channels = channels
        self._circuits = circuits
        self._renderer = renderer
        self._random = random
        self._max_attempts = settings.max_attempts
        self._retry_seconds = settings.retry_delay_seconds
        self._volley_seconds = min(_VOLLEY_SECONDS, settings.lease_seconds / 8)
        self._patience = settings.lease_seconds / 4  # a channel that hangs must not outlast the lease

    async def volley(self, messages: Sequence[LeasedMessage], now: datetime) -> list[Outcome]:
        """The outcomes of the first of `messages`: as many as leave within a second, at least one."""
        ends = monotonic() + self._volley_seconds
        outcomes: list[Outcome] = []
        errors: dict[Place, Exception | None] = {}  # of those that were handed to their channel
        in_a_row: Counter[str] = Counter()
        for message in messages:
            if outcomes and monotonic() >= ends:
                break
            name = message.channel
            if self._circuits.is_shut(name) or in_a_row[name] >= self._circuits.patience(name):
                outcomes.append(give_back(message))
                continue
            outcome, tried = await self._send(message, now, errors)
            outcomes.append(outcome)
            if tried:
                in_a_row[name] = in_a_row[name] + 1 if may_pass(errors[outcome.place]) else 0
        outcomes = await self._flush(outcomes, now, errors)
        for message, mark in outcomes:
            if (place := place_of(mark)) in errors:
                self._circuits.learn(message.channel, place, errors[place])
        return outcomes

    async def _send(
        self, message: LeasedMessage, now: datetime, errors: dict[Place, Exception | None]
    ) -> tuple[Outcome, bool]:
        """The outcome of one message as far as it is known, and whether its channel was asked to take it."""
        if message.is_off:
            return _outcome(message, "cancelled"), False
        if message.campaign_status == "paused":
            return give_back(message), False
        try:
            if (opens := opens_at(message, self._renderer.type_of(message), now)) > now:
                return give_back(message, opens), False
            outgoing = self._renderer.render(message, now)
        except Exception as error:  # noqa: BLE001 - whatever is raised concerns this message only
            return self.failure(message, error, now), False
        outcome = _outcome(message, "sent", attempts=message.attempts + 1, sent_at=now)
        errors[outcome.place] = None
        try:
            async with asyncio.timeout(self._patience):
                await self._channels[message.channel].send(outgoing)
        except Exception as error:  # noqa: BLE001 - whatever is raised concerns this message only
            errors[outcome.place] = error
            return self.failure(message, error, now), True
        return outcome, True

    async def _flush(
        self, outcomes: list[Outcome], now: datetime, errors: dict[Place, Exception | None]
    ) -> list[Outcome]:
        """The outcomes once every channel has let go; what a channel could not let go of was not sent."""
        failed: dict[str, Exception] = {}
        for name in {message.channel for message, mark in outcomes if mark.status == "sent"}:
            try:
                async with asyncio.timeout(self._patience):
                    await self._channels[name].flush()
            except Exception as error:  # noqa: BLE001 - whatever is raised concerns this channel's messages only
                failed[name] = error
        for message, mark in outcomes:
            if mark.status == "sent" and message.channel in failed:
                errors[place_of(mark)] = failed[message.channel]
        return [
            self.failure(outcome.message, failed[outcome.message.channel], now)
            if outcome.mark.status == "sent" and outcome.message.channel in failed
            else outcome
            for outcome in outcomes
        ]

    def failure(self, message: LeasedMessage, error: Exception, now: datetime) -> Outcome:
        """The outcome of a message that did not leave because of `error`: another try, or the end of it."""
        if isinstance(error, ChannelError):
            reason, retryable = error.message, error.retryable
        else:
            reason, retryable = type(error).__name__, True
        attempts = message.attempts + 1
        if not retryable or attempts >= self._max_attempts:
            return _outcome(message, "failed", attempts=attempts, last_error=reason)
        not_before = now + retry_delay(attempts, self._retry_seconds, self._random)
        with suppress(ChannelError, ValueError):  # if there is no such time, the next try says so
            not_before = opens_at(message, self._renderer.type_of(message), not_before)
        return _outcome(message, "ready", attempts=attempts, not_before=not_before, last_error=reason)


def give_back(message: LeasedMessage, not_before: datetime | None = None) -> Outcome:
    """The outcome of a message that was not tried: it is ready again, as it was or to leave at `not_before`."""
    return _outcome(message, "ready", not_before=not_before)


def _outcome(
    message: LeasedMessage,
    status: MessageStatus,
    *,
    attempts: int | None = None,
    not_before: datetime | None = None,
    sent_at: datetime | None = None,
    last_error: str | None = None,
) -> Outcome:
    key = message.key
    mark = Mark(
        key.conversation_id,
        key.seq,
        key.ordinal,
        key.at,
        status,
        message.attempts if attempts is None else attempts,
        not_before or message.not_before,
        sent_at,
        last_error,
    )
    return Outcome(message, mark)
