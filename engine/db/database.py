"""A pool of connections to one PostgreSQL, and what its errors mean to us.

`Database.transaction` is the one place where transactions begin and end. Whatever the driver raises inside comes
out as a `RepositoryError` that says whether trying again makes sense, and never holds SQL or the values of rows.

No failure of the network or the server holds anybody up for long. The server ends statements and transactions that
take too long; the kernel watches connections that are silent; and whoever has heard nothing for twice as long as the
server would take to give up, leaves: behind a proxy that swallows what it is given, nothing else would tell.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any, Generic, TypeVar

import orjson
import psycopg
from psycopg.abc import PQGen
from psycopg.types.json import set_json_loads
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from engine.core.errors import RepositoryError

Row = TypeVar("Row")

_RETRYABLE = ("08", "25006", "25P03", "40001", "40P01", "53", "55P03", "57")  # SQLSTATEs, and classes of them
_PLAIN = ("08", "25", "28", "3D", "3F", "42501", "53", "57")  # classes whose message names no rows and no SQL
DRIVER_ERRORS = (DBAPIError, PoolExhausted, psycopg.Error, OSError)
# Seconds, but for the last: who does not answer the kernel for half a minute is gone. The server watches us likewise:
# a machine that loses its power in the middle of a message would else hold its row locks for hours.
_SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}

Found = TypeVar("Found")


class Database:
    """The pool. `embedded` tells that it is the server this package started itself.

    Spans are in seconds. `pool_patience` is how long to wait for a connection when all are in use.
    """

    def __init__(
        self,
        url: str,
        *,
        embedded: bool = False,
        pool_size: int = 4,
        pool_patience: float = 30,
        statement_timeout: float = 60,
    ) -> None:
        self.url = parse_url(url)
        self.embedded = embedded
        milliseconds = int(statement_timeout * 1000)
        session = {
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "timezone": "UTC",
            "random_page_cost": 1.1,  # what is hot is in memory: a look-up by index is never dearer than a scan
            **{name if name.startswith("tcp_") else f"tcp_{name}": value for name, value in _SILENCE.items()},
        }
        self._engine: AsyncEngine = create_async_engine(
            self.url,
            isolation_level="READ COMMITTED",  # that limits are exact rests on it: see engine.worker
            pool_size=pool_size,
            pool_timeout=pool_patience,
            pool_pre_ping=True,
            json_deserializer=orjson.loads,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            connect_args={
                "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
                "connect_timeout": 10,
                "application_name": "campaign-engine",
                "async_creator_fn": partial(_connect, 2 * statement_timeout),
                **{name: value for name, value in _SILENCE.items() if name not in self.url.query},
            },
        )
        event.listen(self._engine.sync_engine, "connect", _prepare)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that commits at the end and rolls back on any error."""
        failed: Exception | None = None
        try:
            async with self._engine.begin() as connection:
                try:
                    yield connection
                except DRIVER_ERRORS as error:
                    failed = error  # on a broken connection rolling back fails, too, and knows less of why
                    raise
        except DRIVER_ERRORS as error:
            raise await self._explain(failed or error) from error

    @asynccontextmanager
    async def session(self, *, autocommit: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for several transactions, each `async with connection.begin()`; any error throws it away.

        For work on a temporary table, which lives as long as its connection. With `autocommit` whoever has it begins
        and commits by statements of its own, such as those that go in one `pipeline`.
        """
        try:
            async with self._engine.connect() as connection:
                try:
                    if autocommit:
                        await connection.execution_options(isolation_level="AUTOCOMMIT")
                    yield connection
                except BaseException:
                    await connection.invalidate()
                    raise
        except DRIVER_ERRORS as error:
            raise await self._explain(error) from error

    async def close(self) -> None:
        await self._engine.dispose()

    async def _explain(self, error: Exception) -> RepositoryError:
        """What it means. Where nothing can be written, only new connections find out when that is over."""
        meaning = translate(error, self.url)
        if meaning.sqlstate == "25006":
            await self._engine.dispose()
        return meaning


class PatientConnection(psycopg.AsyncConnection[Any]):
    """A connection that ends itself when it has waited for the server for `patience` seconds."""

    patience = 120.0

    async def wait(self, gen: PQGen[Found], *args: Any, **kwargs: Any) -> Found:
        """What the exchange with the server comes to. Raises OperationalError when there is no answer."""
        return await super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: PQGen[Found]) -> PQGen[Found]:
        """The same exchange, up to the moment when patience ends. Being asked now and then rests on psycopg's wait."""
        try:
            wanted, ends = next(gen), monotonic() + self.patience
            while True:
                ready = yield wanted
                if not ready and monotonic() > ends:
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"no answer for {self.patience:.0f} s")
                wanted = gen.send(ready)
        except StopIteration as done:
            found: Found = done.value
            return found


async def _connect(patience: float, *args: Any, **kwargs: Any) -> PatientConnection:
    connection = await PatientConnection.connect(*args, **kwargs)
    connection.patience = patience
    return connection


class Answer(Generic[Row]):
    """Rows on their way. In a pipeline they are there when it has ended; asking before would wait for it."""

    def __init__(self, cursor: psycopg.AsyncCursor[Any], make: Callable[..., Row]) -> None:
        self._cursor = cursor
        self._make = make

    async def rows(self) -> list[Row]:
        return [self._make(*row) for row in await self._cursor.fetchall()]


def _prepare(connection: Any, _record: object) -> None:
    set_json_loads(orjson.loads, connection.driver_connection)


def parse_url(text_url: str) -> URL:
    """The URL for our driver. Raises RepositoryError when it is no PostgreSQL URL; never shows the password."""
    try:
        url = make_url(text_url)
    except ArgumentError as error:
        raise RepositoryError(
            "DATABASE_URL is not a database URL", hint="Expected postgresql://user:password@host:5432/name."
        ) from error
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise RepositoryError(
            f"expected a PostgreSQL database, got {url.get_backend_name()}",
            hint="Set DATABASE_URL to postgresql://user:password@host:5432/name, or unset it for the embedded server.",
        )
    return url.set(drivername="postgresql+psycopg")


async def ask_time(connection: AsyncConnection) -> Answer[datetime]:
    """The database server's present instant, in one row."""
    driver = await driver_of(connection)
    return Answer(await driver.execute("SELECT clock_timestamp()", binary=True), lambda at: at.astimezone(UTC))


async def find_time(connection: AsyncConnection) -> datetime:
    """The database server's present instant."""
    [at] = await (await ask_time(connection)).rows()
    return at


async def driver_of(connection: AsyncConnection) -> psycopg.AsyncConnection[Any]:
    """The psycopg connection beneath, for the few statements where the layer between costs; same transaction."""
    raw = await connection.get_raw_connection()
    driver: psycopg.AsyncConnection[Any] = raw.driver_connection  # type: ignore[assignment]
    return driver


@asynccontextmanager
async def pipeline(connection: AsyncConnection) -> AsyncIterator[None]:
    """What the driver is told in here goes in one way there and back. Raises the first error at its end.

    After an error the rest is passed over, COMMIT too. Only for a connection with autocommit.
    """
    driver = await driver_of(connection)
    async with driver.pipeline():
        yield


async def begin(connection: AsyncConnection) -> None:
    await (await driver_of(connection)).execute("BEGIN ISOLATION LEVEL READ COMMITTED")


async def commit(connection: AsyncConnection) -> psycopg.AsyncCursor[Any]:
    """The cursor of the COMMIT, for `is_committed`."""
    return await (await driver_of(connection)).execute("COMMIT")


def is_committed(cursor: psycopg.AsyncCursor[Any]) -> bool:
    """Whether the server has said so: COMMIT after an error is answered with ROLLBACK, or passed over."""
    return cursor.statusmessage == "COMMIT"


def translate(error: BaseException, url: URL | None = None) -> RepositoryError:
    """What a driver's error means: which SQLSTATE, whether to retry, what to do. Holds no SQL and no row values."""
    if isinstance(error, RepositoryError):
        return error
    if isinstance(error, PoolExhausted):
        return RepositoryError(
            "all connections of this process are in use, and none came free in time",
            hint="It is tried again. If it happens often, the database is slow, or one process does too much at once.",
            sqlstate="53300",
            retryable=True,
        )
    cause = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = getattr(cause, "sqlstate", None) or ""
    if not sqlstate and isinstance(cause, psycopg.OperationalError | OSError | InterfaceError):
        return _unreachable(cause, url)
    diagnosis = getattr(getattr(cause, "diag", None), "message_primary", None) or ""
    detail = f": {diagnosis}" if sqlstate.startswith(_PLAIN) else ""
    told = _TOLD.get(sqlstate, f"the database refused (SQLSTATE {sqlstate or 'unknown'}){detail}")
    retryable = sqlstate.startswith(_RETRYABLE)
    hint = _HINTS.get(sqlstate, _HINTS.get(sqlstate[:2], "Nothing was lost, so try again." if retryable else ""))
    return RepositoryError(told, hint=hint, sqlstate=sqlstate, retryable=retryable)


def _unreachable(cause: BaseException, url: URL | None) -> RepositoryError:
    """Why there is no connection. libpq gives no SQLSTATE then, only words."""
    words, where = str(cause), "the database"
    if url is not None:
        port = f":{url.port}" if url.host and url.port else ""
        where = f"{url.host or url.query.get('host', 'local socket')}{port}/{url.database}"
    if "does not exist" in words and "database" in words:
        return RepositoryError(f"there is no database {where}", hint=_HINTS["3D"], sqlstate="3D000")
    if "authentication failed" in words or "no password supplied" in words or ("role" in words and "exist" in words):
        return RepositoryError(f"{where} does not let this user in", hint=_HINTS["28"], sqlstate="28000")
    if "too many" in words:
        return RepositoryError(
            f"{where} takes no more connections", hint=_HINTS["53300"], sqlstate="53300", retryable=True
        )
    reason = f": {words}" if words.startswith("no answer") else ""
    return RepositoryError(
        f"cannot reach the database at {where}{reason}",
        hint="Check that PostgreSQL runs and that DATABASE_URL is right; nothing was lost, so try again.",
        sqlstate="08000",
        retryable=True,
    )


_TOLD = {
    "42P01": "the database has no schema of this program, or an older one",
    "3F000": "the database has no schema of this program",
}
_HINTS = {
    "28": "Check the user and password in DATABASE_URL.",
    "3D": "Create the database first, or correct its name in DATABASE_URL.",
    "3F000": "Run: campaign db upgrade",
    "42P01": "Run: campaign db upgrade",
    "42703": "The schema is older than this program. Run: campaign db upgrade",
    "42501": "The database user lacks a right; use one that is a member of campaign_engine_app.",
    "53300": "Run fewer processes, or raise max_connections or the limit of the role; nothing is lost.",
    "53100": "The database's disk is full. Free space; the work is kept and goes on.",
    "25006": "The database is read-only. Connect to its primary; the work is kept and goes on.",
}
