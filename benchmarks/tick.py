"""The tick beside a pure-SQL floor that writes the very same rows.

    python -m benchmarks.tick [--conversations 100000] [--batch 1000] [--repeats 3] [--waiting 1000000] [--json]

Loads conversations that are all due for the same step of `b2b_nurture` and moves them, in turns on one server (that
of DATABASE_URL, in a database of its own, else a throwaway one with durable commits):

  floor     one hand-written statement and one COMMIT a batch, on one connection; it is told the answer
  engine 1  one tick process: claim, decide every conversation, write
  engine 2  two tick processes

Each is done with conversations that are all `alike`, as those of a campaign that started at one moment are; with
`different` ones, of which no two share an instant; and with ones that are `alone`: nothing lets the engine share a
decision among them, the worst that can be. After each run the rows written are compared with the floor's. Then it loads
conversations that wait for tomorrow and times an idle tick. A ratio is the engine's rate by the floor's of the same
round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import statistics
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import psycopg

from benchmarks.enrol import CAMPAIGN_TYPE, enrol, prepare, write_csv
from benchmarks.server import fresh_database, machine
from engine.authoring.files import load_campaign_type
from engine.clock import SimulatedClock
from engine.core.agenda import wakes
from engine.core.decide import decide
from engine.core.likeness import carried
from engine.core.model import Conversation, Decision, Event, Rank, new_conversation
from engine.db.buckets import BUCKETS
from engine.db.database import Database
from engine.db.migrate import upgrade
from engine.db.progress import dump_progress
from engine.registry import TypeRegistry
from engine.settings import Settings
from engine.tick import Tick

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
STEPS = ("follow_up", "timer")
KINDS = ("alike", "different", "alone")

FLOOR = """
    WITH claimed AS (
        SELECT id, campaign_id, recipient_id, entered_at FROM campaign_engine.conversations
         WHERE bucket = %(bucket)s AND lane = %(lane)s AND due_at <= %(now)s
         ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE campaign_engine.conversations c
           SET seq = %(seq)s, stage = %(to_stage)s, held_due_at = NULL,
               due_at = least(%(due_at)s, (SELECT min(c.pending[place]) FROM unnest(%(wakes)s::int[]) AS place)),
               pending = ARRAY(SELECT c.pending[place] FROM unnest(%(carried)s::int[]) AS place)
                         || %(made)s::timestamptz[],
               entered_at = CASE WHEN %(entered)s THEN %(now)s ELSE c.entered_at END, inbox_waiting = false,
               progress = %(progress)s::jsonb, attempts = 0, last_error = NULL
          FROM claimed WHERE c.bucket = %(bucket)s AND c.id = claimed.id
        RETURNING c.id, c.campaign_id, c.recipient_id, claimed.entered_at
    ), history AS (
        INSERT INTO campaign_engine.stage_history
               (bucket, conversation_id, campaign_id, at, seq, sends, entered, from_stage, to_stage, cause, edge)
        SELECT %(bucket)s, id, campaign_id, %(now)s, %(seq)s, 1, %(entered)s, %(from_stage)s, %(to_stage)s, %(cause)s,
               %(edge)s FROM moved
    ), messages AS (
        INSERT INTO campaign_engine.outbox
               (bucket, conversation_id, campaign_id, recipient_id, at, not_before, seq, ordinal, awaited, status,
                scope, stage, channel, message)
        SELECT %(bucket)s, id, campaign_id, recipient_id, %(now)s, %(not_before)s, %(seq)s, 0, %(awaited)s, 'ready',
               %(scope)s, %(message_stage)s, 'email', %(message)s FROM moved
    ), counted AS (
        INSERT INTO campaign_engine.metric_deltas
               (bucket, campaign_id, day, metric, stage, target, label, count, duration_us)
        SELECT %(bucket)s, campaign_id, %(now)s::date, metric, stage, target, label, count(*),
               CASE metric WHEN 'entered' THEN sum(extract(epoch FROM %(now)s - entered_at) * 1000000) ELSE 0 END
          FROM moved, (VALUES (%(metric)s, %(from_stage)s, %(to_stage)s, %(cause)s),
                              ('queued', %(message_stage)s, 'email', %(message)s)) AS d(metric, stage, target, label)
         GROUP BY campaign_id, metric, stage, target, label
    )
    SELECT count(*) FROM moved
"""

WRITTEN = (
    "SELECT md5(string_agg(t::text, '' ORDER BY t.bucket, t.id)) FROM campaign_engine.conversations t",
    "SELECT md5(string_agg(t::text, '' ORDER BY t.bucket, t.conversation_id)) FROM campaign_engine.stage_history t",
    "SELECT md5(string_agg(t::text, '' ORDER BY t.bucket, t.conversation_id)) FROM campaign_engine.outbox t",
    "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM (SELECT campaign_id, day, metric, stage, target, label,"
    " sum(count), sum(duration_us) FROM campaign_engine.metric_deltas GROUP BY 1, 2, 3, 4, 5, 6) t",
)


def story(step: str) -> tuple[Conversation, Decision, datetime]:
    """A conversation before the step as the engine leaves one, the decision that makes the step, and when.

    `follow_up` is the first one in the first stage; `timer` is the end of the second stage, after all its messages.
    """
    compiled = load_campaign_type(CAMPAIGN_TYPE)
    it = decide(compiled, new_conversation(UUID(int=0), START), [], START).conversation
    it = decide(compiled, it, [Event("sent", START, message=it.awaits)], START).conversation
    if step == "timer":
        at = START + timedelta(hours=25)
        it = decide(compiled, it, [Event("response", at, text="tell me more")], at).conversation
        while it.awaits is not None:
            at += timedelta(hours=24)
            it = decide(compiled, it, [Event("sent", at, message=it.awaits)], at).conversation
            at = min(due.at for due in it.agenda if due.rank == Rank.FOLLOW_UP)
            it = decide(compiled, it, [], at).conversation
    due_at = decide(compiled, it, [], START).next_due
    assert due_at is not None
    now = due_at + timedelta(hours=1)
    return it, decide(compiled, it, [], now), now


def load(connection: psycopg.Connection, before: Conversation, now: datetime, *, kind: str) -> None:
    """An empty database but for the due conversations of `place`."""
    connection.execute("TRUNCATE campaign_engine.stage_history, campaign_engine.outbox, campaign_engine.metric_deltas")
    connection.execute("TRUNCATE campaign_engine.conversations")
    place(connection, before, now, kind=kind)
    settle(connection)


def place(connection: psycopg.Connection, before: Conversation, now: datetime, *, kind: str) -> int:
    """Bring every conversation that was loaded to one place, due one after the other within the last hour; how many.

    Of `different` ones no two share an instant: each has started, entered and is to go on by a clock of its own. Those
    `alone` also have a locale of their own, so that no decision can be shared.
    """
    given = {
        "seq": before.seq,
        "stage": before.stage,
        "entered_at": before.entered_at,
        "started_at": before.started_at,
        "pending": [due.at for due in before.agenda],
        "progress": plain(dump_progress(before)),
        "now": now,
        "apart": 0 if kind == "alike" else 1,
        "alone": kind == "alone",
    }
    placed = connection.execute(
        "INSERT INTO campaign_engine.conversations (bucket, id, campaign_id, recipient_id, version, lane, seq, stage,"
        " due_at, entered_at, started_at, enrolled_at, timezone, locale, context, progress, pending)"
        " SELECT bucket, id, campaign_id, recipient_id, version, lane, %(seq)s, %(stage)s,"
        " %(now)s::timestamptz - (number %% 3600000) * interval '1 millisecond',"
        " %(entered_at)s::timestamptz + number * %(apart)s * interval '1 microsecond',"
        " %(started_at)s::timestamptz + number * %(apart)s * interval '1 microsecond',"
        " enrolled_at, timezone, CASE WHEN %(alone)s THEN 'en_' || number ELSE locale END, context,"
        " %(progress)s::jsonb,"
        " ARRAY(SELECT at + number * %(apart)s * interval '1 microsecond'"
        "         FROM unnest(%(pending)s::timestamptz[]) WITH ORDINALITY AS due (at, place) ORDER BY place)"
        " FROM loaded",
        given,
    )
    connection.commit()
    return placed.rowcount


def settle(connection: psycopg.Connection) -> None:
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE) campaign_engine.conversations")
    connection.execute("CHECKPOINT")
    connection.autocommit = False


def plain(value: Any) -> str:
    return json.dumps(value, default=lambda each: each.isoformat())


def run_floor(url: str, before: Conversation, decision: Decision, now: datetime, batch: int) -> float:
    """Seconds to move everything with the hand-written statement."""
    it, step = decision.conversation, decision.steps[-1]
    kept, made = carried(before.agenda, it.agenda)
    waking = wakes(it)
    send = next(effect for effect in decision.effects if effect.kind == "send")
    given = {
        "now": now, "limit": batch, "seq": it.seq,
        "due_at": min((due.at for due in made if due in waking), default=None), "made": [due.at for due in made],
        "wakes": [place + 1 for place in kept if before.agenda[place] in waking],
        "carried": [place + 1 for place in kept],
        "progress": plain(dump_progress(it, [before.agenda[place] for place in kept] + made)),
        "from_stage": step.source, "to_stage": step.to, "cause": step.cause,
        "edge": step.edge, "entered": step.entered, "not_before": send.at, "awaited": send.awaited,
        "scope": send.scope, "message_stage": send.stage, "message": send.name,
        "metric": "entered" if step.entered else "stayed",
    }  # fmt: skip
    with psycopg.connect(url) as connection:
        lanes = [row[0] for row in connection.execute("SELECT DISTINCT lane FROM campaign_engine.conversations")]
        connection.commit()
        start = perf_counter()
        for bucket in BUCKETS:
            for lane in lanes:
                while True:
                    moved = connection.execute(FLOOR, given | {"bucket": bucket, "lane": lane}).fetchone()
                    connection.commit()
                    if moved is None or moved[0] < batch:
                        break
        return perf_counter() - start


def run_ticks(url: str, now: datetime, batch: int, processes: int) -> tuple[float, int]:
    """Seconds until the last of the processes finds nothing due, and the largest memory of one in bytes."""
    context = multiprocessing.get_context("spawn")
    ready, go, done = context.Barrier(processes + 1), context.Event(), context.Queue()
    workers = [
        context.Process(target=tick_process, args=(url, now, batch, BUCKETS[number::processes], ready, go, done))
        for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    start = perf_counter()
    go.set()
    memory = [done.get() for _ in workers]
    seconds = perf_counter() - start
    for worker in workers:
        worker.join()
    return seconds, max(memory)


def tick_process(url: str, now: datetime, batch: int, buckets: tuple[int, ...], ready: Any, go: Any, done: Any) -> None:
    async def run() -> None:
        database = Database(url)
        registry = TypeRegistry()
        tick = Tick(database, Settings(max_batch_size=batch), SimulatedClock(now), registry)
        tick.prefer(buckets)
        async with database.transaction() as connection:
            await registry.get(connection, "b2b_nurture", 1)
        ready.wait()
        go.wait()
        await tick.drain()
        done.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        await database.close()

    asyncio.run(run())


def idle(url: str, count: int, connection: psycopg.Connection) -> list[float]:
    """Milliseconds of ticks that find nothing, with `count` conversations waiting for tomorrow."""
    now = datetime(2026, 6, 1, tzinfo=UTC)
    connection.execute("TRUNCATE campaign_engine.conversations")
    connection.execute(
        "INSERT INTO campaign_engine.conversations (bucket, id, campaign_id, recipient_id, version, lane, seq, status,"
        " stage, due_at, entered_at, enrolled_at, timezone, locale, context, progress)"
        " SELECT (%(buckets)s::smallint[])[n %% 64 + 1], gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1,"
        " n / 64 %% 16, 1, 'active', 'awareness', %(now)s::timestamptz + interval '1 day' + n * interval '1 ms',"
        ' %(now)s, %(now)s, \'UTC\', \'en\', \'{"facts": {"first_name": "Ann"}}\', \'{"visits": {"awareness": 1}}\''
        " FROM generate_series(1, %(count)s) n",
        {"buckets": list(BUCKETS), "now": now, "count": count},
    )
    connection.commit()
    settle(connection)
    return idle_times(url, now)


def idle_times(url: str, now: datetime) -> list[float]:
    """Milliseconds of ticks that find nothing due by `now`."""

    async def run() -> list[float]:
        database, times = Database(url), []
        tick = Tick(database, Settings(), SimulatedClock(now), TypeRegistry())
        for _ in range(52):
            start = perf_counter()
            counts = await tick.run_once()
            times.append((perf_counter() - start) * 1000)
            assert counts.claimed == 0
        await database.close()
        return times[2:]

    return asyncio.run(run())


def measure(url: str, count: int, batch: int, repeats: int, waiting: int) -> dict[str, Any]:
    upgrade(url)
    campaign_id = asyncio.run(prepare(url))
    result: dict[str, Any] = {"steps": {}}
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(url) as connection:
        path = Path(folder) / "recipients.csv"
        write_csv(path, count)
        asyncio.run(enrol(url, campaign_id, path))
        connection.execute(
            "CREATE TABLE loaded AS SELECT *, row_number() OVER () AS number FROM campaign_engine.conversations"
        )
        connection.commit()
        for step in STEPS:
            for kind in KINDS:
                measured = measure_step(url, connection, step, count, batch, repeats, kind=kind)
                result["steps"][f"{step}, {kind}"] = measured
        result["idle_ms"] = idle(url, waiting, connection)
    return result


def measure_step(
    url: str, connection: psycopg.Connection, step: str, count: int, batch: int, repeats: int, *, kind: str
) -> dict[str, Any]:
    before, decision, now = story(step)
    rates: dict[str, list[float]] = {"floor": [], "engine 1": [], "engine 2": []}
    memory = []
    for _ in range(repeats):
        load(connection, before, now, kind=kind)
        rates["floor"].append(count / run_floor(url, before, decision, now, batch))
        expected = written(connection)
        for processes in (1, 2):
            load(connection, before, now, kind=kind)
            seconds, most = run_ticks(url, now, batch, processes)
            rates[f"engine {processes}"].append(count / seconds)
            memory.append(most)
            assert written(connection) == expected, "the engine wrote other rows than the floor"
    ratios = {
        name: [rate / floor for rate, floor in zip(rates[name], rates["floor"], strict=True)]
        for name in ("engine 1", "engine 2")
    }
    return {"rates": rates, "ratios": ratios, "memory_mb": max(memory) / 1e6}


def written(connection: psycopg.Connection) -> list[Any]:
    found = [connection.execute(query).fetchone() for query in WRITTEN]
    connection.commit()
    return found


def show(result: dict[str, Any], say: Callable[[str], None]) -> None:
    say(json.dumps(result["machine"]))
    for step, measured in result["steps"].items():
        for name, rates in measured["rates"].items():
            ratio = measured["ratios"].get(name)
            tail = f"   of the floor {spread(ratio, '.2f')}" if ratio else ""
            say(f"{step:20} {name:9} conversations/s {spread(rates, ',.0f')}{tail}")
        say(f"{step:20} largest tick process {measured['memory_mb']:.0f} MB")
    say(f"idle tick, ms: {spread(result['idle_ms'], '.1f')}")


def spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with fresh_database() as url:
        result = measure(url, given.conversations, given.batch, given.repeats, given.waiting)
        result["machine"] = machine(url)
    if given.json:
        print(json.dumps(result, indent=2))  # noqa: T201
    else:
        show(result, print)


if __name__ == "__main__":
    main()
