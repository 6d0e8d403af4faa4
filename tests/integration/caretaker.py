"""A house whose partitions come and go, for the tests of upkeep."""

from __future__ import annotations

from datetime import timedelta

from engine.db.database import Database
from engine.db.partitions import Partition, PartitionRepository, Span
from engine.upkeep import Upkeep, UpkeepReport
from tests.integration.builders import House, talk

WEEK = timedelta(days=7)
LIMITED = talk(("channel: email", "channel: email\nlimits: {per_recipient: 9 per 30d}"))


class Caretaker:
    """A house whose partitions span a week, with all of its time in one place."""

    def __init__(self, database: Database) -> None:
        self.house = House(database, partition_days=7, partitions_ahead=2)

    async def maintain(self, keep_days: int | None = None, *, wait: float = 5.0, dry_run: bool = False) -> UpkeepReport:
        app = self.house.app
        upkeep = Upkeep(app.database, app.settings, app.clock)
        return await upkeep.maintain(keep_days=keep_days, wait=wait, dry_run=dry_run)

    async def partitions(self) -> list[Partition]:
        async with self.house.database.transaction() as connection:
            return await PartitionRepository(connection).find_partitions()

    async def homes(self, table: str) -> list[tuple[str, int]]:
        """In which partitions of a table there are how many rows."""
        return await self.house.sql(f"""
            SELECT CAST(CAST(tableoid AS regclass) AS text), count(*) FROM campaign_engine.{table} GROUP BY 1 ORDER BY 1
        """)  # noqa: S608

    async def finish(self, campaign: str) -> None:
        """Everybody says stop; what is left to send is cancelled."""
        for (key,) in await self.house.sql("SELECT key FROM campaign_engine.recipients"):
            await self.house.reply(campaign, "stop", key)
        await self.house.run()


def weeks(report_spans: list[Span]) -> list[str]:
    return [str(span.lower.date()) for span in report_spans]
