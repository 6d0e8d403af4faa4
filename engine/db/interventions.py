"""What an operator's hand changes: conversations parked as `failed` go on, and moves are kept with their reason.

Parking counted a conversation as `finished … failed`; reviving takes exactly that back, in the same statement as the
row. Who calls holds the rows' locks already.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.tables import campaigns, moves

# By the index of those with failed attempts, which holds nobody while all is well. In the order of their ids, as
# everyone locks conversations.
_LOCK_FAILED = text("""
    SELECT id FROM campaign_engine.conversations
     WHERE bucket = :bucket AND campaign_id = :campaign_id AND attempts > 0 AND status = 'failed'
       AND (CAST(:error AS text) IS NULL OR position(CAST(:error AS text) IN last_error) > 0)
     ORDER BY id LIMIT :limit
       FOR UPDATE
""")

# What parking counted is taken off the very day and stage it was counted for, with the time it had lasted.
_REVIVE = text("""
    WITH parked AS (
        SELECT id, coalesce(stage, '') AS stage, coalesce(failed_at, :now) AS at,
               coalesce(failed_at - started_at, interval '0') AS lasted
          FROM campaign_engine.conversations
         WHERE bucket = :bucket AND id = ANY(CAST(:ids AS uuid[])) AND status = 'failed'
    ), revived AS (
        UPDATE campaign_engine.conversations AS conversation
           SET status = :status, attempts = 0, failed_at = NULL,
               due_at = CASE CAST(:status AS text) WHEN 'active' THEN CAST(:now AS timestamptz) END,
               held_due_at = CASE CAST(:status AS text) WHEN 'paused' THEN CAST(:now AS timestamptz) END
          FROM parked
         WHERE conversation.bucket = :bucket AND conversation.id = ANY(CAST(:ids AS uuid[]))
           AND conversation.id = parked.id
        RETURNING parked.*
    ), uncounted AS (
        INSERT INTO campaign_engine.metric_deltas
               (bucket, campaign_id, day, metric, stage, label, count, duration_us)
        SELECT :bucket, :campaign_id, CAST(at AT TIME ZONE 'UTC' AS date), 'finished', stage, 'failed', -count(*),
               -sum(CAST(extract(epoch FROM lasted) * 1000000 AS bigint))
          FROM revived GROUP BY 3, 5
    )
    SELECT count(*) FROM revived
""")


class InterventionRepository:
    """The statements of `engine.interventions`, in one bucket. Nothing here commits."""

    def __init__(self, connection: AsyncConnection, bucket: int) -> None:
        self._connection = connection
        self._bucket = bucket

    async def lock_failed(self, campaign_id: UUID, limit: int, error: str | None = None) -> list[UUID]:
        """Up to `limit` of the campaign's conversations parked as failed; with `error` those whose error holds it."""
        given = {"bucket": self._bucket, "campaign_id": campaign_id, "limit": limit, "error": error}
        return list(await self._connection.scalars(_LOCK_FAILED, given))

    async def revive_conversations(self, campaign_id: UUID, ids: Sequence[UUID], status: str, now: datetime) -> int:
        """Give locked conversations the status `active`, due now, or `paused`, due when resumed; how many were failed.

        Attempts begin anew; the last error stays until the conversation moves.
        """
        given: dict[str, Any] = {"bucket": self._bucket, "campaign_id": campaign_id, "ids": list(ids)}
        found = await self._connection.execute(_REVIVE, given | {"status": status, "now": now})
        revived: int = found.scalar_one()
        return revived

    async def insert_move(self, row: dict[str, Any]) -> None:
        """Keep why a conversation was moved: everything of `moves` but the bucket."""
        await self._connection.execute(insert(moves).values(row | {"bucket": self._bucket}))

    async def reopen_campaign(self, campaign_id: UUID) -> None:
        """Let a campaign that was completed, since all in it had ended, go on."""
        changes = {"status": "active", "ended_at": None}
        which = (campaigns.c.id == campaign_id, campaigns.c.status == "completed")
        await self._connection.execute(update(campaigns).where(*which).values(changes))
