"""Any two who meet: one stops anywhere in what it does, the other does all it can, and then the first goes on.

`test_interleavings` goes deep; this goes through each pair of what the engine, its users and its operators do, at a
moment when everybody has something to do. It is derandomised, so every run tries the same; for more:

    MEETINGS=5000 ./dev test tests/integration/test_meetings.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.campaigns import NewCampaign
from engine.core.durations import parse_duration
from tests.integration.builders import conversation_of
from tests.integration.interleaving import KEYS, PARTS, PEOPLE, Actor, Work, World, a_world

ANN, CARL, DAN, BOB = KEYS
EVERY_STEP = 500
SEATS = {"seats": 5}
PARKED = "SELECT id FROM campaign_engine.conversations WHERE status = 'paused'"
OVERDUE = "SELECT id, status, due_at FROM campaign_engine.conversations WHERE due_at <= :now"
EXAMPLES = int(os.environ.get("MEETINGS", "0"))

Doing = Callable[[Actor, str], Work]
DOINGS: dict[str, Doing] = {
    "tick a": lambda actor, _: actor.tick.run_once(),
    "tick b": lambda actor, _: actor.tick.run_once(),
    "worker a": lambda actor, _: actor.worker.drain(),
    "worker b": lambda actor, _: actor.worker.drain(),
    "poller": lambda actor, _: actor.poller.poll_once(),
    "yes": lambda actor, campaign: actor.manager.record_response(campaign, ANN, "yes"),
    "stop": lambda actor, campaign: actor.manager.record_response(campaign, ANN, "stop"),
    "called": lambda actor, campaign: actor.manager.record_event(campaign, CARL, "called"),
    "opened": lambda actor, _: actor.manager.record_event(None, ANN, "opened"),
    "pause": lambda actor, campaign: actor.manager.pause_campaign(campaign),
    "resume": lambda actor, campaign: actor.manager.resume_campaign(campaign),
    "cancel": lambda actor, campaign: actor.manager.cancel_campaign(campaign),
    "advance": lambda actor, campaign: actor.manager.advance_conversation_stage(conversation_of(campaign, ANN)),
    "complete": lambda actor, campaign: actor.manager.mark_conversation_complete(conversation_of(campaign, ANN)),
    "tell": lambda actor, campaign: actor.manager.update_conversation_state(conversation_of(campaign, ANN), SEATS),
    "enrol": lambda actor, campaign: actor.manager.initialize_campaign_conversations(campaign),
    "compact": lambda actor, _: actor.compact(100),
    "move": lambda actor, campaign: actor.manager.move_conversation(conversation_of(campaign, ANN), "human", "drill"),
}


@pytest.fixture
def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(database_url, monkeypatch) as world:
        yield world


async def prepare(world: World, ends: str | None, state: str) -> str:
    """A campaign with messages to send and, unless it is quiet and paused, events and an answer to take in."""
    name = f"{state}_{ends}".lower()
    if world.keeps(name):
        await world.begin({}, kept=name)
        return str(world.first_campaign)
    await world.begin({})
    house = world.house
    ends_at = house.clock.instant + parse_duration(ends).nominal if ends else None
    campaign = await world.create(NewCampaign("Spring", "talk", ends_at=ends_at, audience={"recipients": PEOPLE}))
    await house.manager.initialize_campaign_conversations(campaign)
    await house.tick()
    house.wait("1h")
    if state != "running":
        await house.manager.pause_campaign(campaign)
    if state != "quiet":
        await house.manager.record_event(campaign, ANN, "opened")
        await house.manager.record_event(campaign, CARL, "opened")
        await house.manager.record_response(campaign, DAN, "yes")
    if state == "parked":
        await house.tick()
        await house.manager.record_response(campaign, BOB, "yes")
    await world.keep(name)
    return campaign


@dataclass
class Meeting:
    """`first` makes `steps`, then time passes; `second` makes `more`, then each does the rest."""

    first: str
    second: str
    steps: int = 0
    more: int = EVERY_STEP
    state: str = "running"
    ends: str | None = None
    passes: str = "0s"
    then: str = "goes on"


meetings = st.builds(
    Meeting,
    first=st.sampled_from(sorted(DOINGS)),
    second=st.sampled_from(sorted(DOINGS)),
    steps=st.integers(1, 30),
    more=st.one_of(st.just(EVERY_STEP), st.integers(1, 30)),
    state=st.sampled_from(["running", "paused", "parked", "quiet"]),
    ends=st.sampled_from([None, "1h", "66m"]),
    passes=st.sampled_from(["0s", "10m", "240h"]),
    then=st.sampled_from(["goes on", "goes on", "dies", "is cut off", "is not answered"]),
).filter(lambda it: it.first != it.second or it.first not in PARTS)


@given(meetings)
@settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
def test_wherever_one_stands_still_the_other_may_do_what_it_does(world: World, meeting: Meeting) -> None:
    world.run(meet(world, meeting))


def test_a_message_that_leaves_while_its_conversation_is_decided_wakes_it(world: World) -> None:
    for steps in count(1, 2):
        if world.run(meet(world, Meeting("tick a", "worker a", steps))).first:
            return


def test_a_worker_that_comes_after_its_lease_ran_out_records_nothing(world: World) -> None:
    for steps in count(1, 2):
        if world.run(meet(world, Meeting("worker a", "worker b", steps, passes="10m"))).first:
            return


def test_a_tick_that_begins_while_a_campaign_is_resumed_parks_nobody_for_good(world: World) -> None:
    for steps in (2, 4, 6):
        for more in count(1, 4):
            meeting = Meeting("resume", "tick a", steps, more, state="quiet", passes="240h")
            over = world.run(meet(world, meeting))
            assert not over.first
            if over.second:
                break


class Over(NamedTuple):
    """Who was done before it was to stand still."""

    first: bool
    second: bool


async def meet(world: World, it: Meeting) -> Over:
    """Let two meet, and see that all is well then and afterwards."""
    campaign, house = await prepare(world, it.ends, it.state), world.house
    one, other = world.actors.get(it.first, world.actors["desk a"]), world.actors.get(it.second, world.actors["desk b"])
    await world.start(one, DOINGS[it.first](one, campaign))
    await let_on(world, one, it.steps)
    house.wait(it.passes)
    first_is_over = one.operation is None
    harmed = not first_is_over and it.then != "goes on"
    if one.operation is not None:
        one.operation.steps = 0
        if it.then == "dies":
            await world.kill(one)
        elif it.then == "is cut off":
            await world.stage.terminate(one.operation)
        elif it.then == "is not answered":
            one.operation.loses_answer = True
    await world.start(other, DOINGS[it.second](other, campaign))
    await let_on(world, other, it.more)
    over = Over(first_is_over, other.operation is None)
    assert await house.violations() == []
    for each in [one, other, one]:
        await let_on(world, each, EVERY_STEP)
        assert await house.violations() == []
    assert world.busy == []
    if it.first == "resume" and harmed and await status(world) == "active":  # whoever was not told that it is done
        await house.manager.resume_campaign(campaign)
    await house.run()
    if await status(world) == "active":
        assert await house.sql(PARKED) == []
    elif await status(world) == "paused":
        await house.manager.resume_campaign(campaign)
        await house.run()
    assert await house.violations() == []
    assert await house.sql(OVERDUE, now=house.clock.instant) == []
    return over


async def let_on(world: World, actor: Actor, steps: int) -> None:
    if actor.operation is not None:
        actor.operation.steps = steps
        await world.stage.go_on()
    world.judge()


async def status(world: World) -> str:
    ((found,),) = await world.house.sql("SELECT status FROM campaign_engine.campaigns")
    return str(found)
