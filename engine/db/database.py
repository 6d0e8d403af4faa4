"""A pool of connections to one PostgreSQL, and what its errors mean to us.

`Database.transaction` is the one place where transactions begin and end. Whatever the driver raises inside comes
out as a `RepositoryError` that says whether trying again makes sense, and never holds SQL or the values of rows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import orjson
import psycopg
from psycopg.types.json import set_json_loads
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from engine.core.errors import RepositoryError

Row = TypeVar("Row")

DRIVER_ERRORS = (DBAPIError, psycopg.Error, OSError)
_RETRYABLE = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03")
_PLAIN = ("08", "25", "28", "3D", "3F", "42501", "53", "57")  # classes whose message names no rows and no SQL


class Database:
    """The pool. `embedded` tells that it is the server this package started itself."""

    def __init__(self, url: str, *, embedded: bool = False, pool_size: int = 4, statement_timeout: float = 60) -> None:
        self.url = parse_url(url)
        self.embedded = embedded
        milliseconds = int(statement_timeout * 1000)
        options = (
            f"-c statement_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds} -c timezone=UTC"
            " -c random_page_cost=1.1"  # what is hot is in memory: a look-up by index is never dearer than a scan
        )
        self._engine: AsyncEngine = create_async_engine(
            self.url,
            isolation_level="READ COMMITTED",  # that limits are exact rests on it: see engine.worker
            pool_size=pool_size,
            pool_pre_ping=True,
            json_deserializer=orjson.loads,
            json_serializer=lambda value: orjson.dumps(value).decode(),
            connect_args={"options": options, "connect_timeout": 10, "application_name": "campaign-engine"},
        )
        event.listen(self._engine.sync_engine, "connect", _prepare)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that commits at the end and rolls back on any error."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except DRIVER_ERRORS as error:
            raise translate(error, self.url) from error

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
            raise translate(error, self.url) from error

    async def close(self) -> None:
        await self._engine.dispose()


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
    await (await driver_of(connection)).execute("BEGIN")


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
    cause = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = getattr(cause, "sqlstate", None) or ""
    if not sqlstate and isinstance(cause, psycopg.OperationalError | OSError | InterfaceError):
        return _unreachable(cause, url)
    diagnosis = getattr(getattr(cause, "diag", None), "message_primary", None) or ""
    detail = f": {diagnosis}" if sqlstate.startswith(_PLAIN) else ""
    told = _TOLD.get(sqlstate, f"the database refused (SQLSTATE {sqlstate or 'unknown'}){detail}")
    return RepositoryError(
        told,
        hint=_HINTS.get(sqlstate, _HINTS.get(sqlstate[:2], "")),
        sqlstate=sqlstate,
        retryable=sqlstate in _RETRYABLE or sqlstate.startswith("08"),
    )


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
    return RepositoryError(
        f"cannot reach the database at {where}",
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
    "53100": "The database's disk is full. Free space; the work is kept and goes on.",
    "25006": "The database is read-only. Connect to its primary.",
}
