"""What goes wrong with one conversation is its own affair: the others go on, and nothing personal is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from engine.core.errors import DecisionError
from engine.core.fact_types import parse_fact_type
from engine.core.plugins import NamePlugin, Plugins, using_plugins
from engine.db.database import Database
from tests.integration.builders import House, after, as_json, conversation_of, neighbours, talk

CHOOSY = talk(("on_enter: [{send: hello}]", "on_enter: [{send: hello, when: since is missing or price > 3}]"))
SECRET = "ann@secret.example"
RETRY = timedelta(seconds=300)


@pytest.fixture
def house(database: Database) -> House:
    return House(database, max_attempts=3)


async def spoil(house: House, campaign: str, key: str = "ann") -> None:
    """Give a conversation a date that is none, which a guard of CHOOSY reads."""
    context = as_json({"facts": {"since": SECRET}, "captured": {}})
    await house.set_conversation(campaign, key, "context = CAST(:context AS jsonb)", context=context)


async def test_a_conversation_in_a_stage_that_no_longer_exists_is_backed_off_and_at_last_parked(house: House) -> None:
    campaign = await house.campaign(neighbours(4))
    await house.run()
    await house.set_conversation(campaign, "ann", "stage = 'gone'")
    house.at("10d")
    for attempts in (1, 2):
        counts = await house.tick()
        assert (counts.advanced, counts.failed) == (6 if attempts == 1 else 0, 1)
        ann = await house.conversation(campaign)
        assert (ann["status"], ann["attempts"], ann["seq"]) == ("active", attempts, 1)
        assert ann["last_error"].startswith("DecisionError: conversation")
        assert "stage 'gone', which talk version 1 does not have" in ann["last_error"]
        wait = ann["due_at"] - house.clock.instant
        assert 0.8 * RETRY * 2 ** (attempts - 1) <= wait <= 1.2 * RETRY * 2 ** (attempts - 1)
        house.clock.instant = ann["due_at"]
    assert (await house.tick()).failed == 1
    ann = await house.conversation(campaign)
    assert (ann["status"], ann["attempts"], ann["due_at"]) == ("failed", 3, None)
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["failed"], metrics["completed"], metrics["active"]) == (1, 3, 0)
    assert (await house.at("90d").tick()).claimed == 0
    await house.set_conversation(campaign, "ann", "stage = 'hello'")
    assert await house.violations() == []


async def test_a_context_that_is_not_what_the_type_says_fails_its_conversation_and_is_not_told(house: House) -> None:
    campaign = await house.campaign(neighbours(3), CHOOSY)
    await spoil(house, campaign)
    with capture_logs() as logs:
        counts = await house.tick()
    assert (counts.advanced, counts.failed) == (2, 1)
    assert (await house.conversation(campaign))["last_error"] == "ValueError"
    assert SECRET not in str(logs)
    with pytest.raises(DecisionError) as caught:
        await house.manager.advance_conversation_stage(conversation_of(campaign))
    assert SECRET not in str(caught.value)
    assert await house.violations() == []


@pytest.mark.parametrize(
    "progress", ['{"awaits": 5}', '{"agenda": "soon"}', '{"agenda": [], "awaits": {"a": 1}}', "{}", "[]"]
)
async def test_a_progress_that_makes_no_sense_fails_its_conversation_only(house: House, progress: str) -> None:
    campaign = await house.campaign(neighbours(3))
    await house.set_conversation(campaign, "ann", "progress = CAST(:progress AS jsonb)", progress=progress)
    counts = await house.tick()
    assert (counts.advanced, counts.failed) == (2, 1)


async def test_a_conversation_that_recovers_forgets_its_failures(house: House) -> None:
    campaign = await house.campaign()
    await house.set_conversation(campaign, "ann", "stage = 'gone'")
    await house.tick()
    await house.set_conversation(campaign, "ann", "stage = NULL")
    await house.wait("1h").tick()
    ann = await house.conversation(campaign)
    assert (ann["stage"], ann["attempts"], ann["last_error"]) == ("hello", 0, None)


async def test_a_version_that_nobody_registered_fails_only_those_who_are_on_it(house: House) -> None:
    campaign = await house.campaign(neighbours(3))
    await house.set_conversation(campaign, "ann", "version = 99")
    counts = await house.tick()
    assert (counts.advanced, counts.failed) == (2, 1)
    assert "talk has no version 99" in (await house.conversation(campaign))["last_error"]


async def test_a_failed_conversation_is_counted_once_whatever_it_still_receives(house: House) -> None:
    campaign = await house.campaign()
    await house.set_conversation(campaign, "ann", "stage = 'gone'")
    for _ in range(5):
        await house.tick()
        await house.wait("1d").reply(campaign, "yes")
    assert (await house.conversation(campaign))["status"] == "failed"
    assert (await house.manager.get_campaign_metrics(campaign))["failed"] == 1
    await house.set_conversation(campaign, "ann", "stage = NULL")
    assert await house.violations() == []


async def test_a_completed_conversation_stays_completed_even_if_it_cannot_be_decided_any_more(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.at("10d").tick()
    await house.set_conversation(campaign, "ann", "stage = 'gone'")
    for _ in range(4):
        await house.reply(campaign, "stop")
        await house.wait("2d").tick()
    assert (await house.conversation(campaign))["status"] == "completed"
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["completed"], metrics["failed"]) == (1, 0)


# ---- plug-ins -----------------------------------------------------------------------------------------------------

SCORED = talk(
    ("{after: 240h, go: gave_up}", "{after: 240h, when: score > 2, go: human}, {after: 240h, go: gave_up}"),
)


def scoring(read: Callable[[Mapping[str, Any]], int]) -> Plugins:
    score = NamePlugin("score", parse_fact_type("int"), lambda facts, _: read(facts))
    return Plugins(names={"score": score})


async def test_a_plug_in_that_raises_for_one_fails_that_one_until_it_is_parked_and_mended(house: House) -> None:
    broken = True

    def read(facts: Mapping[str, Any]) -> int:
        if broken and facts["first_name"] == "Ann":
            raise LookupError(SECRET)
        return len(facts["first_name"])

    with using_plugins(scoring(read)), capture_logs() as logs:
        campaign = await house.campaign(neighbours(5), SCORED)
        await house.run()
        assert (await house.at("10d").tick()).failed == 1
        stages = Counter(row["stage"] for row in await house.manager.list_conversations(campaign))
        assert stages == {"hello": 1, "human": 4}
        for _ in range(2):
            await house.wait("1h").tick()
        ann = await house.conversation(campaign)
        assert (ann["status"], ann["attempts"]) == ("failed", 3)
        assert ann["last_error"].startswith("DecisionError: the plug-in name score failed: LookupError")
        assert SECRET not in str(logs)

        broken = False
        await house.manager.retry_conversation(conversation_of(campaign))
        await house.tick()
    assert (await house.conversation(campaign))["stage"] == "human"
    assert await house.violations() == []


async def test_a_plug_in_that_reads_facts_and_hides_every_error_is_asked_when_they_are_known(house: House) -> None:
    def read(facts: Mapping[str, Any]) -> int:
        try:
            return int(facts["seats"])
        except Exception:  # noqa: BLE001 - as careless as plug-ins are
            return 0

    with using_plugins(scoring(read)):
        everybody = [each | {"seats": number} for number, each in enumerate(neighbours(6))]
        campaign = await house.campaign(everybody, SCORED)
        await house.run()
        await house.at("10d").tick()
    stages = Counter(row["stage"] for row in await house.manager.list_conversations(campaign))
    assert stages == {"gave_up": 3, "human": 3}
    assert await house.violations() == []


# ---- what the database refuses -----------------------------------------------------------------------------------


async def forbid_to_move(house: House, id: str) -> None:
    """Have the database refuse whatever this conversation comes to."""
    await house.sql(
        f"ALTER TABLE campaign_engine.conversations ADD CONSTRAINT forbidden CHECK (id <> '{UUID(id)}' OR seq = 0)"
    )


@pytest.mark.parametrize("place", [0, 4])
async def test_a_conversation_that_the_database_refuses_is_found_in_its_batch(house: House, place: int) -> None:
    everybody = neighbours(7)
    campaign = await house.campaign(everybody)
    culprit = everybody[place]["key"]
    await forbid_to_move(house, conversation_of(campaign, culprit))
    with capture_logs() as logs:
        counts = await house.tick()
    assert (counts.advanced, counts.failed) == (6, 1)
    blamed = await house.conversation(campaign, culprit)
    assert (blamed["seq"], blamed["attempts"]) == (0, 1)
    assert blamed["last_error"] == "RepositoryError: the database refused (SQLSTATE 23514)"
    assert "forbidden" not in str(logs)
    assert "UPDATE" not in str(logs)
    assert await house.violations() == []


async def test_a_conversation_that_the_database_refuses_is_at_last_parked(house: House) -> None:
    campaign = await house.campaign(neighbours(3))
    await forbid_to_move(house, conversation_of(campaign))
    for _ in range(4):
        await house.tick()
        house.wait("2h")
    ann = await house.conversation(campaign)
    assert (ann["status"], ann["attempts"], ann["seq"]) == ("failed", 3, 0)
    assert (await house.manager.get_campaign_metrics(campaign))["failed"] == 1
    assert await house.violations() == []


async def hold(house: House, texts: list[str]) -> str:
    """A campaign in which each of these was answered twice: to get on, and then in vain during `min_stay`."""
    everybody = neighbours(len(texts))
    campaign = await house.campaign(everybody)
    await house.run()
    for span in ("1h", "2h"):
        for each, answer in zip(everybody, texts, strict=True):
            await house.at(span).reply(campaign, f"yes {answer}" if span == "1h" else answer, each["key"])
        assert (await house.tick()).failed == 0
    return campaign


async def test_a_number_of_any_size_in_an_answer_is_kept_exactly_and_harms_nobody(house: House) -> None:
    figures = ["123456789012345678901234567890", "0.1234567890123456789", "-7", "1,000,000.50"]
    exact = [*figures[:3], "1000000.5"]
    campaign = await hold(house, figures)
    assert (await house.at("2d").tick()).failed == 0
    captured = await house.sql("SELECT context->'captured'->>'figure' FROM campaign_engine.conversations")
    readings = await house.sql("SELECT reading->>'figure' FROM campaign_engine.responses")
    assert sorted(value for (value,) in captured) == sorted(exact)
    assert sorted(value for (value,) in readings) == sorted(exact * 2)
    assert {row["stage"] for row in await house.manager.list_conversations(campaign)} == {"offer"}


async def test_no_word_of_an_answer_is_mistaken_for_the_engines_own(house: House) -> None:
    campaign = await hold(house, ["awaits", '"awaits"', "agenda", "held", "\\", "\0", "{}", "a" * 99_000])
    for span in ("2d", "40d"):
        assert (await house.at(span).tick()).failed == 0
    assert {row["stage"] for row in await house.manager.list_conversations(campaign)} == {"gave_up"}
    assert await house.violations() == []


async def test_a_stage_may_be_called_like_a_part_of_the_engine(house: House) -> None:
    source = talk(("stages:\n  hello:", "stages:\n  awaits:"), ("start: hello", "start: awaits"))
    campaign = await house.campaign(neighbours(3), source)
    await house.run()
    await house.at("1h").reply(campaign, "hm")
    assert (await house.tick()).failed == 0
    assert (await house.conversation(campaign))["stage"] == "human"


# ---- what the database asks to try again ------------------------------------------------------------------------


@pytest.fixture
async def rival(house: House) -> AsyncIterator[Any]:
    """A transaction of somebody else's that is in no hurry to look for deadlocks."""
    async with house.database.transaction() as connection:
        await connection.execute(text("SET LOCAL deadlock_timeout = '1min'"))
        yield connection


async def test_a_deadlock_rolls_a_batch_back_and_the_tick_goes_on(house: House, rival: Any) -> None:
    campaign = await house.campaign()
    await house.tick()
    await house.at("1h").reply(campaign, "stop")
    await rival.execute(text("UPDATE campaign_engine.recipients SET locale = 'de'"))
    tick = asyncio.create_task(house.app.tick.run_once())
    await house.until_someone_waits(tick)  # it has cancelled the message and wants the recipient
    await rival.execute(text("UPDATE campaign_engine.outbox SET last_error = NULL"))
    assert (await tick).claimed == 0
    await rival.rollback()
    assert (await house.tick()).completed == 1
    assert await house.messages(campaign) == [("hello", "cancelled")]
    assert await house.violations() == []


async def test_a_conversation_that_cannot_be_stopped_does_not_keep_its_campaign_from_ending(house: House) -> None:
    everybody = neighbours(7)
    campaign = await house.campaign(everybody, ends_at=after("1d"))
    other = await house.campaign(everybody, name="Other", ends_at=after("1d"))
    await house.run()
    culprit = everybody[4]["key"]
    await house.sql(
        "ALTER TABLE campaign_engine.conversations ADD CONSTRAINT forbidden"
        f" CHECK (id <> '{UUID(conversation_of(campaign, culprit))}' OR status <> 'stopped')"
    )
    counts = await house.at("2d").app.poller.poll_once()
    assert counts.completed == 2
    statuses = await house.sql(
        "SELECT campaign_id::text, status, count(*) FROM campaign_engine.conversations GROUP BY 1, 2"
    )
    assert sorted(statuses) == sorted([(campaign, "active", 1), (campaign, "stopped", 6), (other, "stopped", 7)])
    assert (await house.conversation(campaign, culprit))["attempts"] == 1


async def test_a_response_that_cannot_be_kept_is_not_taken_in_by_halves(house: House) -> None:
    campaign = await house.campaign(neighbours(3), CHOOSY)
    await house.run()
    context = as_json({"facts": {"first_name": ["a", "list"]}, "captured": {"figure": {"a": "map"}}})
    await house.set_conversation(campaign, "ann", "context = CAST(:context AS jsonb)", context=context)
    await house.at("1h").reply(campaign, "yes 7")
    counts = await house.tick()
    waiting = await house.sql("SELECT count(*) FROM campaign_engine.responses WHERE status = 'waiting'")
    assert counts.failed + (await house.conversation(campaign))["seq"] == 2
    assert waiting == [(counts.failed,)]
    assert await house.violations() == []
