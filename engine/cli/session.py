"""An engine for a command to work with: settings read, logs set up, the database open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from engine.application import Application
    from engine.db.fitness import Rights
    from engine.settings import Settings

Result = TypeVar("Result")


def read_settings() -> Settings:
    """The settings of the environment, with logs going where they say. Raises SettingsError."""
    from engine.logs import set_up_logs
    from engine.settings import load_settings

    settings = load_settings()
    set_up_logs(settings.log_level)
    return settings


def with_engine(
    work: Callable[[Application], Awaitable[Result]], now: datetime | None = None, rights: Rights | None = "app"
) -> Result:
    """What `work` comes to, given the engine on the database that the settings name; `now` stops its clock.

    The database must fit and give its user these `rights`; with None it is taken as it is.
    """
    import asyncio

    from engine.application import database_url, open_application

    settings = read_settings()

    async def run(url: str) -> Result:
        async with open_application(url, settings, now, rights) as application:
            return await work(application)

    with database_url(settings) as url:
        return asyncio.run(run(url))
