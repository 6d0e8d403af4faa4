"""Making a campaign: one use of a campaign type version, checked before anything is written."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.audience import as_cell
from engine.clock import Clock
from engine.core.errors import RefusedError
from engine.core.facts import fact_to_json, parse_fact
from engine.core.problems import expected_one_of
from engine.core.spec import CampaignTypeSpec
from engine.db.campaigns import CampaignRepository, CampaignRow
from engine.recipients import PRIORITIES, is_zone
from engine.registry import TypeRegistry

LANES = {"high": range(4), "normal": range(4, 12), "low": range(12, 16)}


@dataclass(frozen=True, slots=True)
class NewCampaign:
    """What somebody wants. Without a `version` it is the latest; without `starts_at` it starts at enrolment.

    `context` gives facts to all its recipients, as values or as text. `audience` is `{"file": path}`,
    `{"recipients": [{…}]}` or nothing; it is kept, and enrolled by whoever asks for that. A `draft` moves nobody until
    it is resumed, so that it cannot be over before everybody is in.
    """

    name: str
    type: str
    version: int | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: str = "normal"
    timezone: str | None = None
    audience: Mapping[str, Any] = field(default_factory=dict)
    draft: bool = False


async def create_campaign(
    connection: AsyncConnection, clock: Clock, registry: TypeRegistry, wanted: NewCampaign
) -> UUID:
    """Make the campaign; its id. Enrols nobody. Raises UnknownError or RefusedError, and has then written nothing."""
    if wanted.version is None:
        compiled = await registry.latest(connection, wanted.type)
    else:
        compiled = await registry.get(connection, wanted.type, wanted.version)
    now = await clock.now(connection)
    context = check(wanted, compiled.spec, now)
    repository = CampaignRepository(connection)
    row = CampaignRow(
        id=uuid7(now),
        name=wanted.name.strip(),
        campaign_type=compiled.name,
        version=compiled.version,
        status=_status(wanted, now),
        priority=wanted.priority,
        lanes=choose_lanes(await repository.count_lanes()),
        timezone=wanted.timezone,
        starts_at=wanted.starts_at,
        ends_at=wanted.ends_at,
        ended_at=None,
        created_at=now,
        context=context,
        audience=dict(wanted.audience),
    )
    await repository.insert_campaign(row)
    return row.id


def _status(wanted: NewCampaign, now: datetime) -> str:
    if wanted.draft:
        return "draft"
    return "scheduled" if wanted.starts_at is not None and wanted.starts_at > now else "active"


def check(wanted: NewCampaign, spec: CampaignTypeSpec, now: datetime) -> dict[str, Any]:
    """The context as JSON data, typed by the declared facts. Raises RefusedError with all that makes no sense."""
    wrong = [*_schedule(wanted, now)]
    if not wanted.name.strip() or "\0" in wanted.name:
        wrong.append("a campaign needs a name")
    if wanted.priority not in PRIORITIES:
        wrong.append(f"unknown priority {wanted.priority!r}; {expected_one_of(wanted.priority, PRIORITIES)}")
    zone = wanted.timezone or "UTC"
    if not is_zone(zone):
        wrong.append(f"unknown time zone {zone!r}; expected one such as Europe/Berlin")
        zone = "UTC"
    context = {}
    for name, value in wanted.context.items():
        if (kind := spec.facts.get(name)) is None:
            wrong.append(f"context: no fact is called {name}; {expected_one_of(name, spec.facts)}")
            continue
        try:
            if cell := as_cell(value).strip():
                context[name] = fact_to_json(parse_fact(kind, cell, zone))
        except ValueError as error:
            wrong.append(f"context: {name}: {error}")
    if wrong:
        raise RefusedError("\n".join(wrong))
    return context


def _schedule(wanted: NewCampaign, now: datetime) -> list[str]:
    starts_at, ends_at = wanted.starts_at, wanted.ends_at
    if any(each is not None and each.tzinfo is None for each in (starts_at, ends_at)):
        return ["a time without an offset; expected one such as 2026-03-31T09:00:00Z"]
    if ends_at is not None and ends_at <= now:
        return [f"the end, {ends_at.isoformat()}, has already passed; it is {now.isoformat(timespec='seconds')}"]
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        return [f"the end, {ends_at.isoformat()}, does not come after the start, {starts_at.isoformat()}"]
    return []


def choose_lanes(loads: Mapping[int, tuple[int, int]]) -> list[int]:
    """The least loaded lane of each priority. `loads` tells the conversations and campaigns of each lane in use.

    >>> choose_lanes({0: (1_000_000, 1), 1: (10, 2), 2: (10, 1), 3: (10, 1)})
    [2, 4, 12]
    """
    return [min(LANES[priority], key=lambda lane: (*loads.get(lane, (0, 0)), lane)) for priority in PRIORITIES]


def uuid7(now: datetime) -> UUID:
    """A new id that sorts by `now`, to the millisecond (RFC 9562, version 7)."""
    stamp, noise = int(now.timestamp() * 1000), secrets.randbits(74)
    return UUID(int=stamp << 80 | 7 << 76 | (noise >> 62) << 64 | 0b10 << 62 | noise & (1 << 62) - 1)
