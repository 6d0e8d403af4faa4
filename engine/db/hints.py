"""Hints that there is something to do: NOTIFY and LISTEN on the channel `campaign_engine`, the payload a part's name.

A hint is only a hint. It may be lost, late or for nothing; whoever waits for one looks again after a while anyway. It
is heard when the transaction that gave it commits, so what it speaks of is there to be seen.

A transaction that gives a hint holds a lock of the whole cluster while it commits, so hints are rationed: a process
gives one for each part in `RATION` seconds, and is silent about the rest. So whoever has heard one looks once more
after that time. `listen` holds one connection of its own and raises RepositoryError when that is lost.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from time import monotonic
from typing import Any, Literal, cast
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.database import translate

Part = Literal["tick", "work"]
RATION = 0.1  # seconds

_CHANNEL = "campaign_engine"
_NOTIFY = text("SELECT pg_notify('campaign_engine', :part)")
_given: WeakKeyDictionary[Engine, dict[Part, float]] = WeakKeyDictionary()  # when, for each pool of this process


class HintRepository:
    """Gives hints over one connection, at the commit of its transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def notify(self, part: Part) -> bool:
        """Tell the loops called `part` that there is something for them now; False when they were told just before."""
        given, now = _given.setdefault(self._connection.sync_engine, {}), monotonic()
        if now - given.get(part, -RATION) < RATION:
            return False
        given[part] = now
        await self._connection.execute(_NOTIFY, {"part": part})
        return True


async def listen(url: URL) -> AsyncGenerator[Part | None]:
    """The hints as they come, after a first None once it listens. Ends with RepositoryError."""
    _, given = url.get_dialect()().create_connect_args(url)
    try:
        connection = await psycopg.AsyncConnection.connect(**{**given, **_OPTIONS}, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {_CHANNEL}")
            yield None
            async for hint in connection.notifies():
                if hint.payload in ("tick", "work"):
                    yield cast(Part, hint.payload)
    except (psycopg.Error, OSError) as error:
        raise translate(error, url) from error


_OPTIONS: dict[str, Any] = {  # a peer that is gone without a word is noticed within a minute
    "application_name": "campaign-engine hints",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
