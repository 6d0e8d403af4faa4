"""What a diff asks the database: where the live conversations of one version of a type stand."""

from __future__ import annotations

from engine.authoring.diffs.forecast import forecast
from engine.core.loader import parse_campaign_type
from engine.db.database import Database
from engine.db.standing import StandingRepository
from tests.integration.builders import TALK, House, people, talk


async def standing(house: House, name: str = "talk", version: int = 1) -> dict[str, int]:
    async with house.database.transaction() as connection:
        return await StandingRepository(connection).count_standing(name, version)


async def test_live_conversations_are_counted_by_stage_over_all_campaigns(database: Database) -> None:
    house = House(database)
    spring = await house.campaign(people(20))
    await house.campaign(people(5), name="Summer")
    assert await standing(house) == {}, "nobody has entered a stage yet"
    await house.run()
    assert await standing(house) == {"hello": 25}
    await house.wait("1h").reply(spring, "yes", key="p0")
    await house.reply(spring, "what?", key="p1")
    await house.run()
    assert await standing(house) == {"hello": 23, "human": 1, "offer": 1}


async def test_the_paused_count_and_those_who_are_done_or_of_another_version_do_not(database: Database) -> None:
    house = House(database)
    spring = await house.campaign(people(3))
    await house.campaign(people(4), source=talk(("version: 1", "version: 2")), name="Summer")
    other = talk(("campaign_type: talk", "campaign_type: walk"))
    await house.campaign(people(2), source=other, name="Autumn")
    await house.run()
    await house.wait("1h").reply(spring, "stop", key="p0")
    await house.run()
    await house.manager.pause_campaign(spring)
    assert await standing(house) == {"hello": 2}
    assert await standing(house, version=2) == {"hello": 4}
    assert await standing(house, "walk") == {"hello": 2}
    assert await standing(house, version=3) == await standing(house, "nobody") == {}


async def test_a_forecast_from_the_database_names_those_without_a_place(database: Database) -> None:
    house = House(database)
    await house.campaign(people(7))
    await house.run()
    renamed = talk(("start: hello", "start: greet"), ("  hello:\n    on_enter", "  greet:\n    on_enter"))
    old, new = (parse_campaign_type(source, "talk.yaml") for source in (TALK, renamed))
    (problem,) = forecast(old, new, await standing(house))
    assert problem.code == "E801"
    assert "7 live conversations stand in stage 'hello'" in problem.message
    assert "hello=greet" in problem.message
