"""Evaluating claimed rows and writing what came of it, inside a transaction that somebody else holds.

This is what a tick's batch, the end of a campaign and a single conversation have in common. Everything that the
decisions need is read here, in one statement for each kind; everything they came to is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.batch import Batch, Campaign, events_of, load_conversation
from engine.core.compiled import CompiledType
from engine.core.errors import RepositoryError, UnknownError
from engine.core.model import Conversation, Event
from engine.db.campaigns import CampaignRepository, CampaignState
from engine.db.conversations import LONG_AGO, ConversationStateRepository, Fate, Kin, Waiting
from engine.db.database import Answer
from engine.db.progress import ConversationCodec, find_awaited
from engine.db.progression import ProgressionRepository
from engine.groups import DeltaKey
from engine.recovery import retry_delay
from engine.registry import TypeRegistry
from engine.settings import Settings

log = structlog.get_logger(__name__)

_MOST_MET = 100  # campaigns whose states are asked for with every claim


class Evaluation:
    """Decides and writes batches. Holds nothing between them but compiled types and the campaigns it last met."""

    def __init__(self, settings: Settings, registry: TypeRegistry, random: Random) -> None:
        self._settings = settings
        self._registry = registry
        self._random = random
        self._codecs: dict[tuple[str, int], ConversationCodec] = {}
        self._met: set[str] = set()

    async def ask_campaigns(self, connection: AsyncConnection) -> Answer[CampaignState]:
        """How the campaigns met before fare, after a claim of their rows in the same pipeline."""
        return await CampaignRepository(connection).ask_states(self._met)

    async def evaluate(
        self,
        connection: AsyncConnection,
        bucket: int,
        now: datetime,
        rows: Sequence[Kin],
        ends: str = "",
        known: Iterable[CampaignState] = (),
    ) -> Batch:
        """Decide every row, with what arrived for it; `ends` is why all of them are to stop, if they are.

        `known` are states of campaigns that were read since the rows were locked; others are asked for.
        """
        campaigns = await self._campaigns(connection, rows, now, ends, known)
        waiting, fates = await _arrivals(connection, bucket, rows)
        batch, unread = Batch(now), []
        for row in rows:
            campaign = campaigns[row.campaign_id, row.version]
            if isinstance(campaign, Exception):
                batch.failures += [(row.at(place), campaign) for place in range(len(row.ids))]
            elif rest := batch.decide(row, campaign, waiting.get(row.ids[0], ()), fates):
                unread.append((rest, campaign))
        for row, campaign in await _with_contexts(connection, bucket, unread):
            batch.decide(row, campaign, (), fates)
        return batch

    async def read_one(
        self, connection: AsyncConnection, bucket: int, row: Kin, now: datetime
    ) -> tuple[CompiledType, Conversation, list[Event]]:
        """Its campaign type, the conversation and what arrived for it, to decide or explain it without writing."""
        campaigns = await self._campaigns(connection, [row], now)
        campaign = campaigns[row.campaign_id, row.version]
        if isinstance(campaign, Exception):
            raise campaign
        waiting, fates = await _arrivals(connection, bucket, [row])
        id, conversation = row.ids[0], load_conversation(row, campaign)
        events = events_of(campaign, conversation, waiting.get(id, ()), fates.get(id))
        return campaign.compiled, conversation, events

    async def _campaigns(
        self,
        connection: AsyncConnection,
        rows: Iterable[Kin],
        now: datetime,
        ends: str = "",
        known: Iterable[CampaignState] = (),
    ) -> dict[tuple[str, int], Campaign | Exception]:
        """The campaigns of the rows as they are now, each with its compiled type; an error in place of a broken one."""
        wanted = {(row.campaign_id, row.version) for row in rows}
        by_id = {str(campaign.id): campaign for campaign in known}
        if missing := {id for id, _ in wanted} - by_id.keys():
            found = await CampaignRepository(connection).find_states([UUID(id) for id in missing])
            by_id |= {str(campaign.id): campaign for campaign in found}
            self._met = (self._met | missing) if len(self._met) < _MOST_MET else missing
        campaigns: dict[tuple[str, int], Campaign | Exception] = {}
        for id, version in wanted:
            try:
                campaign = by_id[id]
                compiled = await self._registry.get(connection, campaign.campaign_type, version)
                codec = self._codecs.setdefault((compiled.name, version), ConversationCodec(compiled))
                cause = ends or _ended_by(campaign, now)
                campaigns[id, version] = Campaign(
                    id,
                    compiled,
                    codec,
                    paused=not cause and campaign.status in ("paused", "draft"),
                    ended_at=_end_of(campaign, cause, now) if cause else None,
                    ended_by=cause,
                )
            except Exception as error:  # a broken type parks its own conversations only
                if isinstance(error, RepositoryError) and not isinstance(error, UnknownError):
                    raise
                campaigns[id, version] = error
        return campaigns

    async def write(self, connection: AsyncConnection, bucket: int, batch: Batch) -> None:
        """All that the batch came to, asking nothing: in a pipeline it is one way there and back.

        Opting out comes first, so that two that opt one recipient out do not hold what the other wants. It and what is
        emitted look recipients up one by one; the rest joins lists.
        """
        repository = ProgressionRepository(connection, bucket, batch.now)
        if batch.unsubscribed:
            await repository.unsubscribe_recipients([id for ids in batch.unsubscribed for id in ids])
        if batch.emitted:
            await repository.insert_emitted(batch.emitted)
        await repository.use_hashes()
        if batch.cancels:
            await repository.cancel_messages(batch.cancels)
        if batch.readings:
            await repository.mark_responses_processed(batch.readings)
        if batch.events_taken:
            await repository.mark_events_processed(batch.events_taken)
        if batch.assignments:
            await repository.insert_assignments(batch.assignments)
        if batch.failures:
            await repository.mark_failed([self._failure(batch, row, error) for row, error in batch.failures])
        if batch.rows or batch.failures:
            await repository.advance_conversations(batch.moves, batch.rows, batch.steps, batch.messages, batch.deltas())

    def _failure(self, batch: Batch, row: Kin, error: Exception) -> dict[str, object]:
        [id], [started_at] = row.ids, row.started_at
        attempts = row.attempts + 1
        parked, live = attempts >= self._settings.max_attempts, row.status in ("active", "paused")
        delay = retry_delay(attempts, self._settings.retry_delay_seconds, self._random)
        reason = reason_of(error)
        log.error("conversation failed", conversation=id, attempts=attempts, parked=parked, error=reason)
        if parked and live:
            lasted = batch.now - started_at if started_at is not None else timedelta()
            batch.count(DeltaKey(row.campaign_id, "finished", row.stage or "", "", "failed"), duration=lasted)
        return {
            "id": id,
            "attempts": attempts,
            "last_error": reason,
            "due_at": None if parked else batch.now + delay,
            "status": "failed" if parked and live else row.status,
        }


async def _arrivals(
    connection: AsyncConnection, bucket: int, rows: Sequence[Kin]
) -> tuple[dict[str, list[Waiting]], dict[str, Fate]]:
    """What waits for these conversations: responses and events, and the fate of messages they count from."""
    repository = ConversationStateRepository(connection)
    waiting: dict[str, list[Waiting]] = {}
    fates: dict[str, Fate] = {}
    if flagged := [id for row in rows if row.inbox_waiting for id in row.ids]:
        for each in await repository.find_waiting(bucket, flagged):
            waiting.setdefault(each.conversation_id, []).append(each)
    if awaited := [(id, *message) for row in rows if (message := find_awaited(row.progress)) for id in row.ids]:
        fates = await repository.find_fates(bucket, awaited)
    return waiting, fates


async def _with_contexts(
    connection: AsyncConnection, bucket: int, unread: Sequence[tuple[Kin, Campaign]]
) -> list[tuple[Kin, Campaign]]:
    """The same conversations with what their decisions want to read."""
    if not unread:
        return []
    ids = [id for row, _ in unread for id in row.ids]
    contexts = await ConversationStateRepository(connection).find_contexts(bucket, ids)
    return [(row._replace(contexts=[contexts[id] for id in row.ids]), campaign) for row, campaign in unread]


def _ended_by(campaign: CampaignState, now: datetime) -> str:
    """Why the campaign's conversations are to stop; empty while they are not."""
    if campaign.status == "cancelled":
        return "cancelled"
    if campaign.status in ("completed", "failed") or (campaign.ends_at is not None and campaign.ends_at <= now):
        return "campaign_end"
    return ""


def _end_of(campaign: CampaignState, cause: str, now: datetime) -> datetime:
    """The instant the end is heard at: what was due before a campaign's own end still happens, else nothing more."""
    planned = cause == "campaign_end" and campaign.status != "paused" and campaign.ends_at is not None
    return min(campaign.ends_at, now) if planned and campaign.ends_at is not None else LONG_AGO


def reason_of(error: Exception) -> str:
    """The error's kind and, where it is ours and so holds nothing personal, its words."""
    own = isinstance(error, RepositoryError) or type(error).__module__.startswith("engine.")
    return f"{type(error).__name__}: {error}" if own else type(error).__name__
