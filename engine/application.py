"""The parts, put together: which database, which clock, which channels.

Without DATABASE_URL the embedded server is started and its database brought to the newest schema. A database that
is given is never migrated behind its owner's back: an older schema is refused with the command that upgrades it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.channels.registry import Channels, channels_from
from engine.clock import Clock, DatabaseClock, SimulatedClock
from engine.core.errors import RefusedError
from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres
from engine.db.embedded_files import default_home
from engine.db.fitness import Rights
from engine.inbox import Inbox
from engine.manager import CampaignManager
from engine.poller import Poller
from engine.registry import TypeRegistry
from engine.settings import Settings
from engine.startup import expect_fit
from engine.tick import Tick
from engine.worker import Worker

EMBEDDED_DATABASE = "campaign"


@dataclass(frozen=True)
class Application:
    """One process's view of the engine. All parts share the database, the clock and the compiled types."""

    settings: Settings
    database: Database
    clock: Clock
    registry: TypeRegistry
    channels: Channels
    tick: Tick
    worker: Worker
    inbox: Inbox
    poller: Poller
    manager: CampaignManager


@contextmanager
def database_url(settings: Settings, name: str = EMBEDDED_DATABASE) -> Iterator[str]:
    """The URL to use, with the embedded server up and migrated while it is needed. Blocks."""
    if settings.database_url:
        yield settings.database_url
        return
    from engine.db.migrate import upgrade  # alembic is slow to load, and a database that is given has no use for it

    with EmbeddedPostgres(settings.campaign_home) as server:
        with server.lock("migrate"):
            server.ensure_database(name)
            upgrade(server.url(name))
        yield server.url(name)


@asynccontextmanager
async def open_application(
    url: str, settings: Settings, now: datetime | None = None, rights: Rights | None = "app"
) -> AsyncIterator[Application]:
    """The engine on the database at `url`; `now` stops its clock there.

    Raises RefusedError for a stopped clock on a database that is not embedded, unless time travel is allowed, and
    RepositoryError for a database that does not fit or does not give the user the `rights`; None asks for nothing.
    """
    embedded = not settings.database_url
    if now is not None and not embedded and not settings.campaign_allow_time_travel:
        raise RefusedError(
            "--now is refused on a database that is not the embedded one",
            hint="It is for tests and drills. If this is one, set CAMPAIGN_ALLOW_TIME_TRAVEL=1.",
        )
    clock: Clock = SimulatedClock(now) if now is not None else DatabaseClock()
    database = Database(url, embedded=embedded, statement_timeout=settings.statement_timeout_seconds)
    channels = channels_from(settings, embedded=embedded, home=home_of(settings))
    try:
        if rights is not None:
            await expect_fit(database, rights)
        yield assemble(database, settings, clock, channels)
    finally:
        await channels.close()
        await database.close()


def assemble(database: Database, settings: Settings, clock: Clock, channels: Channels) -> Application:
    """The parts over one database, clock and set of channels."""
    registry = TypeRegistry(settings.stage_delay_factor)
    tick = Tick(database, settings, clock, registry)
    return Application(
        settings=settings,
        database=database,
        clock=clock,
        registry=registry,
        channels=channels,
        tick=tick,
        worker=Worker(database, settings, clock, channels, registry),
        inbox=Inbox(database, clock),
        poller=Poller(database, settings, clock, registry, tick.end_campaign),
        manager=CampaignManager(database, settings, clock, registry),
    )


def home_of(settings: Settings) -> Path:
    """The folder of the embedded server."""
    return settings.campaign_home or default_home()
