"""Whatever comes between: random interleavings of all that can happen to conversations, checked after every step.

A Hypothesis state machine has two ticks, two workers, a poller and three desks (whoever writes, pauses, moves …) on
connections of their own. A rule begins something and lets it make a few round trips, or all; then it stands there,
with its locks, while the next rules go on (see `stepping`). Connections are lost, answers to a COMMIT too, and
processes die. Time only moves forward, sometimes by far. After every step the invariants hold; at the end, when
everybody has finished, or died, and enough time has passed, nobody is stuck.

It is derandomised, so every run tries the same. To look further, for as many examples as there is time for:

    INTERLEAVINGS=2000 INTERLEAVING_STEPS=60 ./dev test tests/integration/test_interleavings.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from engine.campaigns import NewCampaign
from engine.core.durations import parse_duration
from engine.core.errors import ChannelError
from engine.db.campaigns import CampaignRepository
from engine.db.invariants import find_violations
from tests.integration.builders import as_json, conversation_of
from tests.integration.interleaving import DESKS, KEYS, PARTS, PEOPLE, TYPES, Actor, Work, World, a_world

ALL_STEPS = 300  # that none should need
MOST_CAMPAIGNS = 3
MOST_JUMPS = 9
MOST_ROUNDS = 9
AUDIENCE = {"recipients": PEOPLE}
PARKED_IN_THE_MIDST = """
    SELECT CAST(c.id AS text), CAST(c.campaign_id AS text), 'is parked while its campaign goes on'
      FROM campaign_engine.conversations c JOIN campaign_engine.campaigns i ON i.id = c.campaign_id
     WHERE c.status = 'paused' AND c.due_at IS NULL AND i.status IN ('active', 'scheduled')
"""
UNFINISHED = """
    SELECT CAST(id AS text), status, stage, CAST(due_at AS text) FROM campaign_engine.conversations
     WHERE status IN ('active', 'paused')
     UNION ALL
    SELECT CAST(conversation_id AS text), status, message, CAST(not_before AS text) FROM campaign_engine.outbox
     WHERE status IN ('ready', 'leased')
     UNION ALL
    SELECT CAST(i.id AS text), i.status, i.name, CAST(i.ends_at AS text) FROM campaign_engine.campaigns i
     WHERE i.status NOT IN ('completed', 'cancelled', 'failed')
       AND EXISTS (SELECT FROM campaign_engine.conversations c WHERE c.campaign_id = i.id)
"""
SPOIL = """
    UPDATE campaign_engine.conversations SET context = jsonb_set(context, '{facts,since}', CAST(:since AS jsonb))
     WHERE id = (SELECT id FROM campaign_engine.conversations WHERE id = :id FOR UPDATE SKIP LOCKED)
"""
SENT = """
    SELECT concat_ws(':', conversation_id, seq, ordinal) FROM campaign_engine.outbox WHERE status = 'sent'
"""

Request = Callable[[Actor, str], Work]
CAMPAIGN_IS: dict[str, Request] = {
    "paused": lambda actor, campaign: actor.manager.pause_campaign(campaign),
    "resumed": lambda actor, campaign: actor.manager.resume_campaign(campaign),
    "cancelled": lambda actor, campaign: actor.manager.cancel_campaign(campaign),
    "enrolled again": lambda actor, campaign: actor.manager.initialize_campaign_conversations(campaign),
}
CONVERSATION_IS: dict[str, Request] = {
    "advanced": lambda actor, each: actor.manager.advance_conversation_stage(each),
    "completed": lambda actor, each: actor.manager.mark_conversation_complete(each),
    "told of two seats": lambda actor, each: actor.manager.update_conversation_state(each, {"seats": 2}),
    "told of five seats": lambda actor, each: actor.manager.update_conversation_state(each, {"seats": 5}),
    "retried": lambda actor, each: actor.manager.retry_conversation(each),
    "moved to offer": lambda actor, each: actor.manager.move_conversation(each, "offer", reason="drill"),
    "moved to hall": lambda actor, each: actor.manager.move_conversation(each, "hall", reason="drill"),
    "moved to an exit": lambda actor, each: actor.manager.move_conversation(each, "gave_up", reason="drill"),
}
steps = st.one_of(st.just(ALL_STEPS), st.integers(0, 25))
places = st.integers(0, 7)  # in a list that may be shorter, or empty: whatever there is, as much is drawn
keys = st.sampled_from(KEYS)
types = st.sampled_from(sorted(TYPES))


class Interleavings(RuleBasedStateMachine):
    """All that may happen. A rule that finds nobody free, or nothing under way, does nothing."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.run = world.run
        self.campaigns: list[str] = []  # empty while the poller has not made it
        self.half_resumed: set[str] = set()  # whose resuming did not end well, so that somebody has to repeat it
        self.all_die = False

    # ---- beginnings --------------------------------------------------------------------------------------------

    @initialize(
        batch_sizes=st.fixed_dictionaries({name: st.integers(1, 5) for name in PARTS}),
        all_die=st.booleans(),
        type=types,
        head_start=st.integers(0, 3),
    )
    def begin(self, batch_sizes: dict[str, int], all_die: bool, type: str, head_start: int) -> None:
        self.all_die = all_die
        self.run(self.world.begin(batch_sizes))
        self.new_campaign(type, "normal", None, None, ALL_STEPS)
        for who in ["tick a", "worker a", "tick a"][:head_start]:
            self.pass_by(who, whole=True, steps=ALL_STEPS)

    @rule(
        type=types,
        priority=st.sampled_from(["high", "normal", "low"]),
        starts=st.sampled_from([None, "1h", "48h"]),
        ends=st.sampled_from([None, "72h", "240h"]),
        steps=steps,
    )
    def new_campaign(self, type: str, priority: str, starts: str | None, ends: str | None, steps: int) -> None:
        """Made at once, its audience enrolled step by step."""
        if len(self.campaigns) < MOST_CAMPAIGNS:
            starts_at = self.after(starts) if starts else None
            ends_at = self.after(ends, starts_at) if ends else None
            wanted = NewCampaign(
                "Spring", type, priority=priority, starts_at=starts_at, ends_at=ends_at, audience=AUDIENCE
            )
            campaign = self.run(self.world.create(wanted))
            self.campaigns.append(campaign)
            self.ask(lambda actor: actor.manager.initialize_campaign_conversations(campaign), steps)

    @rule(type=types)
    def request(self, type: str) -> None:
        """The poller is to make a campaign."""
        if len(self.campaigns) < MOST_CAMPAIGNS:
            self.campaigns.append("")
            self.run(self.world.request({"name": "Asked for", "type": type, **AUDIENCE}))

    # ---- those who work ----------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(["tick a", "tick b"]), whole=st.booleans(), steps=steps)
    def tick(self, who: str, whole: bool, steps: int) -> None:
        self.pass_by(who, whole=whole, steps=steps)

    @rule(who=st.sampled_from(["worker a", "worker b"]), whole=st.booleans(), steps=steps)
    def work(self, who: str, whole: bool, steps: int) -> None:
        self.pass_by(who, whole=whole, steps=steps)

    @rule(steps=steps)
    def poll(self, steps: int) -> None:
        self.pass_by("poller", whole=True, steps=steps)

    @rule(place=places, steps=steps)
    def go_on(self, place: int, steps: int) -> None:
        """Somebody who is at something goes on with it."""
        if busy := self.world.busy:
            self.let_on(busy[place % len(busy)], steps)

    @rule(span=st.sampled_from(["1m", "6m", "1h", "24h", "48h", "240h", "720h"]))
    def wait(self, span: str) -> None:
        self.world.house.wait(span)

    # ---- those who write, and those who look after it ------------------------------------------------------------

    @rule(
        place=places,
        who=keys,
        text=st.sampled_from(["yes", "what?", "back", "stop"]),
        message=st.integers(0, 9),
        late=st.sampled_from(["0s", "0s", "1m", "72h"]),
        steps=steps,
    )
    def reply(self, place: int, who: str, text: str, message: int, late: str, steps: int) -> None:
        given = {"message_id": f"m{message}", "received_at": self.after("0s") - parse_duration(late).nominal}
        self.ask_about(
            place, lambda actor, campaign: actor.manager.record_response(campaign, who, text, **given), steps
        )

    @rule(
        place=places,
        everywhere=st.booleans(),
        who=keys,
        name=st.sampled_from(["opened", "called"]),
        message=st.integers(0, 9),
        steps=steps,
    )
    def event(self, place: int, everywhere: bool, who: str, name: str, message: int, steps: int) -> None:
        given = {"message_id": f"e{message}"}
        self.ask_about(
            place,
            lambda actor, campaign: actor.manager.record_event(None if everywhere else campaign, who, name, **given),
            steps,
        )

    @rule(place=places, what=st.sampled_from(sorted(CAMPAIGN_IS)), steps=steps)
    def campaign_is(self, place: int, what: str, steps: int) -> None:
        request = self._resume if what == "resumed" else CAMPAIGN_IS[what]
        self.ask_about(place, request, steps)

    async def _resume(self, actor: Actor, campaign: str) -> None:
        self.half_resumed.add(campaign)
        await CAMPAIGN_IS["resumed"](actor, campaign)
        self.half_resumed.discard(campaign)

    @rule(place=places, who=keys, what=st.sampled_from(sorted(CONVERSATION_IS)), steps=steps)
    def conversation_is(self, place: int, who: str, what: str, steps: int) -> None:
        self.ask_about(
            place, lambda actor, campaign: CONVERSATION_IS[what](actor, conversation_of(campaign, who)), steps
        )

    # ---- what goes wrong, and what goes on beside ------------------------------------------------------------------

    @rule(place=places, how=st.sampled_from(["killed", "cut off", "not answered"]), steps=steps)
    def harm(self, place: int, how: str, steps: int) -> None:
        """Somebody's process dies, or their connection, or what the server answers next is lost."""
        if busy := self.world.busy:
            actor = busy[place % len(busy)]
            assert actor.operation is not None
            if how == "killed":
                self.run(self.world.kill(actor))
            elif how == "cut off":
                self.run(self.world.stage.terminate(actor.operation))
            else:
                actor.operation.loses_answer = True
            self.let_on(actor, steps)

    @rule(place=places, who=keys, since=st.sampled_from(["soon", "2026-01-01"]))
    def spoil(self, place: int, who: str, since: str) -> None:
        """A date that is none, which a guard of MAZE reads, or one again; unless somebody is at that row."""
        if campaign := self.campaign(place):
            self.run(self.world.house.sql(SPOIL, id=conversation_of(campaign, who), since=as_json(since)))

    @rule(
        what=st.sampled_from(["compact", "stop", "trouble", "no trouble"]),
        who=st.sampled_from(PARTS),
        passing=st.booleans(),
        steps=steps,
    )
    def beside(self, what: str, who: str, passing: bool, steps: int) -> None:
        """Counts are compacted; a process is told to stop; the channel fails from now on, or no longer."""
        if what == "compact":
            self.ask(lambda actor: actor.compact(steps), steps)
        elif what == "stop":
            self.world.actors[who].stop()
            self.let_on(self.world.actors[who], steps)
        else:
            self.world.mail.trouble = ChannelError("no", retryable=passing) if what == "trouble" else None

    # ---- how ---------------------------------------------------------------------------------------------------

    def after(self, span: str, since: datetime | None = None) -> datetime:
        return (since or self.world.house.clock.instant) + parse_duration(span).nominal

    def campaign(self, place: int) -> str:
        """The id of a campaign; empty if that one is not made yet."""
        return self.campaigns[place % len(self.campaigns)]

    def pass_by(self, who: str, *, whole: bool, steps: int) -> None:
        """A part of the engine goes on with what it does, or begins its next pass."""
        actor = self.world.actors[who]
        if actor.operation is None:
            if actor.stopping:
                self.run(actor.restart())
            self.run(self.world.start(actor, actor.next_pass(whole=whole)))
        self.let_on(actor, steps)

    def ask_about(self, place: int, request: Request, steps: int) -> None:
        if campaign := self.campaign(place):
            self.ask(lambda actor: request(actor, campaign), steps)

    def ask(self, request: Callable[[Actor], Work], steps: int) -> None:
        """Have a free desk do it; nobody does while all are busy."""
        free = [self.world.actors[name] for name in DESKS if self.world.actors[name].operation is None]
        if free:
            self.run(self.world.start(free[0], request(free[0])))
            self.let_on(free[0], steps)

    def let_on(self, actor: Actor, steps: int) -> None:
        """Let one make steps, and everybody see to what comes of it."""
        if actor.operation is not None:
            actor.operation.steps = steps
            self.run(self.world.stage.go_on())
        self.world.judge()

    # ---- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        if self.campaigns:
            self.run(self._look())

    async def _look(self) -> None:
        async with self.world.house.database.transaction() as connection:
            if "" in self.campaigns:
                made = {str(each.id) for each in await CampaignRepository(connection).find_campaigns()}
                unknown = sorted(made - set(self.campaigns))
                self.campaigns = [each or (unknown.pop(0) if unknown else "") for each in self.campaigns]
            found = await find_violations(connection, self.world.house.clock.instant)
            parked = [tuple(row) for row in await connection.execute(text(PARKED_IN_THE_MIDST))]
        assert found == []
        assert [row for row in parked if row[1] not in self.half_resumed] == []

    def teardown(self) -> None:
        if self.campaigns:
            self.run(self._finish())

    async def _finish(self) -> None:
        """Everybody finishes or dies; then time passes until all is over that ever ends."""
        world, house = self.world, self.world.house
        for actor in world.busy if self.all_die else ():
            await world.kill(actor)
        for _ in range(MOST_ROUNDS):
            for actor in world.busy:
                actor.stop()
                actor.operation.steps = ALL_STEPS
            await world.stage.go_on()
            world.judge()
        assert world.busy == []
        assert await house.violations() == []
        world.mail.trouble = None
        await self._until_all_is_over()
        assert await house.violations() == []
        left = {each.idempotency_key for each in world.mail.left + house.mail.left}
        assert {key for (key,) in await house.sql(SENT)} <= left

    async def _until_all_is_over(self) -> None:
        house = self.world.house
        for campaign in await house.manager.list_campaigns():
            half = campaign["id"] in self.half_resumed and campaign["status"] in ("active", "scheduled")
            if half or campaign["status"] == "paused":
                await house.manager.resume_campaign(campaign["id"])
        for _ in range(MOST_JUMPS):
            house.wait("60d")
            await house.app.poller.poll_once()
            await house.run()
            if not await house.sql(UNFINISHED):
                return
        raise AssertionError(f"not over after {MOST_JUMPS} jumps: {await house.sql(UNFINISHED)}")


@pytest.fixture
def world(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(database_url, monkeypatch) as world:
        yield world


def test_whatever_comes_between_every_conversation_moves_exactly_once(world: World) -> None:
    examples = int(os.environ.get("INTERLEAVINGS", "0"))
    chosen = settings(
        max_examples=examples or 12,
        stateful_step_count=int(os.environ.get("INTERLEAVING_STEPS", "25")),
        derandomize=not examples,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(lambda: Interleavings(world), settings=chosen)
