"""Hints: given at the commit, rationed, heard by whoever listens, and never needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest

from engine.core.errors import RepositoryError
from engine.db.database import Database
from engine.db.hints import RATION, HintRepository, listen
from tests.integration.builders import House, people


@asynccontextmanager
async def heard(database: Database) -> AsyncIterator[list[str]]:
    """What is heard on the database meanwhile, and in the moment after."""
    hints: list[str] = []
    listening = asyncio.Event()

    async def hear() -> None:
        async with aclosing(listen(database.url)) as coming:
            async for part in coming:
                listening.set()
                if part is not None:
                    hints.append(part)

    task = asyncio.create_task(hear())
    async with asyncio.timeout(20):
        await listening.wait()
        yield hints
        async with database.transaction() as connection:  # what was given before is heard before this
            await HintRepository(connection).notify("work")
        while hints[-1:] != ["work"]:  # noqa: ASYNC110 - the server says so
            await asyncio.sleep(0.005)
        hints.pop()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_hint_is_heard_when_its_transaction_commits_and_not_when_it_rolls_back(database: Database) -> None:
    async with heard(database) as hints:
        with suppress(ZeroDivisionError):
            async with database.transaction() as connection:
                assert await HintRepository(connection).notify("tick")
                raise ZeroDivisionError
        await asyncio.sleep(RATION)  # or the next would be left out
        async with database.transaction() as connection:
            assert await HintRepository(connection).notify("tick")
            assert hints == []
    assert hints == ["tick"]


async def test_a_burst_of_responses_gives_few_hints(database: Database) -> None:
    house = House(database)
    campaign = await house.campaign(people(40))
    await house.run()
    async with heard(database) as hints:
        started = asyncio.get_running_loop().time()
        for number in range(40):
            await house.reply(campaign, "what?", f"p{number}")
        rations = (asyncio.get_running_loop().time() - started) / RATION
    assert 1 <= len(hints) <= rations + 1


@pytest.mark.parametrize("wakes", ["response", "event", "enrolment", "resume", "facts"])
async def test_whoever_wakes_a_conversation_gives_a_hint(database: Database, wakes: str) -> None:
    house = House(database)
    campaign = await house.campaign()
    await house.run()
    if wakes == "resume":
        await house.manager.pause_campaign(campaign)
        await house.reply(campaign, "yes")
        await house.tick()
    await asyncio.sleep(RATION)  # what came before has used the ration up
    async with heard(database) as hints:
        if wakes == "response":
            await house.reply(campaign, "yes")
        elif wakes == "event":
            await house.manager.record_event(campaign, "ann", "opened")
        elif wakes == "enrolment":
            await house.campaign(people(2), name="Later")
        elif wakes == "resume":
            assert await house.manager.resume_campaign(campaign) == 1
        else:
            [conversation] = await house.manager.list_conversations(campaign)
            await house.manager.update_conversation_state(conversation["id"], {"seats": 3})
    assert hints == ["tick"]


async def test_whoever_listens_is_told_when_the_connection_is_lost(database: Database) -> None:
    house = House(database)
    async with aclosing(listen(database.url)) as hints:
        assert await anext(hints) is None
        await house.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'campaign-engine hints'"
            " AND datname = current_database()"
        )
        with pytest.raises(RepositoryError) as caught:
            await anext(hints)
    assert caught.value.retryable
