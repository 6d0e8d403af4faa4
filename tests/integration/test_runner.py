"""The runner: its loops stand alone, survive failures, and stop when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from engine.core.errors import RepositoryError
from engine.db.database import Database
from engine.runner import Runner
from tests.integration.builders import House, neighbours


@pytest.fixture
def house(database: Database) -> House:
    return House(database, poll_seconds=0.01)


@asynccontextmanager
async def running(house: House, *names: str) -> AsyncIterator[Runner]:
    """A runner at work, stopped at the end."""
    runner, stop = Runner(house.app), asyncio.Event()
    task = asyncio.create_task(runner.run(stop, *names))
    try:
        yield runner
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the loops set no event
            await asyncio.sleep(0.005)


def events(logs: list[EventDict]) -> set[str]:
    return {each["event"] for each in logs}


async def test_the_loops_together_move_conversations_and_send_their_messages(house: House) -> None:
    await house.campaign()
    async with running(house) as runner:
        await until(lambda: runner.worked.sent == 1)
    assert (runner.ticked.advanced, runner.ticked.failed) == (1, 0)


async def test_a_loop_that_fails_says_so_goes_on_and_leaves_the_others_alone(house: House) -> None:
    await house.sql("ALTER TABLE campaign_engine.campaign_requests RENAME TO away")
    with capture_logs() as logs:
        async with running(house) as runner:
            await until(lambda: len(logs) >= 2)
            await house.campaign()
            await until(lambda: runner.worked.sent == 1)
            await house.sql("ALTER TABLE campaign_engine.away RENAME TO campaign_requests")
            await until(lambda: "poll works again" in events(logs))
    assert events(logs) == {"poll failed and is tried again", "poll works again"}
    first, second = logs[:2]
    assert first["hint"].endswith("Run: campaign db upgrade")
    assert second["retry_in_seconds"] >= first["retry_in_seconds"]


async def test_what_nobody_foresaw_is_logged_by_its_type_alone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("ann@example.org")

    monkeypatch.setattr(house.app.poller, "poll_once", fail)
    with capture_logs() as logs:
        async with running(house, "poll"):
            await until(lambda: bool(logs))
    assert logs[0]["error"] == "ZeroDivisionError"
    assert "ann" not in str(logs)


async def test_a_database_that_cannot_be_used_is_told_at_once(house: House) -> None:
    await house.sql("ALTER SCHEMA campaign_engine RENAME TO away")
    with pytest.raises(RepositoryError, match="campaign db upgrade"):
        await Runner(house.app).run(asyncio.Event())


async def test_a_tick_that_is_asked_to_stop_ends_after_its_batch(house: House) -> None:
    await house.campaign(neighbours(3))
    app = house.with_settings(max_batch_size=1)
    passes = []

    def ask(counts: object) -> None:
        passes.append(counts)
        app.tick.stop()

    app.tick.stop()
    assert (await app.tick.drain(ask)).claimed == 0
    assert len(passes) == 1


async def test_a_worker_that_is_asked_to_stop_gives_back_what_it_has_not_sent(house: House) -> None:
    await house.campaign(neighbours(3))
    await house.tick()
    house.app.worker.stop()
    assert (await house.app.worker.drain()).sent == 0
    assert (await house.with_settings().worker.drain()).sent == 3
