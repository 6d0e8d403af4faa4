"""Upkeep: partitions of history and outbox are made ahead of time, and dropped once they are old and nobody needs them.

Time is cut into spans of `partition_days`. A pass makes what is missing of the present span and the next ones. Rows
that came before their partition lie in the DEFAULT ones; those partitions are then *closed*: they become the
partitions of the time of their rows, as they are, and empty ones take their place. Last, when `keep_history_days` says
so, it drops spans that ended so long ago, the oldest first, and stops at one that is still needed. So history is whole
since some instant; what is gone stands in `dropped_spans`.

Any number of processes may do this at any time: changes are made under a lock of the tables, each in a transaction of
its own, and what another has done meanwhile is left as it is. Ticks and workers wait for `wait` seconds at most, and
usually for a few milliseconds. A change that cannot have its lock in a moment tries again a few times and then leaves
it to the next pass, saying so: partitions are made months ahead, so there is time. Only the owner of the tables can do
any of it; for everyone else a pass is a `RefusedError`, or, as part of `campaign run`, one line in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.clock import Clock
from engine.core.errors import DecisionError, RefusedError, RepositoryError
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.db.partitions import TABLES, Partition, PartitionRepository, Span, spans_of
from engine.registry import TypeRegistry
from engine.settings import Settings

log = structlog.get_logger(__name__)

WAIT_SECONDS = 1.0
_TRIES = 5
_REST = timedelta(days=1)  # before `run` looks again at what it could not do
_LONGEST_DAY = timedelta(hours=26)  # what a calendar day of a limit may take more than nominal, and some
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUSY = {"55P03", "40P01"}  # others use the tables
_TOO_LONG, _OUTSIDE, _THERE = "57014", "23514", "42P07"

Change = Callable[[PartitionRepository], Awaitable[list[Span]]]
"""Changes partitions; the spans it changed, none when another has done it."""


@dataclass
class UpkeepReport:
    """What a pass did, or would do: spans as pairs of instants, with why those too old were `kept`."""

    made: list[Span] = field(default_factory=list)
    closed: list[Span] = field(default_factory=list)
    dropped: list[Span] = field(default_factory=list)
    kept: list[tuple[Span, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(found) for name, found in asdict(self).items()}


class _State(NamedTuple):
    now: datetime
    owner: str
    partitions: list[Partition]
    default_rows: tuple[datetime, datetime] | None
    look_seconds: float  # that it took to look through the DEFAULT partitions


class Upkeep:
    """Makes, closes and drops partitions on one database."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._registry = TypeRegistry(settings.stage_delay_factor)
        self._days = timedelta(days=settings.partition_days)
        self._rests_until: datetime | None = None

    async def run(self) -> dict[str, int]:
        """How much one pass made, closed, dropped, kept and left undone; for a loop, every hour or so.

        It never raises for want of rights. After a pass that had to leave something it rests for a day, so that what
        is dear to look at, or made others wait for nothing, is not tried every time.
        """
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
        if self._rests_until is not None and now < self._rests_until:
            return UpkeepReport().counts
        try:
            report = await self.maintain()
        except RefusedError as error:
            self._rests_until = datetime.max.replace(tzinfo=UTC)
            log.info("partitions are not looked after by this process", reason=error.message, hint=error.hint)
            return UpkeepReport().counts
        if report.kept or report.problems:
            self._rests_until = now + _REST
        if any(report.counts.values()):
            log.info("partitions looked after", **report.counts)
        for problem in report.problems:
            log.warning("partitions were left as they are", reason=problem)
        return report.counts

    async def maintain(
        self, *, keep_days: int | None = None, wait: float = WAIT_SECONDS, dry_run: bool = False
    ) -> UpkeepReport:
        """One pass. `keep_days` is in place of the setting; others are kept waiting for `wait` seconds at most.

        Raises RefusedError unless the database's user is the owner of the tables or a member of it.
        """
        report = UpkeepReport()
        state = await self._look()
        if state.default_rows is not None and state.look_seconds > wait:
            report.problems.append(
                f"to look through the rows of the DEFAULT partitions takes {state.look_seconds:.1f} s, and others may "
                f"wait for {wait:g} s; at a quiet hour run: campaign db maintain --wait SECONDS"
            )
        elif not (
            await self._close(report, state, wait, dry_run=dry_run)
            and await self._make(report, state, wait, dry_run=dry_run)
        ):
            return report  # one change that others had to wait for in vain is enough
        keep = self._settings.keep_history_days if keep_days is None else keep_days
        if keep:
            await self._drop(report, state, timedelta(days=keep), wait, dry_run=dry_run)
        return report

    async def _look(self) -> _State:
        async with self._database.transaction() as connection:
            now, repository = await self._clock.now(connection), PartitionRepository(connection)
            owner = await repository.find_owner()
            if owner is None:
                raise RefusedError(
                    "only the owner of the tables can make and drop partitions, and this database user is not it",
                    hint="Run campaign db maintain now and then as the user who runs campaign db upgrade.",
                )
            partitions, start = await repository.find_partitions(), monotonic()
            return _State(now, owner, partitions, await repository.find_default_rows(), monotonic() - start)

    # ---- ahead -------------------------------------------------------------------------------------------------

    async def _close(self, report: UpkeepReport, state: _State, wait: float, *, dry_run: bool) -> bool:
        """Give the rows of the DEFAULT partitions, if any, a span of their own; False when locks forbid it."""
        if state.default_rows is None:
            return True
        span = span_to_close(*state.default_rows, state.now, self._days, spans_of(state.partitions))
        if span is None:
            report.problems.append("the DEFAULT partitions hold rows from before and after another partition")
            return True

        async def close(repository: PartitionRepository) -> list[Span]:
            if await repository.find_partitions() != state.partitions:
                return []
            await repository.close_defaults(span)
            return [span]

        done = [span] if dry_run else await self._change(report, state.owner, wait, close, alone=True)
        report.closed += done or []
        return done is not None

    async def _make(self, report: UpkeepReport, state: _State, wait: float, *, dry_run: bool) -> bool:
        """Make what is missing of the present span and the next ones, all or nothing; False when it could not."""
        ahead = self._settings.partitions_ahead

        def find_missing(known: Iterable[Span]) -> list[Span]:
            closed = [*report.closed, *known]
            rows = state.default_rows[1] if state.default_rows and not report.closed else None
            return list(missing_spans(state.now, self._days, ahead, closed, rows))

        async def make(repository: PartitionRepository) -> list[Span]:
            spans = find_missing(spans_of(await repository.find_partitions()))
            await repository.make_partitions(spans)
            return spans

        missing = find_missing(spans_of(state.partitions))
        done = missing if dry_run or not missing else await self._change(report, state.owner, wait, make)
        report.made += done or []
        return done is not None

    # ---- behind ------------------------------------------------------------------------------------------------

    async def _drop(self, report: UpkeepReport, state: _State, keep: timedelta, wait: float, *, dry_run: bool) -> None:
        """Drop what ended longer than `keep` ago, the oldest first, up to a span that is still needed."""
        for span in spans_of(state.partitions):
            if span.upper > state.now - keep:
                return
            found = [each for each in state.partitions if each.span == span]
            if why := await self._why_needed(span, found, state.now):
                report.kept.append((span, why))
                return

            async def drop(
                repository: PartitionRepository, span: Span = span, found: list[Partition] = found
            ) -> list[Span]:
                if not set(found) <= set(await repository.find_partitions()):
                    return []
                await repository.drop_partitions(found, span, state.now)
                return [span]

            done = [span] if dry_run else await self._change(report, state.owner, wait, drop, alone=True)
            if done is None:
                return
            report.dropped += done

    async def _why_needed(self, span: Span, found: list[Partition], now: datetime) -> str:
        """Why a span must stay, "" when it need not."""
        if len(found) < len(TABLES):
            return f"only {found[0].table} has a partition of just this span"
        async with self._database.transaction() as connection:
            try:
                counted_since = now - await self._longest_limit(connection)
            except DecisionError as error:
                return f"what limits count is not known: {error.message}"
            needed = await PartitionRepository(connection).find_needed(span, counted_since)
        if needed.unsent:
            return "messages of it have not left"
        if needed.counted:
            return "limits still count messages of it"
        return "conversations that go on have steps in it" if needed.living else ""

    async def _longest_limit(self, connection: AsyncConnection) -> timedelta:
        """The longest span over which a registered campaign type counts. Raises DecisionError if one is unreadable."""
        spans = [timedelta()]
        for name, versions in (await CampaignRepository(connection).find_versions()).items():
            for version in versions:
                limits = (await self._registry.get(connection, name, version)).limits
                spans += [rate.per.nominal + _LONGEST_DAY for rate in limits]
        return max(spans)

    # ---- both --------------------------------------------------------------------------------------------------

    async def _change(
        self, report: UpkeepReport, owner: str, wait: float, change: Change, *, alone: bool = False
    ) -> list[Span] | None:
        """What `change` did, tried again while others hold locks; None when it could not, which the report then tells.

        It has a transaction of its own, in which nobody else changes partitions.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                async with self._database.transaction() as connection:
                    repository = PartitionRepository(connection)
                    await repository.lock_tables(owner, wait, alone=alone)
                    return await change(repository)
            except RepositoryError as error:
                if error.sqlstate in _BUSY:
                    await asyncio.sleep(0.1 * attempt)
                elif error.sqlstate in _PROBLEMS:
                    report.problems.append(_PROBLEMS[error.sqlstate])
                    return None
                else:
                    raise
        report.problems.append(f"others held locks of the tables at each of {_TRIES} tries")
        return None


_PROBLEMS = {
    _TOO_LONG: "others would have waited too long; at a quiet hour run: campaign db maintain --wait SECONDS",
    _OUTSIDE: "the DEFAULT partitions hold rows of a span that was to be made",
    _THERE: "a table with the name of a partition is there already",
}


def span_to_close(
    first: datetime, last: datetime, now: datetime, days: timedelta, spans: Iterable[Span]
) -> Span | None:
    """The span that rows of the DEFAULT partitions from `first` to `last` get; None when another lies between them.

    It begins and ends where spans do, ends after `now`, since more rows are coming, and leaves out what others have.

    >>> day, noon = timedelta(days=1), datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> [str(end.date()) for end in span_to_close(noon, noon, noon + day, 7 * day, [])]
    ['2026-02-26', '2026-03-05']
    """
    lower, upper = _begin(first, days), _begin(max(last, now), days) + days
    for span in spans:
        if span.upper <= first:
            lower = max(lower, span.upper)
        elif span.lower > last:
            upper = min(upper, span.lower)
        else:
            return None
    return Span(lower, upper)


def missing_spans(
    now: datetime, days: timedelta, ahead: int, spans: Iterable[Span], last_row: datetime | None
) -> Iterator[Span]:
    """The spans to make, so that the present one and `ahead` more have partitions, none before `last_row`.

    They go on where the last of `spans` ends, which is between two ends of spans when `partition_days` was changed.

    >>> day, now = timedelta(days=1), datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> [str(span.lower.date()) for span in missing_spans(now, 7 * day, 1, [], None)]
    ['2026-02-26', '2026-03-05']
    """
    start = _begin(now, days)
    edge = max((span.upper for span in spans if span.upper > start), default=start)
    if last_row is not None and last_row >= edge:
        edge = _begin(last_row, days) + days
    while edge < start + (1 + ahead) * days:
        span = Span(edge, _begin(edge, days) + days)
        yield span
        edge = span.upper


def _begin(at: datetime, days: timedelta) -> datetime:
    """The begin of the span that `at` is in."""
    return at - (at - _EPOCH) % days


def as_plain(report: UpkeepReport) -> dict[str, Any]:
    """The report as JSON holds it."""

    def plain(span: Span, **more: str) -> dict[str, Any]:
        return {"from": span.lower, "to": span.upper} | more

    return {
        "made": [plain(span) for span in report.made],
        "closed": [plain(span) for span in report.closed],
        "dropped": [plain(span) for span in report.dropped],
        "kept": [plain(span, why=why) for span, why in report.kept],
        "problems": report.problems,
    }
