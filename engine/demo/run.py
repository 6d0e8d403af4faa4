"""The demo as a whole: the embedded server, a database made anew, two campaigns, so many days, a report.

DATABASE_URL plays no part. One demo at a time uses a server; another waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from engine.application import Application, assemble, home_of
from engine.audience import open_csv
from engine.authoring.files import load_spec
from engine.campaigns import NewCampaign, create_campaign
from engine.channels.registry import Channels
from engine.clock import SimulatedClock
from engine.core.errors import RefusedError
from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres
from engine.db.invariants import find_violations
from engine.db.migrate import ROOT, upgrade
from engine.demo.people import People
from engine.demo.view import open_view, tell
from engine.demo.world import Postbox, World
from engine.enrolment import Enrolment
from engine.registry import register
from engine.settings import Settings

DATABASE = "campaign_demo"
START = datetime(2026, 3, 2, 8, tzinfo=UTC)  # a Monday; summer time begins on the way


@dataclass(frozen=True)
class Plan:
    """A campaign of the demo: `every` how many rows of the file are for it, and how long after the start it begins."""

    type: str
    name: str
    context: Mapping[str, Any] = field(default_factory=dict)
    delay: timedelta | None = None
    every: int = 1


PLANS = (
    Plan(
        "b2b_nurture",
        "Ledgerline for growing teams",
        {"product_name": "Ledgerline", "value_proposition": "the month closes in two days instead of ten"},
    ),
    Plan("support_followup", "Tickets resolved this week", delay=timedelta(days=2), every=3),
)


@dataclass(frozen=True)
class Report:
    """What a run came to. `campaigns` are metrics as the manager gives them, `mail` the files with what was sent."""

    days: int
    seconds: float
    recipients: int
    rejected: int
    received: int
    repeated: int
    campaigns: list[dict[str, Any]]
    dsn: str
    mail: list[Path]
    violations: list[str]


def run(settings: Settings, recipients: Path | None, days: int, seed: int) -> Report:
    """Simulate so many days. Blocks; raises CampaignError."""
    started = monotonic()
    path = recipients or _in_checkout("examples", "recipients.csv")
    for plan in PLANS:
        _in_checkout("campaign_types", f"{plan.type}.yaml")
    people = People(seed, _zones(path))
    settings = settings.model_copy(update={"database_url": "", "campaign_metrics_ttl": 0})
    server = EmbeddedPostgres(settings.campaign_home)
    with server, server.lock("demo", on_wait=lambda: tell("Another demo is running; this one starts when it ends.")):
        # Whatever a power cut takes from this database, the next run makes anew; so commits need not wait for the disk.
        server.recreate_database(DATABASE, {"synchronous_commit": "off"})
        with server.lock("migrate"):
            upgrade(server.url(DATABASE))
        return asyncio.run(_simulate(server.url(DATABASE), settings, path, people, days, started))


def _in_checkout(*parts: str) -> Path:
    path = ROOT.joinpath(*parts)
    if not path.is_file():
        raise RefusedError(f"the demo needs {path}", hint="Run it from a checkout, with ./dev demo.")
    return path


def _zones(path: Path) -> dict[str, str]:
    """The time zone of each key in the file that has one."""
    with open_csv(path) as audience:
        if "timezone" not in audience.columns:
            return {}
        key, zone = audience.columns.index("key"), audience.columns.index("timezone")
        return {row.cells[key].strip(): row.cells[zone].strip() for row in audience.rows if not row.problem}


async def _simulate(url: str, settings: Settings, path: Path, people: People, days: int, started: float) -> Report:
    database = Database(url, embedded=True)
    clock = SimulatedClock(START)
    mail = {name: Postbox(home_of(settings) / "demo" / f"{name}.jsonl") for name in ("email", "sms")}
    application = assemble(database, settings, clock, Channels(mail))
    try:
        ids = [await _create(application, plan, path) for plan in PLANS]
        recipients, rejected = await _enrol(application, ids, path)
        world = World(application, clock, people, mail)
        with open_view(days) as view:
            await world.live(days, ids, view)
        await application.channels.close()
        async with database.transaction() as connection:
            violations = await find_violations(connection)
        return Report(
            days=days,
            seconds=round(monotonic() - started, 1),
            recipients=recipients,
            rejected=rejected,
            received=world.received,
            repeated=world.repeated,
            campaigns=await world.metrics(ids),
            dsn=url,
            mail=[box.path for box in mail.values()],
            violations=violations,
        )
    finally:
        await database.close()


async def _create(application: Application, plan: Plan, path: Path) -> UUID:
    """The campaign of a plan, its type registered."""
    loaded = load_spec(ROOT / "campaign_types" / f"{plan.type}.yaml")
    wanted = NewCampaign(
        name=plan.name,
        type=plan.type,
        context=plan.context,
        starts_at=None if plan.delay is None else START + plan.delay,
        audience={"file": str(path)},
    )
    async with application.database.transaction() as connection:
        await register(connection, loaded)
        return await create_campaign(connection, application.clock, application.registry, wanted)


async def _enrol(application: Application, ids: list[UUID], path: Path) -> tuple[int, int]:
    """Enrol the file into each campaign; how many recipients went in and how many rows did not, at most."""
    enrolment = Enrolment(application.database, application.clock, application.registry)
    home = home_of(application.settings)
    reports = []
    with open_csv(path) as audience:
        people = [dict(zip(audience.columns, row.cells)) for row in audience.rows if not row.problem]
    for id, plan in zip(ids, PLANS):
        reports.append(await enrolment.enrol_recipients(id, people[::plan.every]))
    if not all(report.enrolled for report in reports):
        reasons = "\n".join(f"  line {line}: {reason}" for line, reason in reports[0].problems[:3])
        raise RefusedError(
            f"nobody in {path} can be enrolled{':' if reasons else ''}\n{reasons}".rstrip(),
            hint="The demo needs the columns of examples/recipients.csv.",
        )
    return max(report.enrolled for report in reports), max(report.rejected for report in reports)
