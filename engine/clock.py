"""Where time comes from. It is read once a batch, inside the batch's transaction, and passed down.

The database's clock is the one clock that all processes share; a host's clock is never asked. A simulated clock
drives the very same engine in tests, demos and drills.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.database import ask_time, find_time

Time = Callable[[], Awaitable[datetime]]
"""An instant that may still be on its way: in a pipeline it is there when that has ended."""


class Clock(Protocol):
    async def now(self, connection: AsyncConnection) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    async def ask(self, connection: AsyncConnection) -> Time:
        """The same, by the driver's connection, for a pipeline."""
        ...


class DatabaseClock:
    """The clock of the database server."""

    async def now(self, connection: AsyncConnection) -> datetime:
        return await find_time(connection)

    async def ask(self, connection: AsyncConnection) -> Time:
        answer = await ask_time(connection)

        async def told() -> datetime:
            return (await answer.rows())[0]

        return told


class SimulatedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self.instant = start

    async def now(self, connection: AsyncConnection) -> datetime:  # noqa: ARG002 - the interface of a clock
        return self.instant.astimezone(UTC)

    async def ask(self, connection: AsyncConnection) -> Time:  # noqa: ARG002 - the interface of a clock
        async def told() -> datetime:
            return self.instant.astimezone(UTC)

        return told

    def advance(self, span: timedelta) -> None:
        self.instant += span
