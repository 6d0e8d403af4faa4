"""How alembic reaches the database: over the connection of `engine.db.migrate`, or by hand, by DATABASE_URL.

Everything runs in one transaction under an advisory lock, so that programs which start together migrate one
after the other and the later ones find nothing left to do. What the comparison leaves out: partitions, which
come and go with time, and every schema but ours.
"""

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, text

from engine.db.migrate import connect
from engine.db.tables import SCHEMA, metadata

LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:schema, 0))")
FIND_SCHEMA = text("SELECT to_regnamespace(:schema)")
FIND_PARTITIONS = text("SELECT relname FROM pg_class WHERE relispartition AND relnamespace = to_regnamespace(:schema)")


def run(connection: Connection) -> None:
    """Do what the alembic command wants, inside the transaction that is open."""
    ours = {"schema": SCHEMA}
    connection.execute(LOCK, ours)
    # not IF NOT EXISTS, which asks for the right to create schemas even when there is nothing to create
    if connection.scalar(FIND_SCHEMA, ours) is None:
        connection.execute(text("CREATE SCHEMA campaign_engine"))
    partitions = set(connection.scalars(FIND_PARTITIONS, ours))

    def is_ours(name: str | None, kind: str, _parents: object) -> bool:
        return name == SCHEMA if kind == "schema" else kind != "table" or name not in partitions

    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=is_ours,
        compare_type=True,
        compare_server_default=True,
    )
    context.run_migrations()


def main() -> None:
    if context.is_offline_mode():
        raise CommandError("Migrations are not written to a file; expected a database in DATABASE_URL")
    given: Connection | None = context.config.attributes.get("connection")
    url = os.environ.get("DATABASE_URL")
    if given is not None:
        run(given)
    elif url:
        with connect(url) as connection:
            run(connection)
    else:
        raise CommandError("DATABASE_URL is not set; for the embedded server use campaign db upgrade")


main()
