"""A channel that is out: its messages wait without losing their tries, and one worker looks whether it works again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from engine.channels.circuits import POLICY, PROBES
from engine.channels.protocol import OutgoingMessage
from engine.channels.registry import Channels
from engine.core.errors import ChannelError
from engine.db.database import Database
from engine.db.tables import channel_state, outbox
from engine.registry import TypeRegistry
from engine.settings import Settings
from engine.worker import Worker
from tests.integration.postroom import LEASE, NOW, Mailbox, Postroom

OUT = ChannelError("connection refused", retryable=True)
PAUSE = timedelta(seconds=POLICY.first_seconds)


async def refuse(_: OutgoingMessage) -> None:
    raise OUT


@pytest.fixture
async def house(database: Database) -> Postroom:
    return await Postroom(database).open()


async def post(house: Postroom, count: int, **given: Any) -> None:
    for number in range(count):
        await house.add_message(f"p{number}", **given)


async def attempts(house: Postroom) -> int:
    """The tries of all messages in all."""
    return sum([row.attempts for row in await house.execute(select(outbox.c.attempts))])


async def circuits(house: Postroom) -> Sequence[Any]:
    return [tuple(row) for row in await house.execute(select(channel_state))]


async def broken(house: Postroom, count: int = 40) -> None:
    """A channel that is out and known to be so."""
    await post(house, count)
    house.mail.before = refuse
    await house.worker().work_once()
    assert await circuits(house) == [("email", "open", POLICY.threshold, NOW)]


@pytest.mark.parametrize("where", ["send", "flush"])
async def test_when_one_message_after_the_other_fails_the_rest_keep_their_tries(house: Postroom, where: str) -> None:
    await post(house, 40)
    if where == "send":
        house.mail.before = refuse
    else:
        house.mail.broken = OUT
    with capture_logs() as logs:
        counts = await house.worker().drain()
        await house.worker().drain()
    assert counts.retried == await attempts(house) < 15
    assert await circuits(house) == [("email", "open", POLICY.threshold, NOW)]
    (line,) = [each for each in logs if each["log_level"] == "error"]
    assert (line["channel"], line["error"]) == ("email", "connection refused")


async def test_while_a_circuit_is_open_other_channels_go_on(house: Postroom) -> None:
    await broken(house)
    await house.add_message("zoe", channel="chat")
    chat = Mailbox()
    channels = Channels({"email": house.mail, "chat": chat})
    worker = Worker(house.database, Settings(), house.clock, channels, TypeRegistry())
    assert (await worker.drain()).sent == 1
    assert chat.keys == ["zoe"]


async def test_after_the_pause_a_few_messages_are_tried_and_a_failure_makes_the_pause_longer(house: Postroom) -> None:
    await broken(house)
    before = await attempts(house)
    house.clock.advance(PAUSE)
    with capture_logs() as logs:
        assert (await house.worker().work_once()).retried == 1
        assert (await house.worker().work_once()).retried == 0
        house.clock.advance(PAUSE)
        assert (await house.worker().work_once()).retried == 0
        house.clock.advance(PAUSE)
        assert (await house.worker().work_once()).retried == 1
    assert await attempts(house) == before + 2
    assert await circuits(house) == [("email", "open", POLICY.threshold + 2, NOW + 3 * PAUSE)]
    assert logs == []


async def test_a_try_that_succeeds_closes_the_circuit_and_everything_leaves(house: Postroom) -> None:
    await broken(house)
    house.mail.before = None
    house.clock.advance(PAUSE)
    with capture_logs() as logs:
        first = await house.worker().work_once()
        await house.worker().drain()
    assert 0 < first.sent <= PROBES
    assert await circuits(house) == [("email", "closed", 0, NOW + PAUSE)]
    assert [each["event"] for each in logs] == ["the channel works again; its messages leave"]
    tried = await attempts(house)
    house.clock.advance(timedelta(hours=1))
    await house.worker().drain()
    assert len(set(house.mail.keys)) == len(house.mail.keys) == 40
    assert tried < await attempts(house) < 55


async def test_of_several_workers_one_tries(house: Postroom) -> None:
    await broken(house)
    house.clock.advance(PAUSE)
    tried: list[str] = []

    async def meet(message: OutgoingMessage) -> None:
        tried.append(message.recipient_key)
        house.mail.before = refuse
        assert (await house.worker().work_once()).retried == 0
        raise OUT

    house.mail.before = meet
    assert (await house.worker().work_once()).retried == 1
    assert len(tried) == 1


async def test_a_worker_that_dies_at_the_try_leaves_it_to_another_after_a_lease(house: Postroom) -> None:
    await broken(house)
    house.clock.advance(PAUSE)

    async def die(_: OutgoingMessage) -> None:
        raise KeyboardInterrupt

    house.mail.before = die
    with pytest.raises(KeyboardInterrupt):
        await house.worker().work_once()
    house.mail.before = None
    assert (await circuits(house))[0][1] == "half_open"
    assert (await house.worker().work_once()).sent == 0
    house.clock.advance(LEASE)
    assert (await house.worker().work_once()).sent > 0
    assert (await circuits(house))[0][1] == "closed"


async def test_a_circuit_without_messages_to_try_stays_open(house: Postroom) -> None:
    await broken(house, POLICY.threshold)
    house.clock.advance(PAUSE)
    await house.worker().work_once()
    assert await circuits(house) == [("email", "open", POLICY.threshold, NOW)]


async def test_one_bad_message_however_often_it_fails_opens_nothing(house: Postroom) -> None:
    await house.add_message("bad")
    house.mail.before = refuse
    worker = house.worker(max_attempts=20)
    for _ in range(POLICY.threshold + 2):
        assert (await worker.drain()).retried == 1
        house.clock.advance(timedelta(days=1))
    assert await circuits(house) == []


@pytest.mark.parametrize("error", [ChannelError("no such mailbox", retryable=False)])
async def test_messages_refused_for_good_open_nothing(house: Postroom, error: Exception) -> None:
    await post(house, 20)

    async def reject(_: OutgoingMessage) -> None:
        raise error

    house.mail.before = reject
    assert (await house.worker().work_once()).failed == 20
    assert await circuits(house) == []


async def test_messages_that_cannot_be_rendered_open_nothing(house: Postroom) -> None:
    await post(house, 20, message="poison")
    assert (await house.worker().drain()).sent == 0
    assert await circuits(house) == []


async def test_failures_with_successes_between_them_open_nothing(house: Postroom) -> None:
    await post(house, 40)
    count = 0

    async def every_other(_: OutgoingMessage) -> None:
        nonlocal count
        count += 1
        if count % 2:
            raise OUT

    house.mail.before = every_other
    assert (await house.worker().drain()).sent == 20
    assert await circuits(house) == []
