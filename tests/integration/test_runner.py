"""The runner: its loops stand alone, survive failures and outages, sleep when there is nothing, and stop when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs
from structlog.typing import EventDict

from engine.application import Application, assemble
from engine.clock import DatabaseClock
from engine.core.errors import RepositoryError
from engine.db.buckets import BUCKETS
from engine.db.database import Database
from engine.members import UNSEEN
from engine.recovery import Policy
from engine.runner import Runner
from engine.upkeep import Upkeep
from tests.integration.builders import House, a_settings, neighbours
from tests.integration.proxy import a_door

LOOPS = ("poll", "tick", "work", "heartbeat")
QUICK = Policy(threshold=3, first_seconds=0.05, longest_seconds=0.2)


@pytest.fixture
def house(database: Database) -> House:
    return House(database, poll_seconds=0.01)


@asynccontextmanager
async def running(house: House, *names: str, app: Application | None = None) -> AsyncIterator[Runner]:
    """A runner at work, stopped at the end. Its partitions are made, so that it says nothing of them."""
    with capture_logs():
        await Upkeep(house.database, house.app.settings, house.clock).run()
    runner, stop = Runner(app or house.app, policy=QUICK), asyncio.Event()
    task = asyncio.create_task(runner.run(stop, *names))
    try:
        yield runner
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the loops set no event
            await asyncio.sleep(0.005)


def text(runner: Runner) -> str:
    return runner.health.figures().decode()


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


# ---- supervision ----------------------------------------------------------------------------------------------------


class Death(BaseException):
    """No mere error."""


@pytest.mark.parametrize("death", [Death, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_a_loop_that_dies_of_anything_is_started_again_after_growing_pauses_and_the_others_never_notice(
    house: House, monkeypatch: pytest.MonkeyPatch, death: type[BaseException]
) -> None:
    polls, poll_once = 0, house.app.poller.poll_once

    async def die() -> object:
        nonlocal polls
        polls += 1
        if polls <= 4:
            raise death
        return await poll_once()

    monkeypatch.setattr(house.app.poller, "poll_once", die)
    with capture_logs() as logs:
        async with running(house) as runner:
            await until(lambda: polls > 4)
            await house.campaign()
            await until(lambda: runner.worked.sent == 1)
    assert [each["event"] for each in logs] == ["poll died and is started again"] * 4
    assert [each["error"] for each in logs] == [death.__name__] * 4
    assert 'campaign_engine_loop_failures_total{loop="poll"} 4.0' in runner.health.figures().decode()


async def test_a_loop_that_merely_ends_is_started_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, stop, lives = Runner(house.app), asyncio.Event(), 0

    async def end() -> None:
        nonlocal lives
        lives += 1

    monkeypatch.setattr(runner, "_pulse", end)
    with capture_logs() as logs:
        task = asyncio.create_task(runner.run(stop, "poll"))
        await until(lambda: lives > 1)
        stop.set()
        await task
    assert logs[0]["event"] == "pulse died and is started again"
    assert logs[0]["error"] == "it ended"


# ---- outages --------------------------------------------------------------------------------------------------------


async def test_an_outage_is_told_in_one_line_probed_by_one_loop_and_over_in_one_line(
    database: Database, database_url: str
) -> None:
    async with a_door(database_url) as door:
        through = Database(door.url)
        inside, house = House(through, poll_seconds=0.01), House(database)
        with capture_logs() as logs:
            async with running(inside) as runner:
                await until(lambda: not runner.health.why_not_ready())
                await door.shut()
                await until(lambda: runner.breaker.circuit.failures > QUICK.threshold + 2)
                assert [each["event"] for each in logs if each["log_level"] != "debug"] == [
                    "the database fails; nothing is tried until it works again"
                ]
                assert runner.health.why_not_alive() == []
                assert runner.health.why_not_ready() != []
                await house.campaign()
                await door.open()
                await until(lambda: runner.ticked.advanced == 1 and inside.mail.keys == ["ann"])
                assert runner.health.why_not_ready() == []
        await through.close()
    told = [each for each in logs if each["log_level"] != "debug"]
    assert [(each["log_level"], each["event"]) for each in told] == [
        ("error", "the database fails; nothing is tried until it works again"),
        ("info", "the database works again"),
    ]
    assert told[0]["error"].startswith("cannot reach the database at 127.0.0.1:") or "SQLSTATE" in told[0]["error"]
    assert await house.violations() == []


async def test_while_the_circuit_is_open_only_probes_reach_the_database(house: House) -> None:
    begun: list[float] = []

    def refuse(_connection: object) -> None:
        begun.append(asyncio.get_running_loop().time())
        raise ConnectionRefusedError("nobody is there")

    with capture_logs():
        async with running(house) as runner:
            await until(lambda: not runner.health.why_not_ready())
            event.listen(house.database._engine.sync_engine, "begin", refuse)
            await until(lambda: runner.breaker.status == "open")
            begun.clear()
            await until(lambda: len(begun) >= 5)
            event.remove(house.database._engine.sync_engine, "begin", refuse)
            await until(lambda: not runner.health.why_not_ready())
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert min(gaps[1:]) >= 0.8 * QUICK.longest_seconds / 2  # one at a time, with pauses that grow


# ---- sleep ----------------------------------------------------------------------------------------------------------


async def listening(house: House) -> None:
    """Return when a process listens for hints."""
    asked = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'campaign-engine hints' AND state = 'idle'"
        " AND query LIKE 'LISTEN%' AND datname = current_database()"
    )
    async with asyncio.timeout(30):
        while not await house.sql(asked):  # noqa: ASYNC110 - another process says so
            await asyncio.sleep(0.005)


async def test_a_hint_wakes_the_loops_long_before_they_would_look_again(database: Database) -> None:
    house = House(database, poll_seconds=600)
    campaign = await house.campaign()
    async with running(house) as runner:
        await until(lambda: runner.ticked.advanced == 1)
        await listening(house)
        await until(lambda: house.mail.keys == ["ann"])
        await house.reply(campaign, "what?")
        await until(lambda: runner.ticked.advanced == 2)


async def test_the_listener_comes_back_quietly_when_its_connection_is_cut(database: Database) -> None:
    house = House(database, poll_seconds=0.2)
    listeners = (
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'campaign-engine hints'"
        " AND datname = current_database()"
    )
    with capture_logs() as logs:
        async with running(house):
            await listening(house)
            [first] = await house.sql(listeners)
            await house.sql("SELECT pg_terminate_backend(:pid)", pid=first[0])
            async with asyncio.timeout(30):
                while await house.sql(listeners) in ([], [first]):  # noqa: ASYNC110 - another process says so
                    await asyncio.sleep(0.005)
            await listening(house)
    assert [each for each in logs if each["log_level"] != "debug"] == []


async def test_the_tick_sleeps_until_the_next_conversation_is_due(database: Database) -> None:
    house = House(database)
    app = assemble(database, a_settings(poll_seconds=600), DatabaseClock(), house.app.channels)
    campaign = await house.campaign()
    await house.set_conversation(campaign, "ann", "due_at = clock_timestamp() + interval '1.5 seconds'")
    [(due,)] = await house.sql("SELECT due_at FROM campaign_engine.conversations")
    async with running(house, "tick", app=app) as runner:
        await until(lambda: runner.ticked.advanced == 1)
    [(late,)] = await house.sql("SELECT at - :due FROM campaign_engine.stage_history", due=due)
    assert timedelta() <= late < timedelta(seconds=60)


async def test_a_process_without_work_asks_the_database_next_to_nothing(database: Database) -> None:
    house, begun = House(database, poll_seconds=600), list[object]()

    def note(connection: object) -> None:
        begun.append(connection)

    await house.campaign()
    await house.run()
    async with running(house) as runner:
        await listening(house)
        await until(lambda: all(f'step_seconds_count{{loop="{name}"}}' in text(runner) for name in LOOPS))
        event.listen(database._engine.sync_engine, "begin", note)
        await asyncio.sleep(1)  # what is measured is a second
        event.remove(database._engine.sync_engine, "begin", note)
    assert len(begun) <= 2


# ---- members --------------------------------------------------------------------------------------------------------


async def members(house: House) -> list[tuple[str, list[str]]]:
    return await house.sql("SELECT name, parts FROM campaign_engine.members ORDER BY id")


async def test_two_processes_share_the_buckets_out_and_take_their_rows_away_at_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: dict[int, list[int]] = {}
    apps = [house.with_settings(poll_seconds=0.01) for _ in range(2)]
    for number, app in enumerate(apps):
        monkeypatch.setattr(
            app.tick, "prefer", lambda buckets, number=number: shares.update({number: list(buckets)}), raising=False
        )
    monkeypatch.setattr("engine.runner.BEAT_SECONDS", 0.05)
    async with running(house, "tick", app=apps[0]):
        async with running(house, "tick", "poll", app=apps[1]):
            await until(lambda: sorted(map(len, shares.values())) == [32, 32])
            assert sorted(shares[0] + shares[1]) == sorted(BUCKETS)
            assert sorted(parts for _, parts in await members(house)) == [["tick"], ["tick", "poll"]]
        await until(lambda: len(shares[0]) == 64)
        assert len(await members(house)) == 1
    assert await members(house) == []


async def test_a_member_not_seen_for_a_while_is_removed_by_others(house: House) -> None:
    long_ago = house.clock.instant - UNSEEN - timedelta(seconds=1)
    await house.sql(
        "INSERT INTO campaign_engine.members (id, name, version, parts, started_at, seen_at)"
        " VALUES (gen_random_uuid(), 'gone:1', '0', '{tick}', :at, :at)",
        at=long_ago,
    )
    async with running(house, "tick") as runner:
        await until(lambda: not runner.health.why_not_ready())
        [(name, _)] = await members(house)
        assert name != "gone:1"


async def test_a_process_that_cannot_write_its_row_is_alive_and_not_ready(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runner.BEAT_SECONDS", 0.05)
    async with running(house) as runner:
        await until(lambda: not runner.health.why_not_ready())
        await house.sql("ALTER TABLE campaign_engine.members RENAME TO away")
        await until(lambda: runner.health.why_not_ready() == ["the last heartbeat failed"])
        assert runner.health.why_not_alive() == []
        await house.sql("ALTER TABLE campaign_engine.away RENAME TO members")
        await until(lambda: not runner.health.why_not_ready())


async def test_a_member_tells_the_state_of_its_circuits(house: House) -> None:
    async with running(house) as runner:
        await until(lambda: not runner.health.why_not_ready())
        [(states,)] = await house.sql("SELECT states FROM campaign_engine.members")
    assert states["database"]["state"] == "closed"
    assert set(states["database"]) == {"state", "since", "failures"}
