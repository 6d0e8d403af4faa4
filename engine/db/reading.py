"""What people look at: conversations, their history and messages. Reads only, never in the way of a tick.

A campaign's conversations are found by walking the primary key in each bucket, since their ids share their first
bytes; a page goes on after the last (bucket, id) of the page before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.core.errors import UnknownError
from engine.db.buckets import BUCKETS, bucket_of, campaign_range


class ConversationRow(NamedTuple):
    """A conversation with its recipient's key."""

    id: UUID
    bucket: int
    campaign_id: UUID
    recipient: str
    stage: str | None
    status: str
    due_at: datetime | None
    entered_at: datetime | None
    seq: int
    attempts: int
    inbox_waiting: bool
    timezone: str
    locale: str
    context: dict[str, Any]
    last_error: str | None


class HistoryRow(NamedTuple):
    """One progression; `reason` is why somebody moved it, if that is its cause."""

    seq: int
    at: datetime
    from_stage: str | None
    to_stage: str | None
    cause: str
    edge: str
    entered: bool
    sends: int
    reason: str | None


class MessageRow(NamedTuple):
    """One outbox message."""

    seq: int
    ordinal: int
    message: str
    channel: str
    status: str
    not_before: datetime
    sent_at: datetime | None
    attempts: int
    last_error: str | None


# `by_due` asks for what is due next; otherwise a page in the order of the key.
_FIND_CONVERSATIONS = text("""
    SELECT c.id, c.bucket, c.campaign_id, r.key, c.stage, c.status, c.due_at, c.entered_at, c.seq, c.attempts,
           c.inbox_waiting, c.timezone, c.locale, c.context, c.last_error
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN LATERAL (
           SELECT * FROM campaign_engine.conversations c
            WHERE c.bucket = b.bucket AND c.id BETWEEN :first AND :last AND c.campaign_id = :campaign_id
              AND (c.bucket, c.id) > (:after_bucket, CAST(:after_id AS uuid))
              AND (CAST(:stage AS text) IS NULL OR c.stage = :stage)
              AND (CAST(:status AS text) IS NULL OR c.status = :status)
            ORDER BY CASE WHEN :by_due THEN c.due_at END, c.id
            LIMIT :limit) AS c
      JOIN campaign_engine.recipients r ON r.bucket = c.bucket AND r.id = c.recipient_id
     ORDER BY CASE WHEN :by_due THEN c.due_at END, c.bucket, c.id
     LIMIT :limit
""")

_FIND_CONVERSATION = text("""
    SELECT c.id, c.bucket, c.campaign_id, r.key, c.stage, c.status, c.due_at, c.entered_at, c.seq, c.attempts,
           c.inbox_waiting, c.timezone, c.locale, c.context, c.last_error
      FROM campaign_engine.conversations c
      JOIN campaign_engine.recipients r ON r.bucket = c.bucket AND r.id = c.recipient_id
     WHERE c.bucket = :bucket AND c.id = :id
""")

# As enrolment chose it: the recipient's zone, else the campaign's, else UTC. None when both have changed since.
_FIND_ZONE_SOURCE = text("""
    SELECT CASE c.timezone WHEN r.timezone THEN 'recipient' WHEN g.timezone THEN 'campaign'
                           WHEN 'UTC' THEN 'default' END
      FROM campaign_engine.conversations c
      JOIN campaign_engine.campaigns g ON g.id = c.campaign_id
      LEFT JOIN campaign_engine.recipients r ON r.bucket = c.bucket AND r.id = c.recipient_id
     WHERE c.bucket = :bucket AND c.id = :id
""")

_FIND_HISTORY = text("""
    SELECT h.seq, h.at, h.from_stage, h.to_stage, h.cause, h.edge, h.entered, h.sends, m.reason
      FROM campaign_engine.stage_history h
      LEFT JOIN campaign_engine.moves m ON m.bucket = :bucket AND m.conversation_id = :id AND m.seq = h.seq
     WHERE h.bucket = :bucket AND h.conversation_id = :id
     ORDER BY h.seq
""")

_FIND_MESSAGES = text("""
    SELECT seq, ordinal, message, channel, status, not_before, sent_at, attempts, last_error
      FROM campaign_engine.outbox
     WHERE bucket = :bucket AND conversation_id = :id
     ORDER BY seq, ordinal
""")

_START = (-1, UUID(int=0))


class ReadingRepository:
    """Looking things up. Nothing here locks."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_conversations(
        self,
        campaign_id: UUID,
        *,
        stage: str | None = None,
        status: str | None = None,
        limit: int = 100,
        after: tuple[int, UUID] | None = None,
        by_due: bool = False,
    ) -> list[ConversationRow]:
        """A page of a campaign's conversations, after the (bucket, id) `after`; or those due next, `by_due`."""
        first, last = campaign_range(campaign_id)
        after_bucket, after_id = after or _START
        given = {
            "buckets": sorted(bucket for bucket in BUCKETS if bucket >= after_bucket),
            "first": first,
            "last": last,
            "campaign_id": campaign_id,
            "after_bucket": after_bucket,
            "after_id": after_id,
            "stage": stage,
            "status": status,
            "by_due": by_due,
            "limit": limit,
        }
        return [ConversationRow(*row) for row in await self._connection.execute(_FIND_CONVERSATIONS, given)]

    async def find_zone_source(self, id: UUID) -> str | None:
        """Whose time zone a conversation keeps: `recipient`, `campaign` or `default`; None when that is not known."""
        found = await self._connection.execute(_FIND_ZONE_SOURCE, {"bucket": bucket_of(id), "id": id})
        source: str | None = found.scalar_one()
        return source

    async def find_conversation(self, conversation_id: UUID | str) -> ConversationRow:
        """One conversation. Raises UnknownError, also for what cannot be an id."""
        id, bucket = _place(conversation_id)
        found = (await self._connection.execute(_FIND_CONVERSATION, {"bucket": bucket, "id": id})).first()
        if found is None:
            raise _unknown(conversation_id)
        return ConversationRow(*found)

    async def find_history(self, conversation_id: UUID) -> list[HistoryRow]:
        """Its progressions, in order."""
        given = {"bucket": bucket_of(conversation_id), "id": conversation_id}
        return [HistoryRow(*row) for row in await self._connection.execute(_FIND_HISTORY, given)]

    async def find_messages(self, conversation_id: UUID) -> list[MessageRow]:
        """Its outbox messages, in the order they were made."""
        given = {"bucket": bucket_of(conversation_id), "id": conversation_id}
        return [MessageRow(*row) for row in await self._connection.execute(_FIND_MESSAGES, given)]


def conversation_uuid(conversation_id: UUID | str) -> UUID:
    """The id as a UUID. Raises UnknownError for what cannot be one of ours."""
    return _place(conversation_id)[0]


def _place(conversation_id: UUID | str) -> tuple[UUID, int]:
    try:
        id = conversation_id if isinstance(conversation_id, UUID) else UUID(conversation_id)
    except ValueError as error:
        raise _unknown(conversation_id) from error
    bucket = bucket_of(id)
    if bucket is None:
        raise _unknown(conversation_id)
    return id, bucket


def _unknown(conversation_id: UUID | str) -> UnknownError:
    return UnknownError(
        f"unknown conversation {conversation_id}", hint="See them with: campaign conversations --campaign ID"
    )
