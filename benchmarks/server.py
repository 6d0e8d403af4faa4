"""What the benchmarks share: a database to measure on, and the words for the machine it ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from engine.db.database import parse_url
from engine.db.embedded import throwaway_server

DATABASE = "campaign_benchmark"
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@contextmanager
def fresh_database() -> Iterator[str]:
    """The URL of an empty database, made anew: on the server of DATABASE_URL, else on a throwaway one that syncs."""
    if given := os.environ.get("DATABASE_URL", ""):
        name = sql.Identifier(DATABASE)
        with psycopg.connect(plain_url(given), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield make_url(plain_url(given)).set(database=DATABASE).render_as_string(hide_password=False)
    else:
        with throwaway_server(DURABLE) as server:
            server.recreate_database(DATABASE)
            yield plain_url(server.url(DATABASE))


def plain_url(url: str) -> str:
    """The URL as libpq reads it."""
    return parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def machine(url: str) -> dict[str, str]:
    """Where figures come from: cores, versions."""
    with psycopg.connect(url) as connection:
        server = connection.info.parameter_status("server_version") or "unknown"
    packages = {name: version(name) for name in ("psycopg", "sqlalchemy", "transitions", "orjson")}
    return {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "postgresql": server,
        "python": platform.python_version(),
        **packages,
    }
