"""One hand of a tick: batch after batch over one connection, along the route of a pass.

The write of a batch, its COMMIT and the claim of the next go in one pipeline. After an error the database passes over
the rest of it, so a batch is either committed whole or not at all, and nothing is claimed after one that failed. The
claim asks for what is due by the instant read one pipeline earlier; what is decided takes the instant read under the
locks.

A batch that was rolled back for what it holds is taken again with care, on its own and in halves. One that took too
long is claimed again later, in smaller batches, until a conversation that takes too long stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.batch import Batch
from engine.clock import Clock, Time
from engine.core.errors import RepositoryError
from engine.db.campaigns import CampaignState
from engine.db.conversations import ConversationStateRepository, Kin, count_conversations
from engine.db.database import DRIVER_ERRORS, Answer, Database, begin, commit, is_committed, pipeline, translate
from engine.evaluation import Evaluation
from engine.route import BatchSize, Place, Route

log = structlog.get_logger(__name__)

_CLAIM_AGAIN = ("22012", "40001", "40P01", "55P03")  # not as it was claimed, or in each other's way: nobody's fault
_TOO_LONG = ("25P03", "57014")  # broken off for the time it took, or for waiting
_DATA_ERRORS = ("21", "22", "23", "54")  # SQLSTATE classes that a row can be to blame for


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


class _Claim(NamedTuple):
    """A claim on its way, and what is read together with it."""

    place: Place
    limit: int
    rows: Answer[Kin]
    campaigns: Answer[CampaignState]
    now: Time


class _RefusedError(Exception):
    """The database rolled a batch back for what it holds."""

    def __init__(self, place: Place, rows: Sequence[Kin], error: RepositoryError) -> None:
        super().__init__(place)
        self.place = place
        self.rows = rows
        self.error = error


class Hand:
    """Takes batches along a route, until it ends or `is_stopping` says so. Holds nothing between them."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        evaluation: Evaluation,
        size: BatchSize,
        route: Route,
        is_stopping: Callable[[], bool],
    ) -> None:
        self.counts = TickCounts()
        self._database = database
        self._clock = clock
        self._evaluation = evaluation
        self._size = size
        self._route = route
        self._is_stopping = is_stopping

    async def work(self) -> None:
        """Go to the end of the route. Raises RepositoryError when the database is away."""
        while (place := self._next()) is not None:
            try:
                async with self._database.session(autocommit=True) as connection:
                    await self._chain(connection, place)
            except _RefusedError as refused:
                await self._recover(refused)

    def _next(self) -> Place | None:
        return None if self._is_stopping() else self._route.next()

    # ---- one pipeline after the other ----------------------------------------------------------------------------

    async def _chain(self, connection: AsyncConnection, place: Place) -> None:
        async with pipeline(connection):
            claim: _Claim | None = await self._claim(connection, place)
        while claim is not None:
            claim = await self._advance(connection, claim)

    async def _claim(self, connection: AsyncConnection, place: Place) -> _Claim:
        """Begin, and lock what is due; how its campaigns fare is read after that, so that no resume is missed."""
        limit = self._size.value
        await begin(connection)
        repository = ConversationStateRepository(connection)
        rows = await repository.lock_due(place, self._route.now, limit, self._route.edge(place))
        campaigns = await self._evaluation.ask_campaigns(connection)
        return _Claim(place, limit, rows, campaigns, await self._clock.ask(connection))

    async def _advance(self, connection: AsyncConnection, claim: _Claim) -> _Claim | None:
        """Decide what was claimed, write it, and claim at the next place by the way; None when there is none.

        Raises _RefusedError when the batch was rolled back for what it holds.
        """
        rows, now, known = await claim.rows.rows(), await claim.now(), await claim.campaigns.rows()
        self._route.now, count, bucket = max(now, self._route.now), count_conversations(rows), claim.place.bucket
        following = committed = then = None
        began = monotonic()
        self._route.left(claim.place, more=count >= claim.limit)
        try:
            batch = await self._evaluation.evaluate(connection, bucket, now, rows, known=known)
            following = self._next()
            async with pipeline(connection):
                await self._evaluation.write(connection, bucket, batch)
                committed = await commit(connection)
                then = await self._claim(connection, following) if following is not None else None
        except (RepositoryError, *DRIVER_ERRORS) as raised:
            if following is not None:
                self._route.back(following)
            if committed is not None and is_committed(committed):
                self._count(count, batch)
            elif _is_of_the_batch(error := translate(raised)):
                raise _RefusedError(claim.place, rows, error) from raised
            raise
        self._count(count, batch)
        if count >= claim.limit:
            self._size.learn(monotonic() - began)
        return then

    def _count(self, claimed: int, batch: Batch) -> None:
        self.counts.add(TickCounts(claimed, batch.advanced_count, batch.finished_count, len(batch.failures)))

    # ---- with care -----------------------------------------------------------------------------------------------

    async def _recover(self, refused: _RefusedError) -> None:
        """Go on after a batch that was rolled back: on data the database refuses in halves, else leave it for later."""
        sqlstate, place, count = refused.error.sqlstate, refused.place, count_conversations(refused.rows)
        if sqlstate in _TOO_LONG:
            self._size.shrink()
        if sqlstate in _CLAIM_AGAIN or not count or (sqlstate in _TOO_LONG and count > 1):
            log.warning("a batch was rolled back, to be claimed again", bucket=place.bucket, sqlstate=sqlstate)
        elif count > 1:
            await self._take_in_halves(place, count)
        else:
            await self._blame(place, refused.rows[0], refused.error)

    async def _blame(self, place: Place, row: Kin, error: RepositoryError) -> None:
        """Note it against one conversation; when that cannot be written either, it was not this one's fault."""
        try:
            batch = await note_refusal(self._database, self._clock, self._evaluation, place.bucket, row, error)
        except RepositoryError as again:
            if again.sqlstate not in (*_CLAIM_AGAIN, *_TOO_LONG):
                raise
            log.warning("a batch was rolled back, to be claimed again", bucket=place.bucket, sqlstate=again.sqlstate)
        else:
            if batch.failures:
                self._count(1, batch)

    async def _take_in_halves(self, place: Place, count: int) -> None:
        for half in (count // 2, count - count // 2):
            await self._take_alone(place, half)

    async def _take_alone(self, place: Place, limit: int) -> None:
        """A batch in a transaction of its own; if that is refused, too, recover from it as from the whole."""
        rows: list[Kin] = []
        try:
            async with self._database.transaction() as connection:
                repository = ConversationStateRepository(connection)
                rows = await (await repository.lock_due(place, self._route.now, limit)).rows()
                now = await self._clock.now(connection)
                batch = await self._evaluation.evaluate(connection, place.bucket, now, rows)
                await self._evaluation.write(connection, place.bucket, batch)
        except RepositoryError as error:
            if not _is_of_the_batch(error):
                raise
            await self._recover(_RefusedError(place, rows, error))
        else:
            self._count(count_conversations(rows), batch)


async def note_refusal(
    database: Database, clock: Clock, evaluation: Evaluation, bucket: int, row: Kin, error: RepositoryError
) -> Batch:
    """Note against one conversation that the database refused what it came to, unless it has moved since."""
    async with database.transaction() as connection:
        again = await ConversationStateRepository(connection).lock_one(UUID(row.ids[0]))
        batch = Batch(await clock.now(connection))
        if again is not None and again.seq == row.seq:
            batch.failures.append((again, error))
            await evaluation.write(connection, bucket, batch)
    return batch


def is_of_a_row(error: RepositoryError) -> bool:
    """Whether one row can be to blame for it."""
    return error.sqlstate.startswith(_DATA_ERRORS) and error.sqlstate not in _CLAIM_AGAIN


def _is_of_the_batch(error: RepositoryError) -> bool:
    return error.sqlstate in (*_CLAIM_AGAIN, *_TOO_LONG) or is_of_a_row(error)
