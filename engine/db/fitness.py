"""Whether a database is one that this program can work on: its server, its schema, the rights of the user, the buckets.

`find_fitness` asks all of it in one statement. Where that cannot be answered, since there is no schema or no right to
look into it, the catalogs tell why. `engine.startup` judges, all but what also bars a migration.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.core.errors import RepositoryError
from engine.db.tables import SCHEMA, metadata

OLDEST_SERVER = 15  # the oldest PostgreSQL that its makers still mend
REVISION = "0007"  # the newest migration, which alembic is too slow to be asked for at every start
Rights = Literal["app", "worker"]

_UNANSWERED = ("3F000", "42P01", "42501", "42703")  # no schema, no table, no right, no such column
_ALL = "SELECT INSERT UPDATE DELETE"
_NEEDED: dict[Rights, dict[str, str]] = {
    "app": {table.name: _ALL for table in metadata.sorted_tables},
    "worker": {
        "outbox": "SELECT UPDATE",
        "send_gates": "SELECT UPDATE",
        "conversations": "SELECT UPDATE",
        "recipients": "SELECT",
        "campaigns": "SELECT",
        "campaign_types": "SELECT",
        "metric_deltas": "INSERT",
        "channel_state": "SELECT INSERT UPDATE",
    },
}


class Fitness(NamedTuple):
    """What a database says of itself. `revision` is None when there is none, or none may be read."""

    server_version: int  # as server_version_num: 180006 is 18.6
    encoding: str
    is_standby: bool
    is_read_only: bool
    has_schema: bool
    user: str
    lacking: list[str]  # rights, such as "UPDATE on outbox"
    revision: str | None = None
    buckets: list[int | None] | None = None  # in the order of their places
    places: list[int | None] | None = None


class Misfit(NamedTuple):
    """One reason why this program cannot work on the database, and what to do about it."""

    message: str
    hint: str


# The catalogs answer anybody. A right to one column is enough: the worker may only write when a conversation is due.
_LOOK = """
    SELECT CAST(current_setting('server_version_num') AS int) AS server_version,
           (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) AS encoding,
           pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only,
           to_regnamespace(:schema) IS NOT NULL AS has_schema, quote_ident(current_user) AS user,
           ARRAY(SELECT needed.kind || ' on ' || needed.name
                   FROM unnest(CAST(:names AS text[]), CAST(:kinds AS text[])) AS needed (name, kind)
                   LEFT JOIN pg_class ON relname = needed.name AND relnamespace = to_regnamespace(:schema)
                  WHERE CASE needed.kind WHEN 'DELETE' THEN has_table_privilege(oid, needed.kind)
                                         ELSE has_any_column_privilege(oid, needed.kind) END IS NOT TRUE) AS lacking
"""
LOOK = text(_LOOK)
_LOOK_ALL = text(
    f"""{_LOOK},
           (SELECT max(version_num) FROM campaign_engine.alembic_version) AS revision,
           (SELECT array_agg(bucket ORDER BY place, bucket) FROM campaign_engine.send_gates) AS buckets,
           (SELECT array_agg(place ORDER BY place, bucket) FROM campaign_engine.send_gates) AS places
"""  # noqa: S608 - a constant of this module
)
_FIND_REVISION = text("SELECT max(version_num) FROM campaign_engine.alembic_version")


def needs(rights: Rights) -> dict[str, object]:
    """What `LOOK` is to look for."""
    wanted = [(name, kind) for name, kinds in _NEEDED[rights].items() for kind in kinds.split()]
    return {"schema": SCHEMA, "names": [name for name, _ in wanted], "kinds": [kind for _, kind in wanted]}


async def find_fitness(connection: AsyncConnection, rights: Rights) -> Fitness:
    """All at once. Raises what the database does when the schema is not there or may not be read."""
    return Fitness(*(await connection.execute(_LOOK_ALL, needs(rights))).one())


async def find_server(connection: AsyncConnection, rights: Rights) -> Fitness:
    """What anybody may know."""
    return Fitness(*(await connection.execute(LOOK, needs(rights))).one())


async def find_revision(connection: AsyncConnection) -> str | None:
    revision: str | None = await connection.scalar(_FIND_REVISION)
    return revision


def is_unanswered(error: RepositoryError) -> bool:
    """Whether `find_fitness` failed for what it was to find out."""
    return error.sqlstate in _UNANSWERED


def expect_server(connection: Connection) -> None:
    """Return when the schema can be made here. Raises RepositoryError when the server or the database is unfit."""
    found = Fitness(*connection.execute(LOOK, needs("app")).one())
    for message, hint in server_misfits(found):
        raise RepositoryError(message, hint=hint)


def server_misfits(found: Fitness) -> Iterator[Misfit]:
    """What is wrong with the server or the making of the database, whatever is in it."""
    if found.server_version < OLDEST_SERVER * 10_000:
        major, minor = divmod(found.server_version, 10_000)
        yield Misfit(
            f"the server is PostgreSQL {major}.{minor}; expected {OLDEST_SERVER} or newer", "Upgrade the server."
        )
    if found.encoding != "UTF8":
        yield Misfit(
            f"the database keeps texts as {found.encoding}; expected UTF8, or not every text can be kept",
            "Make another: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
        )
