"""Processes that are asked to stop, with real signals: the batch in hand is finished or rolled back, in 5 seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
import psycopg
import pytest

from engine.db.database import Database
from tests.integration.builders import House, neighbours, people

ROOT = Path(__file__).parents[2]
SOON = 5.0  # seconds, what is promised


class Program:
    """`campaign` as processes on this test's database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.mailbox = folder / "sent.jsonl"
        self.environment = os.environ | {
            "DATABASE_URL": url,
            "CAMPAIGN_CHANNELS": f"email=file:{self.mailbox}",
            "POLL_SECONDS": "0.05",
            "METRICS_LISTEN": "127.0.0.1:0",
        }
        self.started: list[Process] = []

    async def start(self, *arguments: str, **environment: str) -> Process:
        command = [sys.executable, "-m", "engine.cli", *arguments, "--json"]
        env = self.environment | environment
        process = await asyncio.create_subprocess_exec(*command, env=env, cwd=ROOT, stdout=PIPE, stderr=PIPE)
        self.started.append(process)
        return process


@pytest.fixture
async def program(database_url: str, tmp_path: Path) -> AsyncIterator[Program]:
    made = Program(database_url, tmp_path)
    yield made
    for process in made.started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def until(condition: Callable[[], Any]) -> None:
    """Return when other processes have made it true."""
    async with asyncio.timeout(60):
        while not (await found if asyncio.iscoroutine(found := condition()) else found):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def ended(process: Process, began: float) -> tuple[int | None, dict[str, Any], str]:
    """The exit code, what was printed and what was logged of a process that ends as soon as promised."""
    out, err = await process.communicate()
    assert time.monotonic() - began < SOON
    return process.returncode, orjson.loads(out) if out else {}, err.decode()


@asynccontextmanager
async def history_locked(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Nobody can write history meanwhile, so that every batch stays in hand; ends early with a rollback."""
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", "")) as connection:
        await connection.execute("LOCK TABLE campaign_engine.stage_history IN EXCLUSIVE MODE")
        yield connection
        await connection.rollback()


async def waits(house: House) -> bool:
    return bool(await house.sql("SELECT FROM pg_locks WHERE NOT granted AND relation IS NOT NULL"))


async def moved(house: House) -> int:
    return len(await house.sql("SELECT FROM campaign_engine.stage_history"))


EACH = pytest.mark.parametrize(
    "command", [("run",), ("tick",), ("tick", "--workers", "2"), ("tick", "--drain")], ids=" ".join
)


@EACH
async def test_sigterm_lets_the_batch_in_hand_be_finished(
    house: House, program: Program, database_url: str, command: tuple[str, ...]
) -> None:
    await house.campaign(neighbours(8))
    async with history_locked(database_url) as locked:
        process = await program.start(*command, MAX_BATCH_SIZE="4")
        await until(lambda: waits(house))
        began = time.monotonic()
        process.terminate()
        await locked.rollback()
        code, printed, log = await ended(process, began)
    assert code == (130 if "--drain" in command else 0), log
    assert await moved(house) in (4, 8)
    if "--drain" not in command:
        assert (printed["tick"] if command == ("run",) else printed)["advanced"] == await moved(house)
    assert await house.violations() == []


async def all_is_done_once(house: House) -> None:
    """What was in hand is committed whole or not at all, be it by a server that has heard of the end last."""
    await until(lambda: nobody_is_at_work(house))
    before = await moved(house)
    assert (await house.tick()).advanced == 20 - before
    assert await house.violations() == []


async def nobody_is_at_work(house: House) -> bool:
    others = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return not await house.sql(f"{others} AND state <> 'idle'")


@pytest.mark.parametrize("command", [("run",), ("tick", "--workers", "2")], ids=" ".join)
async def test_what_cannot_be_finished_in_time_is_rolled_back(
    house: House, program: Program, database_url: str, command: tuple[str, ...]
) -> None:
    await house.campaign(people(20))
    async with history_locked(database_url):
        process = await program.start(*command)
        await until(lambda: waits(house))
        children = workers_of(process)
        began = time.monotonic()
        process.terminate()
        code, _, log = await ended(process, began)
        assert code in (0, 143), log
        await until(lambda: not any(each.is_running() for each in children))
    await all_is_done_once(house)


@pytest.mark.parametrize(
    ("command", "number", "expected"),
    [
        (("run",), signal.SIGTERM, 143),
        (("tick", "--workers", "2"), signal.SIGTERM, 143),
        (("tick", "--drain"), signal.SIGINT, 130),
    ],
    ids=str,
)
async def test_a_second_signal_ends_it_at_once(
    house: House, program: Program, database_url: str, command: tuple[str, ...], number: int, expected: int
) -> None:
    await house.campaign(people(20))
    async with history_locked(database_url):
        process = await program.start(*command)
        await until(lambda: waits(house))
        children = workers_of(process)
        assert len(children) == (2 if "--workers" in command else 0)
        process.send_signal(number)
        await asyncio.sleep(0.2)  # two of one kind at once would be one signal
        assert process.returncode is None
        began = time.monotonic()
        process.send_signal(number)
        code, printed, _ = await ended(process, began)
        assert time.monotonic() - began < 2
        assert (code, printed) == (expected, {})
        await until(lambda: not any(each.is_running() for each in children))
    await all_is_done_once(house)


async def test_a_worker_on_its_own_gives_back_what_it_has_not_sent(house: House, program: Program) -> None:
    await house.campaign(neighbours(30))
    await house.tick()
    process = await program.start("work")
    await until(program.mailbox.exists)
    began = time.monotonic()
    process.terminate()
    code, printed, log = await ended(process, began)
    sent = len(program.mailbox.read_bytes().splitlines())
    assert (code, printed["sent"]) == (0, sent), log
    assert await house.sql("SELECT FROM campaign_engine.outbox WHERE status = 'leased'") == []
    assert await house.violations() == []


async def test_a_tick_process_that_is_killed_is_replaced(house: House, program: Program) -> None:
    members = "SELECT id FROM campaign_engine.members"
    process = await program.start("tick", "--workers", "2")
    try:
        await until(lambda: two(house, members))
        before = workers_of(process)
        before[0].kill()
        await until(lambda: len(now := workers_of(process)) == 2 and now != before)
        await house.campaign()
        await until(lambda: moved(house))
    finally:
        began = time.monotonic()
        process.terminate()
    code, printed, log = await ended(process, began)
    assert (code, printed["advanced"]) == (0, 1)
    lines = [orjson.loads(line)["event"] for line in log.splitlines()]
    assert lines == ["a tick process was killed and is started again"]


async def two(house: House, statement: str) -> bool:
    return len(await house.sql(statement)) == 2


def workers_of(process: Process) -> list[psutil.Process]:
    """The children that tick, in the order of their start; not what Python starts to look after them."""
    return [each for each in psutil.Process(process.pid).children() if is_worker(each)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it is no more
        return False


async def test_when_the_parent_is_killed_its_children_end(house: House, program: Program) -> None:
    process = await program.start("tick", "--workers", "2")
    await until(lambda: two(house, "SELECT id FROM campaign_engine.members"))
    children = workers_of(process)
    process.kill()
    await process.wait()
    began = time.monotonic()
    await until(lambda: not any(each.is_running() for each in children))
    assert time.monotonic() - began < SOON
    assert await house.sql("SELECT id FROM campaign_engine.members") == []


@pytest.mark.parametrize("command", [("run",), ("tick", "--workers", "2")], ids=" ".join)
async def test_systemd_hears_when_it_is_ready_that_it_lives_and_that_it_stops(
    house: House, program: Program, tmp_path: Path, command: tuple[str, ...]
) -> None:
    heard = list[bytes]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        asyncio.get_running_loop().add_reader(manager, lambda: heard.append(manager.recv(1000)))
        given = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        process = await program.start(*command, **given)
        await until(lambda: heard.count(b"WATCHDOG=1") >= 3)
        assert any(each.startswith(b"READY=1\nSTATUS=") for each in heard[:2])
        began = time.monotonic()
        process.terminate()
        await ended(process, began)
        await until(lambda: any(each.startswith(b"STOPPING=1") for each in heard))
        asyncio.get_running_loop().remove_reader(manager)
    assert await house.violations() == []
