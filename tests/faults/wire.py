"""A TCP proxy before PostgreSQL that reads along: it can stop the world at a statement, or be the network that fails.

It understands just enough of the protocol to tell which statement a message belongs to, on the way there (`Query`, or
`Bind` of what `Parse` named) and on the way back (`CommandComplete`, in the order in which statements were sent). A
`Hold` stops the connection on which its statement is seen, before the message goes on: the test may then kill who sent
it, cut the connection, or let it go on. Nothing here is a hook in the engine, so nothing here is known to it.

What a client sent before it was killed arrives, as it does with a kernel in between, unless it was held.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

PATIENCE = 60.0
When = Literal["sent", "answered"]
_ENCRYPTION = {80877103, 80877104}  # SSLRequest, GSSENCRequest
_LINGER_NOT = struct.pack("ii", 1, 0)  # closing sends a reset


@dataclass
class Hold:
    """Where to stop: the `nth` time that a statement with `text` is sent, or answered as done.

    `within` must have been in an earlier statement of the same transaction.
    """

    text: str
    when: When = "sent"
    within: str = ""
    nth: int = 1
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[str] = field(default_factory=list)
    _verdict: asyncio.Future[str] | None = None

    async def wait(self) -> Hold:
        """This hold, once a connection stands still at it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.reached.wait(), PATIENCE)
        shown = "\n".join(statement[:120] for statement in self.seen)
        assert self.reached.is_set(), f"no statement with {self.text!r} was {self.when} in:\n{shown}"
        return self

    def release(self) -> None:
        """Let the message go on."""
        self._decide("pass")

    def drop(self) -> None:
        """Cut the connection; the message is lost."""
        self._decide("drop")

    def tear(self) -> None:
        """Let half of the message go on, and cut the connection."""
        self._decide("tear")

    def _decide(self, verdict: str) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(verdict)

    def matches(self, when: str, statement: str, transaction: Sequence[str]) -> bool:
        """Whether to stop here; counts."""
        if when != self.when or self.reached.is_set():
            return False
        self.seen.append(statement)
        if self.text not in statement or not any(self.within in each for each in transaction):
            return False
        self.nth -= 1
        return self.nth == 0

    async def stand_still(self) -> str:
        self._verdict = asyncio.get_running_loop().create_future()
        self.reached.set()
        return await self._verdict


class Proxy:
    """The proxy, in the test's own loop. `mode` is what happens to connections, those that are open and new ones."""

    def __init__(self, socket_path: Path) -> None:
        self.port = 0
        self.attempts = 0
        self._socket_path = socket_path
        self._holds: list[Hold] = []
        self._open: dict[_Link, asyncio.Task[None] | None] = {}
        self._reachable = True
        self._audible = asyncio.Event()
        self._audible.set()

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def hold(self, text: str, when: When = "sent", within: str = "", nth: int = 1) -> Iterator[Hold]:
        """Stop there, once, while the block runs; what stands still at its end is dropped."""
        hold = Hold(text, when, within, nth)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            self._holds.remove(hold)
            hold.drop()

    def cut(self) -> None:
        """Reset every connection."""
        for link in list(self._open):
            link.cut()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Inside, connections are cut and new ones are reset at once; `attempts` counts them."""
        self._reachable, self.attempts = False, 0
        self.cut()
        try:
            yield
        finally:
            self._reachable = True

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """Inside, whatever is sent either way is lost, and no connection ends. Afterwards the old ones are reset."""
        self._audible.clear()
        try:
            yield
        finally:
            self._audible.set()
            self.cut()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either end goes, and then let the other know."""
        self.attempts += 1
        link = _Link(self, writer)
        self._open[link] = asyncio.current_task()
        try:
            if self._reachable:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await link.run(reader, *await asyncio.open_unix_connection(str(self._socket_path)))
            await self._audible.wait()  # that the other end went is not heard, either
        finally:
            link.cut()
            del self._open[link]

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._open.values(), return_exceptions=True)

    async def look(self, when: str, statement: str, transaction: Sequence[str]) -> str:
        """What becomes of a message: pass, drop or tear."""
        for hold in self._holds:
            if hold.matches(when, statement, transaction):
                return await hold.stand_still()
        return "pass"

    @property
    def loses_everything(self) -> bool:
        return not self._audible.is_set()


@asynccontextmanager
async def proxy_before(socket_path: Path) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own, in front of the server that listens on this socket."""
    proxy = Proxy(socket_path)
    server = await asyncio.start_server(proxy.meet, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


class _Link:
    """One connection: two directions, and what has been asked but not yet answered.

    A `Parse` is kept until the next message, so that of a statement that is held nothing has arrived.
    """

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._named: dict[bytes, str] = {}
        self._asked: deque[str | None] = deque()  # statements in order; None where the server says that it is ready
        self._sent_of: list[str] = []  # what the transaction in hand consists of, as sent and as answered
        self._done_of: list[str] = []

    async def run(self, client: asyncio.StreamReader, server: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        """Pass messages on until either way ends."""
        self._server = up
        ways = {asyncio.create_task(self._up(client, up)), asyncio.create_task(self._down(server))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for ended in await asyncio.gather(*ways, return_exceptions=True):
                if isinstance(ended, Exception):
                    raise ended

    def cut(self) -> None:
        with suppress(OSError):  # it may be closed already
            self._client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        for end in (self._client, self._server):
            if end is not None:
                end.transport.abort() if end is self._client else end.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._greet(reader, writer)
        kept = b""
        while True:
            kind, message = await _read(reader)
            statement, verdict = self._statement(kind, message[5:]), "pass"
            kept, message = (kept + message, b"") if kind == b"P" else (b"", kept + message)
            if statement is not None:
                self._asked.append(statement)
                verdict = await self._proxy.look("sent", statement, _transaction(self._sent_of, statement))
            if kind in b"QS":
                self._asked.append(None)
            if verdict == "tear":
                message = message[: len(message) // 2]
            if verdict != "drop":
                await self._pass(writer, message)
            if verdict != "pass":
                return

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The messages before the protocol proper; encryption is declined."""
        while True:
            size = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(size, "big") - 4)
            if int.from_bytes(body[:4], "big") not in _ENCRYPTION:
                return await self._pass(writer, size + body)
            await self._pass(self._client, b"N")

    def _statement(self, kind: bytes, body: bytes) -> str | None:
        """The statement that this message of the client's has the server do, if it does."""
        if kind == b"Q":
            return _plain(body[:-1])
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._named[name] = _plain(text)
        if kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            return self._named[name]
        return None

    async def _down(self, reader: asyncio.StreamReader) -> None:
        while True:
            kind, message = await _read(reader)
            if kind == b"Z":
                while self._asked and self._asked.popleft() is not None:
                    pass  # an error had the server pass over these
            elif kind == b"C" and self._asked and self._asked[0] is not None:
                statement = self._asked.popleft() or ""
                if await self._proxy.look("answered", statement, _transaction(self._done_of, statement)) != "pass":
                    return
            await self._pass(self._client, message)

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not self._proxy.loses_everything:
            writer.write(data)
            await writer.drain()


async def _read(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The kind of the next message, and all of it."""
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(int.from_bytes(head[1:], "big") - 4)


def _transaction(so_far: list[str], statement: str) -> list[str]:
    """The transaction that the statement is in, itself included; kept in `so_far`."""
    if statement.upper().startswith("BEGIN"):
        so_far.clear()
    so_far.append(statement)
    return so_far


def _plain(text: bytes) -> str:
    return " ".join(text.decode().split())
