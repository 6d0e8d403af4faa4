"""Conversations as the tick sees them: which are due, locking them, and what waits for them.

Every statement here names one bucket (`find_due` visits each of a list). A claim is a row lock held to the commit,
taken with SKIP LOCKED, so any number of ticks share the work and none waits for another. What a claim returns is
the row as it is under the lock; nothing is read by joining the locked rows to themselves, which would see the older
snapshot. The hot statements speak to the driver, in binary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS, bucket_of, campaign_range
from engine.db.database import Answer, driver_of

LANES = range(16)
LONG_AGO = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


class Kin(NamedTuple):
    """Conversations locked until the transaction ends that agree in all but what the lists hold, in one order.

    One that something arrived for is alone. Ids and the JSON columns are text, parsed if needed. `contexts` is empty
    where they were not asked for: few decisions read them, and they are most of a row.
    """

    campaign_id: str
    version: int
    seq: int
    attempts: int
    inbox_waiting: bool
    status: str
    stage: str | None
    timezone: str
    locale: str
    progress: str
    ids: list[str]
    entered_at: list[datetime | None]
    started_at: list[datetime | None]
    contexts: list[str]
    pending: list[list[datetime]]

    def at(self, *places: int) -> Kin:
        """Those at these places of the lists."""
        return self._replace(
            ids=[self.ids[place] for place in places],
            entered_at=[self.entered_at[place] for place in places],
            started_at=[self.started_at[place] for place in places],
            contexts=[self.contexts[place] for place in places] if self.contexts else [],
            pending=[self.pending[place] for place in places],
        )


def count_conversations(rows: Iterable[Kin]) -> int:
    return sum(len(row.ids) for row in rows)


class Waiting(NamedTuple):
    """A response or event that its conversation has not taken in yet; `body` is the text or the event's name."""

    conversation_id: str
    id: str
    kind: str
    body: str
    received_at: datetime


class Fate(NamedTuple):
    """What became of a message that a conversation waits for."""

    status: str
    sent_at: datetime | None


class Edge(NamedTuple):
    """The earliest instant that a conversation of one bucket and lane waits for."""

    bucket: int
    lane: int
    due_at: datetime


class Look(NamedTuple):
    """What is due by `now`, and when the first is due of the buckets and lanes where nothing is, if that was asked."""

    now: datetime
    due: list[Edge]
    next_at: datetime | None


# One LIMIT 1 probe of the due index for each bucket and lane, told in one row. EXISTS would let the planner scan the
# table. Without an end a probe reads the whole page of the index that it comes to, three times as much work.
_FIND_DUE = """
    SELECT coalesce(array_agg(b.bucket) FILTER (WHERE edge.due_at <= %(now)s), '{}'),
           coalesce(array_agg(l.lane) FILTER (WHERE edge.due_at <= %(now)s), '{}'),
           coalesce(array_agg(edge.due_at) FILTER (WHERE edge.due_at <= %(now)s), '{}'),
           min(edge.due_at) FILTER (WHERE edge.due_at > %(now)s)
      FROM unnest(%(buckets)s::smallint[]) AS b(bucket)
     CROSS JOIN unnest(%(lanes)s::smallint[]) AS l(lane)
     CROSS JOIN LATERAL (
           SELECT c.due_at FROM campaign_engine.conversations c
            WHERE c.bucket = b.bucket AND c.lane = l.lane AND c.due_at <= %(until)s
            ORDER BY c.due_at LIMIT 1) AS edge
"""

# Rows are locked one by one and then told by kin, which saves the way of a thousand rows that say the same. A row is
# locked as its newest version is, and only that is told. What something arrived for stands alone, and has its context
# told, which the others are asked for if need be.
_COLUMNS = (
    "SELECT id, campaign_id, version, seq, attempts, inbox_waiting, status, stage, timezone, locale, progress,"
    " entered_at, started_at, context, pending"
)
_KIN = """
    SELECT campaign_id::text, version, seq, attempts, inbox_waiting, status, stage, timezone, locale, progress::text,
           array_agg(id::text), array_agg(entered_at), array_agg(started_at),
           array_agg(context::text) FILTER (WHERE inbox_waiting),
           array_agg(pending) FILTER (WHERE cardinality(pending) > 0)
      FROM locked
     GROUP BY campaign_id, version, seq, attempts, inbox_waiting, status, stage, timezone, locale, progress,
              cardinality(pending), CASE WHEN inbox_waiting THEN id END
"""

# An ordered scan of the due index; the equality on bucket and lane keeps it one scan. It begins at a known low edge,
# so that it need not walk the dead entries that moved conversations leave there.
_LOCK_DUE = f"""
    WITH locked AS ({_COLUMNS}
      FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND lane = %(lane)s AND due_at BETWEEN %(edge)s AND %(now)s
     ORDER BY due_at LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED)
    {_KIN}
"""

_LOCK_ONE = """
    SELECT campaign_id::text, version, seq, attempts, inbox_waiting, status, stage, timezone, locale, progress::text,
           ARRAY[id::text], ARRAY[entered_at], ARRAY[started_at], ARRAY[context::text],
           CASE WHEN cardinality(pending) > 0 THEN ARRAY[pending] END
      FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND id = %(id)s
       FOR UPDATE
"""

# A campaign's ids share their first bytes, so this walks the primary key. It starts after the last id seen.
_LOCK_OF_CAMPAIGN = f"""
    WITH locked AS ({_COLUMNS}
      FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND id > %(after)s AND id <= %(last)s AND campaign_id = %(campaign_id)s
       AND status IN ('active', 'paused')
     ORDER BY id LIMIT %(limit)s
       FOR UPDATE)
    {_KIN}
"""

_FIND_CONTEXTS = """
    SELECT id::text, context::text FROM campaign_engine.conversations
     WHERE bucket = %(bucket)s AND id = ANY(%(ids)s::uuid[])
"""

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
    SELECT o.status, o.sent_at, array_agg(o.conversation_id::text)
      FROM unnest(%(ids)s::uuid[], %(seqs)s::int[], %(ordinals)s::smallint[]) AS a(id, seq, ordinal)
      JOIN campaign_engine.outbox o ON o.conversation_id = a.id AND o.seq = a.seq AND o.ordinal = a.ordinal
     WHERE o.bucket = %(bucket)s AND o.conversation_id = ANY(%(ids)s::uuid[])
       AND o.status IN ('sent', 'failed', 'cancelled')
     GROUP BY o.status, o.sent_at
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

    async def find_due(self, now: datetime, until: datetime | None = None) -> Look:
        """Where something is due by `now`, and when something will be next, up to `until`.

        One question, cheap at any size.
        """
        driver = await driver_of(self._connection)
        given = {"buckets": list(BUCKETS), "lanes": list(LANES), "now": now, "until": until or now}
        found = await driver.execute(_FIND_DUE, given, binary=True)
        [(buckets, lanes, instants, next_at)] = await found.fetchall()
        return Look(now, [Edge(*each) for each in zip(buckets, lanes, instants, strict=True)], next_at)

    async def lock_due(
        self, place: tuple[int, int], now: datetime, limit: int, edge: datetime = LONG_AGO
    ) -> Answer[Kin]:
        """Up to `limit` due conversations of one (bucket, lane), earliest first, passing over locked ones.

        None is due before `edge`, as far as the caller knows; one that is stays for a later claim.
        """
        bucket, lane = place
        return await self._lock(_LOCK_DUE, {"bucket": bucket, "lane": lane, "now": now, "limit": limit, "edge": edge})

    async def lock_one(self, conversation_id: UUID) -> Kin | None:
        """One conversation, waiting for its lock; None when there is none."""
        found = await self._lock(_LOCK_ONE, {"bucket": bucket_of(conversation_id), "id": conversation_id})
        return next(iter(await found.rows()), None)

    async def lock_of_campaign(
        self, campaign_id: UUID, bucket: int, limit: int, after: UUID | None = None
    ) -> list[Kin]:
        """Up to `limit` unfinished conversations of a campaign in a bucket, by id, beyond `after`."""
        first, last = campaign_range(campaign_id)
        given = {"bucket": bucket, "campaign_id": campaign_id, "after": after or first, "last": last, "limit": limit}
        return await (await self._lock(_LOCK_OF_CAMPAIGN, given)).rows()

    async def find_contexts(self, bucket: int, ids: Sequence[str]) -> dict[str, str]:
        """The contexts of locked conversations, by id."""
        driver = await driver_of(self._connection)
        found = await driver.execute(_FIND_CONTEXTS, {"bucket": bucket, "ids": list(ids)}, binary=True)
        return dict(await found.fetchall())

    async def find_waiting(self, bucket: int, ids: Sequence[str]) -> list[Waiting]:
        """Responses and events not yet taken in by these conversations, in the order of receipt."""
        driver = await driver_of(self._connection)
        found = await driver.execute(_FIND_WAITING, {"bucket": bucket, "ids": list(ids)}, binary=True)
        return [Waiting(*row) for row in await found.fetchall()]

    async def find_fates(self, bucket: int, messages: Sequence[tuple[str, int, int]]) -> dict[str, Fate]:
        """What became of those of these messages (conversation, seq, ordinal) that left or never will.

        By conversation: each may ask for one.
        """
        driver = await driver_of(self._connection)
        ids, seqs, ordinals = (list(column) for column in zip(*messages, strict=True))
        found = await driver.execute(
            _FIND_FATES, {"bucket": bucket, "ids": ids, "seqs": seqs, "ordinals": ordinals}, binary=True
        )
        return {id: fate for *told, ids in await found.fetchall() for fate in [Fate(*told)] for id in ids}

    async def lock_due_of_campaign(self, campaign_id: UUID, bucket: int, now: datetime) -> None:
        """Wait for every tick that still saw the pause: those that begin after this see that it is over."""
        first, last = campaign_range(campaign_id)
        given = {"campaign_id": campaign_id, "bucket": bucket, "first": first, "last": last}
        await self._connection.execute(_LOCK_DUE_OF_CAMPAIGN, given | {"now": now})

    async def resume_conversations(self, campaign_id: UUID, bucket: int, now: datetime, limit: int) -> int:
        """Give up to `limit` parked conversations of a campaign their due time back; returns how many."""
        first, last = campaign_range(campaign_id)
        given = {"campaign_id": campaign_id, "bucket": bucket, "first": first, "last": last}
        return (await self._connection.execute(_RESUME, given | {"now": now, "limit": limit})).rowcount

    async def update_facts(self, conversation_id: UUID, facts: dict[str, Any], now: datetime) -> None:
        """Change facts, given as JSON data, null being missing; have the conversation looked at while it is active."""
        given = {"bucket": bucket_of(conversation_id), "id": conversation_id, "now": now}
        await self._connection.execute(_UPDATE_FACTS, given | {"facts": orjson.dumps(facts).decode()})

    async def _lock(self, statement: str, given: dict[str, Any]) -> Answer[Kin]:
        driver = await driver_of(self._connection)
        return Answer(await driver.execute(statement, given, binary=True), _kin)


def _kin(*row: Any) -> Kin:
    """Of those who wait for nothing there are no instants to gather, of most no contexts."""
    kin = Kin(*row)
    return kin._replace(contexts=kin.contexts or [], pending=kin.pending or [[]] * len(kin.ids))
