"""The circuit of each channel, shared by all workers: the rows of `channel_state`. Commits nothing.

A channel that never failed has no row. Every change asks for the state it knew, so of workers that want the same one
makes it, and only that one is told so.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.recovery import Circuit

_FIND_TROUBLED = text("""
    SELECT channel, status, failure_count, changed_at FROM campaign_engine.channel_state WHERE status <> 'closed'
""")

_OPEN = text("""
    INSERT INTO campaign_engine.channel_state (channel, status, failure_count, changed_at)
    VALUES (:channel, :status, :failures, :changed_at)
        ON CONFLICT (channel) DO UPDATE
           SET status = excluded.status, failure_count = excluded.failure_count, changed_at = excluded.changed_at
         WHERE channel_state.status = 'closed'
""")

_CHANGE = text("""
    UPDATE campaign_engine.channel_state
       SET status = :status, failure_count = :failures, changed_at = :changed_at
     WHERE channel = :channel AND status = :was_status AND changed_at = :was_changed_at
""")


class ChannelStateRepository:
    """The circuits over one connection. `changed_at` of a circuit is in seconds since 1970, of the database's clock."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_troubled(self) -> dict[str, Circuit]:
        """The circuits that are not closed, by channel."""
        found = await self._connection.execute(_FIND_TROUBLED)
        return {channel: Circuit(status, failures, at.timestamp()) for channel, status, failures, at in found}

    async def open_circuit(self, channel: str, circuit: Circuit) -> bool:
        """Whether it was closed until now."""
        return bool((await self._connection.execute(_OPEN, _row(channel, circuit))).rowcount)

    async def change_circuit(self, channel: str, was: Circuit, circuit: Circuit) -> bool:
        """Whether it was as we knew it until now."""
        given = _row(channel, circuit) | {"was_status": was.status, "was_changed_at": _instant(was)}
        return bool((await self._connection.execute(_CHANGE, given)).rowcount)


def _row(channel: str, circuit: Circuit) -> dict[str, object]:
    return {
        "channel": channel,
        "status": circuit.status,
        "failures": circuit.failures,
        "changed_at": _instant(circuit),
    }


def _instant(circuit: Circuit) -> datetime:
    return datetime.fromtimestamp(circuit.changed_at, UTC)
