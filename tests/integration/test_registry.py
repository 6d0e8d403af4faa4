"""Registered campaign types: the same for ever, compiled once."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from engine.core.errors import DecisionError, RefusedError, UnknownError
from engine.core.loader import LoadedType
from engine.db.database import Database
from engine.registry import TypeRegistry, register
from tests.integration.launching import YAML, a_type


async def registered(database: Database, loaded: LoadedType) -> tuple[str, int, bool]:
    async with database.transaction() as connection:
        return await register(connection, loaded)


async def test_the_same_content_is_registered_once(database: Database) -> None:
    assert await registered(database, a_type()) == ("greeting", 1, True)
    assert await registered(database, a_type()) == ("greeting", 1, False)


async def test_a_comment_or_another_layout_is_the_same_content(database: Database) -> None:
    await registered(database, a_type())
    assert await registered(database, a_type("start: hello", "start:   hello   # as ever")) == ("greeting", 1, False)


async def test_a_version_never_changes_its_content(database: Database) -> None:
    await registered(database, a_type())
    await registered(database, a_type("version: 1", "version: 4"))
    with pytest.raises(RefusedError, match=r"greeting version 1 is registered with another content(.|\n)*version to 5"):
        await registered(database, a_type('"Hi ', '"Dear '))


async def test_labels_in_another_order_are_another_content(database: Database) -> None:
    await registered(database, a_type())
    stop, no = (line + "\n" for line in YAML.splitlines() if line.startswith(("    stop:", "    no:")))
    with pytest.raises(RefusedError):
        await registered(database, a_type(stop + no, no + stop))


async def test_labels_keep_the_order_they_are_tried_in(database: Database) -> None:
    await registered(database, a_type())
    async with database.transaction() as connection:
        compiled = await TypeRegistry().get(connection, "greeting", 1)
    assert compiled.spec == a_type().spec
    assert list(compiled.spec.responses["intent"]) == ["stop", "no", "accept"]
    assert list(compiled.spec.facts) == list(a_type().spec.facts)


async def test_two_who_register_at_once_both_succeed_and_one_of_them_made_it(database: Database) -> None:
    results = await asyncio.gather(*(registered(database, a_type()) for _ in range(4)))
    assert sorted(made for _, _, made in results) == [False, False, False, True]


async def test_a_compiled_type_stays_in_the_process_even_without_its_row(database: Database) -> None:
    await registered(database, a_type())
    registry = TypeRegistry()
    async with database.transaction() as connection:
        first = await registry.get(connection, "greeting", 1)
        await connection.execute(text("DELETE FROM campaign_engine.campaign_types"))
        assert await registry.get(connection, "greeting", 1) is first


async def test_latest_is_the_highest_version_not_the_newest_row(database: Database) -> None:
    for version in (2, 10, 9):
        await registered(database, a_type("version: 1", f"version: {version}"))
    async with database.transaction() as connection:
        assert (await TypeRegistry().latest(connection, "greeting")).version == 10


async def test_delays_are_multiplied_by_the_factor(database: Database) -> None:
    await registered(database, a_type())
    async with database.transaction() as connection:
        compiled = await TypeRegistry(0.5).get(connection, "greeting", 1)
    assert compiled.stages["hello"].timers[0].after.nominal.total_seconds() == 3.5 * 86_400


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("greting", 1, "unknown campaign type greting; expected one of greeting; did you mean greeting?"),
        ("greeting", 7, "greeting has no version 7; expected one of 1, 2"),
    ],
)
async def test_an_unknown_type_is_told_with_what_there_is(
    database: Database, name: str, version: int, message: str
) -> None:
    await registered(database, a_type())
    await registered(database, a_type("version: 1", "version: 2"))
    async with database.transaction() as connection:
        with pytest.raises(UnknownError) as caught:
            await TypeRegistry().get(connection, name, version)
    assert caught.value.message == message
    assert caught.value.hint == "Register it with: campaign types register PATH"


async def test_when_nothing_is_registered_the_way_to_do_it_is_told(database: Database) -> None:
    async with database.transaction() as connection:
        with pytest.raises(UnknownError, match=r"none is registered\nRegister it with: campaign types register PATH"):
            await TypeRegistry().latest(connection, "greeting")


async def test_a_row_this_program_cannot_read_is_told_as_such(database: Database) -> None:
    await registered(database, a_type())
    async with database.transaction() as connection:
        await connection.execute(text("""UPDATE campaign_engine.campaign_types SET spec = '{"novelty": 1}'"""))
        with pytest.raises(DecisionError, match="greeting version 1 was registered in a form"):
            await TypeRegistry().get(connection, "greeting", 1)
