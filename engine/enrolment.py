"""Enrolment: an audience becomes recipients and conversations of a campaign.

The audience is read, judged and staged first; a file that cannot be read to its end thus enrols nobody. Then each
bucket's recipients and conversations go in, in a transaction of their own together with the count of those that
really did. Ids follow from the keys, so running it again, after a crash or with a longer file, adds only who is
not there yet. No lock is held while the file is read, and at most one bucket's new rows at a time afterwards.

Rows that cannot go in are reported with their line and reason, and kept in a file of rejects, while the others do.
Memory does not grow with the file but for the id of every key, which finds those that come twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from engine.audience import Audience, audience_of, open_csv
from engine.clock import Clock
from engine.core.compiled import CompiledType
from engine.core.errors import RefusedError
from engine.core.facts import fact_from_json
from engine.db.buckets import hex_ids
from engine.db.campaigns import LIVE, CampaignRepository, CampaignRow
from engine.db.database import Database
from engine.db.hints import HintRepository
from engine.db.metrics import Delta, MetricsRepository
from engine.db.recipients import NewConversations, RecipientRepository, StagedRow, as_block
from engine.recipients import Admission
from engine.registry import TypeRegistry
from engine.rejects import Rejects, open_rejects, rejects_path

Progress = Callable[[int, int | None], None]
_BLOCK = 10_000  # rows judged and sent at once: some 10 MB


@dataclass(frozen=True, slots=True)
class EnrolmentReport:
    """What an enrolment came to. `problems` are the first rejected rows, each a line and a reason."""

    enrolled: int
    already: int
    rejected: int
    problems: tuple[tuple[int, str], ...] = ()
    rejects_file: Path | None = None
    warnings: tuple[str, ...] = ()


class Enrolment:
    """Enrols audiences into campaigns. `progress` hears of rows done, and of how many there are once that is known."""

    def __init__(
        self, database: Database, clock: Clock, registry: TypeRegistry, progress: Progress | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._registry = registry
        self._progress: Progress = progress or (lambda _done, _total: None)

    async def enrol_campaign(self, campaign_id: UUID | str) -> EnrolmentReport:
        """Enrol the audience the campaign was created with. Raises RefusedError when it has none."""
        async with self._database.transaction() as connection:
            audience = (await CampaignRepository(connection).find_campaign(campaign_id)).audience
        if "file" in audience:
            return await self.enrol_file(campaign_id, Path(audience["file"]))
        if "recipients" in audience:
            return await self.enrol_recipients(campaign_id, audience["recipients"])
        raise RefusedError(
            f"campaign {campaign_id} was created without an audience", hint="Enrol a file of recipients."
        )

    async def enrol_file(
        self, campaign_id: UUID | str, path: Path, rejects_file: Path | None = None
    ) -> EnrolmentReport:
        """Enrol the recipients of a CSV file. Rejected rows go to `rejects_file`, by default beside it."""
        rejects_file = rejects_path(path, rejects_file)
        with open_csv(path) as audience:
            return await self._enrol(campaign_id, audience, rejects_file)

    async def enrol_recipients(
        self, campaign_id: UUID | str, recipients: Sequence[Mapping[str, Any]]
    ) -> EnrolmentReport:
        """Enrol recipients given as mappings with the columns of the CSV; lines are positions from 1."""
        return await self._enrol(campaign_id, audience_of(recipients), None)

    async def _enrol(self, campaign_id: UUID | str, audience: Audience, path: Path | None) -> EnrolmentReport:
        campaign, compiled, now = await self._find(campaign_id)
        intake = _Intake(campaign, compiled, audience)
        if missing := intake.admission.missing_columns:
            raise RefusedError(
                f"the recipients have no column {' and no column '.join(missing)}, which {compiled.name} needs",
                hint="Add the column, or give a fact that is the same for everybody in the campaign's context.",
            )
        with open_rejects(audience.columns, audience.delimiter, path) as rejects:
            async with self._database.session() as connection:
                repository = RecipientRepository(connection)
                async with connection.begin():
                    staged = await repository.insert_staged(self._blocks(intake.rows(rejects)))
                kept = rejects.keep()
                enrolled = await self._insert(repository, staged, intake.conversations(now))
                async with connection.begin():
                    await repository.drop_staged()
                    if enrolled:
                        await HintRepository(connection).notify("tick")
        already = sum(staged.values()) - enrolled
        return EnrolmentReport(
            enrolled, already, rejects.count, tuple(rejects.problems), kept, tuple(intake.admission.warnings)
        )

    async def _find(self, campaign_id: UUID | str) -> tuple[CampaignRow, CompiledType, datetime]:
        async with self._database.transaction() as connection:
            campaign = await CampaignRepository(connection).find_campaign(campaign_id)
            if campaign.status not in LIVE:
                raise RefusedError(
                    f"campaign {campaign.id} is {campaign.status}; nobody can enter it",
                    hint="Create another campaign for them.",
                )
            compiled = await self._registry.get(connection, campaign.campaign_type, campaign.version)
            return campaign, compiled, await self._clock.now(connection)

    async def _blocks(self, rows: Iterator[StagedRow]) -> AsyncIterator[bytes]:
        """The rows, a block at a time, made in a thread so that whatever else runs here goes on."""
        done = 0
        while (made := await asyncio.to_thread(_next_block, rows))[0]:
            count, block = made
            yield block
            done += count
            self._progress(done, None)

    async def _insert(self, repository: RecipientRepository, staged: Mapping[int, int], new: NewConversations) -> int:
        """Recipients, conversations and their count, one transaction a bucket; how many conversations were made."""
        enrolled, done, total = 0, 0, sum(staged.values())
        for bucket, rows in staged.items():
            async with repository.connection.begin():
                await repository.upsert_recipients(bucket, new.enrolled_at)
                if count := await repository.insert_conversations(bucket, new):
                    delta = Delta(new.campaign_id, new.enrolled_at.date(), "enrolled", count=count)
                    await MetricsRepository(repository.connection).insert_deltas(bucket, [delta])
            enrolled += count
            done += rows
            self._progress(done, total)
        return enrolled


def _next_block(rows: Iterator[StagedRow]) -> tuple[int, bytes]:
    block = list(islice(rows, _BLOCK))
    return len(block), as_block(block)


class _Intake:
    """The rows of one audience on their way into one campaign."""

    def __init__(self, campaign: CampaignRow, compiled: CompiledType, audience: Audience) -> None:
        facts = compiled.spec.facts
        context = {name: fact_from_json(facts[name], value) for name, value in campaign.context.items()}
        zone = campaign.timezone or "UTC"
        self.campaign = campaign
        self.audience = audience
        self.admission = Admission(compiled.spec, audience.columns, context, campaign.priority, zone)

    def conversations(self, now: datetime) -> NewConversations:
        it = self.campaign
        return NewConversations(it.id, it.version, it.context, it.timezone or "UTC", it.starts_at or now, now)

    def rows(self, rejects: Rejects) -> Iterator[StagedRow]:
        """The good rows; the others go to `rejects`."""
        seen: set[int] = set()
        admit, campaign_id = self.admission.admit, self.campaign.id
        lanes = [str(lane) for lane in self.campaign.lanes]
        for line, cells, problem in self.audience.rows:
            try:
                if problem:
                    raise ValueError(problem)
                it = admit(cells)
                bucket, recipient, conversation = hex_ids(campaign_id, it.key)
                if (known := int(recipient, 16)) in seen:
                    raise ValueError("this key was seen before in the file")
            except ValueError as error:
                rejects.add(line, cells, str(error))
                continue
            seen.add(known)
            yield StagedRow(
                str(bucket), recipient, conversation, it.key, it.email, it.phone, it.timezone, it.locale,
                lanes[it.priority], orjson.dumps(it.facts).decode(),
            )  # fmt: skip
