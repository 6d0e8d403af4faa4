"""A database and a crew at work on it, each on connections of their own: what `test_interleavings` plays with."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest

from engine.campaigns import NewCampaign, create_campaign
from engine.channels.registry import Channels
from engine.core.errors import ChannelError, DecisionError, RefusedError, RepositoryError, UnknownError
from engine.db.buckets import bucket_of_key
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.db.metrics import MetricsRepository
from engine.db.tables import metadata
from engine.manager import CampaignManager
from engine.poller import Poller
from engine.registry import TypeRegistry
from engine.tick import Tick
from engine.worker import Worker
from tests.integration.builders import NOW, TALK, House, a_settings, neighbours
from tests.integration.postroom import Mailbox
from tests.integration.stepping import Operation, Stage, stepping

MAZE = """
campaign_type: maze
version: 1
facts: {first_name: text, since: "date?", seats: "int?"}
responses: {intent: {stop: {any_word: [stop]}, "yes": {any_word: [yes]}, back: {any_word: [back]}}}
channel: email
limits: {cooldown: 1h}
ends_within: {at_most: 90d, then: gave_up}
start: hall
always:
  - {when: intent == "stop", go: opted_out}
  - {when: event == "called", go: stay, do: [{emit: rang}], at_most: 2}
stages:
  hall:
    visits: {at_most: 3, then: gave_up}
    on_enter: [{send: welcome, when: since is missing or seats > 3}]
    follow_ups: [{after: 48h, send: bump}, {after: 48h, send: bump}]
    on_response: [{when: intent == "yes", go: room}, {otherwise: fork}]
    on_event: {opened: {go: stay, do: [{send: tip, after: 4h}, {emit: warm}], at_most: 1}}
    timers: [{after: 10d, go: fork}]
  room:
    visits: {at_most: 3, then: gave_up}
    min_stay: 24h
    on_enter: [{send: offer, after: 2h}, {assign: {to: sales}}]
    follow_ups: [{after: 24h, send: bump}]
    escalate: [{after: 4h, to: manager}]
    on_response: [{when: intent == "yes", go: bought}, {when: intent == "back", go: hall}, {otherwise: fork}]
    timers: [{after: 20d, go: hall}]
  fork:
    split: [{share: 50%, go: room}, {when: seats > 3, go: hall}, {otherwise: gave_up}]
exits:
  bought: {outcome: won, on_enter: [{send: thanks}]}
  gave_up: lost
  opted_out: stopped
messages:
  welcome: {text: "Hi {{ first_name }}"}
  bump: {text: Are you there}
  tip: {text: A tip}
  offer: {text: An offer}
  thanks: {text: Thank you}
"""
TYPES = {"talk": TALK, "maze": MAZE}
PEOPLE = neighbours(3) + neighbours(1, "bob")
KEYS = [each["key"] for each in PEOPLE]
ROW_TABLES = {  # of the others, the rows stay from one example to the next
    name: name.split(".")[1] for name in metadata.tables if not name.endswith((".campaign_types", ".send_gates"))
}
_COPY = "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM {1};"
PARTS = ["tick a", "tick b", "worker a", "worker b", "poller"]
DESKS = ["desk a", "desk b", "desk c"]
MOST_ATTEMPTS = 3
ROLLED_BACK = ("40001", "40P01", "55P03")

Work = Coroutine[Any, Any, Any]


class Fickle(Mailbox):
    """A mailbox that takes nothing while `trouble` says what is wrong."""

    trouble: ChannelError | None = None

    def forget(self) -> None:
        self.taken, self.left, self.trouble = [], [], None

    async def flush(self) -> None:
        if self.trouble is not None:
            self.taken = []
            raise self.trouble
        await super().flush()


class Actor:
    """A process: its own connections, and what it is doing."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.batch_size = 100
        self.operation: Operation | None = None
        self.database = Database(world.url)
        self.assemble()

    def assemble(self) -> None:
        """Its parts as they are at the start of a process, their chances fixed."""
        world, given = self.world, a_settings(max_attempts=MOST_ATTEMPTS, max_batch_size=self.batch_size)
        common = (given, world.house.clock)
        self.stopping = False
        self.manager = CampaignManager(self.database, *common, world.registry)
        self.tick = Tick(self.database, *common, world.registry)
        self.worker = Worker(self.database, *common, Channels({"email": world.mail}), world.registry, Random(1))
        self.poller = Poller(self.database, *common, world.registry, self.tick.end_campaign)
        fix_chances(self.tick, self.manager)

    async def restart(self) -> None:
        """A new process in place of this one, which is over."""
        await self.database.close()
        self.database = Database(self.world.url)
        self.operation = None
        self.assemble()

    def next_pass(self, *, whole: bool) -> Work:
        """What it does unasked: one pass, or as many as there is work for."""
        if self.name.startswith("tick"):
            return self.tick.drain() if whole else self.tick.run_once()
        if self.name.startswith("worker"):
            return self.worker.drain() if whole else self.worker.work_once()
        return self.poller.poll_once()

    async def compact(self, limit: int) -> None:
        async with self.database.transaction() as connection:
            await MetricsRepository(connection).compact_deltas(bucket_of_key(KEYS[0]), limit)

    def stop(self) -> None:
        self.stopping = True
        self.tick.stop()
        self.worker.stop()


def fix_chances(*parts: object) -> None:
    """Seed every `Random` in these parts and theirs."""
    for part in parts:
        for each in vars(part).values():
            if isinstance(each, Random):
                each.seed(1)
            elif type(each).__module__.startswith("engine.") and hasattr(each, "__dict__"):
                fix_chances(each)


class World:
    """One database and everybody on it, for all the examples of a run, which follow each other in it."""

    def __init__(self, url: str, stage: Stage, runner: asyncio.Runner) -> None:
        self.url = url
        self.stage = stage
        self.run = runner.run
        self.registry = TypeRegistry()
        self.mail = Fickle()
        self.actors: dict[str, Actor] = {}
        self._numbers: Iterator[int] = iter(())
        self._kept: dict[str, datetime] = {}

    async def open(self) -> None:
        self.house = House(Database(self.url), max_attempts=MOST_ATTEMPTS)
        for source in TYPES.values():
            await self.house.register(source)
        name = self.house.database.url.database
        await self.house.sql(f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '100ms'")
        await self.stage.open(self.house.database.url.set(drivername="postgresql").render_as_string(False))
        self.actors = {name: Actor(self, name) for name in PARTS + DESKS}

    async def close(self) -> None:
        for each in [self.house, *self.actors.values()]:
            await each.database.close()
        await self.stage.close()

    @property
    def busy(self) -> list[Actor]:
        return [each for each in self.actors.values() if each.operation is not None]

    def judge(self) -> None:
        """See to what has come to an end, and raise what it should not have come to; whoever did it is free."""
        for actor in self.busy:
            if actor.operation is not None and actor.operation.is_over:
                operation, actor.operation = actor.operation, None
                judge(operation)

    async def start(self, actor: Actor, work: Work) -> None:
        actor.operation = self.stage.start(actor.name, work)

    async def kill(self, actor: Actor) -> None:
        """End a process in the midst of what it does; another takes its place."""
        assert actor.operation is not None
        await self.stage.kill(actor.operation)
        await actor.restart()

    async def create(self, wanted: NewCampaign) -> str:
        async with self.house.database.transaction() as connection:
            return str(await create_campaign(connection, self.house.clock, self.registry, wanted))

    async def request(self, payload: dict[str, Any]) -> None:
        async with self.house.database.transaction() as connection:
            await CampaignRepository(connection).insert_request(payload)

    async def begin(self, batch_sizes: dict[str, int], kept: str = "") -> None:
        """New processes and an empty database at the beginning of time; or with the rows that were kept so called."""
        for actor in self.busy:  # if the example before found something
            await self.kill(actor)
        await self.stage.command("".join(map("DELETE FROM {};".format, ROW_TABLES)))
        if kept:
            await self.stage.command(
                "".join(_COPY.format(table, f"{kept}_{name}") for table, name in ROW_TABLES.items())
            )
        self.house.clock.instant = self._kept.get(kept, NOW)
        self.mail.forget()
        self.house.mail.left = []
        self._numbers = iter(range(1, 1_000))
        fix_chances(self.house.app.tick, self.house.app.worker)
        for name, actor in self.actors.items():
            actor.batch_size = batch_sizes.get(name, 100)
            actor.assemble()

    async def keep(self, name: str) -> None:
        """Keep the rows and the clock as they are, to begin with them again."""
        await self.stage.command(
            "".join(f"CREATE TABLE {name}_{own} AS TABLE {table};" for table, own in ROW_TABLES.items())
        )
        self._kept[name] = self.house.clock.instant

    def keeps(self, name: str) -> bool:
        return name in self._kept

    @property
    def first_campaign(self) -> UUID:
        """The id of the campaign that an example makes first, if it does so at the beginning of time."""
        return UUID(int=int(NOW.timestamp()) << 80 | 1)

    def new_id(self, now: datetime) -> UUID:
        """In place of the engine's own, which are drawn: they decide who stands before whom."""
        return UUID(int=int(now.timestamp()) << 80 | next(self._numbers))


@contextmanager
def a_world(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world on the database at `url`, open."""
    with stepping(monkeypatch) as stage, asyncio.Runner() as runner:
        world = World(url, stage, runner)
        monkeypatch.setattr("engine.campaigns.uuid7", world.new_id)
        monkeypatch.setattr("engine.db.hints.RATION", 0.0)  # which would make the number of round trips chance
        for module in ("engine.manager", "engine.tick"):  # walking through empty buckets takes time and shows nothing
            monkeypatch.setattr(f"{module}.BUCKETS", sorted({bucket_of_key(key) for key in KEYS}), raising=False)
        world.run(world.open())
        try:
            yield world
        finally:
            world.run(world.close())


def judge(operation: Operation) -> None:
    """Raise what an operation should not have come to."""
    error = operation.task.exception()
    refused = operation.name in DESKS and isinstance(error, RefusedError | UnknownError | DecisionError)
    again = isinstance(error, RepositoryError) and error.retryable
    if error is not None and not refused and not (again and (operation.harmed or error.sqlstate in ROLLED_BACK)):
        raise AssertionError(f"{operation} failed of itself") from error
