"""What an operator does by hand: let parked conversations go on, and move one to another stage.

A conversation that failed too often is parked as `failed` and stays so until somebody who has removed the cause retries
it; retrying is not trying: the next tick does that. A move is carried out at once, by the very core that ticks use.
Both are done under the row's lock, in one transaction for each conversation or batch, and refused with RefusedError
where they make no sense.

A campaign is completed when all in it have ended, and parked ones count as ended. Such a campaign goes on when one of
them is revived; one that was cancelled or whose own end has come does not.
"""

from __future__ import annotations

from datetime import datetime
from random import Random
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.clock import Clock
from engine.core.compiled import CompiledType
from engine.core.errors import DecisionError, RefusedError, UnknownError
from engine.core.moves import order
from engine.db.buckets import BUCKETS, bucket_of
from engine.db.campaigns import CampaignRepository, CampaignState
from engine.db.conversations import ConversationStateRepository, Kin
from engine.db.database import Database
from engine.db.interventions import InterventionRepository
from engine.evaluation import Evaluation, reason_of
from engine.registry import TypeRegistry
from engine.settings import Settings

LONGEST_REASON = 1_000  # characters
_BATCH = 500


class Interventions:
    """Retrying and moving. Safe to repeat: what is done already is refused or passed over."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, registry: TypeRegistry) -> None:
        self._database = database
        self._clock = clock
        self._evaluation = Evaluation(settings, registry, Random())

    async def retry(self, id: UUID) -> None:
        """Let a conversation that is parked as failed go on, due now, or when its paused campaign is resumed."""
        async with self._database.transaction() as connection:
            row, campaign = await _lock(connection, id)
            now = await self._clock.now(connection)
            if row.status != "failed":
                raise RefusedError(
                    f"conversation {id} is {row.status}; expected one that is parked as failed",
                    hint="See those with: campaign doctor",
                )
            await _revive(connection, campaign, id, now)

    async def retry_campaign(self, campaign_id: UUID | str, error: str | None = None) -> int:
        """Let all of a campaign go on that are parked, or those whose last error holds `error`; returns how many.

        Batch by batch, each a transaction; broken off, what is done is done.
        """
        revived = 0
        for bucket in BUCKETS:
            while True:
                async with self._database.transaction() as connection:
                    now = await self._clock.now(connection)
                    campaign = await CampaignRepository(connection).lock_state(campaign_id, alone=True)
                    status = _status_in(campaign, now)
                    repository = InterventionRepository(connection, bucket)
                    ids = await repository.lock_failed(campaign.id, _BATCH, error)
                    if ids:
                        await repository.reopen_campaign(campaign.id)
                        revived += await repository.revive_conversations(campaign.id, ids, status, now)
                if len(ids) < _BATCH:
                    break
        return revived

    async def move(self, id: UUID, target: str, reason: str) -> None:
        """Move a conversation that has not ended into a stage or exit, as `engine.core.moves` says, and keep why."""
        reason = _told(reason)
        async with self._database.transaction() as connection:
            row, campaign = await _lock(connection, id)
            now = await self._clock.now(connection)
            bucket, source, seq = _bucket(id), row.stage, row.seq + 1
            try:
                compiled, conversation, _ = await self._evaluation.read_one(connection, bucket, row, now)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                raise DecisionError(f"conversation {id} cannot be read: {reason_of(error)}") from error
            word = order(compiled, conversation, target)
            _expect_under_way(campaign, compiled, target, _status_in(campaign, now))
            if row.status == "failed":
                await _revive(connection, campaign, id, now)
                row, _ = await _lock(connection, id)
            batch = await self._evaluation.evaluate(connection, bucket, now, [row], word, [campaign])
            for _, failure in batch.failures:
                raise DecisionError(f"conversation {id} cannot be moved: {reason_of(failure)}") from failure
            await self._evaluation.write(connection, bucket, batch)
            told = {"conversation_id": id, "seq": seq, "campaign_id": campaign.id, "at": now, "reason": reason}
            moved = {"from_stage": source, "to_stage": target}
            await InterventionRepository(connection, bucket).insert_move(told | moved)


async def _revive(connection: AsyncConnection, campaign: CampaignState, id: UUID, now: datetime) -> None:
    status = _status_in(campaign, now)
    repository = InterventionRepository(connection, _bucket(id))
    await repository.reopen_campaign(campaign.id)
    await repository.revive_conversations(campaign.id, [id], status, now)


def _status_in(campaign: CampaignState, now: datetime) -> str:
    """What a conversation of the campaign is when it goes on: active or paused. Raises RefusedError when it is over."""
    over = campaign.ends_at is not None and campaign.ends_at <= now
    if over or campaign.status in ("cancelled", "failed"):
        raise RefusedError(
            f"campaign {campaign.id} {'has ended' if over else f'is {campaign.status}'}",
            hint="Its conversations stay as they are. Make another campaign for whom it failed.",
        )
    return "paused" if campaign.status in ("paused", "draft") else "active"


def _expect_under_way(campaign: CampaignState, compiled: CompiledType, target: str, status: str) -> None:
    """Nothing moves while a campaign is paused or has not started, but whoever wants no more may always go."""
    if compiled.stages[target].outcome == "stopped":
        return
    if status == "paused" or campaign.status == "scheduled":
        raise RefusedError(
            f"campaign {campaign.id} is {campaign.status}, and nothing moves in it but to a stopped exit",
            hint=f"First let it go on: campaign resume {campaign.id}" if status == "paused" else "Wait for its start.",
        )


def _told(reason: str) -> str:
    """The reason as it is kept. Raises RefusedError for none, and for one that is too long."""
    kept = " ".join(reason.replace("\0", " ").split())
    if not 1 <= len(kept) <= LONGEST_REASON:
        raise RefusedError(
            f"expected a reason of 1 to {LONGEST_REASON} characters, got {len(kept)}",
            hint="Say why it is moved, not who it is: analysts read it.",
        )
    return kept


async def _lock(connection: AsyncConnection, id: UUID) -> tuple[Kin, CampaignState]:
    row = await ConversationStateRepository(connection).lock_one(id)
    if row is None:
        raise UnknownError(f"unknown conversation {id}", hint="See them with: campaign conversations --campaign ID")
    return row, await CampaignRepository(connection).lock_state(row.campaign_id, alone=True)


def _bucket(id: UUID) -> int:
    bucket = bucket_of(id)
    assert bucket is not None, "a locked conversation has a bucket"
    return bucket
