"""The demo's days going by: the engine's parts, a clock that is moved by hand, and what people do about messages.

Time moves in steps. In each, what people wrote since the last one is recorded with the time it came at, what is due
is decided, and what is due to leave leaves. A message that left may let something begin to count; the next step's
tick sees to that, with the time at which it left.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from engine.application import Application
from engine.channels.file import FileChannel
from engine.channels.protocol import OutgoingMessage
from engine.clock import SimulatedClock
from engine.demo.people import Crowd
from engine.demo.view import Moment, View
from engine.inbox import Inbound

_STEP = timedelta(hours=8)  # shorter ones show more and take longer


class Postbox(FileChannel):
    """A channel to the simulated people: a message is there at once, and in the file when the box is closed.

    The file is new; it has the form of the `file` channel.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        path.unlink(missing_ok=True)
        self._new: list[OutgoingMessage] = []

    async def send(self, message: OutgoingMessage) -> None:
        await super().send(message)
        self._new.append(message)

    async def flush(self) -> None:
        """Nothing is on its way."""

    async def close(self) -> None:
        await super().flush()

    def empty(self) -> list[OutgoingMessage]:
        """What came since the last time."""
        new, self._new = self._new, []
        return new


class Coming(NamedTuple):
    """Something that a campaign will receive at `at`; the earliest goes first, and keys part what is simultaneous."""

    at: datetime
    key: str
    campaign_id: UUID
    inbound: Inbound


class World:
    """Everything that happens. The counters tell what people did so far."""

    def __init__(
        self, application: Application, clock: SimulatedClock, crowd: Crowd, postboxes: Mapping[str, Postbox]
    ) -> None:
        self.sent = 0
        self.received = 0
        self.repeated = 0
        self._application = application
        self._clock = clock
        self._crowd = crowd
        self._postboxes = postboxes
        self._coming: list[Coming] = []

    async def live(self, days: int, campaign_ids: Iterable[UUID], view: View) -> None:
        """Let so many days go by, and show each in the view."""
        tick, poller = self._application.tick, self._application.poller
        for day in range(days):
            await poller.poll_once()
            for _ in range(timedelta(days=1) // _STEP):
                await self._step()
                self._clock.advance(_STEP)
            if view.wants(day + 1):
                metrics = await self.metrics(campaign_ids)
                view.show(Moment(day + 1, self._clock.instant, self.sent, self.received, metrics))
        await self._record_arrivals()
        await tick.drain()
        await poller.poll_once()

    async def metrics(self, campaign_ids: Iterable[UUID]) -> list[dict[str, Any]]:
        """The figures of these campaigns as they are now."""
        manager = self._application.manager
        return [await manager.get_campaign_metrics(str(id)) for id in campaign_ids]

    async def _step(self) -> None:
        await self._record_arrivals()
        await self._application.tick.drain()
        self.sent += (await self._application.worker.drain()).sent
        for postbox in self._postboxes.values():
            for message in postbox.empty():
                self._expect(message.campaign_id, self._crowd.react(message))

    def _expect(self, campaign_id: UUID, reactions: Iterable[Inbound]) -> None:
        for each in reactions:
            if each.received_at is not None:
                heapq.heappush(self._coming, Coming(each.received_at, each.message_id or "", campaign_id, each))

    async def _record_arrivals(self) -> None:
        """Record what came by now, the earliest first."""
        inbox = self._application.inbox
        while self._coming and self._coming[0].at <= self._clock.instant:
            _, _, campaign_id, inbound = heapq.heappop(self._coming)
            if inbound.name:
                await inbox.record_event(campaign_id, inbound)
                continue
            receipt = await inbox.record_response(campaign_id, inbound)
            self.received += receipt.status == "recorded"
            self.repeated += receipt.status == "repeated"
