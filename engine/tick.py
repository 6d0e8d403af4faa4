"""The tick: claim due conversations, decide, write, one transaction a batch.

Who is in charge, and for how long: a batch locks up to `max_batch_size` conversations of one bucket and lane with
SELECT … FOR UPDATE SKIP LOCKED and holds those locks to its commit. In between it reads what arrived for them,
decides (pure), and writes; it does nothing else, no network, no channel. So there is no `running` state, no lease
and nothing to clean up: a tick that is killed rolls back, and the conversations are simply due again. Two ticks
never hold one conversation, and the `seq` guard of the write makes sure of it once more.

How it is fast: a process has two hands (`engine.hand`), each with a connection of its own, so that one batch is decided
while the database works on the other. A hand sends the write of a batch, its COMMIT and the claim of the next in one
pipeline: one way there and back a batch, and another where something arrived or a guard reads facts. Conversations that
agree in all but their own instants and facts come as one row and share a decision. Where the hands go next,
`engine.route` says.

What fails: a conversation whose decision raises is noted with its error, backed off and at last parked as `failed`;
the rest of its batch goes on. A batch that the database refuses because of its data is rolled back and tried in
halves until the one that is to blame stands alone. When the database is away the tick raises and has lost nothing.

Time is read once a batch, from the clock given, after the locks are held: no conversation can have moved later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from random import Random
from time import monotonic
from uuid import UUID

from engine.clock import Clock
from engine.core.calendar import later
from engine.core.errors import RepositoryError
from engine.db.buckets import BUCKETS
from engine.db.conversations import ConversationStateRepository, Kin, Look, count_conversations
from engine.db.database import Database
from engine.evaluation import Evaluation
from engine.hand import Hand, is_of_a_row, note_refusal
from engine.hand import TickCounts as TickCounts
from engine.registry import TypeRegistry
from engine.route import BatchSize, Route
from engine.settings import Settings

_HANDS = 2  # batches in hand at a time: one is decided while the database works on the other
_PATIENCE = 5.0  # seconds to wait for rows that others hold before a drain ends


class Tick:
    """Moves whatever is due, batch by batch. Any number may run on one database."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, registry: TypeRegistry) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._random = Random()
        self._evaluation = Evaluation(settings, registry, self._random)
        self._size = BatchSize(settings.max_batch_size)
        self._preferred: frozenset[int] = frozenset()
        self._stopping = False
        self.left_some = False  # whether the last pass found more than a pass takes
        self.next_due_in: timedelta | None = None  # from the last pass to the first to come due, if near

    def stop(self) -> None:
        """Let a pass that is under way end after the batches in hand, and later ones before their first."""
        self._stopping = True

    def prefer(self, buckets: Collection[int]) -> None:
        """Visit these buckets before the others: each of several processes its own, so that they seldom meet."""
        self._preferred = frozenset(buckets)

    async def run_once(self, counts: TickCounts | None = None) -> TickCounts:
        """One pass over every bucket and lane that has something due, in the order of `Route`.

        Adds to `counts` what was committed, also when it raises.
        """
        started, counts = monotonic(), TickCounts() if counts is None else counts
        look = await self._look(timedelta(seconds=2 * self._settings.poll_seconds))
        route = Route(look, self._preferred, self._random)
        self.next_due_in = look.next_at - look.now if look.next_at is not None else None
        hands = [self._hand(route) for _ in range(min(_HANDS, len(route)))]
        all_ended = await asyncio.gather(*(hand.work() for hand in hands), return_exceptions=True)
        for hand in hands:
            counts.add(hand.counts)
        counts.seconds += monotonic() - started
        for ended in all_ended:
            if isinstance(ended, BaseException):
                raise ended
        self.left_some = route.left_some
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
            if self._stopping or monotonic() > patience_ends or not (await self._look()).due:
                return counts
            await asyncio.sleep(self._random.uniform(0.01, 0.05))

    async def find_next_due(self) -> datetime | None:
        """The earliest instant any conversation waits for."""
        look = await self._look(timedelta.max)
        return min((edge.due_at for edge in look.due), default=look.next_at)

    async def end_campaign(self, campaign_id: UUID, cause: str) -> int:
        """Stop the campaign's unfinished conversations in batches, with a history row each; returns how many.

        `cause` is `campaign_end` or `cancelled`. Safe to repeat: what is stopped stays stopped.
        """
        return sum([await self._end_in(bucket, campaign_id, cause) for bucket in BUCKETS])

    async def _end_in(self, bucket: int, campaign_id: UUID, cause: str) -> int:
        """The same in one bucket. Whom the database refuses to stop is found in halves, noted, and passed over."""
        stopped, last, limit = 0, None, self._settings.max_batch_size
        while True:
            rows: list[Kin] = []
            try:
                async with self._database.transaction() as connection:
                    repository = ConversationStateRepository(connection)
                    rows = await repository.lock_of_campaign(campaign_id, bucket, limit, after=last)
                    now = await self._clock.now(connection)
                    batch = await self._evaluation.evaluate(connection, bucket, now, rows, ends=cause)
                    await self._evaluation.write(connection, bucket, batch)
                stopped += batch.finished_count
            except RepositoryError as error:
                if not rows or not is_of_a_row(error):
                    raise
                if limit > 1:
                    limit = max(1, count_conversations(rows) // 2)
                    continue
                await note_refusal(self._database, self._clock, self._evaluation, bucket, rows[0], error)
            if count_conversations(rows) < limit:
                return stopped
            last = max(UUID(id) for row in rows for id in row.ids)
            limit = self._settings.max_batch_size

    def _hand(self, route: Route) -> Hand:
        return Hand(self._database, self._clock, self._evaluation, self._size, route, lambda: self._stopping)

    async def _look(self, ahead: timedelta = timedelta()) -> Look:
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            return await ConversationStateRepository(connection).find_due(now, later(now, ahead))
