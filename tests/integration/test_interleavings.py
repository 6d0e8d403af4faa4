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

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from engine.campaigns import NewCampaign, create_campaign
from engine.core.durations import parse_duration
from engine.core.errors import ChannelError, DecisionError, RefusedError, RepositoryError, UnknownError
from engine.db.buckets import bucket_of_key
from engine.db.campaigns import CampaignRepository
from engine.db.invariants import find_violations
from engine.db.metrics import MetricsRepository
from engine.enrolment import Enrolment
from engine.manager import CampaignManager
from tests.integration.builders import as_json, conversation_of
from tests.integration.interleaving import DESKS, KEYS, PARTS, PEOPLE, TYPES, Actor, Work, World
from tests.integration.stepping import Operation, stepping

ALL_STEPS = 300  # that none should need
MOST_CAMPAIGNS = 3
MOST_MONTHS = 9
STAGES = ["hello", "offer", "human", "hall", "room", "gave_up", "opted_out"]
ROLLED_BACK = ("40001", "40P01", "55P03")
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

steps = st.one_of(st.just(ALL_STEPS), st.integers(0, 30))
spans = st.sampled_from(["1s", "1m", "6m", "1h", "3h", "24h", "48h", "72h", "240h", "720h"])


class Interleavings(RuleBasedStateMachine):
    """All that may happen. A rule about somebody who is busy, or about a campaign that is not there, does nothing."""

    def __init__(self, world: World, runner: asyncio.Runner) -> None:
        super().__init__()
        self.world = world
        self.run = runner.run
        self.campaigns: list[str] = []
        self.half_resumed: set[str] = set()  # whose resuming did not end well, so that somebody has to repeat it
        self.crashes = False

    # ---- beginnings --------------------------------------------------------------------------------------------

    @initialize(
        batches=st.fixed_dictionaries({name: st.integers(1, 7) for name in PARTS}),
        crashes=st.booleans(),
        type=st.sampled_from(sorted(TYPES)),
        head_start=st.booleans(),
    )
    def begin(self, batches: dict[str, int], crashes: bool, type: str, head_start: bool) -> None:
        self.crashes = crashes
        self.run(self.world.begin(batches))
        self.new_campaign(type, "normal", None, None, len(KEYS), ALL_STEPS)
        if head_start:
            self.pass_by("tick a", False, ALL_STEPS)

    @rule(
        type=st.sampled_from(sorted(TYPES)),
        priority=st.sampled_from(["high", "normal", "low"]),
        starts=st.one_of(st.none(), spans),
        ends=st.one_of(st.none(), st.sampled_from(["72h", "240h", "720h"])),
        count=st.integers(1, len(KEYS)),
        steps=steps,
    )
    def new_campaign(
        self, type: str, priority: str, starts: str | None, ends: str | None, count: int, steps: int
    ) -> None:
        """Made at once, enrolled step by step."""
        if len(self.campaigns) == MOST_CAMPAIGNS:
            return
        starts_at = self.after(starts) if starts else None
        wanted = NewCampaign(
            "Spring",
            type,
            priority=priority,
            starts_at=starts_at,
            ends_at=self.after(ends, starts_at) if ends else None,
            audience={"recipients": PEOPLE[:count]},
        )
        campaign = self.run(self._create(wanted))
        self.campaigns.append(campaign)
        self.ask(lambda manager: manager.initialize_campaign_conversations(campaign), steps)

    async def _create(self, wanted: NewCampaign) -> str:
        async with self.world.house.database.transaction() as connection:
            return str(await create_campaign(connection, self.world.house.clock, self.world.registry, wanted))

    @rule(type=st.sampled_from(sorted(TYPES)), count=st.integers(1, len(KEYS)))
    def request(self, type: str, count: int) -> None:
        """A campaign that the poller is to make."""

        async def insert() -> None:
            async with self.world.house.database.transaction() as connection:
                payload = {"name": "Asked for", "type": type, "recipients": PEOPLE[-count:]}
                await CampaignRepository(connection).insert_request(payload)

        if len(self.campaigns) < MOST_CAMPAIGNS:
            self.campaigns.append("")  # not known yet
            self.run(insert())

    @rule(which=st.integers(0, 2), count=st.integers(1, len(KEYS)), steps=steps)
    def enrol_again(self, which: int, count: int, steps: int) -> None:
        if campaign := self.campaign(which):
            world = self.world

            async def enrol(manager: CampaignManager) -> None:
                database = manager._database
                await Enrolment(database, world.house.clock, world.registry).enrol_recipients(campaign, PEOPLE[-count:])

            self.ask(enrol, steps)

    # ---- those who work ----------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(PARTS), whole=st.booleans(), steps=steps)
    def pass_by(self, who: str, whole: bool, steps: int) -> None:
        """A tick, worker or poller goes on with what it does, or begins its next pass."""
        actor = self.world.actors[who]
        if actor.operation is None:
            if actor.stopping:
                self.run(actor.restart())
            self.start(actor, actor.next_pass(whole=whole))
        self.go_on(actor, steps)

    @rule(who=st.sampled_from(DESKS + PARTS), steps=steps)
    def carry_on(self, who: str, steps: int) -> None:
        self.go_on(self.world.actors[who], steps)

    @rule(who=st.sampled_from(PARTS))
    def stop(self, who: str) -> None:
        """As SIGTERM does: what is in hand is finished, and another process takes its place."""
        actor = self.world.actors[who]
        actor.stop()
        self.go_on(actor, ALL_STEPS)

    @rule(whose=st.sampled_from(KEYS), steps=steps)
    def compact(self, whose: str, steps: int) -> None:
        async def compact(manager: CampaignManager) -> None:
            async with manager._database.transaction() as connection:
                await MetricsRepository(connection).compact_deltas(bucket_of_key(whose), limit=9)

        self.ask(compact, steps)

    @rule(trouble=st.sampled_from(["", "passing", "for good"]))
    def post(self, trouble: str) -> None:
        """The channel fails from now on, or works again."""
        self.world.mail.trouble = ChannelError("no", retryable=trouble == "passing") if trouble else None

    # ---- those who write, and those who look after it ------------------------------------------------------------

    @rule(
        which=st.integers(0, 2),
        who=st.sampled_from(KEYS),
        text=st.sampled_from(["yes", "stop", "back", "what?"]),
        message=st.integers(0, 9),
        late=st.sampled_from(["0s", "0s", "1m", "72h"]),
        steps=steps,
    )
    def reply(self, which: int, who: str, text: str, message: int, late: str, steps: int) -> None:
        given = {"message_id": f"m{message}", "received_at": self.after("0s") - parse_duration(late).nominal}
        self.ask_about(which, lambda manager, campaign: manager.record_response(campaign, who, text, **given), steps)

    @rule(
        which=st.one_of(st.none(), st.integers(0, 2)),
        who=st.sampled_from(KEYS),
        name=st.sampled_from(["opened", "called"]),
        message=st.integers(0, 9),
        steps=steps,
    )
    def event(self, which: int | None, who: str, name: str, message: int, steps: int) -> None:
        campaign = self.campaign(which) if which is not None else None
        self.ask(lambda manager: manager.record_event(campaign, who, name, message_id=f"e{message}"), steps)

    @rule(which=st.integers(0, 2), steps=steps)
    def pause(self, which: int, steps: int) -> None:
        self.ask_about(which, lambda manager, campaign: manager.pause_campaign(campaign), steps)

    @rule(which=st.integers(0, 2), steps=steps)
    def resume(self, which: int, steps: int) -> None:
        if campaign := self.campaign(which):
            self.ask(lambda manager: self._resume(manager, campaign), steps)

    async def _resume(self, manager: CampaignManager, campaign: str) -> None:
        self.half_resumed.add(campaign)
        await manager.resume_campaign(campaign)
        self.half_resumed.discard(campaign)

    @rule(which=st.integers(0, 2), steps=steps)
    def cancel(self, which: int, steps: int) -> None:
        self.ask_about(which, lambda manager, campaign: manager.cancel_campaign(campaign), steps)

    @rule(which=st.integers(0, 2), who=st.sampled_from(KEYS), end=st.booleans(), steps=steps)
    def one(self, which: int, who: str, end: bool, steps: int) -> None:
        """Somebody does what is due for one conversation, or ends it."""
        if campaign := self.campaign(which):
            id = conversation_of(campaign, who)
            self.ask(
                lambda manager: (
                    manager.mark_conversation_complete(id) if end else manager.advance_conversation_stage(id)
                ),
                steps,
            )

    @rule(which=st.integers(0, 2), who=st.sampled_from(KEYS), seats=st.integers(1, 6), steps=steps)
    def learn(self, which: int, who: str, seats: int, steps: int) -> None:
        if campaign := self.campaign(which):
            id = conversation_of(campaign, who)
            self.ask(lambda manager: manager.update_conversation_state(id, {"seats": seats}), steps)

    @rule(which=st.integers(0, 2), who=st.sampled_from(KEYS), to=st.sampled_from(STAGES), steps=steps)
    def move(self, which: int, who: str, to: str, steps: int) -> None:
        self._if_it_can("move_conversation", which, who, steps, to, reason="drill")

    @rule(which=st.integers(0, 2), who=st.sampled_from(KEYS), steps=steps)
    def retry(self, which: int, who: str, steps: int) -> None:
        self._if_it_can("retry_conversation", which, who, steps)

    def _if_it_can(self, method: str, which: int, who: str, steps: int, *given: Any, **more: Any) -> None:
        campaign = self.campaign(which)
        if campaign and hasattr(CampaignManager, method):
            id = conversation_of(campaign, who)
            self.ask(lambda manager: getattr(manager, method)(id, *given, **more), steps)

    @rule(which=st.integers(0, 2), who=st.sampled_from(KEYS), mend=st.booleans())
    def spoil(self, which: int, who: str, mend: bool) -> None:
        """A date that is none, which a guard of MAZE reads, unless somebody is at that row; or a date again."""
        if campaign := self.campaign(which):
            since = as_json("2026-01-01" if mend else "soon")
            self.run(self.world.house.sql(SPOIL, id=conversation_of(campaign, who), since=since))

    # ---- what goes by, and what goes wrong -----------------------------------------------------------------------

    @rule(span=spans)
    def wait(self, span: str) -> None:
        self.world.house.wait(span)

    @rule(who=st.sampled_from(PARTS + DESKS))
    def kill(self, who: str) -> None:
        actor = self.world.actors[who]
        if actor.operation is not None:
            self.run(self._kill(actor))

    @rule(who=st.sampled_from(PARTS + DESKS), steps=steps)
    def lose_connection(self, who: str, steps: int) -> None:
        actor = self.world.actors[who]
        if actor.operation is not None:
            self.run(self.world.stage.terminate(actor.operation))
            self.go_on(actor, steps)

    @rule(who=st.sampled_from(PARTS + DESKS), steps=steps)
    def lose_answer(self, who: str, steps: int) -> None:
        """What it says next arrives, what comes back does not."""
        actor = self.world.actors[who]
        if actor.operation is not None:
            actor.operation.loses_answer = True
            self.go_on(actor, steps)

    # ---- how ---------------------------------------------------------------------------------------------------

    def after(self, span: str, since: datetime | None = None) -> datetime:
        return (since or self.world.house.clock.instant) + parse_duration(span).nominal

    def campaign(self, which: int) -> str:
        """The id of a campaign; empty when there is none yet."""
        return self.campaigns[which] if which < len(self.campaigns) else ""

    def ask_about(self, which: int, request: Callable[[CampaignManager, str], Work], steps: int) -> None:
        if campaign := self.campaign(which):
            self.ask(lambda manager: request(manager, campaign), steps)

    def ask(self, request: Callable[[CampaignManager], Work], steps: int) -> None:
        """Have a free desk do it; nobody does while all are busy."""
        free = [self.world.actors[name] for name in DESKS if self.world.actors[name].operation is None]
        if free:
            self.start(free[0], request(free[0].manager))
            self.go_on(free[0], steps)

    def start(self, actor: Actor, work: Work) -> None:
        async def start() -> None:
            actor.operation = self.world.stage.start(actor.name, work)

        self.run(start())

    def go_on(self, actor: Actor, steps: int) -> None:
        if actor.operation is not None:
            actor.operation.steps = steps
            self.run(self.world.stage.go_on())
            self._close()

    def _close(self) -> None:
        """See to what has come to an end."""
        for actor in self.world.actors.values():
            if (operation := actor.operation) is not None and operation.is_over:
                actor.operation = None
                judge(operation)

    async def _kill(self, actor: Actor) -> None:
        assert actor.operation is not None
        await self.world.stage.kill(actor.operation)
        await actor.restart()

    # ---- what holds ----------------------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        if self.campaigns:
            self._close()
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
        busy = [actor for actor in world.actors.values() if actor.operation is not None]
        for actor in busy if self.crashes else ():
            await self._kill(actor)
        while busy := [actor for actor in world.actors.values() if actor.operation is not None]:
            for actor in busy:
                assert actor.operation is not None
                actor.stop()
                actor.operation.steps = ALL_STEPS
            await world.stage.go_on()
            self._close()
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
        for _ in range(MOST_MONTHS):
            house.wait("30d")
            await house.app.poller.poll_once()
            await house.run()
            if not await house.sql(UNFINISHED):
                return
        raise AssertionError(f"not over after {MOST_MONTHS} months: {await house.sql(UNFINISHED)}")


def judge(operation: Operation) -> None:
    """Raise what an operation should not have come to."""
    error = operation.task.exception()
    refused = operation.name in DESKS and isinstance(error, RefusedError | UnknownError | DecisionError)
    again = isinstance(error, RepositoryError) and error.retryable
    if error is not None and not refused and not (again and (operation.harmed or error.sqlstate in ROLLED_BACK)):
        raise AssertionError(f"{operation} failed of itself") from error


def test_whatever_comes_between_every_conversation_moves_exactly_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = int(os.environ.get("INTERLEAVINGS", "0"))
    chosen = settings(
        max_examples=examples or 40,
        stateful_step_count=int(os.environ.get("INTERLEAVING_STEPS", "25")),
        derandomize=not examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    with stepping(monkeypatch) as stage, asyncio.Runner() as runner:
        world = World(database_url, stage)
        monkeypatch.setattr("engine.campaigns.uuid7", world.new_id)
        for module in ("engine.manager", "engine.tick"):  # walking through empty buckets takes time and shows nothing
            monkeypatch.setattr(f"{module}.BUCKETS", sorted({bucket_of_key(key) for key in KEYS}), raising=False)
        runner.run(world.open())
        try:
            run_state_machine_as_test(lambda: Interleavings(world, runner), settings=chosen)
        finally:
            runner.run(world.close())
