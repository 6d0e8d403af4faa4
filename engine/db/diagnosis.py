"""What the doctor looks at. Reads only, and never far: every count stops at a bound, and every search has its index.

What failed is found by indexes that hold nothing else. What waits is read off the left edge of the indexes that ticks
and workers claim by, a few rows for each bucket. A figure that met its bound says `more`. No statement reads a fact, an
address or a text of anybody.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS
from engine.db.conversations import LANES
from engine.db.tables import channel_state, members

MOST = 100  # rows read for each bucket, or bucket and lane
MOST_DELTAS = 200_000


class Failing(NamedTuple):
    """Conversations of a campaign that failed for one reason: parked, or to be tried again."""

    campaign_id: UUID
    campaign: str
    parked: bool
    error: str
    number: int
    ids: list[str]
    more: bool


class Failed(NamedTuple):
    """Messages that were given up."""

    channel: str
    reason: str
    number: int
    more: bool


class Circuit(NamedTuple):
    """A channel that is not used for a while, since it failed."""

    channel: str
    status: str
    failure_count: int
    changed_at: datetime | None


class Member(NamedTuple):
    """A process at work, and its breakers."""

    name: str
    version: str
    parts: list[str]
    seen_at: datetime
    states: dict[str, Any]


class Late(NamedTuple):
    """What should have happened before: conversations of a lane, messages of a channel."""

    where: str
    number: int
    since: datetime
    more: bool


class Requests(NamedTuple):
    """Campaign requests that came to nothing."""

    number: int
    ids: list[str]


class Paused(NamedTuple):
    """A campaign that somebody has paused, and how many conversations it holds up."""

    campaign_id: UUID
    campaign: str
    number: int


class Partition(NamedTuple):
    """A partition for rows of every time that has no other."""

    name: str
    bytes: int


class Transaction(NamedTuple):
    """One that holds back vacuum; `who` is a process id, or the name of a prepared one."""

    who: str
    since: datetime


# An error names its conversation, which must not keep alike ones apart, and may go on with what to do.
_FIND_FAILING = text("""
    SELECT c.campaign_id, g.name, c.status = 'failed',
           coalesce(split_part(replace(c.last_error, CAST(c.id AS text), '…'), E'\\n', 1), ''), count(*),
           (array_agg(CAST(c.id AS text) ORDER BY c.id))[1 : 3], bool_or(c.place = :most)
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN LATERAL (
           SELECT id, campaign_id, status, last_error, row_number() OVER () AS place
             FROM campaign_engine.conversations
            WHERE bucket = b.bucket AND attempts > 0 AND status IN ('active', 'paused', 'failed')
              AND campaign_id NOT IN (SELECT id FROM campaign_engine.campaigns
                                       WHERE ends_at <= :now OR status IN ('cancelled', 'failed'))
            LIMIT :most) AS c
      JOIN campaign_engine.campaigns g ON g.id = c.campaign_id
     GROUP BY 1, 2, 3, 4
     ORDER BY 3 DESC, 5 DESC, 1
""")

_FIND_FAILED_MESSAGES = text("""
    SELECT o.channel, coalesce(o.last_error, ''), count(*), bool_or(o.place = :most)
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN LATERAL (
           SELECT channel, last_error, row_number() OVER () AS place
             FROM campaign_engine.outbox
            WHERE bucket = b.bucket AND status = 'failed' AND not_before >= :since
            LIMIT :most) AS o
     GROUP BY 1, 2
     ORDER BY 3 DESC, 1, 2
""")

_FIND_OVERDUE = text("""
    SELECT CAST(l.lane AS text), count(*), min(c.due_at), bool_or(c.place = :most)
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN unnest(CAST(:lanes AS smallint[])) AS l(lane)
     CROSS JOIN LATERAL (
           SELECT due_at, row_number() OVER (ORDER BY due_at) AS place
             FROM campaign_engine.conversations
            WHERE bucket = b.bucket AND lane = l.lane AND due_at <= :late
            ORDER BY due_at LIMIT :most) AS c
     GROUP BY l.lane
     ORDER BY l.lane
""")

# Those of paused campaigns wait for their campaign.
_FIND_UNSENT = text("""
    SELECT o.channel, count(*), min(o.not_before), bool_or(o.place = :most)
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN LATERAL (
           SELECT channel, not_before, row_number() OVER (ORDER BY not_before) AS place
             FROM campaign_engine.outbox
            WHERE bucket = b.bucket AND status IN ('ready', 'leased') AND not_before <= :late
              AND (status = 'ready' OR lease_until <= :late)
              AND campaign_id NOT IN (SELECT id FROM campaign_engine.campaigns WHERE status = 'paused')
            ORDER BY not_before LIMIT :most) AS o
     GROUP BY o.channel
     ORDER BY o.channel
""")

_COUNT_UNMATCHED = text("""
    SELECT '', count(*), min(r.received_at), coalesce(bool_or(r.place = :most), false)
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN LATERAL (
           SELECT received_at, row_number() OVER () AS place
             FROM campaign_engine.responses
            WHERE bucket = b.bucket AND status = 'unmatched' AND received_at >= :since
            LIMIT :most) AS r
""")

_FIND_FAILED_REQUESTS = text("""
    SELECT count(*), coalesce((array_agg(CAST(id AS text) ORDER BY created_at DESC))[1 : 3], '{}')
      FROM campaign_engine.campaign_requests WHERE status = 'failed'
""")

_FIND_PAUSED = text("""
    SELECT g.id, g.name, CAST(coalesce(sum(c.count), 0) AS bigint)
      FROM campaign_engine.campaigns g
     CROSS JOIN unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN LATERAL (
           SELECT sum(CASE metric WHEN 'enrolled' THEN count ELSE -count END) AS count
             FROM campaign_engine.metric_counts
            WHERE bucket = b.bucket AND campaign_id = g.id AND metric IN ('enrolled', 'finished')) AS c
     WHERE g.status = 'paused'
     GROUP BY g.id, g.name
     ORDER BY g.id
""")

_COUNT_DELTAS = text("""
    SELECT count(*) FROM (SELECT FROM campaign_engine.metric_deltas LIMIT :most) AS counted
""")

_FIND_DEFAULT_PARTITIONS = text("""
    SELECT CAST(relname AS text), pg_table_size(oid)
      FROM pg_class
     WHERE relispartition AND relnamespace = to_regnamespace('campaign_engine')
       AND pg_get_expr(relpartbound, oid) = 'DEFAULT'
     ORDER BY relname
""")

# Of others' connections a user without pg_read_all_stats is shown no start.
_FIND_TRANSACTIONS = text("""
    SELECT CAST(pid AS text), xact_start FROM pg_stat_activity
     WHERE datname = current_database() AND xact_start < :before AND backend_type = 'client backend'
     UNION ALL
    SELECT gid, prepared FROM pg_prepared_xacts WHERE database = current_database() AND prepared < :before
     ORDER BY 2
""")

# Rows in a bucket that is none are visited by nobody. What lies between two buckets is looked for, not what is in them.
_FIND_STRANGE = text("""
    WITH gap AS (SELECT low, high FROM unnest(CAST(:lows AS smallint[]), CAST(:highs AS smallint[])) AS g(low, high))
    SELECT 'conversations, bucket ' || c.bucket FROM gap CROSS JOIN LATERAL (
           SELECT bucket FROM campaign_engine.conversations WHERE bucket > gap.low AND bucket < gap.high LIMIT 1) AS c
     UNION ALL
    SELECT 'recipients, bucket ' || r.bucket FROM gap CROSS JOIN LATERAL (
           SELECT bucket FROM campaign_engine.recipients WHERE bucket > gap.low AND bucket < gap.high LIMIT 1) AS r
     ORDER BY 1
""")


class DiagnosisRepository:
    """Looking for what is wrong, over one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find_failing(self, now: datetime) -> list[Failing]:
        """Unfinished and parked conversations whose last attempts failed, alike ones together, parked ones first.

        Those of campaigns that are over are left out: nothing can be done for them any more.
        """
        return [Failing(*row) for row in await self._find(_FIND_FAILING, now=now)]

    async def find_failed_messages(self, since: datetime) -> list[Failed]:
        """Messages given up whose last try was due after `since`."""
        return [Failed(*row) for row in await self._find(_FIND_FAILED_MESSAGES, since=since)]

    async def find_circuits(self) -> list[Circuit]:
        """Channels whose circuit is open or half open."""
        columns = (channel_state.c[name] for name in Circuit._fields)
        statement = select(*columns).where(channel_state.c.status != "closed").order_by(channel_state.c.channel)
        return [Circuit(*row) for row in await self._connection.execute(statement)]

    async def find_members(self) -> list[Member]:
        """The processes that say they are at work."""
        columns = (members.c[name] for name in Member._fields)
        return [Member(*row) for row in await self._connection.execute(select(*columns).order_by(members.c.name))]

    async def find_overdue(self, late: datetime) -> list[Late]:
        """Conversations that were due by `late`, by lane."""
        return [Late(*row) for row in await self._find(_FIND_OVERDUE, late=late, lanes=list(LANES))]

    async def find_unsent(self, late: datetime) -> list[Late]:
        """Messages that could have left by `late`, by channel."""
        return [Late(*row) for row in await self._find(_FIND_UNSENT, late=late)]

    async def find_unmatched(self, since: datetime) -> Late:
        """Responses received after `since` that fit no conversation."""
        [row] = await self._find(_COUNT_UNMATCHED, since=since)
        return Late(*row)

    async def find_failed_requests(self) -> Requests:
        return Requests(*(await self._connection.execute(_FIND_FAILED_REQUESTS)).one())

    async def find_paused(self) -> list[Paused]:
        return [Paused(*row) for row in await self._find(_FIND_PAUSED)]

    async def count_deltas(self) -> int:
        """Deltas not compacted, at most one more than MOST_DELTAS."""
        counted: int = (await self._connection.execute(_COUNT_DELTAS, {"most": MOST_DELTAS + 1})).scalar_one()
        return counted

    async def find_default_partitions(self) -> list[Partition]:
        return [Partition(*row) for row in await self._connection.execute(_FIND_DEFAULT_PARTITIONS)]

    async def find_transactions(self, before: datetime) -> list[Transaction]:
        """Transactions of this database that began before then, as far as the user may see them."""
        return [Transaction(*row) for row in await self._connection.execute(_FIND_TRANSACTIONS, {"before": before})]

    async def find_strange_rows(self) -> list[str]:
        """Where rows lie in a bucket that is none: table and bucket, one for each gap between buckets."""
        known = sorted(BUCKETS)
        gaps = {"lows": [-1, *known], "highs": [*known, 2**15 - 1]}
        return list(await self._connection.scalars(_FIND_STRANGE, gaps))

    async def _find(self, statement: Any, **given: object) -> list[Any]:
        return list(await self._connection.execute(statement, {"buckets": list(BUCKETS), "most": MOST} | given))
