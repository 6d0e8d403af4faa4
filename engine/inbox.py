"""The inbox: what recipients answer and what happens to them is recorded, and their conversation woken.

Recording and waking are one transaction, so nothing recorded is ever slept through. A provider message id seen
before is ignored. What fits no conversation is kept as `unmatched` for a person to look at. The inbox decides
nothing: the next tick does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.clock import Clock
from engine.core.errors import RefusedError
from engine.db.buckets import bucket_of_key, conversation_id
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.db.hints import HintRepository
from engine.db.inbox import InboxRepository, Known

LONGEST_BODY = 100_000  # characters
LONGEST_NAME = 1_000  # bytes


@dataclass(frozen=True)
class Receipt:
    """What became of something received: its id, and the conversations that will take it in."""

    status: Literal["recorded", "repeated", "unmatched"]
    id: UUID
    conversations: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Inbound:
    """A response (`body`) or event (`name`) as it came in. Without `received_at` it was received now."""

    recipient_key: str
    body: str = ""
    name: str = ""
    message_id: str | None = None
    received_at: datetime | None = None
    provider: str = "api"


class Inbox:
    """Records responses and events. Safe to call again with the same message id."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record_response(self, campaign_id: UUID, inbound: Inbound) -> Receipt:
        """Keep a recipient's answer to a campaign. Raises UnknownError for an unknown campaign."""
        inbound = _storable(inbound)
        async with self._database.transaction() as connection:
            await CampaignRepository(connection).find_state(campaign_id)
            received_at = await self._received_at(connection, inbound)
            repository = InboxRepository(connection, bucket_of_key(inbound.recipient_key))
            known = await repository.find_conversations([conversation_id(campaign_id, inbound.recipient_key)])
            row = _row(inbound, known[0] if known else None, campaign_id, received_at) | {"body": inbound.body}
            if not await repository.insert_response(row):
                return Receipt("repeated", row["id"], tuple(each.id for each in known))
            if not known:
                return Receipt("unmatched", row["id"])
            stage = await repository.wake_conversation(known[0].id, received_at)
            await repository.count_received(campaign_id, stage, received_at.date())
            await HintRepository(connection).notify("tick")
            return Receipt("recorded", row["id"], (known[0].id,))

    async def record_event(self, campaign_id: UUID | None, inbound: Inbound) -> Receipt:
        """Keep an event of a recipient: in one campaign, or in every active conversation of theirs."""
        inbound = _storable(inbound)
        async with self._database.transaction() as connection:
            campaigns = CampaignRepository(connection)
            if campaign_id is not None:
                await campaigns.find_state(campaign_id)
                candidates = [campaign_id]
            else:
                candidates = await campaigns.find_live_ids()
            received_at = await self._received_at(connection, inbound)
            repository = InboxRepository(connection, bucket_of_key(inbound.recipient_key))
            known = await repository.find_conversations(
                [conversation_id(id, inbound.recipient_key) for id in candidates]
            )
            if campaign_id is None:
                known = [each for each in known if each.status in ("active", "paused")]
            receipt = await self._keep_event(repository, inbound, known, campaign_id, received_at)
            if receipt.conversations:
                await HintRepository(connection).notify("tick")
            return receipt

    async def _keep_event(
        self,
        repository: InboxRepository,
        inbound: Inbound,
        known: list[Known],
        campaign_id: UUID | None,
        received_at: datetime,
    ) -> Receipt:
        id = uuid4()
        recorded: list[UUID] = []
        targets: list[Known | None] = [*sorted(known)] or [None]
        for each in targets:
            row = _row(inbound, each, campaign_id, received_at) | {"name": inbound.name}
            id = row["id"]
            if await repository.insert_event(row) and each is not None:
                await repository.wake_conversation(each.id, received_at)
                recorded.append(each.id)
        if not known:
            return Receipt("unmatched", id)
        return Receipt("recorded" if recorded else "repeated", id, tuple(recorded))

    async def _received_at(self, connection: AsyncConnection, inbound: Inbound) -> datetime:
        if inbound.received_at is not None:
            if inbound.received_at.tzinfo is None:
                raise RefusedError(
                    "a time without an offset says no instant", hint="Expected one such as 2026-03-31T09:00:00Z."
                )
            return inbound.received_at.astimezone(UTC)
        return await self._clock.now(connection)


def _row(inbound: Inbound, known: Known | None, campaign_id: UUID | None, received_at: datetime) -> dict[str, Any]:
    return {
        "id": _id_of(inbound, known),
        "conversation_id": known.id if known else None,
        "campaign_id": known.campaign_id if known else campaign_id,
        "recipient_key": inbound.recipient_key,
        "provider": inbound.provider,
        "message_id": inbound.message_id,
        "status": "waiting" if known else "unmatched",
        "received_at": received_at,
    }


def _id_of(inbound: Inbound, known: Known | None) -> UUID:
    """The same for the same message of a recipient, for an event to one conversation; new without a message id."""
    if inbound.message_id is None:
        return uuid4()
    conversation = str(known.id) if known and inbound.name else ""
    kind = "event" if inbound.name else "response"
    parts = (inbound.provider, inbound.message_id, kind, inbound.recipient_key, conversation)
    return uuid5(NAMESPACE_OID, "\0".join(parts))


def _storable(inbound: Inbound) -> Inbound:
    """The same with texts that PostgreSQL can keep: no NUL, no lone surrogates. Raises RefusedError when too long."""
    texts: dict[str, Any] = {name: _clean(text) for name in _TEXTS if (text := getattr(inbound, name)) is not None}
    names = (text for name, text in texts.items() if name != "body")
    if len(texts["body"]) > LONGEST_BODY or any(len(name.encode()) > LONGEST_NAME for name in names):
        raise RefusedError(
            "this is too long to be recorded",
            hint=f"Expected at most {LONGEST_BODY} characters of text and {LONGEST_NAME} bytes of a name, key or id.",
        )
    if texts["provider"] == OURSELVES:
        hint = "Name the system that the message came through."
        raise RefusedError(f"the provider {OURSELVES!r} stands for what campaigns emit themselves", hint=hint)
    return replace(inbound, **texts)


OURSELVES = "campaign"  # the provider under which the tick keeps emitted events
_TEXTS = ("recipient_key", "body", "name", "message_id", "provider")


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
