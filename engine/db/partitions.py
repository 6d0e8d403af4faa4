"""Partitions of `stage_history` and `outbox` by time: finding, making, closing and dropping them. Commits nothing.

Both tables always get partitions of the same spans. What fits in no span goes to the DEFAULT partition of each. Nothing
here decides by looking first: whoever changes partitions holds a lock of the tables that only one can hold, reads the
catalog under it, and PostgreSQL itself looks through the rows whenever a bound is set. So a change is right or refused,
with any number of processes at it, and all or nothing.

What a change makes others wait for is the ACCESS EXCLUSIVE lock of a DEFAULT partition or, to close one or drop one, of
both tables. (DETACH … CONCURRENTLY is no way out: PostgreSQL refuses it beside a DEFAULT partition.) So no change waits
for its locks, or keeps others waiting, for longer than it is told; it fails instead, with SQLSTATE 55P03 or 57014.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from psycopg import sql
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.database import driver_of
from engine.db.tables import SCHEMA, dropped_spans

TABLES = ("stage_history", "outbox")
_LOCK_SHARE = 1 / 4  # of the time that others may be kept waiting: for a lock, while they queue up behind it
_LOOK_SECONDS = 600.0


class Span(NamedTuple):
    """From `lower` on, and before `upper`."""

    lower: datetime
    upper: datetime

    def overlaps(self, other: Span) -> bool:
        return self.lower < other.upper and other.lower < self.upper


class Partition(NamedTuple):
    """A partition; `span` is None for the DEFAULT one. A bound that it has not is the end of all time."""

    table: str
    name: str
    span: Span | None


class Needed(NamedTuple):
    """What in a span is still needed: messages on their way, sends that limits count, conversations that go on."""

    unsent: bool
    counted: bool
    living: bool


# The owner, when this user may act as it: no right that can be granted lets others change partitions.
_FIND_OWNER = text("""
    SELECT CASE WHEN pg_has_role(relowner, 'MEMBER') THEN pg_get_userbyid(relowner) END
    FROM pg_class WHERE oid = CAST('campaign_engine.stage_history' AS regclass)
""")

_FIND_PARTITIONS = text(r"""
    SELECT parent.relname, child.relname, bound.told = 'DEFAULT',
           CAST((regexp_match(bound.told, 'FROM \(''([^'']+)''\)'))[1] AS timestamptz),
           CAST((regexp_match(bound.told, 'TO \(''([^'']+)''\)'))[1] AS timestamptz)
    FROM pg_inherits
    JOIN pg_class AS parent ON parent.oid = inhparent
    JOIN pg_class AS child ON child.oid = inhrelid
    CROSS JOIN LATERAL (SELECT pg_get_expr(child.relpartbound, child.oid)) AS bound (told)
    WHERE parent.relnamespace = CAST('campaign_engine' AS regnamespace) AND parent.relname = ANY(:tables)
    ORDER BY 1, 4, 2
""")

_FIND_DEFAULT_ROWS = text("""
    SELECT min(at), max(at) FROM (
        SELECT min(at) AS at FROM campaign_engine.stage_history_default
        UNION ALL SELECT max(at) FROM campaign_engine.stage_history_default
        UNION ALL SELECT min(at) FROM campaign_engine.outbox_default
        UNION ALL SELECT max(at) FROM campaign_engine.outbox_default
    ) AS ends
""")

# Bounds of `at` leave one partition of each table to read.
_FIND_NEEDED = text("""
    SELECT EXISTS (
               SELECT FROM campaign_engine.outbox
               WHERE at >= :lower AND at < :upper AND status IN ('ready', 'leased')
           ), EXISTS (
               SELECT FROM campaign_engine.outbox
               WHERE at >= :lower AND at < :upper AND status = 'sent' AND sent_at > :counted_since
           ), EXISTS (
               SELECT FROM campaign_engine.stage_history AS step
               JOIN campaign_engine.conversations AS conversation
                   ON conversation.bucket = step.bucket AND conversation.id = step.conversation_id
               WHERE step.at >= :lower AND step.at < :upper AND conversation.status IN ('active', 'paused')
           )
""")

_SET = text("SELECT set_config(:name, :value, true)")
_FIND_INDEXES = text("""
    SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass(:table) ORDER BY 1
""")
_FIND_PARAMETERS = text("SELECT unnest(reloptions) FROM pg_class WHERE oid = to_regclass(:table)")


class PartitionRepository:
    """Partitions over one connection, in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    # ---- looking -----------------------------------------------------------------------------------------------

    async def find_owner(self) -> str | None:
        """The role that owns the tables; None when this user may not act as it."""
        owner: str | None = await self._connection.scalar(_FIND_OWNER)
        return owner

    async def find_partitions(self) -> list[Partition]:
        """All partitions of both tables, the earliest first."""
        rows = await self._connection.execute(_FIND_PARTITIONS, {"tables": list(TABLES)})
        return [
            Partition(table, name, None if default else Span(lower or _FIRST, upper or _LAST))
            for table, name, default, lower, upper in rows
        ]

    async def find_default_rows(self) -> tuple[datetime, datetime] | None:
        """The first and the last instant of rows in the DEFAULT partitions; reads all of them, locking nobody out."""
        await self._set("statement_timeout", _LOOK_SECONDS)
        first, last = (await self._connection.execute(_FIND_DEFAULT_ROWS)).one()
        return None if first is None else (first, last)

    async def find_needed(self, span: Span, counted_since: datetime) -> Needed:
        """What of a span is still needed, limits counting what was sent after `counted_since`; may read all of it.

        What is not needed once is not needed later: a message that came to its end, and a conversation that did,
        stay so.
        """
        await self._set("statement_timeout", _LOOK_SECONDS)
        given = span._asdict() | {"counted_since": counted_since}
        return Needed(*(await self._connection.execute(_FIND_NEEDED, given)).one())

    # ---- changing ----------------------------------------------------------------------------------------------

    async def lock_tables(self, owner: str, seconds: float, *, alone: bool = False) -> None:
        """Be the only one who changes partitions, as `owner`; `alone`, the only one who uses the tables at all.

        From here on no statement waits for a lock longer than a part of `seconds`, and to look through the rows of both
        tables takes `seconds` at most. Others go on until a partition is attached; with `alone`, they wait for the
        commit.
        """
        await self._set("lock_timeout", seconds * _LOCK_SHARE)
        await self._set("statement_timeout", seconds / len(TABLES))
        await self._connection.execute(_SET, {"name": "role", "value": owner})
        mode = sql.SQL("ACCESS EXCLUSIVE" if alone else "SHARE UPDATE EXCLUSIVE")
        tables = sql.SQL(", ").join(sql.SQL("ONLY {}").format(_table(name)) for name in TABLES)
        await self._run("LOCK TABLE {} IN {} MODE", tables, mode)

    async def make_partitions(self, spans: list[Span]) -> None:
        """Partitions of both tables, like the DEFAULT ones. Fails with 23514 when a DEFAULT one has rows of a span.

        First they are made, which nobody notices, then attached, which locks the DEFAULT partitions to the commit.
        """
        for span in spans:
            for table in TABLES:
                new, parameters = _name(table, span), await self._parameters(table)
                await self._run(
                    "CREATE TABLE {} (LIKE {} INCLUDING ALL) {}", _table(new), _table(_default(table)), parameters
                )
        for span in spans:
            for table in TABLES:
                await self._attach(table, _name(table, span), span)

    async def close_defaults(self, span: Span) -> None:
        """Make the DEFAULT partitions, with their rows, the partitions of `span`, and empty ones the new DEFAULT.

        No row moves; each is looked at, since one outside of the span must refuse the change with 23514. Wants the
        tables locked `alone`.
        """
        for table in TABLES:
            default, closed = _default(table), _name(table, span)
            parameters = await self._parameters(table)
            await self._run("ALTER TABLE {} DETACH PARTITION {}", _table(table), _table(default))
            for index in await self._connection.scalars(_FIND_INDEXES, {"table": f"{SCHEMA}.{default}"}):
                renamed = sql.Identifier(index.replace(default, closed))
                await self._run("ALTER INDEX {} RENAME TO {}", _table(index), renamed)
            await self._run("ALTER TABLE {} RENAME TO {}", _table(default), sql.Identifier(closed))
            await self._attach(table, closed, span)
            await self._run("CREATE TABLE {} PARTITION OF {} DEFAULT {}", _table(default), _table(table), parameters)

    async def drop_partitions(self, partitions: list[Partition], span: Span, now: datetime) -> None:
        """Drop these partitions of `span`, and note that. Wants the tables locked `alone`."""
        for each in partitions:
            await self._run("DROP TABLE {}", _table(each.name))
        row = {"lower_at": span.lower, "upper_at": span.upper, "dropped_at": now}
        await self._connection.execute(insert(dropped_spans).values(row))

    async def _attach(self, table: str, name: str, span: Span) -> None:
        await self._run(
            "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})",
            _table(table), _table(name), sql.Literal(span.lower), sql.Literal(span.upper),
        )  # fmt: skip

    async def _parameters(self, table: str) -> sql.Composable:
        """The storage parameters of a table's DEFAULT partition, as a new one takes them."""
        given = {"table": f"{SCHEMA}.{_default(table)}"}
        pairs = [each.partition("=") for each in await self._connection.scalars(_FIND_PARAMETERS, given)]
        if not pairs:
            return sql.SQL("")
        each = sql.SQL("{} = {}")
        told = [each.format(sql.Identifier(name), sql.Literal(value)) for name, _, value in pairs]
        return sql.SQL("WITH ({})").format(sql.SQL(", ").join(told))

    async def _set(self, name: str, seconds: float) -> None:
        await self._connection.execute(_SET, {"name": name, "value": f"{max(1, int(seconds * 1000))}ms"})

    async def _run(self, statement: str, *parts: sql.Composable) -> None:
        driver = await driver_of(self._connection)
        await driver.execute(sql.SQL(statement).format(*parts))


_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


def _table(name: str) -> sql.Composable:
    return sql.Identifier(SCHEMA, name)


def _default(table: str) -> str:
    return f"{table}_default"


def _name(table: str, span: Span) -> str:
    """The name of a partition tells its first day: `outbox_20260302`."""
    return f"{table}_{span.lower:%Y%m%d}"


def spans_of(partitions: list[Partition]) -> list[Span]:
    """Every span that any table has a partition of, the earliest first."""
    return sorted({each.span for each in partitions if each.span is not None})
