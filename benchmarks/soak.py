"""Half an hour of steady load, and whether latency and tables stay as they are.

    python -m benchmarks.soak [--minutes 30] [--rate 200] [--days-a-minute 1] [--keep-days 5] [--json]

A tick and a worker in processes of their own, on a throwaway server with durable commits (or that of DATABASE_URL, in a
database of its own); beside them this process enrols small campaigns by requests, answers for some people, polls, which
also compacts counts, and looks after partitions. Time runs fast, a day a minute unless told: conversations take two
days, partitions span one, and those older than `--keep-days` are dropped, so that all of it happens many times over.
`--rate` is how many progressions a second arrive; the engine could do many more.

Every 30 seconds goes a line to standard error. At the end stand the figures in spans of time, each compared with an
early one, and what the invariants find: nothing, or the run fails.

Lateness is measured from outside, in seconds of the wall: how long after its instant a timer was taken, from the two
rows of history around it. A pass of the tick handles all that is due in all buckets, some batches one after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from time import monotonic, perf_counter, process_time
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.server import fresh_database, machine
from benchmarks.soak_report import SAMPLE_SECONDS, in_spans, percentile, show, shown, verdicts
from engine.application import Application, assemble
from engine.channels.protocol import OutgoingMessage
from engine.channels.registry import Channels
from engine.clock import DatabaseClock, Time
from engine.core.errors import RepositoryError
from engine.core.loader import parse_campaign_type
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.db.invariants import find_violations
from engine.db.migrate import upgrade
from engine.logs import set_up_logs
from engine.registry import register
from engine.settings import Settings
from engine.upkeep import Upkeep

TIMER_HOURS = 24  # of both stages below
PROGRESSIONS = 3.4  # of a conversation, about, with the answers there are
PEOPLE = 50_000
TYPE = """
campaign_type: soak
version: 1
facts: {first_name: text}
responses:
  intent: {stop: {any_word: [stop]}, "yes": {any_word: ["yes"]}}
channel: email
limits: {per_recipient: 200 per 1d}
start: hello
always: [{when: intent == "stop", go: left}]
stages:
  hello:
    on_enter: [{send: hello}]
    follow_ups: [{after: 8h, send: again}]
    on_response: [{when: intent == "yes", go: offer}, {go: stay, at_most: 1}, {otherwise: offer}]
    timers: [{after: 24h, go: offer}]
  offer:
    on_enter: [{send: offer}]
    on_response: [{otherwise: bought}]
    timers: [{after: 24h, go: over}]
exits: {bought: won, over: lost, left: stopped}
messages:
  hello: {text: "Hello {{ first_name }}"}
  again: {text: "{{ first_name }}, are you there?"}
  offer: {text: "An offer for {{ first_name }}"}
"""

TABLES = """
    SELECT coalesce(parent.relname, own.relname) AS name, sum(pg_table_size(own.oid)) AS heap,
           sum(pg_indexes_size(own.oid)) AS indexes, sum(n_live_tup) AS rows, sum(n_dead_tup) AS dead,
           sum(autovacuum_count) AS vacuums, sum(n_tup_upd) AS updates, sum(n_tup_hot_upd) AS hot, count(*) AS parts
      FROM pg_class AS own JOIN pg_stat_user_tables AS seen ON seen.relid = own.oid
      LEFT JOIN pg_inherits ON inhrelid = own.oid LEFT JOIN pg_class AS parent ON parent.oid = inhparent
     WHERE own.relnamespace = 'campaign_engine'::regnamespace AND own.relkind = 'r'
     GROUP BY 1 ORDER BY 1
"""
INDEXES = """
    SELECT coalesce(parent.relname, own.relname), sum(pg_relation_size(own.oid))
      FROM pg_class AS own
      LEFT JOIN pg_inherits ON inhrelid = own.oid LEFT JOIN pg_class AS parent ON parent.oid = inhparent
     WHERE own.relkind = 'i' AND coalesce(parent.relname, own.relname) IN ('conversations_due', 'outbox_unsent')
     GROUP BY 1
"""
LATENESS = f"""
    SELECT count(*), coalesce(percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (
               ORDER BY extract(epoch FROM step.at - before.at) - {TIMER_HOURS * 3600}), '{{0,0,0}}')
      FROM campaign_engine.stage_history AS step
      JOIN campaign_engine.stage_history AS entry
        ON entry.bucket = step.bucket AND entry.conversation_id = step.conversation_id AND entry.seq < step.seq
       AND entry.entered AND entry.to_stage = step.from_stage
     CROSS JOIN LATERAL (SELECT entry.at) AS before
     WHERE step.at > %s AND step.at <= %s AND step.cause = 'timer'
"""  # noqa: S608 - constants of this module


class FastClock(DatabaseClock):
    """The database's clock, `factor` times as fast since `start`."""

    def __init__(self, start: datetime, factor: float) -> None:
        self.start, self.factor = start, factor

    async def now(self, connection: AsyncConnection) -> datetime:
        return self.at(await super().now(connection))

    async def ask(self, connection: AsyncConnection) -> Time:
        real = await super().ask(connection)

        async def told() -> datetime:
            return self.at(await real())

        return told

    def at(self, real: datetime) -> datetime:
        return self.start + (real - self.start) * self.factor


class Nowhere:
    """A channel that takes everything."""

    async def send(self, message: OutgoingMessage) -> None: ...
    async def flush(self) -> None: ...
    async def close(self) -> None: ...


class Load(NamedTuple):
    """What all processes are told."""

    url: str
    clock: FastClock
    rate: float
    keep_days: int

    def open(self) -> Application:
        settings = Settings(
            lease_seconds=86_400, partition_days=1, partitions_ahead=3, keep_history_days=self.keep_days
        )  # a lease is a day of the fast clock
        return assemble(Database(self.url), settings, self.clock, Channels({"email": Nowhere()}))


async def patiently(step: Callable[[], Awaitable[Any]]) -> Any:
    """What a step comes to; None, and a line, when it may well succeed the next time."""
    try:
        return await step()
    except RepositoryError as error:
        if not error.retryable:
            raise
        print(f"tried again: {error.message}", file=sys.stderr, flush=True)  # noqa: T201
        return None


# ---- the processes ---------------------------------------------------------------------------------------------------


def serve(part: str, load: Load, stop: Any, told: Any) -> None:
    """Tick or work until `stop`, telling (seconds, how much, processor seconds) of each pass that did something."""

    async def run() -> None:
        set_up_logs("WARNING")
        app = load.open()
        step = app.tick.run_once if part == "tick" else app.worker.work_once
        used = process_time()
        while not stop.is_set():
            start, counts = perf_counter(), await patiently(step)
            seconds, now = perf_counter() - start, process_time()
            done = getattr(counts, "claimed" if part == "tick" else "sent", 0)
            told.put((part, seconds, done, now - used))
            used = now
            await asyncio.sleep(0.2)
        await app.database.close()

    asyncio.run(run())


class Driver:
    """The load and the looking, in this process."""

    def __init__(self, load: Load, minutes: float, told: Any, children: list[Any]) -> None:
        self.load, self.told, self.children = load, told, children
        self.app = load.open()
        self.upkeep = Upkeep(self.app.database, self.app.settings, load.clock)
        self.random = Random(1)
        self.until = monotonic() + minutes * 60
        self.samples: list[dict[str, Any]] = []
        self.upkept: dict[str, int] = {}
        self.dearest = 0.0  # milliseconds of the longest pass of the upkeep since the last sample
        self.number = 0

    async def run(self) -> None:
        async with self.app.database.transaction() as connection:
            await register(connection, parse_campaign_type(TYPE, "soak.yaml"))
        async with asyncio.TaskGroup() as group:
            for seconds, step in (
                (5, self.request), (1, self.answer), (1, self.poll), (20, self.maintain), (SAMPLE_SECONDS, self.sample),
            ):  # fmt: skip
                group.create_task(self.every(seconds, step))

    async def every(self, seconds: float, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step at a steady pace until time is up."""
        due = monotonic() + (seconds if step == self.sample else 0)
        while due < self.until:
            await asyncio.sleep(max(0.0, due - monotonic()))
            await patiently(step)
            due += seconds

    async def request(self) -> None:
        """Ask for a campaign of as many people as arrive in five seconds."""
        count = round(self.load.rate * 5 / PROGRESSIONS)
        keys = [(self.number + each) % PEOPLE for each in range(count)]
        self.number += count
        people = [{"key": f"p{key}", "email": f"p{key}@example.org", "first_name": f"Ann {key}"} for key in keys]
        async with self.app.database.transaction() as connection:
            await CampaignRepository(connection).insert_request(
                {"name": f"Soak {self.number}", "type": "soak", "recipients": people}
            )

    async def answer(self) -> None:
        """One in ten of those who arrive says something, some time."""
        async with self.app.database.transaction() as connection:
            found = await connection.execute(
                text("""
                    SELECT c.campaign_id, r.key FROM campaign_engine.conversations c
                      JOIN campaign_engine.recipients r ON r.bucket = c.bucket AND r.id = c.recipient_id
                     WHERE c.bucket = 60 AND c.status = 'active' AND c.seq > 0 LIMIT 400
                """)
            )
            known = [tuple(row) for row in found]
        for campaign, key in self.random.sample(known, min(len(known), round(self.load.rate / PROGRESSIONS / 10))):
            said = self.random.choice(["yes", "yes, please", "what?", "stop"])
            await self.app.manager.record_response(str(campaign), key, said)

    async def poll(self) -> None:
        await self.app.poller.poll_once()

    async def maintain(self) -> None:
        start = perf_counter()
        report = await self.upkeep.maintain()
        self.dearest = max(self.dearest, (perf_counter() - start) * 1000)
        for name, count in report.counts.items():
            self.upkept[name] = self.upkept.get(name, 0) + count

    async def sample(self) -> None:
        if dead := [child.name for child in self.children if child.exitcode is not None]:
            raise SystemExit(f"the process of {', '.join(dead)} died")
        found = await asyncio.to_thread(self.look)
        self.samples.append(found)
        print(shown(found), file=sys.stderr, flush=True)  # noqa: T201

    def look(self) -> dict[str, Any]:
        """Everything there is to measure since the last look."""
        passes = {"tick": [], "work": []}  # type: dict[str, list[tuple[float, int, float]]]
        while not self.told.empty():
            part, *figures = self.told.get()
            passes[part].append(tuple(figures))
        ticks = [each for each in passes["tick"] if each[1]]
        with psycopg.connect(self.load.url, autocommit=True) as connection:
            real, wal = connection.execute("SELECT clock_timestamp(), pg_current_wal_lsn() - '0/0'").fetchone()
            span = (self.load.clock.at(real - timedelta(seconds=SAMPLE_SECONDS)), self.load.clock.at(real))
            timers, late = connection.execute(LATENESS, span).fetchone()
            moved = connection.execute(
                "SELECT count(*) FROM campaign_engine.stage_history WHERE at > %s AND at <= %s", span
            ).fetchone()[0]
            overdue = connection.execute(
                "SELECT coalesce(extract(epoch FROM %s - min(due_at)), 0) FROM campaign_engine.conversations"
                " WHERE due_at <= %s",
                (span[1], span[1]),
            ).fetchone()[0]
            tables = {name: [int(each) for each in rest] for name, *rest in connection.execute(TABLES)}
            indexes = {name: int(size) for name, size in connection.execute(INDEXES)}
        factor = self.load.clock.factor
        dearest, self.dearest = self.dearest, 0.0
        return {
            "second": round((real - self.load.clock.start).total_seconds()),
            "progressions_per_second": moved / SAMPLE_SECONDS,
            "pass_ms": [percentile([seconds * 1000 for seconds, *_ in ticks], each) for each in (0.5, 0.99)],
            "us_per_claim": 1e6 * sum(each[0] for each in ticks) / max(1, sum(each[1] for each in ticks)),
            "tick_core": sum(each[2] for each in passes["tick"]) / SAMPLE_SECONDS,
            "sent_per_second": sum(each[1] for each in passes["work"]) / SAMPLE_SECONDS,
            "timers": timers,
            "late_s": [float(each) / factor for each in late],
            "overdue_s": float(overdue) / factor,
            "wal": int(wal),
            "upkeep_ms": dearest,
            "upkeep": dict(self.upkept),
            "tables": {name: dict(zip(COLUMNS, values, strict=True)) for name, values in tables.items()},
            "indexes": indexes,
        }


COLUMNS = ("heap", "indexes", "rows", "dead", "vacuums", "updates", "hot", "parts")


def soak(url: str, minutes: float, rate: float, days_a_minute: float, keep_days: int) -> dict[str, Any]:
    upgrade(url)
    with psycopg.connect(url) as connection:
        [start] = connection.execute("SELECT clock_timestamp()").fetchone()
    load = Load(url, FastClock(start, days_a_minute * 1440), rate, keep_days)
    context = multiprocessing.get_context("spawn")
    stop, told = context.Event(), context.Queue()
    children = [
        context.Process(target=serve, args=(part, load, stop, told), name=part, daemon=True)
        for part in ("tick", "work")
    ]
    for child in children:
        child.start()

    async def drive() -> tuple[list[dict[str, Any]], list[str]]:
        driver = Driver(load, minutes, told, children)
        try:
            await driver.run()
            stop.set()
            for child in children:
                await asyncio.to_thread(child.join, 30)
            async with driver.app.database.transaction() as connection:
                await connection.execute(text("SET LOCAL statement_timeout = 0"))
                return driver.samples, await find_violations(connection)
        finally:
            await driver.app.database.close()

    try:
        samples, violations = asyncio.run(drive())
    finally:
        stop.set()
        told.cancel_join_thread()
        for child in children:
            child.join(10)
            child.kill()
    spans = in_spans(samples, minutes)
    return {
        "minutes": minutes, "rate": rate, "days_a_minute": days_a_minute, "keep_days": keep_days,
        "spans": spans, "verdicts": verdicts(spans, keep_days), "violations": violations, "samples": samples,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--days-a-minute", type=float, default=1)
    parser.add_argument("--keep-days", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there, too")
    given = parser.parse_args()
    set_up_logs("WARNING")
    with fresh_database() as url:
        result = soak(url, given.minutes, given.rate, given.days_a_minute, given.keep_days)
        result["machine"] = machine(url)
    if given.json:
        given.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    show(result, print)
    if result["violations"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
