"""What all tests share: a PostgreSQL of their own, and an environment without anything of the user's.

One throwaway server serves the whole run. The migrations fill a template database once, and each test that
asks for `postgresql`, `database_url` or `database` gets a fresh clone of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_postgresql import factories
from sqlalchemy.engine import URL

from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres, temporary_folder, throwaway_server
from engine.db.embedded_server import PORT, USER
from engine.db.migrate import upgrade
from engine.settings import Settings

# Machines that run tests are busy: how long drawing or trying an example takes says nothing about the program.
hypothesis_settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("busy")


@pytest.fixture
def anyio_backend() -> str:
    """Async tests and fixtures run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def own_environment() -> Iterator[Path]:
    """A home directory without the user's settings and database, in which an embedded server may live."""
    home = Path(tempfile.mkdtemp(prefix="campaign-tests-", dir=temporary_folder()))
    home.chmod(0o711)  # a server that root starts runs as another account
    settings = {name.upper() for name in Settings.model_fields}
    with pytest.MonkeyPatch.context() as environment:
        for name in os.environ:
            if name in settings or name.startswith(("PG", "XDG_")):
                environment.delenv(name)
        environment.setenv("HOME", str(home))
        environment.setenv("CAMPAIGN_HOME", str(home / "campaign"))
        yield home
    EmbeddedPostgres(home / "campaign").shutdown()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def server() -> Iterator[SimpleNamespace]:
    """The server of this run, in the words in which pytest-postgresql asks for one."""
    with throwaway_server() as embedded:
        yield SimpleNamespace(
            host=str(embedded.socket_folder),
            port=PORT,
            user=USER,
            password=None,
            options="",
            dbname="tests",
            maintenance_dbname="postgres",
            template_dbname="template1",
        )


def _migrate(*, host: str, dbname: str, **_: object) -> None:
    upgrade(_url(host, dbname))


def _url(host: str, database: str) -> str:
    parts = {"host": host, "port": str(PORT)}
    return URL.create("postgresql+psycopg", USER, database=database, query=parts).render_as_string()


template = factories.postgresql_noproc(depends_on="server", load=[_migrate])
postgresql = factories.postgresql("template")


@pytest.fixture
def database_url(postgresql: psycopg.Connection) -> str:
    """The URL of this test's own migrated database."""
    return _url(postgresql.info.host, postgresql.info.dbname)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """This test's own migrated database, open."""
    opened = Database(database_url)
    yield opened
    await opened.close()
