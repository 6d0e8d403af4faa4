"""The Campaign Manager: the service layer between whoever asks (poller, worker, command line, your code) and the rows.

Every method is one transaction or a bounded series of them, safe to repeat. Ids are strings on the way in and out;
what comes back is plain data. Unknown ids raise UnknownError, requests that make no sense RefusedError.

    async with CampaignManager.open() as manager:
        metrics = await manager.get_campaign_metrics(campaign_id)
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import asdict
from datetime import datetime
from time import monotonic
from typing import Any
from uuid import UUID

from engine.clock import Clock, DatabaseClock
from engine.core.errors import RefusedError
from engine.core.problems import expected_one_of
from engine.db.buckets import BUCKETS
from engine.db.campaigns import CampaignRepository, CampaignRow
from engine.db.conversations import ConversationStateRepository
from engine.db.database import Database
from engine.db.hints import HintRepository
from engine.db.metrics import MetricsRepository
from engine.db.reading import ConversationRow, ReadingRepository, conversation_uuid
from engine.enrolment import Enrolment
from engine.inbox import Inbound, Inbox, Receipt
from engine.interventions import Interventions
from engine.metrics import summarize
from engine.registry import TypeRegistry
from engine.settings import Settings, load_settings
from engine.single import Single, facts_of

_BATCH = 1_000


class CampaignManager:
    """Conversation state, stage progression, metrics, and finding what is pending, for every campaign."""

    def __init__(
        self,
        database: Database,
        settings: Settings | None = None,
        clock: Clock | None = None,
        registry: TypeRegistry | None = None,
    ) -> None:
        self._database = database
        self._settings = settings or load_settings()
        self._clock = clock or DatabaseClock()
        self._registry = registry or TypeRegistry(self._settings.stage_delay_factor)
        self._inbox = Inbox(database, self._clock)
        self._single = Single(database, self._settings, self._clock, self._registry)
        self._interventions = Interventions(database, self._settings, self._clock, self._registry)
        self._metrics: dict[UUID, tuple[float, dict[str, Any]]] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str | None = None) -> AsyncIterator[CampaignManager]:
        """A manager on `database_url`, or on what the settings say: DATABASE_URL, else the embedded server.

        Starting that server blocks for a second or two. Connections are closed at the end.
        """
        from engine import application  # which is made of this class

        settings = load_settings(**({"database_url": database_url} if database_url else {}))
        with application.database_url(settings) as url:
            async with application.open_application(url, settings) as opened:
                yield opened.manager

    # ---- campaigns ---------------------------------------------------------------------------------------------

    async def initialize_campaign_conversations(self, campaign_id: str) -> int:
        """Enrol the campaign's audience; returns how many conversations are new. Running it again adds nobody twice."""
        report = await Enrolment(self._database, self._clock, self._registry).enrol_campaign(campaign_id)
        return report.enrolled

    async def list_campaigns(self) -> list[dict[str, Any]]:
        """Every campaign, the newest first."""
        async with self._database.transaction() as connection:
            return [_campaign(row) for row in await CampaignRepository(connection).find_campaigns()]

    async def get_campaign(self, campaign_id: str) -> dict[str, Any]:
        async with self._database.transaction() as connection:
            return _campaign(await CampaignRepository(connection).find_campaign(campaign_id))

    async def pause_campaign(self, campaign_id: str) -> None:
        """Hold the campaign: nothing moves or leaves but opt-outs; responses wait."""
        async with self._database.transaction() as connection:
            await self._change(connection, campaign_id, "paused", was=("draft", "scheduled", "active", "paused"))

    async def resume_campaign(self, campaign_id: str) -> int:
        """Let a paused campaign go on; returns how many parked conversations were woken."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            campaign = await CampaignRepository(connection).find_campaign(campaign_id)
            later = campaign.starts_at is not None and campaign.starts_at > now
            status = "scheduled" if later else "active"
            await self._change(connection, campaign_id, status, was=("draft", "paused", "active", "scheduled"))
        woken = 0
        for bucket in BUCKETS:
            is_first = True
            while True:
                async with self._database.transaction() as connection:
                    now = await self._clock.now(connection)  # not before that of any tick that still saw the pause
                    repository = ConversationStateRepository(connection)
                    if is_first:
                        await repository.lock_due_of_campaign(campaign.id, bucket, now)
                    is_first = False
                    resumed = await repository.resume_conversations(campaign.id, bucket, now, _BATCH)
                    if resumed:
                        await HintRepository(connection).notify("tick")
                woken += resumed
                if resumed < _BATCH:
                    break
        return woken

    async def cancel_campaign(self, campaign_id: str) -> None:
        """Mark the campaign cancelled: from now on a tick stops its conversations. See `Tick.end_campaign`."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            was = ("draft", "scheduled", "active", "paused", "cancelled")
            await self._change(connection, campaign_id, "cancelled", was=was, ended_at=now)

    async def _change(
        self, connection: Any, campaign_id: str, status: str, *, was: tuple[str, ...], ended_at: datetime | None = None
    ) -> None:
        repository = CampaignRepository(connection)
        campaign = await repository.find_campaign(campaign_id)
        if not await repository.mark_campaign(campaign.id, status, was=was, ended_at=ended_at):
            raise RefusedError(
                f"campaign {campaign.id} is {campaign.status} and cannot become {status}",
                hint=f"Expected it to be one of {', '.join(was)}.",
            )

    async def get_campaign_metrics(self, campaign_id: str) -> dict[str, Any]:
        """Exact figures of the campaign, at most `campaign_metrics_ttl` seconds old; see `engine.metrics.summarize`."""
        async with self._database.transaction() as connection:
            campaign = await CampaignRepository(connection).find_campaign(campaign_id)
            known = self._metrics.get(campaign.id)
            if known is not None and monotonic() - known[0] < self._settings.campaign_metrics_ttl:
                return deepcopy(known[1])
            metrics = summarize(campaign, await MetricsRepository(connection).find_campaign_metrics(campaign.id))
        self._metrics[campaign.id] = (monotonic(), metrics)
        return deepcopy(metrics)

    # ---- conversations -----------------------------------------------------------------------------------------

    async def get_pending_conversations(
        self, campaign_id: str, stage: str | None = None, limit: int = 100, status: str = "active"
    ) -> list[dict[str, Any]]:
        """Conversations of this status (and stage), what is due first first, at most `limit`."""
        return await self._find(campaign_id, stage, status, limit, by_due=True)

    async def list_conversations(
        self,
        campaign_id: str,
        *,
        stage: str | None = None,
        status: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[dict[str, Any]]:
        """A page of the campaign's conversations; `after` is the id of the last one of the page before."""
        return await self._find(campaign_id, stage, status, limit, after=after)

    async def _find(
        self,
        campaign_id: str,
        stage: str | None,
        status: str | None,
        limit: int,
        *,
        after: str | None = None,
        by_due: bool = False,
    ) -> list[dict[str, Any]]:
        async with self._database.transaction() as connection:
            campaign = await CampaignRepository(connection).find_campaign(campaign_id)
            compiled = await self._registry.get(connection, campaign.campaign_type, campaign.version)
            _expect("stage", stage, compiled.stages)
            _expect("status", status, _STATUSES)
            reading = ReadingRepository(connection)
            last = await reading.find_conversation(after) if after is not None else None
            found = await reading.find_conversations(
                campaign.id,
                stage=stage,
                status=status,
                limit=_positive(limit),
                after=(last.bucket, last.id) if last else None,
                by_due=by_due,
            )
        return [_conversation(row) for row in found]

    async def get_conversation(self, conversation_id: str) -> dict[str, Any]:
        async with self._database.transaction() as connection:
            return _conversation(await ReadingRepository(connection).find_conversation(conversation_id))

    async def get_conversation_history(self, conversation_id: str) -> list[dict[str, Any]]:
        """Its progressions in order: seq, at, from_stage, to_stage, cause, edge, entered, sends."""
        async with self._database.transaction() as connection:
            reading = ReadingRepository(connection)
            conversation = await reading.find_conversation(conversation_id)
            return [row._asdict() for row in await reading.find_history(conversation.id)]

    async def evaluate_stage_progression(
        self, conversation_id: str, conversation_state: dict[str, Any]
    ) -> tuple[bool, str | None, dict[str, Any]]:
        """What a tick would do now, without doing it: whether it moves on, the stage it would be in, the new state.

        `conversation_state` may replace `facts` and `captured` values, to ask what if; `{}` asks about things as
        they are. Nothing is written.
        """
        return await self._single.evaluate(conversation_uuid(conversation_id), conversation_state)

    async def advance_conversation_stage(self, conversation_id: str) -> dict[str, Any]:
        """Do now what is due for one conversation, as a tick would; returns it as it stands then."""
        await self._single.advance(conversation_uuid(conversation_id))
        return await self.get_conversation(conversation_id)

    async def update_conversation_state(self, conversation_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Set facts, each of its declared type or None for missing, and let the next tick look at the conversation."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            row = await ReadingRepository(connection).find_conversation(conversation_id)
            campaign = await CampaignRepository(connection).find_campaign(row.campaign_id)
            compiled = await self._registry.get(connection, campaign.campaign_type, campaign.version)
            facts = facts_of(compiled, changes, row.timezone)
            await ConversationStateRepository(connection).update_facts(row.id, facts, now)
            await HintRepository(connection).notify("tick")
        return await self.get_conversation(conversation_id)

    async def mark_conversation_complete(self, conversation_id: str) -> dict[str, Any]:
        """End an unfinished conversation where it stands, as completed; nothing more is sent."""
        await self._single.complete(conversation_uuid(conversation_id))
        return await self.get_conversation(conversation_id)

    async def explain_conversation(self, conversation_id: str) -> dict[str, Any]:
        """Where it stands, every guard that could move it with inputs and verdict, and when each could pass."""
        return await self._single.explain(conversation_uuid(conversation_id))

    async def retry_conversation(self, conversation_id: str) -> dict[str, Any]:
        """Let a conversation that is parked as failed go on; returns it as it stands then."""
        await self._interventions.retry(conversation_uuid(conversation_id))
        return await self.get_conversation(conversation_id)

    async def retry_campaign(self, campaign_id: str, error: str | None = None) -> int:
        """Let all that are parked go on, or those whose last error holds `error`; returns how many."""
        return await self._interventions.retry_campaign(campaign_id, error)

    async def move_conversation(self, conversation_id: str, stage: str, reason: str) -> dict[str, Any]:
        """Move a conversation to a stage or exit by hand, and keep why; returns it as it stands then."""
        await self._interventions.move(conversation_uuid(conversation_id), stage, reason)
        return await self.get_conversation(conversation_id)

    # ---- the inbox ---------------------------------------------------------------------------------------------

    async def record_response(
        self,
        campaign_id: str,
        recipient_key: str,
        body: str,
        *,
        message_id: str | None = None,
        received_at: datetime | None = None,
    ) -> dict[str, Any]:
        """Keep an answer and wake its conversation. A `message_id` seen before is ignored, an unknown key kept."""
        async with self._database.transaction() as connection:
            campaign = await CampaignRepository(connection).find_state(campaign_id)
        inbound = Inbound(recipient_key, body=body, message_id=message_id, received_at=received_at)
        return _receipt(await self._inbox.record_response(campaign.id, inbound))

    async def record_event(
        self,
        campaign_id: str | None,
        recipient_key: str,
        name: str,
        *,
        message_id: str | None = None,
        received_at: datetime | None = None,
    ) -> dict[str, Any]:
        """Keep an event: in one campaign, or without one in every active conversation of the recipient."""
        known = None
        if campaign_id is not None:
            async with self._database.transaction() as connection:
                known = (await CampaignRepository(connection).find_state(campaign_id)).id
        inbound = Inbound(recipient_key, name=name, message_id=message_id, received_at=received_at)
        return _receipt(await self._inbox.record_event(known, inbound))


_STATUSES = ("active", "paused", "completed", "stopped", "failed")


def _expect(what: str, given: str | None, known: Any) -> None:
    if given is not None and given not in known:
        raise RefusedError(f"unknown {what} {given!r}; {expected_one_of(given, known)}")


def _positive(limit: int) -> int:
    if not 1 <= limit <= 100_000:
        raise RefusedError(f"expected a limit from 1 to 100000, got {limit}")
    return limit


def _campaign(row: CampaignRow) -> dict[str, Any]:
    fields = row._asdict()
    del fields["lanes"], fields["audience"]
    return fields | {"id": str(row.id)}


def _conversation(row: ConversationRow) -> dict[str, Any]:
    fields = row._asdict()
    del fields["bucket"]
    return fields | {"id": str(row.id), "campaign_id": str(row.campaign_id)}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    conversations = [str(id) for id in receipt.conversations]
    return asdict(receipt) | {"id": str(receipt.id), "conversations": conversations}
