"""The worker's statements on the outbox: find where messages are due, lease, look, count, mark.

A leased message has status `leased` and a `lease_until` that all messages of one batch share; no other message has
one. Every later statement asks for that very instant, so a worker that comes too late, because its lease ran out and
another took the messages, changes nothing. It does not ask for the status too: that would invite the planner to read
all unsent messages of the bucket instead of going by primary key.

The methods never commit; each touches one bucket, but for the two probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS
from engine.db.database import driver_of

MessageStatus = Literal["ready", "sent", "failed", "cancelled"]
Place = tuple[UUID, int, int]


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What names one outbox row within its bucket."""

    conversation_id: UUID
    seq: int
    ordinal: int
    at: datetime


@dataclass(frozen=True, slots=True)
class LeasedMessage:
    """A message in our hands and what is true of it now; `context` or `recipient_key` is None when gone."""

    key: MessageKey
    not_before: datetime
    attempts: int
    awaited: bool
    cancel_requested: bool
    stage: str | None
    channel: str
    message: str
    context: dict[str, Any] | None
    version: int | None
    timezone: str | None
    locale: str | None
    recipient_key: str | None
    email: str | None
    phone: str | None
    unsubscribed_at: datetime | None
    campaign_id: UUID
    campaign_name: str
    campaign_type: str
    campaign_status: str
    recipient_id: UUID
    ignores_window: bool = False
    ignores_limits: bool = False

    @property
    def is_off(self) -> bool:
        """Whether it must not leave any more: called off, opted out, or whom it was for is gone."""
        return (
            self.cancel_requested
            or self.unsubscribed_at is not None
            or self.campaign_status == "cancelled"
            or self.recipient_key is None
            or self.context is None
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What becomes of a leased message; `ready` gives it back, to leave at `not_before` or later.

    `last_error` is kept until there is a newer one, also when the message leaves at last.
    """

    conversation_id: UUID
    seq: int
    ordinal: int
    at: datetime
    status: MessageStatus
    attempts: int
    not_before: datetime
    sent_at: datetime | None = None
    last_error: str | None = None


# What may leave now. A lease that ran out counts as none: its worker died, or is so late that it must not
# count. The campaigns table is small, so the paused ones are hashed once a statement. Messages of a paused
# campaign or of a channel that is not open stay at the front of the index, and each probe walks past them.
_DUE = """
    status IN ('ready', 'leased') AND not_before <= %(now)s AND (status = 'ready' OR lease_until <= %(now)s)
    AND campaign_id NOT IN (SELECT id FROM campaign_engine.campaigns WHERE status = 'paused')
"""
_OPEN = """
    (CAST(%(channels)s AS text[]) IS NULL OR channel = ANY(CAST(%(channels)s AS text[])))
    AND channel <> ALL(CAST(%(shut)s AS text[]))
"""

# LIMIT 1 in a LATERAL makes one short index scan a bucket; EXISTS or DISTINCT would read every due row.
FIND_DUE_BUCKETS = f"""
    SELECT known.bucket
    FROM unnest(CAST(%(buckets)s AS smallint[])) AS known (bucket)
    CROSS JOIN LATERAL (
        SELECT FROM campaign_engine.outbox
        WHERE outbox.bucket = known.bucket AND {_DUE} AND {_OPEN}
        ORDER BY not_before
        LIMIT 1
    ) AS due
"""  # noqa: S608 - constants of this module

FIND_WAITING_CHANNELS = f"""
    SELECT DISTINCT due.channel
    FROM unnest(CAST(%(buckets)s AS smallint[])) AS known (bucket)
    CROSS JOIN LATERAL (
        SELECT channel FROM campaign_engine.outbox
        WHERE outbox.bucket = known.bucket AND {_DUE} AND channel <> ALL(CAST(%(channels)s AS text[]))
        ORDER BY not_before
        LIMIT 1
    ) AS due
    ORDER BY due.channel
"""  # noqa: S608 - constants of this module

# Whoever has the row leases from the bucket; a worker that meets another there goes on to the next bucket. For the rest
# of the transaction nothing is sorted that an index has in order: a planner that expects few due messages would rather
# read and sort them all than take the first of each partition, and then there are many.
LOCK_GATE = """
    SELECT set_config('enable_sort', 'off', true) FROM campaign_engine.send_gates
    WHERE bucket = %(bucket)s FOR UPDATE SKIP LOCKED
"""

# The first part walks the index in the order in which messages leave and skips what another worker is taking. The
# second goes back by primary key: `= ANY` of the ids makes that the one way to read, whatever the planner believes of
# how many messages there are. Both parts name the bucket.
LEASE_MESSAGES = f"""
    WITH due AS MATERIALIZED (
        SELECT conversation_id, seq, ordinal, at
        FROM campaign_engine.outbox
        WHERE bucket = %(bucket)s AND {_DUE} AND {_OPEN}
        ORDER BY not_before, seq, ordinal
        LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    )
    UPDATE campaign_engine.outbox AS message
    SET status = 'leased', lease_until = %(until)s
    FROM due
    WHERE message.bucket = %(bucket)s
        AND message.conversation_id = ANY (ARRAY(SELECT conversation_id FROM due))
        AND message.conversation_id = due.conversation_id
        AND message.seq = due.seq AND message.ordinal = due.ordinal AND message.at = due.at
    RETURNING message.conversation_id, message.seq, message.ordinal, message.at
"""  # noqa: S608 - constants of this module

# OFFSET 0 keeps each look-up a look-up by primary key, one a message: nobody knows how many rows a JSON holds, so the
# planner, left alone, reads the whole bucket and joins it.
FIND_LEASED = """
    SELECT message.conversation_id, message.seq, message.ordinal, message.at,
           message.not_before, message.attempts, message.awaited, message.cancel_requested,
           message.stage, message.channel, message.message,
           conversation.context, conversation.version, conversation.timezone, conversation.locale,
           recipient.key, recipient.email, recipient.phone, recipient.unsubscribed_at,
           campaign.id, campaign.name, campaign.campaign_type, campaign.status,
           message.recipient_id, message.ignores_window, message.ignores_limits
    FROM jsonb_to_recordset(CAST(%(keys)s AS jsonb))
         AS given (conversation_id uuid, seq integer, ordinal smallint, at timestamptz)
    CROSS JOIN LATERAL (
        SELECT * FROM campaign_engine.outbox
        WHERE bucket = %(bucket)s AND conversation_id = given.conversation_id
            AND seq = given.seq AND ordinal = given.ordinal AND at = given.at AND lease_until = %(until)s
        OFFSET 0
    ) AS message
    JOIN campaign_engine.campaigns AS campaign ON campaign.id = message.campaign_id
    LEFT JOIN LATERAL (
        SELECT context, version, timezone, locale FROM campaign_engine.conversations
        WHERE bucket = %(bucket)s AND id = message.conversation_id
        OFFSET 0
    ) AS conversation ON true
    LEFT JOIN LATERAL (
        SELECT key, email, phone, unsubscribed_at FROM campaign_engine.recipients
        WHERE bucket = %(bucket)s AND id = message.recipient_id
        OFFSET 0
    ) AS recipient ON true
    ORDER BY message.not_before, message.seq, message.ordinal
"""

# What each recipient was sent by all campaigns: the latest few, read off the end of an index, and what other leases
# have in flight. That counts as sent now, or at the end of its lease if that is over: no worker sends later. One
# statement sees a message on its way from leased to sent in one of the two places, never in both or neither.
FIND_SENDS = """
    SELECT given.id, past.at
    FROM unnest(CAST(%(recipients)s AS uuid[])) AS given (id)
    CROSS JOIN LATERAL (
        (
            SELECT sent_at AS at FROM campaign_engine.outbox
            WHERE bucket = %(bucket)s AND recipient_id = given.id AND status = 'sent'
            ORDER BY sent_at DESC
            LIMIT %(most)s
        )
        UNION ALL
        SELECT least(lease_until, %(now)s) FROM campaign_engine.outbox
        WHERE bucket = %(bucket)s AND recipient_id = given.id AND status = 'leased'
            AND (conversation_id, seq, ordinal) NOT IN (
                SELECT conversation_id, seq, ordinal
                FROM jsonb_to_recordset(CAST(%(keys)s AS jsonb))
                     AS own (conversation_id uuid, seq integer, ordinal smallint)
            )
    ) AS past
    ORDER BY past.at
"""

# Locked in the order of their ids, as everyone locks conversations, and before any row of the outbox. All of them, also
# those that are due anyway or parked: whoever holds one now, a tick that decides it or a resume, may not have seen that
# the message leaves, and puts it to sleep. So this waits for them, and looks at what they left behind; materialised,
# because a condition on a plain subquery is judged before its rows are locked.
WAKE_CONVERSATIONS = """
    WITH waiting AS MATERIALIZED (
        SELECT id, status, due_at
        FROM campaign_engine.conversations
        WHERE bucket = %(bucket)s AND id = ANY(%(ids)s)
        ORDER BY id
        FOR UPDATE
    )
    UPDATE campaign_engine.conversations AS conversation
    SET due_at = %(now)s
    FROM waiting
    WHERE conversation.bucket = %(bucket)s AND conversation.id = waiting.id
        AND waiting.status = 'active' AND (waiting.due_at IS NULL OR waiting.due_at > %(now)s)
"""

# Whoever wants to cancel a leased message can only leave a request; it is honoured when the message comes
# back. The ids are given twice, so that the rows are found by primary key (see `LEASE_MESSAGES`).
MARK_MESSAGES = """
    UPDATE campaign_engine.outbox AS message
    SET status = CASE WHEN mark.status = 'ready' AND message.cancel_requested THEN 'cancelled'
                      ELSE mark.status END,
        attempts = mark.attempts, not_before = mark.not_before, sent_at = mark.sent_at,
        last_error = coalesce(mark.last_error, message.last_error), lease_until = NULL
    FROM jsonb_to_recordset(CAST(%(marks)s AS jsonb)) AS mark (
        conversation_id uuid, seq integer, ordinal smallint, at timestamptz,
        status text, attempts smallint, not_before timestamptz, sent_at timestamptz, last_error text
    )
    WHERE message.bucket = %(bucket)s AND message.conversation_id = ANY (%(ids)s)
        AND message.conversation_id = mark.conversation_id
        AND message.seq = mark.seq AND message.ordinal = mark.ordinal AND message.at = mark.at
        AND message.lease_until = %(until)s
    RETURNING message.conversation_id, message.seq, message.ordinal, message.status
"""


class MessageRepository:
    """The outbox over one connection; commits nothing. Its statements speak to the driver, in binary."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_due_buckets(self, now: datetime, channels: list[str] | None, shut: Sequence[str] = ()) -> list[int]:
        """The buckets with a message that may leave now through one of `channels`, None being all, but for `shut`."""
        values = {"buckets": list(BUCKETS), "now": now, "channels": channels, "shut": list(shut)}
        return [bucket for (bucket,) in await self._fetch(FIND_DUE_BUCKETS, values)]

    async def find_waiting_channels(self, now: datetime, channels: list[str]) -> list[str]:
        """Names beside `channels` that due messages want; of several in one bucket, the first."""
        values = {"buckets": list(BUCKETS), "now": now, "channels": channels}
        return [channel for (channel,) in await self._fetch(FIND_WAITING_CHANNELS, values)]

    async def lock_gate(self, bucket: int) -> bool:
        """Whether the caller may lease from `bucket` until it commits; False when another worker is at it."""
        return bool(await self._fetch(LOCK_GATE, {"bucket": bucket}))

    async def lease_messages(
        self,
        bucket: int,
        now: datetime,
        until: datetime,
        channels: list[str] | None,
        limit: int,
        shut: Sequence[str] = (),
    ) -> list[MessageKey]:
        """Up to `limit` due messages of `bucket`, the earliest, now leased to the caller; in no order."""
        given = {"channels": channels, "shut": list(shut)}
        values = {"bucket": bucket, "now": now, "until": until, "limit": limit} | given
        return [MessageKey(*row) for row in await self._fetch(LEASE_MESSAGES, values)]

    async def find_leased(self, bucket: int, until: datetime, keys: Sequence[MessageKey]) -> list[LeasedMessage]:
        """Those of `keys` still leased `until` then, in the order to leave, with all that decides on them."""
        found = await self._fetch(FIND_LEASED, {"bucket": bucket, "until": until, "keys": _json(keys)})
        return [LeasedMessage(MessageKey(*row[:4]), *row[4:]) for row in found]

    async def find_sends(
        self, bucket: int, now: datetime, recipients: set[UUID], most: int, own: Sequence[MessageKey]
    ) -> dict[UUID, list[datetime]]:
        """When `recipients` were sent something, in order: the last `most` and what is in flight, but for `own`."""
        values = {"bucket": bucket, "now": now, "recipients": list(recipients), "most": most, "keys": _json(own)}
        sends: dict[UUID, list[datetime]] = {}
        for recipient, at in await self._fetch(FIND_SENDS, values):
            sends.setdefault(recipient, []).append(at)
        return sends

    async def mark_conversations_due(self, bucket: int, ids: set[UUID], now: datetime) -> None:
        """Wake the active ones of `ids` that would sleep beyond `now`; all of them stay locked to the commit."""
        if ids:
            driver = await driver_of(self._connection)
            await driver.execute(WAKE_CONVERSATIONS, {"bucket": bucket, "ids": sorted(ids), "now": now})

    async def mark_messages(self, bucket: int, until: datetime, marks: Sequence[Mark]) -> dict[Place, MessageStatus]:
        """The messages still leased `until` then, now marked, with the status each has; its lease is over."""
        ids = list({mark.conversation_id for mark in marks})
        values = {"bucket": bucket, "until": until, "ids": ids, "marks": _json(sorted(marks, key=place_of))}
        return {(id, seq, ordinal): status for id, seq, ordinal, status in await self._fetch(MARK_MESSAGES, values)}

    async def _fetch(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        driver = await driver_of(self._connection)
        found = await driver.execute(statement, values, binary=True)
        return await found.fetchall()


def place_of(mark: Mark) -> Place:
    """The conversation, seq and ordinal of a message, which name it in the idempotency key too."""
    return mark.conversation_id, mark.seq, mark.ordinal


def _json(rows: list[Mark] | Sequence[MessageKey]) -> str:
    return orjson.dumps(rows).decode()
