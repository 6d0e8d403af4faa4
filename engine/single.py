"""One conversation at a time: what would happen, making it happen, ending it, explaining it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.audience import as_cell
from engine.clock import Clock
from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.errors import DecisionError, RefusedError, UnknownError
from engine.core.explain import explain
from engine.core.facts import fact_to_json, parse_fact
from engine.core.problems import expected_one_of
from engine.db.buckets import bucket_of
from engine.db.campaigns import CampaignRepository
from engine.db.conversations import ConversationStateRepository, Kin
from engine.db.database import Database
from engine.db.progress import dump_context, dump_values
from engine.db.reading import ReadingRepository
from engine.evaluation import Evaluation, reason_of
from engine.registry import TypeRegistry
from engine.settings import Settings


class Single:
    """Works on one conversation under its row lock."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, registry: TypeRegistry) -> None:
        self._database = database
        self._clock = clock
        self._evaluation = Evaluation(settings, registry, Random())

    async def evaluate(self, id: UUID, state: dict[str, Any]) -> tuple[bool, str | None, dict[str, Any]]:
        """What a tick would make of it now, given other facts or captured values; nothing is written.

        `state` may be a conversation as the manager tells it, or only its `context`. Raises RefusedError.
        """
        async with self._database.transaction() as connection:
            row = await _lock(connection, id)
            now = await self._clock.now(connection)
            compiled, conversation, events = await self._evaluation.read_one(connection, _bucket(id), row, now)
            if supposed := _suppose(compiled, row, state.get("context", state)):
                row = row._replace(contexts=[supposed])
                compiled, conversation, events = await self._evaluation.read_one(connection, _bucket(id), row, now)
            decision = decide(compiled, conversation, events, now)
        it = decision.conversation
        outcome = {
            "stage": it.stage,
            "status": it.status,
            "seq": it.seq,
            "due_at": decision.next_due,
            "context": dump_context(it),
            "steps": [step._asdict() for step in decision.steps],
            "effects": [effect._asdict() for effect in decision.effects],
        }
        return bool(decision.steps), it.stage, outcome

    async def advance(self, id: UUID) -> None:
        """Do what is due for it now. Raises DecisionError, with nothing changed, when it cannot be decided."""
        await self._carry_out(id, cause="")

    async def complete(self, id: UUID) -> None:
        """End it where it stands. Raises RefusedError when it is over already."""
        await self._carry_out(id, cause="completed")

    async def _carry_out(self, id: UUID, cause: str) -> None:
        async with self._database.transaction() as connection:
            row = await _lock(connection, id)
            campaign = await CampaignRepository(connection).lock_state(row.campaign_id)
            now = await self._clock.now(connection)
            if cause and row.status not in ("active", "paused"):
                raise RefusedError(f"conversation {id} is {row.status} already")
            bucket = _bucket(id)
            batch = await self._evaluation.evaluate(connection, bucket, now, [row], cause, [campaign])
            for _, error in batch.failures:
                raise DecisionError(f"conversation {id} cannot be decided: {reason_of(error)}") from error
            await self._evaluation.write(connection, bucket, batch)

    async def explain(self, id: UUID) -> dict[str, Any]:
        """Where it stands and every way on; read under the lock, so that it is one moment's truth."""
        async with self._database.transaction() as connection:
            row = await _lock(connection, id)
            now = await self._clock.now(connection)
            compiled, conversation, events = await self._evaluation.read_one(connection, _bucket(id), row, now)
            reading = ReadingRepository(connection)
            shown = await reading.find_conversation(id)
            zone_source = await reading.find_zone_source(id)
            history = await reading.find_history(id)
            messages = await reading.find_messages(id)
        ways = explain(compiled, conversation, now)
        return {
            "id": str(id),
            "campaign_id": row.campaign_id,
            "campaign_type": f"{compiled.name}@{compiled.version}",
            "recipient": shown.recipient,
            "stage": row.stage,
            "status": row.status,
            "due_at": shown.due_at,
            "now": now,
            "timezone": row.timezone,
            "timezone_source": zone_source,
            "attempts": row.attempts,
            "last_error": shown.last_error,
            "waiting": [{"kind": each.kind, "name": each.name, "received_at": each.at} for each in events if each.key],
            "context": shown.context,
            "ways": [way._asdict() | {"inputs": dump_values(way.inputs)} for way in ways],
            "history": [each._asdict() for each in history],
            "messages": [each._asdict() for each in messages],
        }


def facts_of(compiled: CompiledType, given: Mapping[str, Any], zone: str) -> dict[str, Any]:
    """Facts as JSON data, each of its declared type; nothing or an empty text is missing. Raises RefusedError."""
    facts = {}
    for name, value in given.items():
        if (kind := compiled.spec.facts.get(name)) is None:
            raise RefusedError(f"unknown fact {name!r}; {expected_one_of(name, compiled.spec.facts)}")
        try:
            cell = as_cell(value).strip()
            if not cell and not kind.optional:
                raise ValueError(f"expected {kind}, got nothing")
            facts[name] = fact_to_json(parse_fact(kind, cell, zone)) if cell else None
        except ValueError as error:
            raise RefusedError(f"fact {name}: {error}") from error
    return facts


def _suppose(compiled: CompiledType, row: Kin, state: Mapping[str, Any]) -> str:
    """The context of a row with what `state` says otherwise; empty when that is nothing."""
    context = orjson.loads(row.contexts[0])
    facts, captured = (
        {name: value for name, value in state.get(part, {}).items() if context[part].get(name) != value}
        for part in ("facts", "captured")
    )
    for name, value in captured.items():
        if name not in compiled.spec.responses:
            raise RefusedError(f"unknown response {name!r}; {expected_one_of(name, compiled.spec.responses)}")
        try:
            as_cell(value)
        except ValueError as error:
            raise RefusedError(f"response {name}: {error}") from error
    if not facts and not captured:
        return ""
    supposed = {
        "facts": context["facts"] | facts_of(compiled, facts, row.timezone),
        "captured": context["captured"] | dump_values(captured),
    }
    return orjson.dumps(supposed).decode()


async def _lock(connection: AsyncConnection, id: UUID) -> Kin:
    row = await ConversationStateRepository(connection).lock_one(id)
    if row is None:
        raise UnknownError(f"unknown conversation {id}", hint="See them with: campaign conversations --campaign ID")
    return row


def _bucket(id: UUID) -> int:
    bucket = bucket_of(id)
    assert bucket is not None, "a locked conversation has a bucket"
    return bucket
