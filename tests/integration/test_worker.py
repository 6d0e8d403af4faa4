"""The worker on a real PostgreSQL: what leaves, in which order, who holds it, and what a death leaves behind."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.engine import make_url
from structlog.testing import capture_logs

from engine.channels.protocol import OutgoingMessage
from engine.core.errors import ChannelError
from engine.db.database import Database, driver_of
from engine.db.messages import LEASE_MESSAGES
from engine.db.tables import conversations, outbox
from engine.worker import WorkCounts
from tests.integration.postroom import LEASE, NOW, Mailbox, Postroom


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture
async def house(database: Database) -> Postroom:
    return await Postroom(database).open()


# ---- what leaves -------------------------------------------------------------------------------------------------


async def test_a_due_message_leaves_once_and_is_recorded_and_counted(house: Postroom) -> None:
    id = await house.add_message("ann")
    assert await house.worker().work_once() == WorkCounts(sent=1)
    assert await house.worker().work_once() == WorkCounts()
    (sent,) = house.mail.left
    assert (sent.to, sent.subject, sent.text) == ("ann@example.org", "A question", "Hi Ann")
    assert (sent.idempotency_key, sent.at) == (f"{id}:1:0", NOW)
    row = await house.message(id)
    assert (row.status, row.sent_at, row.attempts, row.lease_until) == ("sent", NOW, 1, None)
    assert await house.counted() == {("sent", "introduce", "email", "intro"): 1}


async def test_a_message_does_not_leave_before_its_time(house: Postroom) -> None:
    await house.add_message(not_before=NOW + timedelta(hours=1))
    assert await house.worker().drain() == WorkCounts()
    house.clock.advance(timedelta(hours=1))
    assert await house.worker().drain() == WorkCounts(sent=1)


async def test_messages_leave_in_the_order_of_their_time_seq_and_ordinal(house: Postroom) -> None:
    early = NOW - timedelta(hours=1)
    for seq, ordinal, not_before in [(2, 0, NOW), (1, 1, NOW), (3, 0, early), (1, 0, NOW)]:
        await house.add_message(seq=seq, ordinal=ordinal, not_before=not_before)
    await house.worker().work_once()
    assert [each.idempotency_key[-3:] for each in house.mail.left] == ["3:0", "1:0", "1:1", "2:0"]


async def test_draining_empties_every_bucket_however_small_the_batches(house: Postroom) -> None:
    for number in range(40):
        await house.add_message(f"r{number % 20}", seq=number)
    worker = house.worker(max_batch_size=1)
    assert await worker.drain() == WorkCounts(sent=40)
    assert len({each.idempotency_key for each in house.mail.left}) == 40
    assert (await house.counted()).total() == 40


async def test_the_role_of_a_worker_may_do_all_this(house: Postroom, database_url: str) -> None:
    id = await house.add_message(awaited=True)
    await house.execute(text("CREATE ROLE a_worker LOGIN IN ROLE campaign_engine_worker"))
    restricted = Database(make_url(database_url).set(username="a_worker").render_as_string())
    try:
        assert await house.worker(database=restricted).drain() == WorkCounts(sent=1)
    finally:
        await restricted.close()
        await house.execute(text("DROP ROLE a_worker"))
    assert await house.due_at(id) == NOW


# ---- leases ------------------------------------------------------------------------------------------------------


async def test_what_a_killed_worker_held_is_sent_again_after_the_lease_under_the_same_key(house: Postroom) -> None:
    id = await house.add_message()
    dying = Mailbox()
    dying.broken = Killed()
    with pytest.raises(Killed):
        await house.worker(dying).work_once()
    assert (await house.message(id)).status == "leased"

    house.clock.advance(LEASE - timedelta(microseconds=1))
    assert await house.worker().drain() == WorkCounts()
    house.clock.advance(timedelta(microseconds=1))
    assert await house.worker().drain() == WorkCounts(sent=1)
    assert house.mail.left[0].idempotency_key == f"{id}:1:0"
    assert (await house.message(id)).attempts == 1
    assert (await house.counted()).total() == 1


async def test_a_worker_that_comes_too_late_records_nothing(house: Postroom) -> None:
    id = await house.add_message(awaited=True)
    other = Mailbox()

    async def overslept(_: OutgoingMessage) -> None:
        house.clock.advance(LEASE)
        assert await house.worker(other).drain() == WorkCounts(sent=1)
        raise ChannelError("too late", retryable=False)

    assert await house.worker(Mailbox(overslept)).work_once() == WorkCounts()
    row = await house.message(id)
    assert (row.status, row.last_error, row.sent_at) == ("sent", None, NOW + LEASE)
    assert await house.counted() == {("sent", "introduce", "email", "intro"): 1}


async def test_many_workers_never_hold_the_same_message(house: Postroom) -> None:
    for number in range(60):
        await house.add_message(f"r{number % 6}", seq=number)
    mailboxes = [Mailbox() for _ in range(4)]
    counts = await asyncio.gather(*(house.worker(each, max_batch_size=3).drain() for each in mailboxes))
    assert sum(each.sent for each in counts) == 60
    assert len({each.idempotency_key for mailbox in mailboxes for each in mailbox.left}) == 60
    assert (await house.counted()).total() == 60


async def test_a_worker_that_used_half_its_lease_gives_the_rest_back(
    house: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.add_message(seq=1)
    await house.add_message(seq=2)
    seconds = 0.0
    monkeypatch.setattr("engine.worker.monotonic", lambda: seconds)
    monkeypatch.setattr("engine.sending.monotonic", lambda: seconds)

    async def slow(_: OutgoingMessage) -> None:
        nonlocal seconds
        seconds += LEASE.total_seconds()

    assert await house.worker(Mailbox(slow)).work_once() == WorkCounts(sent=1)
    rows = await house.execute(select(outbox.c.status, outbox.c.attempts).order_by(outbox.c.seq))
    assert rows == [("sent", 1), ("ready", 0)]


async def test_a_worker_told_to_stop_gives_back_what_has_not_left(house: Postroom) -> None:
    await house.add_message("ann")
    await house.add_message("bob")
    mailbox = Mailbox()
    worker = house.worker(mailbox)

    async def stop(_: OutgoingMessage) -> None:
        worker.stop()

    mailbox.before = stop
    assert await worker.drain() == WorkCounts(sent=1)
    statuses = await house.execute(select(outbox.c.status).order_by(outbox.c.status))
    assert [status for (status,) in statuses] == ["ready", "sent"]


async def test_recording_is_tried_again_when_it_loses_a_deadlock(house: Postroom) -> None:
    id = await house.add_message(awaited=True)
    task: asyncio.Task[WorkCounts]

    async def held_by_another() -> None:
        """Takes the outbox row first and the conversation second: the wrong way round, to provoke it."""
        async with house.database.transaction() as connection:
            await connection.execute(text("SET LOCAL deadlock_timeout = '1min'"))  # the worker is to lose
            await connection.execute(update(outbox).values(scope="stage"))
            caught.set()
            blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not await connection.scalar(blocked):  # noqa: ASYNC110 - what it waits for is in the database
                await asyncio.sleep(0)
            await connection.execute(update(conversations).values(locale="de"))

    caught = asyncio.Event()

    async def meet(_: OutgoingMessage) -> None:
        nonlocal task
        task = asyncio.create_task(held_by_another())
        await caught.wait()

    with capture_logs() as logs:
        assert await house.worker(Mailbox(meet)).work_once() == WorkCounts(sent=1)
    await task
    assert [line["sqlstate"] for line in logs] == ["40P01"]
    assert ((await house.message(id)).status, await house.due_at(id)) == ("sent", NOW)
    assert (await house.counted()).total() == 1


# ---- who is woken ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("due_at", [None, NOW + timedelta(days=1)])
@pytest.mark.parametrize("failing", [None, ChannelError("refused", retryable=False)])
async def test_the_fate_of_an_awaited_message_wakes_its_conversation(
    house: Postroom, due_at: datetime | None, failing: ChannelError | None
) -> None:
    id = await house.add_message(awaited=True, due_at=due_at)
    house.mail.broken = failing
    await house.worker().work_once()
    assert await house.due_at(id) == NOW


async def test_a_message_that_nobody_waits_for_wakes_nobody(house: Postroom) -> None:
    id = await house.add_message(due_at=None)
    await house.worker().work_once()
    assert await house.due_at(id) is None


async def test_a_conversation_that_is_due_already_keeps_its_time(house: Postroom) -> None:
    id = await house.add_message(awaited=True, due_at=NOW - timedelta(hours=1))
    await house.worker().work_once()
    assert await house.due_at(id) == NOW - timedelta(hours=1)


async def test_a_conversation_that_is_over_stays_asleep(house: Postroom) -> None:
    id = await house.add_message(awaited=True)
    await house.execute(update(conversations).values(status="completed"))
    await house.worker().work_once()
    assert await house.due_at(id) is None


# ---- the plan ----------------------------------------------------------------------------------------------------


async def test_a_lease_reads_the_index_in_order_and_only_its_bucket(house: Postroom) -> None:
    for number in range(200):
        await house.add_message(seq=number, not_before=NOW + timedelta(minutes=number))
    await house.execute(text("ANALYZE campaign_engine.outbox"))
    values = {"bucket": 60, "now": NOW, "until": NOW, "channels": None, "shut": [], "limit": 10}
    async with house.database.transaction() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        driver = await driver_of(connection)
        plan = "\n".join([line async for (line,) in await driver.execute(f"EXPLAIN {LEASE_MESSAGES}", values)])
    assert "Index Scan using outbox_default_bucket_not_before_seq_ordinal_idx" in plan
    assert "Sort" not in plan
