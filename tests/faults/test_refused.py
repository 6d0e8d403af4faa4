"""The server refuses for a while: its disk is full, it is read-only, others are in the way. Nobody is blamed for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine.core.errors import RepositoryError
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.runner import Runner
from engine.tick import TickCounts
from tests.faults.site import DECIDED, WRITE, Site, refusing
from tests.integration.builders import House, conversation_of, neighbours, person

FULL = "53100"
CROWDED = ("40001", "40P01", "55P03")  # a serialization failure, a deadlock, a lock that took too long


# ---- a full disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["stage_history", "outbox", "metric_deltas"])
async def test_a_tick_on_a_full_disk_says_what_to_do_and_loses_nothing(site: Site, table: str) -> None:
    await site.talk()
    async with refusing(site.house, table, "INSERT", FULL):
        with pytest.raises(RepositoryError, match="disk is full") as caught:
            await site.house.tick()
        assert "Free space" in caught.value.hint
    assert caught.value.retryable
    await site.settles()


@pytest.mark.parametrize("status", ["leased", "sent"])
async def test_a_worker_on_a_full_disk_loses_no_message(site: Site, status: str) -> None:
    await site.talk()
    await site.house.tick()
    left = len(site.house.mail.left)
    async with refusing(site.house, "outbox", f"UPDATE WHEN NEW.status = '{status}'", FULL):
        with pytest.raises(RepositoryError, match="disk is full"):
            await site.house.app.worker.drain()
    assert (len(site.house.mail.left) > left) == (status == "sent")
    await site.settles("1h", "4d", "12d", "100d")


async def test_an_answer_on_a_full_disk_is_refused_and_may_be_given_again(site: Site) -> None:
    campaign = await site.talk()
    async with refusing(site.house, "responses", "INSERT", FULL):
        with pytest.raises(RepositoryError, match="disk is full"):
            await site.house.reply(campaign, "yes", message_id="m1")
    await site.house.reply(campaign, "yes", message_id="m1")
    await site.settles()


async def test_a_request_that_a_full_disk_stops_is_taken_in_later(site: Site) -> None:
    await site.house.register()
    wanted = {"name": "Autumn", "type": "talk", "recipients": [person("ann"), person("bob")]}
    async with site.house.database.transaction() as connection:
        await CampaignRepository(connection).insert_request(wanted)
    async with refusing(site.house, "conversations", "INSERT", FULL):
        with pytest.raises(RepositoryError, match="disk is full"):
            await site.house.app.poller.poll_once()
    site.house.wait("1d")
    await site.house.app.poller.poll_once()
    assert await site.count("conversations") == 2
    await site.settles("0h", "4d", "12d", "100d")


async def test_a_command_on_a_full_disk_ends_with_one_message(site: Site) -> None:
    await site.talk()
    async with refusing(site.house, "stage_history", "INSERT", FULL):
        tick = await site.drain("tick")
        assert await tick.wait() == 1
    assert "disk is full" in site.errors(tick)
    assert "Traceback" not in site.errors(tick)
    assert "stage_history" not in site.errors(tick)
    await site.settles()


async def test_loops_go_on_when_there_is_space_again(site: Site) -> None:
    await site.talk()
    house = site.house
    app = house.with_settings(poll_seconds=0.02)
    stop, runner = asyncio.Event(), Runner(app)

    async def everybody_moved() -> bool:
        return not await site.overdue()

    with capture_logs() as logs:
        async with refusing(house, "stage_history", "INSERT", FULL, times=3):
            loops = asyncio.create_task(runner.run(stop, "tick"))
            await site.until(everybody_moved)
        stop.set()
        await loops
    assert "disk is full" in str(logs)
    await site.settles()


# ---- a read-only server ------------------------------------------------------------------------------------------


async def test_an_engine_goes_on_when_its_database_may_be_written_again(site: Site) -> None:
    campaign = await site.talk()
    await site.house.sql(f"ALTER DATABASE {site.name} SET default_transaction_read_only = on")
    database = Database(site.direct_url)  # its connections begin read-only, and would stay so
    engine = House(database)
    engine.clock.instant = site.house.clock.instant
    for attempt in (engine.tick, partial(engine.reply, campaign, "yes")):
        with pytest.raises(RepositoryError, match="read-only") as caught:
            await attempt()
        assert "Connect to its primary" in caught.value.hint
    assert await site.overdue() > 0
    await site.house.sql(f"ALTER DATABASE {site.name} RESET default_transaction_read_only")
    assert (await engine.tick()).claimed > 0
    await database.close()
    await site.settles()


# ---- somebody in the way -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sqlstate", CROWDED)
async def test_a_batch_that_was_in_somebodys_way_is_claimed_again(site: Site, sqlstate: str) -> None:
    await site.talk()
    async with refusing(site.house, "stage_history", "INSERT", sqlstate, times=3):
        counts = await site.house.tick()
    assert (counts.advanced > 0, counts.failed) == (True, 0)
    assert await site.overdue() == 0
    await site.settles()


async def test_a_tick_that_waits_too_long_for_a_lock_gives_way(site: Site, far: House) -> None:
    await site.talk()
    far.clock.instant = site.house.clock.instant
    async with site.house.database.transaction() as rival:
        await rival.execute(text("LOCK TABLE campaign_engine.stage_history IN SHARE MODE"))
        with capture_logs() as logs:
            counts = await far.app.tick.run_once()
    assert (counts.advanced, counts.failed) == (0, 0)
    assert {line["sqlstate"] for line in logs if line["log_level"] == "warning"} == {"57014"}
    assert (await far.tick()).failed == 0
    await site.settles()


async def test_a_conversation_that_takes_too_long_is_found_in_its_batch_and_backed_off(site: Site, far: House) -> None:
    campaign = await site.talk()
    far.clock.instant = site.house.clock.instant
    slow = conversation_of(campaign, "ann")
    await site.house.sql(
        "CREATE FUNCTION public.doze() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
    )
    await site.house.sql(
        "CREATE TRIGGER doze BEFORE UPDATE OF seq ON campaign_engine.conversations FOR EACH ROW"
        f" WHEN (NEW.id = '{UUID(slow)}' AND NEW.seq > OLD.seq) EXECUTE FUNCTION public.doze()"
    )
    for _ in range(8):
        await far.app.tick.run_once()
    await site.house.sql("DROP TRIGGER doze ON campaign_engine.conversations")
    ann = await site.house.conversation(campaign)
    assert ann["attempts"] == 1
    assert ann["last_error"].startswith("RepositoryError: the database refused (SQLSTATE 57014)")
    rest = [row for row in await site.house.manager.list_conversations(campaign) if row["id"] != slow]
    assert rest
    assert {row["attempts"] for row in rest} == {0}
    assert all(row["due_at"] is None or row["due_at"] > far.clock.instant for row in rest)


async def test_a_tick_that_dawdles_in_its_transaction_is_cut_off_and_begins_anew(site: Site, far: House) -> None:
    await site.house.campaign(neighbours(6))
    await site.house.run()
    far.clock.instant = site.house.at("3d").clock.instant
    with site.proxy.hold(DECIDED) as hold:
        tick = asyncio.create_task(far.app.tick.run_once())
        await hold.wait()
        await site.until_quiet()  # the server has ended its transaction
        hold.release()
        [came] = await asyncio.gather(tick, return_exceptions=True)
    assert isinstance(came, TickCounts) or (isinstance(came, RepositoryError) and came.retryable)
    assert (await far.tick()).failed == 0
    await site.settles()


@pytest.mark.parametrize("statement", [WRITE, "COMMIT"])
async def test_a_tick_whose_backend_is_terminated_begins_anew(site: Site, far: House, statement: str) -> None:
    await site.talk()
    far.clock.instant = site.house.clock.instant
    with site.proxy.hold(statement, within=WRITE) as hold:
        tick = asyncio.create_task(far.app.tick.run_once())
        await hold.wait()
        await site.house.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        await site.until_quiet()
        hold.release()
        with pytest.raises(RepositoryError) as caught:
            await tick
    assert caught.value.retryable
    assert (await far.tick()).failed == 0
    await site.settles()


# ---- too many at once --------------------------------------------------------------------------------------------


async def test_a_server_without_room_for_another_connection_says_so(site: Site) -> None:
    await site.house.sql("CREATE ROLE crowd LOGIN IN ROLE campaign_engine_app CONNECTION LIMIT 1")
    database = Database(site.direct_url.replace("postgres@", "crowd@"))
    try:
        async with database.transaction():
            with pytest.raises(RepositoryError, match="takes no more connections") as caught:
                async with database.transaction():
                    pass
        assert (caught.value.sqlstate, caught.value.retryable) == ("53300", True)
        async with database.transaction() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await database.close()
        await site.house.sql("DROP ROLE crowd")


async def test_more_loops_than_connections_wait_and_then_are_told(site: Site) -> None:
    database = Database(site.direct_url, pool_size=1, pool_patience=0.1)

    async def use_up(held: AsyncExitStack) -> None:
        for _ in range(100):
            await held.enter_async_context(database.transaction())

    try:
        async with AsyncExitStack() as held:
            with pytest.raises(RepositoryError, match="connections of this process are in use") as caught:
                await use_up(held)
        async with database.transaction() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
    finally:
        await database.close()
    assert caught.value.retryable
