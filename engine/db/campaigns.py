"""The rarely written tables: campaign types, campaigns and the requests for campaigns.

Statements only; who calls decides what makes sense. A campaign or type that does not exist is an `UnknownError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.core.errors import UnknownError
from engine.db.database import Answer, driver_of
from engine.db.tables import campaign_requests, campaign_types, campaigns

LIVE = ("draft", "scheduled", "active", "paused")


class TypeRow(NamedTuple):
    """One registered version; `spec` validates to the CampaignTypeSpec."""

    name: str
    version: int
    title: str | None
    content_hash: str
    spec: dict[str, Any]
    source: str
    registered_at: datetime


class CampaignRow(NamedTuple):
    """One campaign. `lanes` has one lane for each priority: high, normal, low."""

    id: UUID
    name: str
    campaign_type: str
    version: int
    status: str
    priority: str
    lanes: list[int]
    timezone: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    context: dict[str, Any]
    audience: dict[str, Any]


class CampaignState(NamedTuple):
    """What the hot paths must know of a campaign, without its context and audience."""

    id: UUID
    name: str
    campaign_type: str
    status: str
    ends_at: datetime | None


class RequestRow(NamedTuple):
    """A request for a campaign; `campaign_id` is known once the campaign is made."""

    id: UUID
    payload: Any
    campaign_id: UUID | None


_ASK_STATES = """
    SELECT id, name, campaign_type, status, ends_at FROM campaign_engine.campaigns WHERE id = ANY(%(ids)s::uuid[])
"""

# Enrolled conversations of the campaigns that have not ended, by the lanes they were given. A campaign counts in
# each of its three lanes, since its type's priority guards may put conversations into any of them.
_COUNT_LANES = text("""
    SELECT lane, count(*) AS campaigns, CAST(coalesce(sum(enrolled.count), 0) AS bigint) AS conversations
    FROM campaign_engine.campaigns AS campaign
    CROSS JOIN LATERAL unnest(campaign.lanes) AS lane
    LEFT JOIN (
        SELECT campaign_id, sum(count) AS count
        FROM campaign_engine.metric_counts
        WHERE metric = 'enrolled'
        GROUP BY campaign_id
    ) AS enrolled ON enrolled.campaign_id = campaign.id
    WHERE campaign.status = ANY(:live)
    GROUP BY lane
""")

# The sums are exact at every moment. A campaign whose request is still being worked off may be half enrolled.
_FIND_FINISHED = text("""
    SELECT campaign.id
    FROM campaign_engine.campaigns AS campaign
    JOIN (
        SELECT campaign_id,
               sum(count) FILTER (WHERE metric = 'enrolled') AS enrolled,
               sum(count) FILTER (WHERE metric = 'finished') AS finished
        FROM campaign_engine.metric_counts
        WHERE metric IN ('enrolled', 'finished')
        GROUP BY campaign_id
    ) AS counted ON counted.campaign_id = campaign.id
    WHERE campaign.status = 'active'
      AND counted.enrolled > 0
      AND counted.enrolled = counted.finished
      AND NOT EXISTS (
          SELECT FROM campaign_engine.campaign_requests AS request
          WHERE request.campaign_id = campaign.id AND request.status IN ('new', 'taken')
      )
""")

# A request taken before :stale was left behind by a poller that died, or takes very long; enrolling is idempotent.
_LEASE_REQUEST = text("""
    UPDATE campaign_engine.campaign_requests AS request
    SET status = 'taken', processed_at = :now
    FROM (
        SELECT id
        FROM campaign_engine.campaign_requests
        WHERE status = 'new' OR (status = 'taken' AND processed_at < :stale)
        ORDER BY created_at, id
        LIMIT 1
        FOR UPDATE SKIP LOCKED
    ) AS next
    WHERE request.id = next.id
    RETURNING request.id, request.payload, request.campaign_id
""")


class CampaignRepository:
    """Campaign types, campaigns and requests over one connection; commits nothing."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    # ---- campaign types ----------------------------------------------------------------------------------------

    async def insert_type(self, row: TypeRow) -> bool:
        """Keep a version; False when there is one of this name and version, which stays as it is."""
        statement = upsert(campaign_types).values(row._asdict()).on_conflict_do_nothing()
        inserted = await self.connection.execute(statement.returning(campaign_types.c.name))
        return inserted.first() is not None

    async def find_type(self, name: str, version: int) -> TypeRow | None:
        given = (campaign_types.c.name == name, campaign_types.c.version == version)
        found = await self.connection.execute(_select(campaign_types, TypeRow).where(*given))
        return TypeRow(*row) if (row := found.one_or_none()) else None

    async def find_versions(self) -> dict[str, list[int]]:
        """The registered versions of every type, in order."""
        columns = (campaign_types.c.name, campaign_types.c.version)
        versions: dict[str, list[int]] = {}
        for name, version in await self.connection.execute(select(*columns).order_by(*columns)):
            versions.setdefault(name, []).append(version)
        return versions

    # ---- campaigns ---------------------------------------------------------------------------------------------

    async def insert_campaign(self, row: CampaignRow) -> None:
        await self.connection.execute(insert(campaigns).values(row._asdict()))

    async def find_campaign(self, campaign_id: UUID | str) -> CampaignRow:
        """The campaign. Raises UnknownError, also for what cannot be an id."""
        known = as_uuid(campaign_id)
        found = await self.find_campaigns([known]) if known else []
        if not found:
            raise _unknown(campaign_id)
        return found[0]

    async def find_campaigns(self, ids: Sequence[UUID] | None = None) -> list[CampaignRow]:
        """The campaigns of `ids` that exist, or all, the newest first."""
        statement = _select(campaigns, CampaignRow).order_by(campaigns.c.created_at.desc(), campaigns.c.id.desc())
        if ids is not None:
            statement = statement.where(campaigns.c.id.in_(ids))
        return [CampaignRow(*row) for row in await self.connection.execute(statement)]

    async def find_states(self, ids: Sequence[UUID]) -> list[CampaignState]:
        """Where the campaigns of `ids` stand."""
        statement = _select(campaigns, CampaignState).where(campaigns.c.id.in_(ids))
        return [CampaignState(*row) for row in await self.connection.execute(statement)]

    async def ask_states(self, ids: Iterable[str]) -> Answer[CampaignState]:
        """Where the campaigns of `ids` stand, by the driver: in a pipeline it is told at the end."""
        driver = await driver_of(self.connection)
        return Answer(await driver.execute(_ASK_STATES, {"ids": list(ids)}, binary=True), CampaignState)

    async def find_state(self, campaign_id: UUID | str) -> CampaignState:
        """Where a campaign stands. Raises UnknownError, also for what cannot be an id."""
        known = as_uuid(campaign_id)
        found = await self.find_states([known]) if known else []
        if not found:
            raise _unknown(campaign_id)
        return found[0]

    async def lock_state(self, campaign_id: UUID | str, *, alone: bool = False) -> CampaignState:
        """Where a campaign stands until the commit: who wants to pause or resume it waits, with `alone` anybody here.

        Raises UnknownError.
        """
        statement = _select(campaigns, CampaignState).where(campaigns.c.id == as_uuid(campaign_id))
        statement = statement.with_for_update(read=not alone, key_share=alone)
        found = (await self.connection.execute(statement)).one_or_none()
        if found is None:
            raise _unknown(campaign_id)
        return CampaignState(*found)

    async def find_live_ids(self) -> list[UUID]:
        """The campaigns that have not ended."""
        return list(await self.connection.scalars(select(campaigns.c.id).where(campaigns.c.status.in_(LIVE))))

    async def mark_campaign(
        self, campaign_id: UUID, status: str, *, was: Sequence[str], ended_at: datetime | None = None
    ) -> bool:
        """Give the campaign a status if it has one of `was`; whether it did. Locks the campaign to the commit."""
        changes: dict[str, Any] = {"status": status} | ({"ended_at": ended_at} if ended_at else {})
        statement = update(campaigns).where(campaigns.c.id == campaign_id, campaigns.c.status.in_(was))
        return (await self.connection.execute(statement.values(changes))).rowcount == 1

    async def mark_started(self, now: datetime) -> list[UUID]:
        """Make the scheduled campaigns active whose time has come; which they are."""
        due = (campaigns.c.status == "scheduled", func.coalesce(campaigns.c.starts_at, now) <= now)
        statement = update(campaigns).where(*due).values(status="active").returning(campaigns.c.id)
        return list(await self.connection.scalars(statement))

    async def find_ended(self, now: datetime) -> list[UUID]:
        """The campaigns that still run though their end has come."""
        late = (campaigns.c.status.in_(LIVE), campaigns.c.ends_at <= now)
        return list(await self.connection.scalars(select(campaigns.c.id).where(*late)))

    async def find_finished(self) -> list[UUID]:
        """The active campaigns that enrolled somebody and whose conversations have all come to an end."""
        return list(await self.connection.scalars(_FIND_FINISHED))

    async def count_lanes(self) -> dict[int, tuple[int, int]]:
        """For every lane in use: how many conversations and live campaigns it carries."""
        found = await self.connection.execute(_COUNT_LANES, {"live": list(LIVE)})
        return {row.lane: (row.conversations, row.campaigns) for row in found}

    # ---- requests ----------------------------------------------------------------------------------------------

    async def insert_request(self, payload: Mapping[str, Any]) -> UUID:
        statement = insert(campaign_requests).values(payload=payload).returning(campaign_requests.c.id)
        made: UUID = (await self.connection.execute(statement)).scalar_one()
        return made

    async def lease_request(self, now: datetime, stale: datetime) -> RequestRow | None:
        """The oldest request nobody works on, now taken until `stale` passes `now`; None when there is none."""
        found = await self.connection.execute(_LEASE_REQUEST, {"now": now, "stale": stale})
        return RequestRow(*row) if (row := found.one_or_none()) else None

    async def mark_request(
        self, request_id: UUID, status: str, now: datetime, *, campaign_id: UUID | None = None, error: str | None = None
    ) -> None:
        changes = {"status": status, "processed_at": now, "error": error}
        if campaign_id is not None:
            changes["campaign_id"] = campaign_id
        statement = update(campaign_requests).where(campaign_requests.c.id == request_id)
        await self.connection.execute(statement.values(changes))


def as_uuid(text_id: UUID | str) -> UUID | None:
    """The id as a UUID; None when it cannot be one.

    >>> as_uuid("12345678-1234-5678-1234-567812345678")
    UUID('12345678-1234-5678-1234-567812345678')
    >>> as_uuid("nonsense") is None
    True
    """
    try:
        return text_id if isinstance(text_id, UUID) else UUID(text_id)
    except ValueError:
        return None


def _unknown(campaign_id: UUID | str) -> UnknownError:
    return UnknownError(f"unknown campaign {campaign_id}", hint="See the campaigns with: campaign list")


def _select(table: Table, row: type[NamedTuple]) -> Any:
    return select(*(table.c[name] for name in row._fields))
