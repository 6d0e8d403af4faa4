"""A server that may be killed, apart from the one that all other tests share, and a site on it for each test.

Its settings are those of a server whose data matters: what it acknowledges, it has written down.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres, throwaway_server
from engine.db.migrate import upgrade
from tests.faults.site import Site, open_site
from tests.faults.wire import Proxy, proxy_before
from tests.integration.builders import House

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_numbers = count(1)


@pytest.fixture(scope="session")
def durable() -> Iterator[EmbeddedPostgres]:
    """The server, with a migrated database to copy."""
    with throwaway_server(DURABLE) as server:
        server.ensure_database("pattern")
        upgrade(server.url("pattern"))
        yield server


@pytest.fixture
async def proxy(durable: EmbeddedPostgres) -> AsyncIterator[Proxy]:
    async with proxy_before(durable.socket_folder / ".s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
async def site(durable: EmbeddedPostgres, proxy: Proxy, tmp_path: Path) -> AsyncIterator[Site]:
    """A database of this test's own with the engine on it, reached past the proxy; its processes are ended."""
    name = f"site{next(_numbers)}"
    _administer(durable, f"CREATE DATABASE {name} TEMPLATE pattern")
    try:
        async with open_site(durable, name, proxy, tmp_path) as site:
            yield site
    finally:  # recovery after a crash opens every file there is, so none is left behind
        _administer(durable, f"DROP DATABASE {name} WITH (FORCE)")


def _administer(server: EmbeddedPostgres, statement: LiteralString) -> None:
    server.start()  # a test may have left it dead
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(statement)


@pytest.fixture
async def far(site: Site) -> AsyncIterator[House]:
    """The engine behind the proxy, with the house's clock and mailbox, whose server has little patience."""
    database = Database(site.url, statement_timeout=0.5)
    house = House(database, max_batch_size=3)
    house.mail.left = site.house.mail.left
    yield house
    await database.close()
