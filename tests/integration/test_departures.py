"""When messages leave: inside their windows, within the limits of their recipient, at exact instants."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from engine.channels.protocol import OutgoingMessage
from engine.core.errors import ChannelError
from engine.db.buckets import bucket_of_key, recipient_id
from engine.db.database import Database, driver_of
from engine.db.messages import FIND_SENDS, MessageRepository
from engine.worker import WorkCounts
from tests.integration.builders import NOW, House, after, people

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
OFFICE = 'send_window: {days: mon-fri, from: "09:00", to: "17:00"}'


def letters(rules: str, sends: str = "[{send: one}]", name: str = "letters") -> str:
    """A campaign type that sends at once, and answers whoever wants more."""
    return f"""
campaign_type: {name}
version: 1
facts: {{first_name: text}}
responses: {{intent: {{stop: {{any_word: [stop]}}, more: {{any_word: [more]}}}}}}
channel: email
{rules}
start: ask
always: [{{when: intent == "stop", go: opted_out}}]
stages:
  ask:
    on_enter: {sends}
    on_response:
      - {{when: intent == "more", go: stay, do: [{{send: answer}}], at_most: 5}}
      - {{otherwise: over}}
    timers: [{{after: 60d, go: over}}]
exits: {{over: lost, opted_out: stopped}}
messages: {{one: {{text: One}}, two: {{text: Two}}, three: {{text: Three}}, answer: {{text: Answer}}}}
"""


THREE = "[{send: one}, {send: two}, {send: three}]"


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


async def left(house: House) -> list[tuple[str, timedelta]]:
    """The messages that left, in order, each with how long after NOW."""
    rows = await house.sql(
        "SELECT message, sent_at FROM campaign_engine.outbox WHERE status = 'sent' ORDER BY sent_at, seq, ordinal"
    )
    return [(message, sent_at - NOW) for message, sent_at in rows]


async def next_departure(house: House) -> datetime | None:
    ((at,),) = await house.sql("SELECT min(not_before) FROM campaign_engine.outbox WHERE status = 'ready'")
    return at if at is None else at.astimezone(NOW.tzinfo)


async def let_all_leave(house: House) -> None:
    """Work, and go on to the instant for which the next message waits, until none does."""
    await house.tick()
    while (at := await next_departure(house)) is not None:
        house.clock.instant = max(house.clock.instant, at)
        counts = await house.app.worker.drain()
        assert counts == WorkCounts(sent=counts.sent), "what is held back is no failure and no retry"
        still = await next_departure(house)
        assert still is None or still > house.clock.instant, "draining ends with nothing due"


async def worker_at(house: House, span: str) -> WorkCounts:
    return await house.at(span).app.worker.drain()


# ---- limits ------------------------------------------------------------------------------------------------------


async def test_a_cooldown_spaces_messages_out_in_the_order_they_were_made(house: House) -> None:
    await house.campaign(source=letters("limits: {cooldown: 90m}", THREE))
    await let_all_leave(house)
    assert await left(house) == [("one", 0 * HOUR), ("two", 1.5 * HOUR), ("three", 3 * HOUR)]
    assert await house.sql("SELECT DISTINCT attempts, last_error FROM campaign_engine.outbox") == [(1, None)]
    assert await house.violations() == []


async def test_a_rate_lets_as_many_go_at_once_as_it_says(house: House) -> None:
    await house.campaign(
        source=letters("limits: {per_recipient: [2 per 24h, 3 per 10d]}", f"{THREE[:-1]}, {THREE[1:]}")
    )
    await let_all_leave(house)
    assert [at / HOUR for _, at in await left(house)] == [0, 0, 24, 240, 240, 264]


async def test_campaigns_of_one_recipient_share_a_limit_and_others_are_not_touched(house: House) -> None:
    await house.campaign(people(2), source=letters("limits: {cooldown: 1h}", name="first"))
    await house.campaign(people(1), source=letters("limits: {cooldown: 1h}", name="second"))
    await let_all_leave(house)
    assert [at / HOUR for _, at in await left(house)] == [0, 0, 1]


async def test_messages_of_a_campaign_without_limits_count_and_are_not_held(house: House) -> None:
    await house.campaign(source=letters("limits: {cooldown: 1h}", name="limited"))
    await house.run()
    await house.at("30m").campaign(source=letters("", "[{send: two}]", name="free"))
    await house.run()
    await house.campaign(source=letters("limits: {cooldown: 1h}", "[{send: three}]", name="limited_too"))
    await let_all_leave(house)
    assert await left(house) == [("one", 0 * HOUR), ("two", 0.5 * HOUR), ("three", 1.5 * HOUR)]


async def test_an_answer_is_not_held_back_but_counts(house: House) -> None:
    campaign = await house.campaign(source=letters("limits: {cooldown: 1h}", "[{send: one}, {send: two}]"))
    await house.run()
    await house.at("10m").reply(campaign, "more please")
    await let_all_leave(house)
    assert await left(house) == [("one", 0 * HOUR), ("answer", HOUR / 6), ("two", HOUR * 7 / 6)]


async def test_a_send_that_ignores_limits_leaves_at_once_and_counts(house: House) -> None:
    sends = "[{send: one}, {send: two, ignore_limits: true}, {send: three}]"
    await house.campaign(source=letters("limits: {per_recipient: 2 per 4h, cooldown: 1m}", sends))
    await let_all_leave(house)
    assert await left(house) == [("one", 0 * HOUR), ("two", 0 * HOUR), ("three", 4 * HOUR)]


async def test_days_of_a_limit_are_days_of_the_recipient(house: House) -> None:
    house.clock.instant = start = datetime.fromisoformat("2026-03-28T09:00+00:00")
    ann = {"key": "ann", "email": "ann@example.org", "first_name": "Ann", "timezone": "Europe/Berlin"}
    await house.campaign([ann], source=letters("limits: {cooldown: 1d}", "[{send: one}, {send: two}]"))
    await let_all_leave(house)
    assert [NOW + at - start for _, at in await left(house)] == [0 * HOUR, 23 * HOUR]


async def test_what_a_killed_worker_may_have_sent_counts_until_its_lease_is_over(house: House) -> None:
    class Killed(BaseException):
        """The process is gone."""

    await house.campaign(source=letters("limits: {cooldown: 1h}", name="first"))
    await house.tick()
    house.mail.broken = Killed()
    with pytest.raises(Killed):
        await house.app.worker.drain()
    house.mail.broken = None
    await house.at("1m").campaign(source=letters("limits: {cooldown: 1h}", "[{send: two}]", name="second"))
    await house.tick()
    assert await house.app.worker.drain() == WorkCounts()
    assert await next_departure(house) == after("61m")
    assert await worker_at(house, "30m") == WorkCounts(sent=1)  # the first again, its lease being over
    await let_all_leave(house)
    assert await left(house) == [("one", HOUR / 2), ("two", 1.5 * HOUR)]


@pytest.mark.parametrize("limit", ["1 per 1h", "2 per 3h"])
async def test_four_workers_at_once_never_exceed_a_limit(house: House, limit: str) -> None:
    count, per = int(limit[0]), timedelta(hours=int(limit[-2]))
    for name, sends in [("first", "[{send: one}, {send: two}]"), ("second", "[{send: three}]"), ("third", THREE)]:
        source = letters(f"limits: {{per_recipient: {limit}}}", sends, name=name)
        await house.campaign(people(12), source=source)
    await house.tick()
    workers = [house.with_settings(max_batch_size=size).worker for size in (1, 2, 3, 100)]
    while (at := await next_departure(house)) is not None:
        house.clock.instant = max(house.clock.instant, at)
        await asyncio.gather(*(worker.drain() for worker in workers))
    sent: dict[Any, list[datetime]] = defaultdict(list)
    for recipient, at in await house.sql("SELECT recipient_id, sent_at FROM campaign_engine.outbox ORDER BY sent_at"):
        sent[recipient].append(at)
    assert {len(instants) for instants in sent.values()} == {6}
    for instants in sent.values():
        assert all(late - early >= per for early, late in zip(instants, instants[count:], strict=False))
        assert instants[-1] == NOW + per * ((6 - 1) // count), "and none waits longer than it must"
    assert await house.violations() == []


async def test_a_bucket_whose_gate_another_worker_holds_is_left_to_it(house: House) -> None:
    await house.campaign(source=letters(""))
    await house.tick()
    async with house.database.transaction() as connection:
        assert await MessageRepository(connection).lock_gate(bucket_of_key("ann"))
        assert await house.app.worker.drain() == WorkCounts()
    assert await house.app.worker.drain() == WorkCounts(sent=1)


# ---- windows -----------------------------------------------------------------------------------------------------


async def test_a_message_that_comes_late_waits_for_the_next_opening(house: House) -> None:
    await house.campaign(source=letters(OFFICE, "[{send: one}, {send: two, ignore_window: true}]"))
    await house.tick()
    assert await worker_at(house, "8h") == WorkCounts(sent=1)  # 17:00, when the window has closed
    assert await next_departure(house) == after("24h")
    await let_all_leave(house)
    assert await left(house) == [("two", 8 * HOUR), ("one", 24 * HOUR)]


async def test_a_late_message_leaves_while_the_window_is_open_also_after_its_preferred_time(house: House) -> None:
    await house.campaign(source=letters(OFFICE.replace("}", ', at: "10:00"}')))
    await house.tick()
    assert await next_departure(house) == after("1h")
    assert await worker_at(house, "61m") == WorkCounts(sent=1)


async def test_a_stage_has_a_window_of_its_own(house: House) -> None:
    source = letters(OFFICE).replace("  ask:\n", '  ask:\n    send_window: {from: "08:00", to: "09:30"}\n')
    await house.campaign(source=source)
    await house.tick()
    assert await worker_at(house, "1h") == WorkCounts()
    assert await next_departure(house) == after("23h")


async def test_a_limit_that_ends_in_the_night_leads_to_the_next_opening(house: House) -> None:
    await house.campaign(source=letters(f"{OFFICE}\nlimits: {{cooldown: 10h}}", THREE))
    await let_all_leave(house)
    assert [at / HOUR for _, at in await left(house)] == [0, 24, 48]


async def test_another_try_waits_for_the_window_too(house: House) -> None:
    await house.at("7h").campaign(source=letters(OFFICE))
    await house.tick()
    house.mail.broken = ChannelError("busy", retryable=True)
    assert await worker_at(house, "479m") == WorkCounts(retried=1)
    assert await next_departure(house) == after("24h")


async def test_a_window_that_closes_between_two_volleys_holds_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.campaign(source=letters(OFFICE, "[{send: one}, {send: two}]"))
    await house.tick()
    seconds = 0.0
    monkeypatch.setattr("engine.sending.monotonic", lambda: seconds)

    async def slow(_: OutgoingMessage) -> None:
        nonlocal seconds
        seconds += 2
        house.clock.instant = after("8h")

    house.mail.before = slow
    assert await worker_at(house, "479m") == WorkCounts(sent=1)
    assert await next_departure(house) == after("24h")
    assert await house.sql("SELECT attempts FROM campaign_engine.outbox ORDER BY ordinal") == [(1,), (0,)]


# ---- what else happens to a message that is held -----------------------------------------------------------------


async def test_opting_out_cancels_what_is_held(house: House) -> None:
    campaign = await house.campaign(source=letters("limits: {cooldown: 1h}", "[{send: one}, {send: two}]"))
    await house.run()
    await house.at("10m").reply(campaign, "stop")
    await house.run()
    await house.at("2h").run()
    assert await house.messages(campaign) == [("one", "sent"), ("two", "cancelled")]
    assert await house.violations() == []


async def test_what_is_held_waits_out_a_pause_and_is_then_looked_at_again(house: House) -> None:
    rules = f"{OFFICE}\nlimits: {{cooldown: 1h}}"
    campaign = await house.campaign(source=letters(rules, "[{send: one}, {send: two}]"))
    await house.run()
    await house.at("10m").manager.pause_campaign(campaign)
    await house.at("9h").run()
    await house.manager.resume_campaign(campaign)
    await house.run()
    await let_all_leave(house)
    assert await left(house) == [("one", 0 * HOUR), ("two", 24 * HOUR)]


async def test_a_follow_up_counts_from_when_the_held_message_left(house: House) -> None:
    source = letters("limits: {cooldown: 5h}", "[{send: one}, {send: two}]")
    source = source.replace("    on_response:", "    follow_ups: [{after: 24h, send: three}]\n    on_response:")
    await house.campaign(source=source)
    await house.run()
    await house.at("5h").run()
    await house.at("29h").run()
    assert await left(house) == [("one", 0 * HOUR), ("two", 5 * HOUR), ("three", 29 * HOUR)]


async def test_the_role_of_a_worker_may_hold_messages_back(house: House, database_url: str) -> None:
    await house.campaign(source=letters("limits: {cooldown: 1h}", "[{send: one}, {send: two}]"))
    await house.tick()
    await house.sql("CREATE ROLE a_worker LOGIN IN ROLE campaign_engine_worker")
    restricted = Database(make_url(database_url).set(username="a_worker").render_as_string())
    try:
        worker = House(restricted)
        assert await worker.app.worker.drain() == WorkCounts(sent=1)
    finally:
        await restricted.close()
        await house.sql("DROP ROLE a_worker")
    assert await next_departure(house) == after("1h")


async def test_counting_reads_the_ends_of_two_indexes(house: House) -> None:
    ann = recipient_id("ann")
    values = {"bucket": bucket_of_key("ann"), "now": NOW, "recipients": [ann], "most": 5, "keys": "[]"}
    async with house.database.transaction() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        driver = await driver_of(connection)
        plan = "\n".join([line async for (line,) in await driver.execute(f"EXPLAIN {FIND_SENDS}", values)])
    assert "Index Only Scan Backward using outbox_default_bucket_recipient_id_sent_at_idx" in plan
    assert "using outbox_default_bucket_recipient_id_idx" in plan


def test_the_office_hours_above_are_open_at_the_start() -> None:
    assert (NOW.time(), NOW.weekday()) == (time(9), 0)
