"""The engine on a database of its own, processes of it that may be killed, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from engine.db.database import Database
from engine.db.embedded import EmbeddedPostgres
from tests.faults.wire import PATIENCE, Proxy
from tests.integration.builders import House, neighbours

ROOT = Path(__file__).parents[2]

# The hot statements, by a text that each has and no other.
CLAIM = "FOR UPDATE SKIP LOCKED"
ANSWERS = "FROM campaign_engine.responses"
WRITE = "INTO campaign_engine.stage_history"
LEASE = "SET status = 'leased'"
MARK = "lease_until = NULL"
COMMIT = "COMMIT"

# Nine steps, a message each, a second apart: something to do for programs that run by the real clock.
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
    visits: {at_most: 8, then: done}
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
        return await self.start(command, "--drain", "--json", "--now", self.house.clock.instant.isoformat(), **environment)

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
        async with asyncio.timeout(PATIENCE):
            while not await condition():
                ended = [self.errors(each) for each in self.processes if each.returncode not in (None, 0, -9)]
                assert not ended, ended
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

    async def steps(self) -> int:
        return await self.count("stage_history")

    # ---- what must hold ----------------------------------------------------------------------------------------

    def keys_sent(self) -> Counter[str]:
        """How often each idempotency key is in the file that stands for the world."""
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
        known = await self.house.sql("SELECT concat_ws('/', conversation_id, seq, ordinal) FROM campaign_engine.outbox")
        assert len(known) == len(set(known))

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
        left_behind = "SELECT message FROM campaign_engine.outbox WHERE status IN ('ready', 'leased') AND not_before <= :now"
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
