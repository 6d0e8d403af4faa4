"""When a message may leave: not before it is planned, inside its send window, within the recipient's limits.

`decide` plans messages into their window. Limits depend on what all campaigns sent to the recipient, which is
known only when a message is about to leave; whoever lets it leave asks here, then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from engine.core.compiled import CompiledType
from engine.core.errors import DecisionError
from engine.core.schedules import Rate
from engine.core.windows import Window


class Departing(Protocol):
    """What of a message decides when it may leave."""

    @property
    def stage(self) -> str | None: ...
    @property
    def ignores_window(self) -> bool: ...
    @property
    def ignores_limits(self) -> bool: ...


def opens_at(window: Window | None, instant: datetime, zone: str) -> datetime:
    """The first instant from `instant` on at which messages may leave. Raises DecisionError when there is none."""
    opening = window.next_open(instant, zone) if window is not None else instant
    if opening is None:
        raise DecisionError(
            "the send window never opens again",
            hint="Give send_window days that are not all holidays, in a new version of the campaign type.",
        )
    return opening


def allowed_at(rates: Sequence[Rate], sends: Sequence[datetime], zone: str) -> datetime | None:
    """When one more message is within all rates, given the instants of those sent, in order; None is at any time.

    >>> from datetime import UTC
    >>> from engine.core.schedules import parse_rate
    >>> allowed_at([parse_rate("1 per 24h")], [datetime(2026, 3, 2, 9, tzinfo=UTC)], "UTC").isoformat()
    '2026-03-03T09:00:00+00:00'
    """
    waits = [rate.per.after(sends[-rate.count], zone) for rate in rates if len(sends) >= rate.count]
    return max(waits, default=None)


def leaves_at(
    message: Departing, compiled: CompiledType, zone: str, now: datetime, sends: Sequence[datetime] = ()
) -> datetime:
    """When a message that was planned for `now` or earlier leaves, if nothing else is sent before: now, or later.

    A late message leaves while its window is open; one that must wait leaves at a preferred time, if the window has
    any. Raises DecisionError when the window never opens again.
    """
    window = _window_of(message, compiled)
    allowed = None if message.ignores_limits else allowed_at(compiled.limits, sends, zone)
    if allowed is not None and allowed > now:
        return opens_at(window, allowed, zone)
    if window is None or window.is_open(now, zone):
        return now
    return opens_at(window, now, zone)


def _window_of(message: Departing, compiled: CompiledType) -> Window | None:
    """The window of the message's stage; before any stage the campaign type's."""
    if message.ignores_window:
        return None
    stage = compiled.stages.get(message.stage) if message.stage is not None else None
    return stage.window if stage is not None else compiled.window
