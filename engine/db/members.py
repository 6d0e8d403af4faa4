"""Which processes are at work: a row for each in `members`, written every few seconds. Commits nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_UPSERT = text("""
    INSERT INTO campaign_engine.members (id, name, version, parts, started_at, seen_at, states)
    VALUES (:id, :name, :version, :parts, :now, :now, CAST(:states AS jsonb))
        ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, states = excluded.states
""")

_DELETE = text("DELETE FROM campaign_engine.members WHERE id = :id")

# Those of whom all were cut off for a while and come back at once would wait for each other's rows in a circle.
_DELETE_UNSEEN = text("""
    DELETE FROM campaign_engine.members
     WHERE id IN (SELECT id FROM campaign_engine.members WHERE seen_at < :before FOR UPDATE SKIP LOCKED)
""")

_FIND_IDS = text("SELECT id FROM campaign_engine.members WHERE parts @> ARRAY[CAST(:part AS text)] ORDER BY id")


class MemberRow(NamedTuple):
    """A process: its id, `host:pid`, the version of its program, and the loops it runs."""

    id: UUID
    name: str
    version: str
    parts: Sequence[str]


class MemberRepository:
    """The members over one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def upsert_member(self, member: MemberRow, states: Mapping[str, Any], now: datetime) -> None:
        """Say that the process is there, how its circuits fare, and, the first time, that it started now."""
        given = member._asdict() | {"parts": list(member.parts), "now": now, "states": orjson.dumps(states).decode()}
        await self._connection.execute(_UPSERT, given)

    async def delete_member(self, id: UUID) -> None:
        await self._connection.execute(_DELETE, {"id": id})

    async def delete_unseen(self, before: datetime) -> None:
        """Remove those not seen since `before`: they were killed, or are cut off and will write themselves anew."""
        await self._connection.execute(_DELETE_UNSEEN, {"before": before})

    async def find_ids(self, part: str) -> list[UUID]:
        """The members that run `part`, in the order of their ids."""
        return list((await self._connection.execute(_FIND_IDS, {"part": part})).scalars())
