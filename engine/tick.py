"""The tick: claim due conversations, decide, write, one transaction a batch.

Who is in charge, and for how long: a batch locks up to `max_batch_size` conversations of one bucket and lane with
SELECT … FOR UPDATE SKIP LOCKED and holds those locks to its commit. In between it reads what arrived for them,
decides (pure), and writes; it does nothing else, no network, no channel. So there is no `running` state, no lease
and nothing to clean up: a tick that is killed rolls back, and the conversations are simply due again. Two ticks
never hold one conversation, and the `seq` guard of the write makes sure of it once more.

What fails: a conversation whose decision raises is noted with its error, backed off and at last parked as `failed`;
the rest of its batch goes on. A batch that the database refuses because of its data is rolled back and tried in
halves until the one that is to blame stands alone. When the database is away the tick raises and has lost nothing.

Time is read once a batch, from the clock given. A process has two batches in hand, of different buckets, each on a
connection of its own: while the database claims or writes one, the other is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from random import Random
from time import monotonic
from uuid import UUID

import structlog

from engine.batch import Batch
from engine.clock import Clock
from engine.core.errors import RepositoryError
from engine.db.buckets import BUCKETS
from engine.db.conversations import Claimed, ConversationStateRepository
from engine.db.database import Database
from engine.evaluation import Evaluation
from engine.registry import TypeRegistry
from engine.settings import Settings

log = structlog.get_logger(__name__)

_CLAIM_AGAIN = ("22012", "40001", "40P01", "55P03")  # not as it was claimed, or in each other's way: nobody's fault
_DATA_ERRORS = ("21", "22", "23")  # SQLSTATE classes that a row can be to blame for
_OVERLAP = 2  # batches in hand at a time: one is decided while the database works on the other
_PATIENCE = 5.0  # seconds to wait for rows that others hold before a drain ends
_VISITS_OF_LANE = {"high": 4, "normal": 2, "low": 1}  # full batches in a row, so that high goes first and low is served
_LANE_CLASSES = (("high", range(4)), ("normal", range(4, 12)), ("low", range(12, 16)))


@dataclass
class TickCounts:
    """What ticks did: conversations claimed, progressions, conversations that came to an end, failures, seconds."""

    claimed: int = 0
    advanced: int = 0
    completed: int = 0
    failed: int = 0
    seconds: float = 0.0

    def add(self, other: TickCounts) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


class Tick:
    """Moves whatever is due, batch by batch. Any number may run on one database."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, registry: TypeRegistry) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._random = Random()
        self._evaluation = Evaluation(settings, registry, self._random)
        self._stopping = False

    def stop(self) -> None:
        """Let a pass that is under way end after the batch in hand, and later ones before their first."""
        self._stopping = True

    async def run_once(self) -> TickCounts:
        """One pass over every bucket and lane that has something due; high lanes first, several batches each."""
        started, counts = monotonic(), TickCounts()
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            due = await ConversationStateRepository(connection).find_due(now)
        self._random.shuffle(due)
        for name, lanes in _LANE_CLASSES:
            queue = [(bucket, lane) for bucket, lane in due if lane in lanes]
            visitors = [self._visit_all(queue, _VISITS_OF_LANE[name]) for _ in range(min(_OVERLAP, len(queue)))]
            for visited in await asyncio.gather(*visitors, return_exceptions=True):
                if isinstance(visited, BaseException):
                    raise visited
                counts.add(visited)
        counts.seconds = monotonic() - started
        return counts

    async def drain(self, progress: Callable[[TickCounts], None] | None = None) -> TickCounts:
        """Passes until nothing is due. Waits a little for rows that other ticks hold."""
        counts, patience_ends = TickCounts(), monotonic() + _PATIENCE
        while True:
            passed = await self.run_once()
            counts.add(passed)
            if progress is not None:
                progress(counts)
            if passed.claimed and not self._stopping:
                patience_ends = monotonic() + _PATIENCE
                continue
            if self._stopping or monotonic() > patience_ends or not await self._anything_due():
                return counts
            await asyncio.sleep(self._random.uniform(0.01, 0.05))

    async def find_next_due(self) -> datetime | None:
        """The earliest instant any conversation waits for."""
        async with self._database.transaction() as connection:
            return await ConversationStateRepository(connection).find_next_due()

    async def end_campaign(self, campaign_id: UUID, cause: str) -> int:
        """Stop the campaign's unfinished conversations in batches, with a history row each; returns how many.

        `cause` is `campaign_end` or `cancelled`. Safe to repeat: what is stopped stays stopped.
        """
        stopped, limit = 0, self._settings.max_batch_size
        for bucket in BUCKETS:
            last: UUID | None = None
            while True:
                async with self._database.transaction() as connection:
                    now = await self._clock.now(connection)
                    repository = ConversationStateRepository(connection)
                    rows = await repository.lock_of_campaign(campaign_id, bucket, limit, after=last)
                    batch = await self._evaluation.evaluate(connection, bucket, now, rows, ends=cause)
                    await self._evaluation.write(connection, bucket, batch)
                stopped += batch.finished_count
                if len(rows) < limit:
                    break
                last = UUID(rows[-1].id)
        return stopped

    # ---- one batch ---------------------------------------------------------------------------------------------

    async def _visit_all(self, queue: list[tuple[int, int]], batches: int) -> TickCounts:
        """Take buckets and lanes from the queue that the visitors share until it is empty."""
        counts = TickCounts()
        while queue:
            bucket, lane = queue.pop()
            counts.add(await self._visit(bucket, lane, batches))
        return counts

    async def _visit(self, bucket: int, lane: int, batches: int) -> TickCounts:
        counts, limit = TickCounts(), self._settings.max_batch_size
        for _ in range(batches):
            if self._stopping:
                break
            claimed = await self._batch(bucket, lane, limit)
            counts.add(claimed)
            if claimed.claimed < limit:
                break
        return counts

    async def _batch(self, bucket: int, lane: int, limit: int) -> TickCounts:
        """Claim, decide, write; on data the database refuses, again in halves until the culprit is alone."""
        claimed: list[Claimed] = []
        try:
            return await self._try_batch(bucket, lane, limit, claimed)
        except RepositoryError as error:
            if error.sqlstate in _CLAIM_AGAIN:
                log.warning("a batch was rolled back, to be claimed again", bucket=bucket, sqlstate=error.sqlstate)
                return TickCounts()
            if not error.sqlstate.startswith(_DATA_ERRORS) or not claimed:
                raise
            if len(claimed) == 1:
                return await self._blame(bucket, claimed[0], error)
        half = max(1, len(claimed) // 2)
        counts = await self._batch(bucket, lane, half)
        counts.add(await self._batch(bucket, lane, len(claimed) - half))
        return counts

    async def _try_batch(self, bucket: int, lane: int, limit: int, claimed: list[Claimed]) -> TickCounts:
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            claimed += await ConversationStateRepository(connection).lock_due(bucket, lane, now, limit)
            if not claimed:
                return TickCounts()
            batch = await self._evaluation.evaluate(connection, bucket, now, claimed)
            await self._evaluation.write(connection, bucket, batch)
        return TickCounts(len(claimed), batch.advanced_count, batch.finished_count, len(batch.failures))

    async def _blame(self, bucket: int, row: Claimed, error: RepositoryError) -> TickCounts:
        """Note against one conversation that the database refused what it came to, unless it has moved since."""
        async with self._database.transaction() as connection:
            batch = Batch(await self._clock.now(connection))
            again = await ConversationStateRepository(connection).lock_one(UUID(row.id))
            if again is None or again.seq != row.seq:
                return TickCounts()
            batch.failures.append((again, error))
            await self._evaluation.write(connection, bucket, batch)
        return TickCounts(claimed=1, failed=1)

    async def _anything_due(self) -> bool:
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            return bool(await ConversationStateRepository(connection).find_due(now))
