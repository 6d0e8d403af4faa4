"""A database with one campaign, a clock that a test moves, and mailboxes to send to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update

from engine.channels.protocol import OutgoingMessage
from engine.channels.registry import Channels
from engine.clock import SimulatedClock
from engine.core.loader import parse_campaign_type
from engine.db.buckets import bucket_of, conversation_id, recipient_id
from engine.db.database import Database
from engine.db.tables import campaigns, conversations, metric_deltas, outbox, recipients
from engine.registry import TypeRegistry, register
from engine.settings import Settings
from engine.worker import Worker

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SPRING = UUID(int=1)
LEASE, RETRY = timedelta(seconds=120), timedelta(seconds=300)
NURTURE = """
campaign_type: nurture
version: 1
facts: {first_name: text}
start: introduce
always: [{when: event == "unsubscribed", go: left}]
stages:
  introduce:
    on_enter: [{send: intro}]
    timers: [{after: 1d, go: over}]
exits:
  over: lost
  left: stopped
messages:
  intro: {subject: A question, text: "Hi {{ first_name }}"}
  poison: {text: "{{ first_name | divided_by: 0 }}"}
"""


class Mailbox:
    """A channel that keeps what it is given, and does first what a test asks for."""

    def __init__(self, before: Callable[[OutgoingMessage], Awaitable[None]] | None = None) -> None:
        self.before = before
        self.taken: list[OutgoingMessage] = []
        self.left: list[OutgoingMessage] = []
        self.broken: BaseException | None = None

    @property
    def keys(self) -> list[str]:
        return [message.recipient_key for message in self.left]

    async def send(self, message: OutgoingMessage) -> None:
        if self.before is not None:
            await self.before(message)
        self.taken.append(message)

    async def flush(self) -> None:
        taken, self.taken = self.taken, []
        if self.broken is not None:
            raise self.broken
        self.left += taken

    async def close(self) -> None: ...


class Postroom:
    """A database with one campaign, a clock, and workers that send to mailboxes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = SimulatedClock(NOW)
        self.mail = Mailbox()

    async def open(self) -> Postroom:
        async with self.database.transaction() as connection:
            await register(connection, parse_campaign_type(NURTURE, "nurture.yaml"))
        await self.add_campaign(SPRING)
        return self

    def worker(self, mailbox: Mailbox | None = None, database: Database | None = None, **given: Any) -> Worker:
        channels = Channels({"email": mailbox or self.mail})
        settings = Settings(lease_seconds=LEASE.seconds, retry_delay_seconds=RETRY.seconds, **given)
        return Worker(database or self.database, settings, self.clock, channels, TypeRegistry(), Random(1))

    async def add_campaign(self, id: UUID, status: str = "active") -> None:
        row = {"id": id, "name": "Spring", "campaign_type": "nurture", "version": 1, "status": status}
        await self.execute(insert(campaigns).values(**row, lanes=[5, 5, 5], created_at=NOW))

    async def add_message(self, key: str = "ann", campaign: UUID = SPRING, due_at: Any = None, **given: Any) -> UUID:
        """A due message in a conversation of its own; `given` overrides columns of the outbox."""
        id, recipient = conversation_id(campaign, key), recipient_id(key)
        bucket, person = bucket_of(id), {"key": key, "email": f"{key}@example.org", "created_at": NOW}
        exists = await self.execute(select(recipients.c.id).where(recipients.c.id == recipient))
        if not exists:
            await self.execute(insert(recipients).values(bucket=bucket, id=recipient, **person))
        if not await self.execute(select(conversations.c.id).where(conversations.c.id == id)):
            row = {"campaign_id": campaign, "recipient_id": recipient, "version": 1, "lane": 5, "enrolled_at": NOW}
            context = {"facts": {"first_name": key.title()}, "captured": {}}
            more = {"timezone": "UTC", "locale": "en", "context": context, "due_at": due_at, "stage": "introduce"}
            await self.execute(insert(conversations).values(bucket=bucket, id=id, **row, **more))
        message = {
            "bucket": bucket,
            "conversation_id": id,
            "campaign_id": campaign,
            "recipient_id": recipient,
            "at": NOW,
            "not_before": NOW,
            "seq": 1,
            "ordinal": 0,
            "awaited": False,
            "status": "ready",
            "scope": "conversation",
            "stage": "introduce",
            "channel": "email",
            "message": "intro",
        }
        await self.execute(insert(outbox).values(**message | given))
        return id

    async def execute(self, statement: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            found = await connection.execute(statement)
            return list(found) if found.returns_rows else []

    async def message(self, id: UUID) -> Any:
        (row,) = await self.execute(select(outbox).where(outbox.c.conversation_id == id))
        return row

    async def set_message(self, id: UUID, **values: Any) -> None:
        await self.execute(update(outbox).where(outbox.c.conversation_id == id).values(**values))

    async def due_at(self, id: UUID) -> datetime | None:
        ((due_at,),) = await self.execute(select(conversations.c.due_at).where(conversations.c.id == id))
        return due_at

    async def counted(self) -> Counter[tuple[str, ...]]:
        columns = [metric_deltas.c[name] for name in ("metric", "stage", "target", "label", "count")]
        found: Counter[tuple[str, ...]] = Counter()
        for *key, count in await self.execute(select(*columns)):
            found[tuple(key)] += count
        return found
