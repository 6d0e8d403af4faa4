"""Conversations as the tick sees them: which are due, locking them, and what waits for them.

Every statement here names one bucket (`find_due` visits each of a list). A claim is a row lock held to the commit,
taken with SKIP LOCKED, so any number of ticks share the work and none waits for another. What a claim returns is
the row as it is under the lock; nothing is read by joining the locked rows to themselves, which would see the older
snapshot. The hot statements speak to the driver, in binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS, bucket_of, campaign_range
from engine.db.database import driver_of

LANES = range(16)


class Claimed(NamedTuple):
    """A conversation's row, locked until the transaction ends. Ids and the JSON columns are text, parsed if needed."""

    id: str
    campaign_id: str
    recipient_id: str
    version: int
    seq: int
    attempts: int
    inbox_waiting: bool
    status: str
    stage: str | None
    due_at: datetime | None
    held_due_at: datetime | None
    entered_at: datetime | None
    timezone: str
    locale: str
    context: str
    progress: str


class Waiting(NamedTuple):
    """A response or event that its conversation has not taken in yet; `body` is the text or the event's name."""

    conversation_id: str
    id: str
    kind: str
    body: str
    received_at: datetime


class Fate(NamedTuple):
    """What became of a message that a conversation waits for."""

    conversation_id: str
    seq: int
    ordinal: int
    status: str
    sent_at: datetime | None


# One LIMIT 1 probe of the due index for each bucket and lane. EXISTS would let the planner scan the table.
_FIND_DUE = text("""
    SELECT b.bucket, l.lane
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN unnest(CAST(:lanes AS smallint[])) AS l(lane)
     CROSS JOIN LATERAL (
           SELECT 1 FROM campaign_engine.conversations c
            WHERE c.bucket = b.bucket AND c.lane = l.lane AND c.due_at <= :now
            ORDER BY c.due_at LIMIT 1) AS due
""")

_FIND_NEXT_DUE = text("""
    SELECT min(due.due_at)
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN unnest(CAST(:lanes AS smallint[])) AS l(lane)
     CROSS JOIN LATERAL (
           SELECT c.due_at FROM campaign_engine.conversations c
            WHERE c.bucket = b.bucket AND c.lane = l.lane AND c.due_at IS NOT NULL
            ORDER BY c.due_at LIMIT 1) AS due
""")

_SELECT = (
    "SELECT id::text, campaign_id::text, recipient_id::text, version, seq, attempts, inbox_waiting, status, stage,"
    " due_at, held_due_at, entered_at, timezone, locale, context::text, progress::text"
)

# An ordered scan of the due index from its left edge; the equality on bucket and lane keeps it one scan.
_LOCK_DUE = (
    _SELECT
    + """
      FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND lane = %(lane)s AND due_at <= %(now)s
     ORDER BY due_at LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
"""
)

_LOCK_ONE = (
    _SELECT
    + """
      FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND id = %(id)s
       FOR UPDATE
"""
)

# A campaign's ids share their first bytes, so this walks the primary key. It starts after the last id seen.
_LOCK_OF_CAMPAIGN = (
    _SELECT
    + """
      FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND id > %(after)s AND id <= %(last)s AND campaign_id = %(campaign_id)s
       AND status IN ('active', 'paused')
     ORDER BY id LIMIT %(limit)s
       FOR UPDATE
"""
)

_FIND_WAITING = """
    SELECT conversation_id::text, id::text, 'response', body, received_at
      FROM campaign_engine.responses
     WHERE bucket = %(bucket)s AND conversation_id = ANY(%(ids)s::uuid[]) AND status = 'waiting'
     UNION ALL
    SELECT conversation_id::text, id::text, 'event', name, received_at
      FROM campaign_engine.events
     WHERE bucket = %(bucket)s AND conversation_id = ANY(%(ids)s::uuid[]) AND status = 'waiting'
     ORDER BY 5, 2
"""

_FIND_FATES = """
    SELECT o.conversation_id::text, o.seq, o.ordinal, o.status, o.sent_at
      FROM unnest(%(ids)s::uuid[], %(seqs)s::int[], %(ordinals)s::smallint[]) AS a(id, seq, ordinal)
      JOIN campaign_engine.outbox o ON o.conversation_id = a.id AND o.seq = a.seq AND o.ordinal = a.ordinal
     WHERE o.bucket = %(bucket)s AND o.status IN ('sent', 'failed', 'cancelled')
"""


# Ticks that still saw the pause may be parking these right now; waiting for their locks means not to miss them.
_LOCK_DUE_OF_CAMPAIGN = text("""
    SELECT FROM campaign_engine.conversations
     WHERE bucket = :bucket AND id BETWEEN :first AND :last AND campaign_id = :campaign_id
       AND status = 'active' AND due_at <= :now
     ORDER BY id
       FOR UPDATE
""")

# What a pause parked: due when it was, or at once if something came in meanwhile or a message may have left. An opt-out
# may end one meanwhile, so its status is asked for again under its lock.
_RESUME = text("""
    UPDATE campaign_engine.conversations
       SET status = 'active', held_due_at = NULL,
           due_at = CASE WHEN inbox_waiting OR jsonb_exists(progress, 'awaits') THEN :now ELSE held_due_at END
     WHERE bucket = :bucket AND id IN (
           SELECT id FROM campaign_engine.conversations
            WHERE bucket = :bucket AND id BETWEEN :first AND :last AND campaign_id = :campaign_id
              AND status = 'paused'
            ORDER BY id LIMIT :limit
              FOR UPDATE)
""")

_UPDATE_FACTS = text("""
    UPDATE campaign_engine.conversations
       SET context = jsonb_set(context, '{facts}', jsonb_strip_nulls((context -> 'facts') || CAST(:facts AS jsonb))),
           due_at = CASE WHEN status = 'active' THEN least(due_at, :now) ELSE due_at END
     WHERE bucket = :bucket AND id = :id
""")


class ConversationStateRepository:
    """Finding, locking and waking conversations. Nothing here commits."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_due(self, now: datetime, buckets: Sequence[int] = BUCKETS) -> list[tuple[int, int]]:
        """The (bucket, lane) pairs that have conversations due by `now`; one cheap question when there are none."""
        found = await self._connection.execute(_FIND_DUE, {"buckets": list(buckets), "lanes": list(LANES), "now": now})
        return [(bucket, lane) for bucket, lane in found]

    async def find_next_due(self) -> datetime | None:
        """The earliest instant at which any conversation is due."""
        found = await self._connection.execute(_FIND_NEXT_DUE, {"buckets": list(BUCKETS), "lanes": list(LANES)})
        earliest: datetime | None = found.scalar_one()
        return earliest

    async def lock_due(self, bucket: int, lane: int, now: datetime, limit: int) -> list[Claimed]:
        """Up to `limit` due conversations of one bucket and lane, earliest first, passing over locked ones."""
        return await self._lock(_LOCK_DUE, {"bucket": bucket, "lane": lane, "now": now, "limit": limit})

    async def lock_one(self, conversation_id: UUID) -> Claimed | None:
        """One conversation, waiting for its lock; None when there is none."""
        found = await self._lock(_LOCK_ONE, {"bucket": bucket_of(conversation_id), "id": conversation_id})
        return found[0] if found else None

    async def lock_of_campaign(
        self, campaign_id: UUID, bucket: int, limit: int, after: UUID | None = None
    ) -> list[Claimed]:
        """Up to `limit` unfinished conversations of a campaign in a bucket, by id, beyond `after`."""
        first, last = campaign_range(campaign_id)
        given = {"bucket": bucket, "campaign_id": campaign_id, "after": after or first, "last": last, "limit": limit}
        return await self._lock(_LOCK_OF_CAMPAIGN, given)

    async def find_waiting(self, bucket: int, ids: Sequence[str]) -> list[Waiting]:
        """Responses and events not yet taken in by these conversations, in the order of receipt."""
        driver = await driver_of(self._connection)
        found = await driver.execute(_FIND_WAITING, {"bucket": bucket, "ids": list(ids)}, binary=True)
        return [Waiting(*row) for row in await found.fetchall()]

    async def find_fates(self, bucket: int, messages: Sequence[tuple[str, int, int]]) -> list[Fate]:
        """Which of these messages (conversation, seq, ordinal) have left or never will."""
        driver = await driver_of(self._connection)
        ids, seqs, ordinals = (list(column) for column in zip(*messages, strict=True))
        found = await driver.execute(
            _FIND_FATES, {"bucket": bucket, "ids": ids, "seqs": seqs, "ordinals": ordinals}, binary=True
        )
        return [Fate(*row) for row in await found.fetchall()]

    async def resume_conversations(self, campaign_id: UUID, bucket: int, now: datetime, limit: int) -> int:
        """Give up to `limit` parked conversations of a campaign their due time back; returns how many."""
        first, last = campaign_range(campaign_id)
        given = {"campaign_id": campaign_id, "bucket": bucket, "first": first, "last": last}
        await self._connection.execute(_LOCK_DUE_OF_CAMPAIGN, given | {"now": now})
        return (await self._connection.execute(_RESUME, given | {"now": now, "limit": limit})).rowcount

    async def update_facts(self, conversation_id: UUID, facts: dict[str, Any], now: datetime) -> None:
        """Change facts, given as JSON data, null being missing; have the conversation looked at while it is active."""
        given = {"bucket": bucket_of(conversation_id), "id": conversation_id, "now": now}
        await self._connection.execute(_UPDATE_FACTS, given | {"facts": orjson.dumps(facts).decode()})

    async def _lock(self, statement: str, given: dict[str, Any]) -> list[Claimed]:
        driver = await driver_of(self._connection)
        found = await driver.execute(statement, given, binary=True)
        return [Claimed(*row) for row in await found.fetchall()]
