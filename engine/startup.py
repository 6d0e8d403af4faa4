"""What must fit before any work begins: the server, the schema, the rights of the user, the order of the buckets.

Asked once by whoever opens the engine, in one round trip, so that a database that does not fit is refused with the next
step, and not found out by some statement later on.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.errors import RepositoryError
from engine.db.buckets import BUCKETS
from engine.db.database import Database
from engine.db.fitness import (
    REVISION,
    Fitness,
    Misfit,
    Rights,
    find_fitness,
    find_revision,
    find_server,
    is_unanswered,
    server_misfits,
)

_SHOWN = 3


async def expect_fit(database: Database, rights: Rights = "app") -> None:
    """Return when the database fits. Raises RepositoryError with the gravest reason why it does not."""
    for message, hint in misfits_of(await look(database, rights), rights):
        raise RepositoryError(message, hint=hint)


async def find_misfits(url: str) -> list[Misfit]:
    """Every reason against working on the database at `url`."""
    database = Database(url)
    try:
        return misfits_of(await look(database))
    finally:
        await database.close()


async def look(database: Database, rights: Rights = "app") -> Fitness:
    """What there is to know about the database; when it has no schema or no right is given, what anybody may know."""
    try:
        async with database.transaction() as connection:
            return await find_fitness(connection, rights)
    except RepositoryError as error:
        if not is_unanswered(error):
            raise
    async with database.transaction() as connection:
        found = await find_server(connection, rights)
    try:
        async with database.transaction() as connection:
            return found._replace(revision=await find_revision(connection))
    except RepositoryError as error:
        if not is_unanswered(error):
            raise
        return found


def misfits_of(found: Fitness, rights: Rights = "app") -> list[Misfit]:
    """Every reason against working on the database, the gravest first; one that hides what comes after is the last."""
    misfits = [*server_misfits(found)]
    if found.is_standby:
        misfits.append(Misfit("the database is a standby, which cannot be written to", "Connect to its primary."))
    elif found.is_read_only:
        misfits.append(
            Misfit(
                "the database is read-only: default_transaction_read_only is on",
                "Connect to its primary, or turn that off for the server, the database or its user.",
            )
        )
    if schema := _schema_misfit(found, rights):
        return [*misfits, schema]
    if found.lacking:
        misfits.append(_rights_misfit(found, rights))
    return [*misfits, *_bucket_misfits(found)]


def _schema_misfit(found: Fitness, rights: Rights) -> Misfit | None:
    """Why the tables are not those of this program."""
    if not found.has_schema:
        return Misfit("the database has no schema of this program", "Run: campaign db upgrade")
    if found.revision is None:
        if "SELECT on campaigns" in found.lacking:
            return _rights_misfit(found, rights)
        return Misfit("the schema campaign_engine tells no revision", "Run: campaign db upgrade")
    if found.revision < REVISION:
        return Misfit(
            f"the database is at revision {found.revision}, older than this program, which needs {REVISION}",
            "Run: campaign db upgrade",
        )
    if found.revision > REVISION:
        return Misfit(
            f"the database is at revision {found.revision}, newer than this program, which knows {REVISION}",
            "Use the version of the program that upgraded it, or a newer one.",
        )
    return None


def _rights_misfit(found: Fitness, rights: Rights) -> Misfit:
    more = f" and {len(found.lacking) - _SHOWN} more" if len(found.lacking) > _SHOWN else ""
    return Misfit(
        f"the database user {found.user} lacks rights: {', '.join(found.lacking[:_SHOWN])}{more}",
        f"Let an administrator run: GRANT campaign_engine_{rights} TO {found.user}",
    )


def _bucket_misfits(found: Fitness) -> Iterator[Misfit]:
    """Whether the order of the buckets, on which all ids rest, is that of the ids in this database."""
    there = dict(zip(found.places or (), found.buckets or (), strict=True))
    for place, expected in enumerate(BUCKETS):
        bucket = there.pop(place, None)
        if bucket is None:
            yield Misfit(
                f"bucket {expected} has no row in send_gates, without which nothing of it leaves",
                f"Run: INSERT INTO campaign_engine.send_gates (bucket, place) VALUES ({expected}, {place})",  # noqa: S608
            )
        elif bucket != expected:
            yield Misfit(
                f"this program's BUCKETS are not those the database was made with: place {place} is {expected} here, "
                f"{bucket} there",
                "Put engine/db/buckets.py back as it was; every id rests on it.",
            )
            return
    if there:
        yield Misfit(
            f"the database was made with {len(BUCKETS) + len(there)} BUCKETS, this program has {len(BUCKETS)}",
            "Put engine/db/buckets.py back as it was; every id rests on it.",
        )
