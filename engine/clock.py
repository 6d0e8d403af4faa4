"""Where time comes from. It is read once a batch, inside the batch's transaction, and passed down.

The database's clock is the one clock that all processes share; a host's clock is never asked. A simulated clock
drives the very same engine in tests, demos and drills.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.database import find_time


class Clock(Protocol):
    async def now(self, connection: AsyncConnection) -> datetime:
        """The present instant, aware, in UTC."""
        ...


class DatabaseClock:
    """The clock of the database server."""

    async def now(self, connection: AsyncConnection) -> datetime:
        return await find_time(connection)


class SimulatedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self.instant = start

    async def now(self, connection: AsyncConnection) -> datetime:  # noqa: ARG002 - the interface of a clock
        return self.instant.astimezone(UTC)

    def advance(self, span: timedelta) -> None:
        self.instant += span
