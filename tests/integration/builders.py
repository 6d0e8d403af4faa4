"""The whole engine over a test's database: a stopped clock, a mailbox, and campaigns made in one call.

`TALK` is a campaign type with a bit of everything; tests take it as it is or replace a text in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count as numbers
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text

from engine.application import Application, assemble
from engine.campaigns import NewCampaign, create_campaign
from engine.channels.registry import Channels
from engine.clock import SimulatedClock
from engine.core.durations import parse_duration
from engine.core.loader import parse_campaign_type
from engine.db.buckets import bucket_of, bucket_of_key, conversation_id
from engine.db.database import Database
from engine.db.invariants import find_violations
from engine.db.tables import metadata
from engine.registry import register
from engine.settings import Settings
from engine.tick import TickCounts
from tests.integration.postroom import Mailbox

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TALK = """
campaign_type: talk
version: 1
facts: {first_name: text, seats: "int?", price: "number?", since: "date?", met_at: "datetime?", note: "text?"}
responses:
  intent: {stop: {any_word: [stop]}, "yes": {any_word: [yes]}}
  words: {text: true}
  figure: {number: true}
channel: email
start: hello
always:
  - {when: intent == "stop", go: opted_out}
stages:
  hello:
    on_enter: [{send: hello}]
    follow_ups: [{after: 48h, send: bump, times: 2}]
    on_response:
      - {when: intent == "yes", go: offer}
      - {otherwise: human}
    on_event:
      opened: {go: stay, do: [{send: tip, after: 4h}], at_most: 1}
      called: {go: human}
    timers: [{after: 240h, go: gave_up}]
  offer:
    min_stay: 24h
    on_enter: [{send: offer, after: 2h}]
    on_response:
      - {when: intent == "yes", go: bought}
      - {go: stay, at_most: 2}
      - {otherwise: gave_up}
    timers: [{after: 30d, go: gave_up}]
  human:
    on_enter: [{assign: {to: sales}}]
    escalate: [{after: 4h, to: manager}]
    timers: [{after: 60d, go: gave_up}]
exits:
  bought: {outcome: won, on_enter: [{send: thanks}]}
  gave_up: lost
  opted_out: stopped
messages:
  hello: {text: "Hi {{ first_name }}"}
  bump: {text: Are you there}
  tip: {text: A tip}
  offer: {text: An offer}
  thanks: {text: Thank you}
"""


def after(span: str, since: datetime = NOW) -> datetime:
    """The instant a while after NOW, days having 24 hours."""
    return since + parse_duration(span).nominal


def talk(*changes: tuple[str, str]) -> str:
    """TALK with texts replaced, each of which must be there."""
    source = TALK
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    return source


def person(key: str, **facts: Any) -> dict[str, Any]:
    return {"key": key, "email": f"{key}@example.org", "first_name": key.title()} | facts


def people(count: int) -> list[dict[str, Any]]:
    """So many recipients, spread over all buckets: `p0`, `p1`, …"""
    return [person(f"p{number}") for number in range(count)]


def neighbours(count: int, key: str = "ann") -> list[dict[str, Any]]:
    """So many recipients of one bucket, `key` first."""
    bucket = bucket_of_key(key)
    keys = (name for number in numbers() if bucket_of_key(name := f"n{number}") == bucket)
    return [person(key), *(person(name) for name in islice(keys, count - 1))]


def a_settings(**given: Any) -> Settings:
    return Settings(**{"campaign_metrics_ttl": 0.0, "retry_delay_seconds": 300} | given)


class House:
    """The engine on one database. `tick`, `work` and `poll` do all that is due at the clock's instant."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        self.clock = SimulatedClock(NOW)
        self.mail = Mailbox()
        self.app: Application = assemble(
            database, a_settings(**settings), self.clock, Channels({"email": self.mail, "sms": self.mail})
        )
        self.manager = self.app.manager

    def with_settings(self, **settings: Any) -> Application:
        """Other parts over the same database and clock."""
        return assemble(self.database, a_settings(**settings), self.clock, self.app.channels)

    async def register(self, source: str = TALK) -> None:
        async with self.database.transaction() as connection:
            await register(connection, parse_campaign_type(source, "type.yaml"))

    async def campaign(self, recipients: Sequence[dict[str, Any]] = (), source: str = TALK, **wanted: Any) -> str:
        """A campaign of the type in `source` with these recipients enrolled; Ann alone unless told. Its id."""
        await self.register(source)
        name = parse_campaign_type(source, "type.yaml").spec.campaign_type
        audience = {"recipients": list(recipients) or [person("ann")]}
        new = NewCampaign(**{"name": "Spring", "type": name, "audience": audience} | wanted)
        async with self.database.transaction() as connection:
            id = await create_campaign(connection, self.clock, self.app.registry, new)
        enrolled = await self.manager.initialize_campaign_conversations(str(id))
        assert enrolled == len(audience["recipients"])
        return str(id)

    # ---- time --------------------------------------------------------------------------------------------------

    def at(self, span: str) -> House:
        """Set the clock to a while after NOW."""
        self.clock.instant = after(span)
        return self

    def wait(self, span: str) -> House:
        self.clock.advance(parse_duration(span).nominal)
        return self

    async def tick(self) -> TickCounts:
        return await self.app.tick.drain()

    async def run(self) -> None:
        """Tick and work in turn until nothing is due."""
        while True:
            ticked, worked = await self.tick(), await self.app.worker.drain()
            if not ticked.claimed and not (worked.sent or worked.cancelled or worked.failed):
                return

    async def live(self, span: str, step: timedelta = timedelta(hours=4)) -> None:
        """Run at every `step` until a while after NOW."""
        while self.clock.instant < after(span):
            await self.run()
            self.clock.instant = min(self.clock.instant + step, after(span))
        await self.run()

    # ---- people ------------------------------------------------------------------------------------------------

    async def reply(self, campaign: str, body: str, key: str = "ann", **given: Any) -> dict[str, Any]:
        return await self.manager.record_response(campaign, key, body, **given)

    async def until_someone_waits(self, task: asyncio.Task[Any]) -> None:
        """Return when a transaction waits for another's lock, or the task that was to do so is over."""
        while not task.done() and not await self.sql("SELECT FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    # ---- looking -----------------------------------------------------------------------------------------------

    async def sql(self, statement: str, **given: Any) -> list[Any]:
        async with self.database.transaction() as connection:
            found = await connection.execute(text(statement), given)
            return [tuple(row) for row in found] if found.returns_rows else []

    async def conversation(self, campaign: str, key: str = "ann") -> dict[str, Any]:
        return await self.manager.get_conversation(conversation_of(campaign, key))

    async def causes(self, campaign: str, key: str = "ann") -> list[str]:
        """Its history as "cause -> stage"."""
        history = await self.manager.get_conversation_history(conversation_of(campaign, key))
        return [f"{row['cause']} -> {row['to_stage']}" for row in history]

    async def messages(self, campaign: str, key: str = "ann") -> list[tuple[str, str]]:
        """Its messages with their status, in the order they were made."""
        id = UUID(conversation_of(campaign, key))
        return await self.sql(
            "SELECT message, status FROM campaign_engine.outbox WHERE bucket = :bucket AND conversation_id = :id"
            " ORDER BY seq, ordinal",
            bucket=bucket_of(id),
            id=id,
        )

    async def set_conversation(self, campaign: str, key: str, change: str, **given: Any) -> None:
        """Change columns of a conversation's row as no part of the engine would."""
        id = conversation_of(campaign, key)
        await self.sql(f"UPDATE campaign_engine.conversations SET {change} WHERE id = :id", id=id, **given)  # noqa: S608

    async def violations(self) -> list[str]:
        async with self.database.transaction() as connection:
            return await find_violations(connection, self.clock.instant)

    async def everything(self) -> dict[str, list[str]]:
        """Every row of every table, to compare before and after."""
        return {
            name: sorted(row for (row,) in await self.sql(f"SELECT each::text FROM {name} AS each"))  # noqa: S608
            for name in metadata.tables
        }


def conversation_of(campaign: str, key: str = "ann") -> str:
    return str(conversation_id(UUID(campaign), key))


def as_json(value: Any) -> str:
    return orjson.dumps(value).decode()
