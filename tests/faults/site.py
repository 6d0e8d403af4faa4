"""The engine on a database of its own, processes of it that may be killed, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text

from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres
from tests.faults.wire import PATIENCE, Proxy
from tests.integration.builders import House, neighbours

ROOT = Path(__file__).parents[2]

# The hot statements, by a text that each has and no other.
CLAIM = "FOR UPDATE SKIP LOCKED"
ANSWERS = "FROM campaign_engine.responses"
DECIDED = "enable_nestloop"  # what a write begins with, while the server still waits for it
WRITE = "INTO campaign_engine.stage_history"
LEASE = "SET status = 'leased'"
MARK = "lease_until = NULL"
COMMIT = "COMMIT"

# Eight steps with a message each, a second apart: something to do for programs that run by the true clock.
RELAY = """
campaign_type: relay
version: 1
facts: {first_name: text}
responses: {intent: {stop: {any_word: [stop]}}}
channel: email
start: ping
always: [{when: intent == "stop", go: left}]
stages:
  ping:
    visits: {at_most: 4, then: done}
    on_enter: [{send: ping}]
    timers: [{after: 1s, go: pong}]
  pong:
    on_enter: [{send: pong}]
    timers: [{after: 1s, go: ping}]
exits: {done: won, left: stopped}
messages:
  ping: {text: "Ping {{ first_name }}"}
  pong: {text: "Pong {{ first_name }}"}
"""


RELAY_ENDS = ["1d"] * 9


class Site:
    """`house` is the engine in this process, past the proxy; `start` makes processes, before it unless told."""

    def __init__(self, server: EmbeddedPostgres, name: str, proxy: Proxy, folder: Path, database: Database) -> None:
        self.server = server
        self.name = name
        self.proxy = proxy
        self.folder = folder
        self.house = House(database)
        self.outbox = folder / "outbox.jsonl"
        self.processes: list[Process] = []

    @property
    def direct_url(self) -> str:
        return self.server.url(self.name)

    @property
    def url(self) -> str:
        return self.proxy.url(self.name)

    # ---- processes ---------------------------------------------------------------------------------------------

    async def start(self, *command: str, url: str = "", program: Path = ROOT, **environment: str) -> Process:
        """`campaign COMMAND` as a process; what it prints goes to files named after its place among them."""
        settings = {
            "DATABASE_URL": url or self.url,
            "CAMPAIGN_ALLOW_TIME_TRAVEL": "1",
            "CAMPAIGN_CHANNELS": f"email=file:{self.outbox}",
            "POLL_SECONDS": "0.05",
            "PYTHONPATH": str(program),
        }
        number = len(self.processes)
        with (self.folder / f"{number}.out").open("w") as out, (self.folder / f"{number}.err").open("w") as err:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "engine.cli", *command),
                env=os.environ | settings | environment,
                cwd=program,
                stdout=out,
                stderr=err,
            )
        self.processes.append(process)
        return process

    async def drain(self, command: str, **environment: str) -> Process:
        """A process that ticks or works at the house's time until nothing is due."""
        return await self.start(
            command, "--drain", "--json", "--now", self.house.clock.instant.isoformat(), **environment
        )

    def printed(self, process: Process) -> str:
        return (self.folder / f"{self.processes.index(process)}.out").read_text()

    def errors(self, process: Process) -> str:
        return (self.folder / f"{self.processes.index(process)}.err").read_text()

    def logs(self, process: Process) -> list[dict[str, Any]]:
        """The log lines it wrote, as far as they are whole."""
        lines = self.errors(process).splitlines(keepends=True)
        return [orjson.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    async def kill(self, *processes: Process) -> None:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def stop(self, *processes: Process) -> None:
        """Ask them to end, which they do in good order."""
        for process in processes:
            process.terminate()
        for process in processes:
            assert await asyncio.wait_for(process.wait(), PATIENCE) == 0, self.errors(process)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return as soon as others have made it true. A process that ended with an error is told instead."""
        patience_ends = time.monotonic() + PATIENCE
        while not await condition():
            ended = [self.errors(each) for each in self.processes if each.returncode not in (None, 0, -9)]
            assert not ended, ended
            assert time.monotonic() < patience_ends, [self.errors(each)[-2000:] for each in self.processes]
            await asyncio.sleep(0.02)

    # ---- people ------------------------------------------------------------------------------------------------

    async def talk(self, count: int = 12) -> str:
        """A campaign of neighbours some of whom have answered, an hour on; everybody has something due in two days."""
        recipients = neighbours(count)
        campaign = await self.house.campaign(recipients)
        await self.house.run()
        self.house.at("1h")
        for number, each in enumerate(recipients[: count // 2]):
            await self.house.reply(campaign, ("yes", "what?", "stop")[number % 3], each["key"])
        self.house.at("3d")
        return campaign

    async def read_clock(self) -> Any:
        """The database's time, to which the house's clock is set."""
        ((now,),) = await self.house.sql("SELECT clock_timestamp()")
        self.house.clock.instant = now
        return now

    async def count(self, condition: str) -> int:
        """How many rows there are, given `TABLE` or `TABLE WHERE …`."""
        ((found,),) = await self.house.sql(f"SELECT count(*) FROM campaign_engine.{condition}")  # noqa: S608
        return int(found)

    async def is_none(self, condition: str) -> bool:
        return await self.count(condition) == 0

    async def is_any(self, condition: str) -> bool:
        return await self.count(condition) > 0

    async def overdue(self) -> int:
        """Conversations that are due at the house's time."""
        now = self.house.clock.instant
        return len(await self.house.sql("SELECT FROM campaign_engine.conversations WHERE due_at <= :now", now=now))

    async def steps(self) -> int:
        return await self.count("stage_history")

    # ---- what must hold ----------------------------------------------------------------------------------------

    def written(self) -> Counter[str]:
        """How often a message with each idempotency key is in the file that workers of other processes write to."""
        lines = self.outbox.read_bytes().splitlines() if self.outbox.exists() else []
        return Counter(orjson.loads(line)["idempotency_key"] for line in lines)

    async def until_quiet(self) -> None:
        """Return when the server has noticed every connection that is gone, and no transaction is left open."""
        open_ones = (
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' AND state <> 'idle'"
        )

        async def nothing_open() -> bool:
            return not await self.house.sql(open_ones)

        await self.until(nothing_open)

    async def promises(self) -> None:
        """What holds at every moment, whoever was killed."""
        assert await self.house.violations() == []
        twice = "SELECT FROM campaign_engine.stage_history GROUP BY bucket, conversation_id, seq HAVING count(*) > 1"
        assert await self.house.sql(twice) == []
        made = await self.house.sql(
            "SELECT concat_ws(':', conversation_id, seq, ordinal), status FROM campaign_engine.outbox"
        )
        left = self.written().keys() | {message.idempotency_key for message in self.house.mail.left}
        assert {key for key, status in made if status == "sent"} <= left <= {key for key, _ in made}

    async def settles(self, *spans: str) -> None:
        """Nothing is stuck and nobody is blamed: all that is left gets done at later times, each once."""
        await self.until_quiet()
        await self.promises()
        for span in spans or ("4d", "12d", "100d"):
            self.house.wait(span)
            await self.house.run()
        now = self.house.clock.instant
        assert (await self.house.tick()).claimed == 0
        assert await self.count("conversations WHERE status = 'active'") == 0
        assert await self.count("conversations WHERE status = 'failed' OR attempts > 0 OR last_error <> ''") == 0
        assert await self.count("responses WHERE status = 'waiting'") == 0
        left_behind = (
            "SELECT message FROM campaign_engine.outbox WHERE status IN ('ready', 'leased') AND not_before <= :now"
        )
        assert await self.house.sql(left_behind, now=now) == []
        await self.promises()


@asynccontextmanager
async def open_site(server: EmbeddedPostgres, name: str, proxy: Proxy, folder: Path) -> AsyncIterator[Site]:
    database = Database(server.url(name))
    site = Site(server, name, proxy, folder, database)
    try:
        yield site
    finally:
        await site.kill(*site.processes)
        await database.close()


@asynccontextmanager
async def refusing(house: House, table: str, event: str, sqlstate: str, times: int = 10**6) -> AsyncIterator[None]:
    """Inside, the server itself raises `sqlstate` so many times for `event` on a row of `table`.

    `event` is as in CREATE TRIGGER, a WHEN condition after it if wanted. A sequence counts, since rolling back what
    was refused does not turn it back.
    """
    await house.sql("CREATE SCHEMA faults")
    await house.sql("CREATE SEQUENCE faults.times")
    await house.sql(
        "CREATE FUNCTION faults.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('faults.times') <= {times} THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END IF;"
        " RETURN NEW; END $$"
    )
    async with _trigger(house, table, event):
        yield


@asynccontextmanager
async def gate(house: House, table: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Inside, a statement that inserts into `table` stops at its second row; yields whether one has."""
    await house.sql("CREATE SCHEMA faults")
    await house.sql("CREATE SEQUENCE faults.times")
    await house.sql(
        "CREATE FUNCTION faults.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('faults.times') = 2 THEN PERFORM pg_advisory_xact_lock(42); END IF; RETURN NEW; END $$"
    )

    async def reached() -> bool:
        return bool(await house.sql("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))

    async with _trigger(house, table, "INSERT"), house.database.transaction() as holder:
        await holder.execute(text("SELECT pg_advisory_xact_lock(42)"))
        yield reached


@asynccontextmanager
async def _trigger(house: House, table: str, event: str) -> AsyncIterator[None]:
    event, _, condition = event.partition(" WHEN ")
    when = f"WHEN ({condition})" if condition else ""
    on = f"campaign_engine.{table}"
    await house.sql(
        f"CREATE TRIGGER faults BEFORE {event} ON {on} FOR EACH ROW {when} EXECUTE FUNCTION faults.refuse()"
    )
    try:
        yield
    finally:
        await house.sql("DROP SCHEMA faults CASCADE")
