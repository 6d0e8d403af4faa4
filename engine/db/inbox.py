"""Recording what recipients say and what happens to them, in one bucket each time.

A repeated provider message id inserts nothing. Lock order: the response row first, then the conversation's, which
may wait the moment a tick needs to commit its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_FIND_CONVERSATIONS = text("""
    SELECT id, campaign_id, status, stage
      FROM campaign_engine.conversations
     WHERE bucket = :bucket AND id = ANY(CAST(:ids AS uuid[]))
""")

_INSERT_RESPONSE = text("""
    INSERT INTO campaign_engine.responses
           (bucket, id, conversation_id, campaign_id, recipient_key, provider, provider_message_id, body, status,
            received_at)
    VALUES (:bucket, :id, :conversation_id, :campaign_id, :recipient_key, :provider, :message_id, :body, :status,
            :received_at)
        ON CONFLICT DO NOTHING
    RETURNING id
""")

_INSERT_EVENT = text("""
    INSERT INTO campaign_engine.events
           (bucket, id, conversation_id, campaign_id, recipient_key, name, provider, provider_message_id, status,
            received_at)
    VALUES (:bucket, :id, :conversation_id, :campaign_id, :recipient_key, :name, :provider, :message_id, :status,
            :received_at)
        ON CONFLICT DO NOTHING
    RETURNING id
""")

_WAKE = text("""
    UPDATE campaign_engine.conversations
       SET inbox_waiting = true, due_at = least(due_at, :at)
     WHERE bucket = :bucket AND id = :id
    RETURNING stage
""")

_COUNT_RECEIVED = text("""
    INSERT INTO campaign_engine.metric_deltas (bucket, campaign_id, day, metric, stage, count)
    VALUES (:bucket, :campaign_id, :day, 'received', :stage, 1)
""")


class Known(NamedTuple):
    """A conversation that something can be recorded for."""

    id: UUID
    campaign_id: UUID
    status: str
    stage: str | None


class InboxRepository:
    """The statements of the inbox, in one bucket. Nothing here commits."""

    def __init__(self, connection: AsyncConnection, bucket: int) -> None:
        self._connection = connection
        self._bucket = bucket

    async def find_conversations(self, ids: Sequence[UUID]) -> list[Known]:
        """Those of these conversations that exist."""
        found = await self._connection.execute(_FIND_CONVERSATIONS, {"bucket": self._bucket, "ids": list(ids)})
        return [Known(*row) for row in found]

    async def insert_response(self, row: dict[str, Any]) -> bool:
        """Keep a response; False when its provider message id was there before."""
        return (await self._connection.execute(_INSERT_RESPONSE, row | {"bucket": self._bucket})).first() is not None

    async def insert_event(self, row: dict[str, Any]) -> bool:
        """Keep an event; False when its provider message id was there before."""
        return (await self._connection.execute(_INSERT_EVENT, row | {"bucket": self._bucket})).first() is not None

    async def wake_conversation(self, conversation_id: UUID, at: datetime) -> str | None:
        """Make the conversation due at `at` at the latest, with something to read; returns its stage."""
        given = {"bucket": self._bucket, "id": conversation_id, "at": at}
        stage: str | None = (await self._connection.execute(_WAKE, given)).scalar_one()
        return stage

    async def count_received(self, campaign_id: UUID, stage: str | None, day: date) -> None:
        given = {"bucket": self._bucket, "campaign_id": campaign_id, "day": day, "stage": stage or ""}
        await self._connection.execute(_COUNT_RECEIVED, given)
