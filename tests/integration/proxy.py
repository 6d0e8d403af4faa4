"""A TCP door before the tests' server, which a test can shut: connections are cut, and new ones refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy.engine import URL, make_url


class Door:
    """`url` leads through it to the database at the URL given."""

    def __init__(self, database_url: str) -> None:
        self._url = make_url(database_url)
        query = self._url.query
        self._socket = Path(str(query["host"])) / f".s.PGSQL.{query['port']}"
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        parts = URL.create("postgresql", self._url.username, None, "127.0.0.1", self._port, self._url.database)
        return parts.render_as_string()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._passing:
            writer.transport.abort()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        self._passing.clear()
        self._pumps.clear()
        self._server = None

    @property
    def is_open(self) -> bool:
        return self._server is not None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._socket)
        self._passing |= {writer, inner_writer}
        for source, target in ((reader, inner_writer), (inner_reader, writer)):
            self._pumps.add(asyncio.create_task(_pump(source, target)))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


@asynccontextmanager
async def a_door(database_url: str) -> AsyncIterator[Door]:
    door = Door(database_url)
    await door.open()
    yield door
    if door.is_open:
        await door.shut()
