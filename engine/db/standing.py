"""Where the live conversations of a campaign type's version stand: what a new version would meet. Reads only."""

from __future__ import annotations

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS, campaign_range
from engine.db.tables import campaigns

# Each campaign's part of the primary key is walked in each bucket, like a page of conversations is found.
_COUNT_STANDING = text("""
    SELECT c.stage, CAST(sum(c.conversations) AS bigint) AS conversations
      FROM unnest(CAST(:buckets AS smallint[])) AS b(bucket)
     CROSS JOIN unnest(CAST(:ids AS uuid[]), CAST(:firsts AS uuid[]), CAST(:lasts AS uuid[])) AS i(id, first, last)
     CROSS JOIN LATERAL (
           SELECT stage, count(*) AS conversations
             FROM campaign_engine.conversations
            WHERE bucket = b.bucket AND id BETWEEN i.first AND i.last AND campaign_id = i.id
              AND version = :version AND status IN ('active', 'paused') AND stage IS NOT NULL
            GROUP BY stage) AS c
     GROUP BY c.stage
     ORDER BY c.stage
""")


class StandingRepository:
    """Counting live conversations, over one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def count_standing(self, name: str, version: int) -> dict[str, int]:
        """How many live conversations of this version, active or paused, stand in each stage that has any.

        A conversation that has not entered its first stage stands nowhere yet.
        """
        ids = list(await self._connection.scalars(select(campaigns.c.id).where(campaigns.c.campaign_type == name)))
        ranges = [campaign_range(id) for id in ids]
        given = {
            "buckets": list(BUCKETS),
            "ids": ids,
            "firsts": [first for first, _ in ranges],
            "lasts": [last for _, last in ranges],
            "version": version,
        }
        found = await self._connection.execute(_COUNT_STANDING, given)
        return {row.stage: row.conversations for row in found}
