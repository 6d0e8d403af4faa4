"""What stops a message, keeps it waiting, or makes it fail; and that others are not touched by it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from engine.channels.protocol import OutgoingMessage
from engine.channels.registry import Channels
from engine.core.errors import ChannelError
from engine.db.database import Database
from engine.db.tables import campaigns, outbox, recipients
from engine.registry import TypeRegistry
from engine.settings import Settings
from engine.worker import WorkCounts, Worker
from tests.integration.postroom import NOW, RETRY, SPRING, Mailbox, Postroom


@pytest.fixture
async def house(database: Database) -> Postroom:
    return await Postroom(database).open()


# ---- what stops a message ----------------------------------------------------------------------------------------


async def test_someone_who_opted_out_gets_nothing_more(house: Postroom) -> None:
    id = await house.add_message(awaited=True)
    await house.execute(update(recipients).values(unsubscribed_at=NOW))
    assert await house.worker().drain() == WorkCounts(cancelled=1)
    assert house.mail.left == []
    assert ((await house.message(id)).status, await house.due_at(id)) == ("cancelled", NOW)
    assert await house.counted() == {("cancelled", "introduce", "email", "intro"): 1}


async def test_an_opt_out_while_a_batch_is_going_out_stops_what_has_not_left(
    house: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sending._VOLLEY_SECONDS", 0.0)
    await house.add_message(seq=1)
    await house.add_message(seq=2)

    async def opt_out(_: OutgoingMessage) -> None:
        await house.execute(update(recipients).values(unsubscribed_at=NOW))

    assert await house.worker(Mailbox(opt_out)).work_once() == WorkCounts(sent=1, cancelled=1)


async def test_a_cancelled_campaign_sends_nothing_more(house: Postroom) -> None:
    await house.add_message()
    await house.execute(update(campaigns).values(status="cancelled"))
    assert await house.worker().drain() == WorkCounts(cancelled=1)


async def test_a_completed_campaign_still_says_goodbye(house: Postroom) -> None:
    await house.add_message()
    await house.execute(update(campaigns).values(status="completed"))
    assert await house.worker().drain() == WorkCounts(sent=1)


async def test_the_messages_of_a_paused_campaign_wait(house: Postroom) -> None:
    id = await house.add_message("ann")
    await house.add_campaign(UUID(int=9))
    await house.add_message("ann", UUID(int=9))
    await house.execute(update(campaigns).where(campaigns.c.id == SPRING).values(status="paused"))
    assert await house.worker().drain() == WorkCounts(sent=1)
    assert ((await house.message(id)).status, house.mail.left[0].campaign_id) == ("ready", UUID(int=9))

    await house.execute(update(campaigns).values(status="active"))
    assert await house.worker().drain() == WorkCounts(sent=1)


async def test_a_pause_while_a_batch_is_going_out_gives_back_what_has_not_left(
    house: Postroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sending._VOLLEY_SECONDS", 0.0)
    await house.add_message(seq=1)
    await house.add_message(seq=2)

    async def pause(_: OutgoingMessage) -> None:
        await house.execute(update(campaigns).values(status="paused"))

    assert await house.worker(Mailbox(pause)).work_once() == WorkCounts(sent=1)
    rows = await house.execute(select(outbox.c.status, outbox.c.attempts).order_by(outbox.c.seq))
    assert rows == [("sent", 1), ("ready", 0)]
    assert (await house.counted()).total() == 1


async def test_a_message_to_someone_who_is_gone_is_cancelled(house: Postroom) -> None:
    await house.add_message()
    await house.execute(recipients.delete())
    assert await house.worker().drain() == WorkCounts(cancelled=1)


async def test_a_channel_that_is_not_configured_keeps_its_messages_waiting_and_says_so_once(house: Postroom) -> None:
    id = await house.add_message("ann", channel="sms")
    await house.add_message("bob")
    worker = house.worker()
    with capture_logs() as logs:
        assert await worker.drain() == WorkCounts(sent=1)
        assert await worker.drain() == WorkCounts()
    (warning,) = logs
    assert (warning["log_level"], warning["channel"]) == ("warning", "sms")
    assert "CAMPAIGN_CHANNELS=sms=file:" in warning["hint"]
    assert ((await house.message(id)).status, house.mail.keys) == ("ready", ["bob"])


# ---- failures ----------------------------------------------------------------------------------------------------


async def test_a_passing_failure_is_tried_again_later_and_later(house: Postroom) -> None:
    id = await house.add_message()
    worker = house.worker()
    house.mail.broken = ChannelError("busy", retryable=True)
    for attempts, nominal in [(1, RETRY), (2, 2 * RETRY), (3, 4 * RETRY)]:
        house.clock.instant = (await house.message(id)).not_before
        assert await worker.drain() == WorkCounts(retried=1)
        row = await house.message(id)
        assert (row.status, row.attempts, row.last_error, row.lease_until) == ("ready", attempts, "busy", None)
        assert 0.8 * nominal <= row.not_before - house.clock.instant <= 1.2 * nominal
    assert await house.counted() == {}

    house.mail.broken = None
    assert await worker.drain() == WorkCounts()
    house.clock.instant = row.not_before
    assert await worker.drain() == WorkCounts(sent=1)
    assert (await house.message(id)).attempts == 4


async def test_after_the_last_attempt_a_message_has_failed(house: Postroom) -> None:
    id = await house.add_message(awaited=True, attempts=5)
    house.mail.broken = ChannelError("busy", retryable=True)
    assert await house.worker(max_attempts=6).drain() == WorkCounts(failed=1)
    row = await house.message(id)
    assert (row.status, row.attempts, row.last_error, row.sent_at) == ("failed", 6, "busy", None)
    assert await house.counted() == {("failed", "introduce", "email", "intro"): 1}


async def test_a_permanent_failure_is_not_tried_again(house: Postroom) -> None:
    id = await house.add_message()
    house.mail.broken = ChannelError("no such mailbox", retryable=False)
    assert await house.worker().drain() == WorkCounts(failed=1)
    assert (await house.message(id)).last_error == "no such mailbox"


async def test_an_unexpected_exception_counts_as_passing_and_leaves_only_its_type_behind(house: Postroom) -> None:
    id = await house.add_message()
    house.mail.broken = ValueError("cannot deliver 'Hi Ann' to ann@example.org")
    with capture_logs() as logs:
        assert await house.worker().drain() == WorkCounts(retried=1)
    assert (await house.message(id)).last_error == "ValueError"
    assert "ann@" not in str(logs)


async def test_a_failure_concerns_its_own_message_only(house: Postroom) -> None:
    async def refuse(message: OutgoingMessage) -> None:
        if message.recipient_key == "bob":
            raise ChannelError("refused", retryable=False)

    for seq, key in enumerate(["ann", "bob", "cid"]):
        await house.add_message(key, seq=seq)
    mailbox = Mailbox(refuse)
    assert await house.worker(mailbox).drain() == WorkCounts(sent=2, failed=1)
    assert sorted(mailbox.keys) == ["ann", "cid"]


async def test_a_poisonous_template_fails_its_own_message_only(house: Postroom) -> None:
    id = await house.add_message("ann", message="poison")
    await house.add_message("bob")
    assert await house.worker().drain() == WorkCounts(sent=1, failed=1)
    row = await house.message(id)
    assert row.status == "failed"
    assert "template poison" in row.last_error
    assert "Ann" not in row.last_error


async def test_a_message_that_someone_wants_to_cancel_is_not_tried_again(house: Postroom) -> None:
    id = await house.add_message(awaited=True)

    async def cancel_and_fail(_: OutgoingMessage) -> None:
        await house.set_message(id, cancel_requested=True)
        raise ChannelError("busy", retryable=True)

    assert await house.worker(Mailbox(cancel_and_fail)).drain() == WorkCounts(cancelled=1)
    assert ((await house.message(id)).status, await house.due_at(id)) == ("cancelled", NOW)
    assert await house.counted() == {("cancelled", "introduce", "email", "intro"): 1}


async def test_a_message_that_left_before_its_cancelling_has_left(house: Postroom) -> None:
    id = await house.add_message()

    async def cancel(_: OutgoingMessage) -> None:
        await house.set_message(id, cancel_requested=True)

    assert await house.worker(Mailbox(cancel)).drain() == WorkCounts(sent=1)


async def test_a_channel_that_hangs_is_given_up(house: Postroom) -> None:
    id = await house.add_message()

    async def hang(_: OutgoingMessage) -> None:
        await asyncio.Event().wait()

    mailbox = Mailbox(hang)
    worker = Worker(
        house.database, Settings(lease_seconds=1), house.clock, Channels({"email": mailbox}), TypeRegistry()
    )
    assert await worker.work_once() == WorkCounts(retried=1)
    assert (await house.message(id)).last_error == "TimeoutError"
