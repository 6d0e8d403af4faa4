"""The exact counters: deltas appended by whoever counts, folded into rollups now and then.

A delta is an insert, so counting never waits for anybody. What is true at any moment is the sum of deltas and
rollups (the view `campaign_engine.metric_counts`, the ground of every reporting view): a compaction moves counts
from one to the other in one statement, so no reader sees them twice or not at all. What each metric means stands
above `metric_deltas` in `engine.db.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS

Metric = Literal[
    "enrolled", "entered", "stayed", "finished", "queued", "sent", "failed", "cancelled",
    "received", "responded", "engaged",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Delta:
    """`count` more of one thing on `day` (UTC). A missing stage, target or label is stored as ''."""

    campaign_id: UUID
    day: date
    metric: Metric
    stage: str | None = None
    target: str | None = None
    label: str | None = None
    count: int = 1
    duration_us: int = 0


@dataclass(frozen=True, slots=True)
class Total:
    """All that was counted of one thing, over every day."""

    metric: str
    stage: str
    target: str
    label: str
    count: int
    duration_us: int


INSERT_DELTAS = text("""
    INSERT INTO campaign_engine.metric_deltas
        (bucket, campaign_id, day, metric, stage, target, label, count, duration_us)
    SELECT CAST(:bucket AS smallint), campaign_id, day, metric,
           coalesce(stage, ''), coalesce(target, ''), coalesce(label, ''), sum(count), sum(duration_us)
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS delta (
        campaign_id uuid, day date, metric text, stage text, target text, label text,
        count bigint, duration_us bigint
    )
    GROUP BY 2, 3, 4, 5, 6, 7
""")

# Rows are picked by their locks, never by a range of ids: an id drawn early may commit late, and a range
# would miss it. Deltas are never updated, so what DELETE returns is what was locked. Rollups are upserted in the
# order of their key, so two compactions of one bucket wait for each other instead of deadlocking.
COMPACT_DELTAS = text("""
    WITH picked AS MATERIALIZED (
        SELECT id
        FROM campaign_engine.metric_deltas
        WHERE bucket = :bucket
        ORDER BY id
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM campaign_engine.metric_deltas AS delta
        WHERE delta.bucket = :bucket AND delta.id = ANY (ARRAY(SELECT id FROM picked))
        RETURNING delta.*
    ), folded AS (
        INSERT INTO campaign_engine.metric_rollups AS rollup
            (bucket, campaign_id, day, metric, stage, target, label, count, duration_us)
        SELECT CAST(:bucket AS smallint), campaign_id, day, metric, stage, target, label,
               sum(count), sum(duration_us)
        FROM taken
        GROUP BY 2, 3, 4, 5, 6, 7
        ORDER BY 2, 3, 4, 5, 6, 7
        ON CONFLICT (bucket, campaign_id, day, metric, stage, target, label) DO UPDATE
        SET count = rollup.count + excluded.count, duration_us = rollup.duration_us + excluded.duration_us
    )
    SELECT count(*) FROM taken
""")

# One short index scan a bucket; counting would read every delta, and so would a probe without its ORDER BY.
FIND_BUCKETS_WITH_DELTAS = text("""
    SELECT known.bucket
    FROM unnest(CAST(:buckets AS smallint[])) AS known (bucket)
    CROSS JOIN LATERAL (
        SELECT FROM campaign_engine.metric_deltas AS delta
        WHERE delta.bucket = known.bucket
        ORDER BY delta.id
        OFFSET :others LIMIT 1
    ) AS found
""")

FIND_CAMPAIGN_METRICS = text("""
    SELECT metric, stage, target, label,
           CAST(sum(count) AS bigint) AS count, CAST(sum(duration_us) AS bigint) AS duration_us
    FROM campaign_engine.metric_counts
    WHERE campaign_id = :campaign_id
    GROUP BY metric, stage, target, label
    ORDER BY metric, stage, target, label
""")


class MetricsRepository:
    """Deltas and rollups over one connection; commits nothing."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def insert_deltas(self, bucket: int, rows: Iterable[Delta]) -> None:
        """Count `rows`, those of one key as one delta."""
        if deltas := list(rows):
            json = orjson.dumps(deltas).decode()
            await self.connection.execute(INSERT_DELTAS, {"bucket": bucket, "rows": json})

    async def compact_deltas(self, bucket: int, limit: int = 10_000) -> int:
        """How many deltas of `bucket` went into the rollups: at most `limit`.

        Deltas that another transaction holds are passed over. The rollups touched stay locked to the commit, so
        commit after each call.
        """
        counted = await self.connection.scalar(COMPACT_DELTAS, {"bucket": bucket, "limit": limit})
        return int(counted or 0)

    async def find_buckets_with_deltas(self, at_least: int = 1) -> list[int]:
        """The buckets that have so many deltas to compact, or more."""
        given = {"buckets": list(BUCKETS), "others": at_least - 1}
        return list(await self.connection.scalars(FIND_BUCKETS_WITH_DELTAS, given))

    async def find_campaign_metrics(self, campaign_id: UUID) -> list[Total]:
        """The exact sums of a campaign over all days, ordered by metric, stage, target and label."""
        found = await self.connection.execute(FIND_CAMPAIGN_METRICS, {"campaign_id": campaign_id})
        return [Total(*row) for row in found]
