"""The demo as a whole: the embedded server, a database made anew, two campaigns, so many days, and what came of it.

DATABASE_URL plays no part. One demo at a time uses a server; another waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from engine.application import Application, assemble, home_of
from engine.audience import open_csv
from engine.authoring.files import load_spec
from engine.authoring.simulation.people import People
from engine.authoring.simulation.people_file import load_people, people_file_beside
from engine.campaigns import NewCampaign, create_campaign
from engine.channels.registry import Channels
from engine.clock import SimulatedClock
from engine.core.errors import RefusedError
from engine.core.loader import LoadedType
from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres
from engine.db.invariants import find_violations
from engine.db.migrate import ROOT, upgrade
from engine.demo.people import Crowd, Home
from engine.demo.view import open_view, tell
from engine.demo.world import Postbox, World
from engine.enrolment import Enrolment, EnrolmentReport
from engine.registry import register
from engine.settings import Settings

DATABASE = "campaign_demo"
START = datetime(2026, 3, 2, 6, tzinfo=UTC)  # a Monday; summer time begins on the way
RECIPIENTS = ROOT / "examples" / "recipients.csv"
Recipient = Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """A campaign of the demo. It is for each `every`-th recipient and begins `delay` after the first instant."""

    type: str
    name: str
    every: int = 1
    delay: timedelta = timedelta(0)
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return ROOT / "campaign_types" / f"{self.type}.yaml"


LEDGERLINE = {"product_name": "Ledgerline", "value_proposition": "the month closes in two days instead of ten"}
PLANS = (
    Plan("b2b_nurture", "Ledgerline for growing teams", context=LEDGERLINE),
    Plan("support_followup", "Tickets resolved this week", every=3, delay=timedelta(days=2)),
)


@dataclass(frozen=True)
class Report:
    """What a run came to. `campaigns` are metrics as the manager gives them, `mail` the files with all messages."""

    days: int
    seconds: float
    recipients: int
    rejected: int
    received: int
    repeated: int
    campaigns: list[dict[str, Any]]
    url: str
    mail: list[Path]
    violations: list[str]


def run(settings: Settings, recipients: Path | None, days: int, seed: int) -> Report:
    """Simulate so many days. Blocks; raises CampaignError."""
    started = monotonic()
    audience, unreadable = _read(recipients or RECIPIENTS)
    types = [_load(plan) for plan in PLANS]
    crowd = Crowd(seed, [_people(plan, loaded) for plan, loaded in zip(PLANS, types, strict=True)], _homes(audience))
    settings = settings.model_copy(update={"database_url": "", "campaign_metrics_ttl": 0})
    server = EmbeddedPostgres(settings.campaign_home)
    with server, server.lock("demo", on_wait=lambda: tell("Another demo is running; this one starts when it ends.")):
        tell(f"{len(audience):,} people, {len(PLANS)} campaigns, {days} days, in a database made for them")
        # What a power cut takes from this database the next run makes anew, so commits need not wait for the disk.
        server.recreate_database(DATABASE, {"synchronous_commit": "off"})
        with server.lock("migrate"):
            upgrade(server.url(DATABASE))
        report = asyncio.run(_simulate(server.url(DATABASE), settings, types, audience, crowd, days))
    return replace(report, seconds=round(monotonic() - started, 1), rejected=report.rejected + unreadable)


def _read(path: Path) -> tuple[list[Recipient], int]:
    """The rows of a CSV file, and how many are none."""
    with open_csv(path) as audience:
        rows = list(audience.rows)
        good: list[Recipient] = [dict(zip(audience.columns, it.cells, strict=True)) for it in rows if not it.problem]
    return good, len(rows) - len(good)


def _load(plan: Plan) -> LoadedType:
    if not plan.path.is_file():
        raise RefusedError(f"the demo needs {plan.path}", hint="Run it from a checkout, with ./dev demo.")
    return load_spec(plan.path)


def _people(plan: Plan, loaded: LoadedType) -> People:
    """What the people file beside the campaign type says of those who get its messages."""
    file = people_file_beside(plan.path)
    if file is None:
        raise RefusedError(f"the demo needs a people file beside {plan.path}", hint="Run it from a checkout.")
    return load_people(file, loaded.spec)


def _homes(audience: list[Recipient]) -> dict[str, Home]:
    return {
        each["key"].strip(): Home(each.get("timezone", "").strip() or "UTC", each.get("locale", "").strip() or "en")
        for each in audience
    }


async def _simulate(
    url: str, settings: Settings, types: list[LoadedType], audience: list[Recipient], crowd: Crowd, days: int
) -> Report:
    database = Database(url, embedded=True)
    clock = SimulatedClock(START)
    mail = {name: Postbox(home_of(settings) / "demo" / f"{name}.jsonl") for name in ("email", "sms")}
    application = assemble(database, settings, clock, Channels(mail))
    try:
        ids = [await _create(application, plan, loaded) for plan, loaded in zip(PLANS, types, strict=True)]
        enrolled = await _enrol(application, ids, audience)
        world = World(application, clock, crowd, mail)
        with open_view(days) as view:
            await world.live(days, ids, view)
        await application.channels.close()
        async with database.transaction() as connection:
            violations = await find_violations(connection)
        return Report(
            days=days,
            seconds=0,
            recipients=enrolled.enrolled,
            rejected=enrolled.rejected,
            received=world.received,
            repeated=world.repeated,
            campaigns=await world.metrics(ids),
            url=url,
            mail=[postbox.path for postbox in mail.values()],
            violations=violations,
        )
    finally:
        await database.close()


async def _create(application: Application, plan: Plan, loaded: LoadedType) -> UUID:
    """The campaign of a plan, its type registered."""
    starts_at = START + plan.delay
    wanted = NewCampaign(name=plan.name, type=plan.type, context=plan.context, starts_at=starts_at)
    async with application.database.transaction() as connection:
        await register(connection, loaded)
        return await create_campaign(connection, application.clock, application.registry, wanted)


async def _enrol(application: Application, ids: list[UUID], audience: list[Recipient]) -> EnrolmentReport:
    """Enrol everybody where the plans want them. Raises RefusedError when a campaign stays empty."""
    enrolment = Enrolment(application.database, application.clock, application.registry)
    reports = []
    for id, plan in zip(ids, PLANS, strict=True):
        report = await enrolment.enrol_recipients(id, audience[:: plan.every])
        if not report.enrolled:
            reasons = "".join(f"\n  row {row}: {reason}" for row, reason in report.problems[:3])
            hint = "The demo needs the columns of examples/recipients.csv."
            raise RefusedError(f"nobody can be enrolled into {plan.type}{reasons}", hint=hint)
        reports.append(report)
    return reports[0]
