"""The doctor finds what is wrong, says what to do next, tells nobody's secrets, and reads little on any database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine.db import diagnosis
from engine.db.buckets import bucket_of_key
from engine.db.database import Database
from engine.doctor import Doctor, Finding
from tests.integration.builders import NOW, House, conversation_of, people, person

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(database: Database) -> House:
    return House(database, max_attempts=2)


async def examine(house: House) -> dict[str, list[Finding]]:
    """What is found, by name; the note on the database is always there and left out."""
    report = await Doctor(house.database, house.clock).examine()
    found: dict[str, list[Finding]] = {}
    for each in report.findings:
        found.setdefault(each.what, []).append(each)
    assert len(found.pop("database")) == 1
    wrong = any(each.severity == "wrong" for several in found.values() for each in several)
    assert report.healthy is not wrong
    order = [each.severity for each in report.findings]
    assert order == sorted(order, key=["wrong", "watch", "note"].index)
    return found


async def test_nothing_is_wrong_while_all_goes_well(house: House) -> None:
    campaign = await house.campaign(people(5))
    assert await examine(house) == {}
    await house.live("12d")
    assert await examine(house) == {}
    [note] = (await Doctor(house.database, house.clock).examine()).findings
    assert (note.severity, note.what) == ("note", "database")
    assert "PostgreSQL 18" in note.message
    assert await house.manager.retry_campaign(campaign) == 0


async def test_what_fails_and_what_is_parked_are_told_with_the_command_that_helps(house: House) -> None:
    campaign = await house.campaign(people(30))
    await house.run()
    await house.sql("UPDATE campaign_engine.conversations SET stage = 'gone', due_at = :now", now=NOW)
    await house.tick()
    [failing] = (await examine(house))["failing"]
    assert (failing.severity, failing.count) == ("watch", 30)
    await house.wait("1h").tick()
    [parked] = (await examine(house))["parked"]
    assert (parked.severity, parked.count, parked.where) == ("wrong", 30, f"campaign {campaign} (Spring)")
    assert "30 conversations, such as " in parked.message
    assert parked.message.endswith(
        "DecisionError: conversation … stands in stage 'gone', which talk version 1 does not have"
    )
    assert f"campaign retry --campaign {campaign}" in parked.advice
    ids = parked.message.split("such as ")[1].split(":")[0].split(", ")
    assert {(await house.manager.get_conversation(id))["status"] for id in ids} == {"failed"}
    await house.manager.retry_campaign(campaign)
    assert "parked" not in await examine(house)


async def test_what_was_parked_in_a_campaign_that_is_over_needs_nobody(house: House) -> None:
    campaign = await house.campaign()
    await house.set_conversation(campaign, "ann", "status = 'failed', attempts = 6, due_at = NULL")
    assert "parked" in await examine(house)
    await house.manager.cancel_campaign(campaign)
    assert "parked" not in await examine(house)


async def test_what_is_overdue_is_told_by_lane_and_what_could_have_left_by_channel(house: House) -> None:
    await house.campaign(people(3))
    assert await examine(house.at("4m")) == {}
    [overdue] = (await examine(house.at("6m")))["overdue"]
    assert (overdue.severity, overdue.count, overdue.where) == ("wrong", 3, "lane 4")
    assert "the first since 2026-03-02 09:00:00Z" in overdue.message
    await house.tick()
    assert await examine(house) == {}
    [unsent] = (await examine(house.at("12m")))["unsent"]
    assert (unsent.severity, unsent.count, unsent.where) == ("wrong", 3, "channel email")
    assert "CAMPAIGN_CHANNELS names email" in unsent.advice


async def test_messages_that_were_given_up_are_told_by_reason_for_a_day(house: House) -> None:
    await house.campaign([person("ann"), person("bob")])
    await house.tick()
    await house.sql("UPDATE campaign_engine.recipients SET email = NULL WHERE key = 'bob'")
    await house.run()
    [failed] = (await examine(house))["messages failed"]
    assert (failed.severity, failed.count, failed.where) == ("watch", 1, "channel email")
    assert failed.message.startswith("1 message given up since yesterday: ")
    assert "messages failed" not in await examine(house.at("25h"))


async def test_open_circuits_and_breakers_and_processes_that_are_gone_are_told(house: House) -> None:
    await house.sql(
        "INSERT INTO campaign_engine.channel_state VALUES ('sms', 'open', 7, :at), ('email', 'closed', 0, NULL),"
        " ('chat', 'half_open', 3, NULL)",
        at=NOW,
    )
    states = '{"database": {"state": "open", "since": "09:00", "failures": 4}, "x": {"state": "closed"}}'
    member = (
        "INSERT INTO campaign_engine.members (id, name, version, parts, started_at, seen_at, states)"
        " VALUES (gen_random_uuid(), :name, :version, '{tick}', now(), now() - CAST(:ago AS interval),"
        " CAST(:states AS jsonb))"
    )
    await house.sql(member, name="one:1", version="0.1.0", ago=timedelta(), states=states)
    await house.sql(member, name="two:2", version="0.2.0", ago=timedelta(minutes=2), states=states)
    found = await examine(house)
    circuits = [(each.severity, each.where, each.count) for each in found["circuit"]]
    assert circuits == [("wrong", "channel sms", 7), ("watch", "channel chat", 3)]
    assert [(each.severity, each.where) for each in found["breaker"]] == [("wrong", "process one:1")]
    assert [(each.severity, each.where) for each in found["process gone"]] == [("watch", "process two:2")]
    assert "0.1.0, 0.2.0" in found["versions"][0].message


async def test_requests_responses_and_paused_campaigns_that_wait_for_somebody_are_told(house: House) -> None:
    campaign = await house.campaign(people(4))
    await house.manager.pause_campaign(campaign)
    await house.reply(campaign, "secret words", "nobody")
    await house.sql("INSERT INTO campaign_engine.campaign_requests (payload) VALUES ('{}')")
    await house.app.poller.poll_once()
    found = await examine(house)
    assert (found["requests failed"][0].severity, found["requests failed"][0].count) == ("wrong", 1)
    assert (found["unmatched"][0].severity, found["unmatched"][0].count) == ("watch", 1)
    assert found["paused"][0].message == "paused, and with it 4 conversations"
    assert found["paused"][0].advice == f"To go on: campaign resume {campaign}"


async def test_rows_in_buckets_that_are_none_are_found(house: House) -> None:
    await house.campaign(people(2))
    await house.sql("UPDATE campaign_engine.conversations SET bucket = 14 WHERE bucket = :it", it=bucket_of_key("p0"))
    await house.sql("UPDATE campaign_engine.recipients SET bucket = 999 WHERE bucket = :it", it=bucket_of_key("p1"))
    [strange] = (await examine(house))["strange buckets"]
    assert strange.message == "rows lie in buckets that are none: conversations, bucket 14; recipients, bucket 999"


async def test_deltas_long_transactions_and_large_default_partitions_are_told(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.campaign(people(3))
    await house.tick()
    monkeypatch.setattr(diagnosis, "MOST_DELTAS", 2)
    monkeypatch.setattr("engine.doctor._LARGE", 1)
    monkeypatch.setattr("engine.doctor._LONG", timedelta())
    async with house.database.transaction() as connection:
        await connection.execute(text("SELECT 1"))
        found = await examine(house)
    assert found["deltas"][0].severity == "watch"
    assert [each.where for each in found["default partition"]] == ["outbox_default", "stage_history_default"]
    assert len(found["long transaction"]) >= 1


async def test_a_database_that_does_not_fit_is_all_that_is_told(house: House) -> None:
    await house.sql("UPDATE campaign_engine.alembic_version SET version_num = '9999'")
    [finding] = (await Doctor(house.database, house.clock).examine()).findings
    assert (finding.severity, finding.what) == ("wrong", "database")
    assert "newer than this program" in finding.message


async def test_it_changes_nothing_and_tells_nobodys_secrets(house: House) -> None:
    campaign = await house.campaign([person("ann", note="a secret")])
    await house.reply(campaign, "a secret")
    await house.set_conversation(campaign, "ann", "stage = 'gone'")
    await house.tick()
    before = await house.everything()
    told = str((await Doctor(house.database, house.clock).examine()).as_dict())
    assert await house.everything() == before
    assert conversation_of(campaign) in told
    assert not any(word in told for word in ("secret", "ann@", "Ann"))


async def test_however_much_is_wrong_each_count_stops_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "MOST", 3)
    await house.campaign([person(f"n{number}") for number in range(400)])
    [overdue] = (await examine(house.at("1h")))["overdue"]
    assert overdue.count <= 3 * 64
    assert overdue.message.startswith(f"at least {overdue.count} conversations overdue")


INDEXES = {
    "_FIND_FAILING": "conversations_failing",
    "_FIND_FAILED_MESSAGES": "outbox_default_bucket_not_before_idx",
    "_FIND_OVERDUE": "conversations_due",
    "_FIND_UNSENT": "outbox_default_bucket_not_before_seq_ordinal_idx",
    "_COUNT_UNMATCHED": "responses_unmatched",
    "_FIND_STRANGE": "recipients_key",
}


@pytest.mark.parametrize("name", INDEXES)
async def test_what_it_asks_of_large_tables_is_read_off_an_index(house: House, name: str) -> None:
    given: dict[str, Any] = {"buckets": [60, 8], "lanes": [4], "most": 3, "now": NOW, "since": NOW, "late": NOW}
    given |= {"lows": [1], "highs": [4]}
    async with house.database.transaction() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))  # as it is where there are many rows
        found = await connection.execute(text(f"EXPLAIN {getattr(diagnosis, name).text}"), given)
        plan = "\n".join(line for (line,) in found)
    assert f"using {INDEXES[name]} " in plan or f"on {INDEXES[name]} " in plan
    for table in ("conversations", "outbox_default", "responses", "recipients"):
        assert f"Seq Scan on {table}" not in plan
