"""The tick in a large table: what ten million conversations that wait, and dead rows, change.

    python -m benchmarks.crowd [--due 100000] [--crowd 10000000] [--batch 1000] [--repeats 3] [--json]

On one server (that of DATABASE_URL, in a database of its own, else a throwaway one with durable commits), in one run:

  alone     the floor of `benchmarks.tick`, one tick process and two, with nothing in the table but what is due
  crowd     the same beside conversations that wait for tomorrow, spread over all buckets and lanes
  dead      the same, with as many dead rows as are due at the left edge of the due index
  held      the same dead rows while an old transaction keeps them from being forgotten
  idle      a tick that finds nothing, in the crowd
  trickle   one `campaign tick` in the crowd while 200 conversations a second come due for half a minute: how late each
            moves, and how much of a processor that takes

Peak memory is that of the largest tick process. Every conversation is of `different` instants (see `benchmarks.tick`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.enrol import enrol, prepare, write_csv
from benchmarks.server import fresh_database, machine
from benchmarks.tick import idle_times, place, run_floor, run_ticks, settle, spread, story
from engine.db.buckets import BUCKETS
from engine.db.migrate import upgrade

STEP = "timer"
TRICKLE_RATE, TRICKLE_SECONDS = 200, 30

# Tomorrow is that of the simulated clock and of the real one.
CROWD = """
    INSERT INTO campaign_engine.conversations
           (bucket, id, campaign_id, recipient_id, version, lane, seq, stage, due_at, entered_at, started_at,
            enrolled_at, timezone, locale, context, progress, pending)
    SELECT (%(buckets)s::smallint[])[n %% 64 + 1], gen_random_uuid(), %(nobody)s, gen_random_uuid(), 1, n / 64 %% 16, 1,
           'awareness', at, %(now)s, %(now)s, %(now)s, 'UTC', 'en', '{"facts": {"first_name": "Ann"}, "captured": {}}',
           '{"visits": {"awareness": 1}, "agenda": [[2, 0]]}', ARRAY[at]
      FROM generate_series(%(first)s, %(last)s) AS n
     CROSS JOIN LATERAL (SELECT timestamptz '2030-01-01' + n * interval '1 ms' AS at) AS due
"""
DEAD = """
    INSERT INTO campaign_engine.conversations
           (bucket, id, campaign_id, recipient_id, version, lane, due_at, enrolled_at, timezone, locale)
    SELECT bucket, gen_random_uuid(), %(nobody)s, recipient_id, 1, lane, due_at - interval '1 day', enrolled_at, 'UTC',
           'en'
      FROM campaign_engine.conversations WHERE due_at <= %(now)s
"""
KILL = "DELETE FROM campaign_engine.conversations WHERE due_at < %(now)s::timestamptz - interval '12 h'"
TRICKLE = """
    INSERT INTO campaign_engine.conversations
           (bucket, id, campaign_id, recipient_id, version, lane, due_at, enrolled_at, timezone, locale, context,
            progress, pending)
    SELECT bucket, id, campaign_id, recipient_id, version, lane, at, at, 'UTC', 'en', context, '{"agenda": [[0, 0]]}',
           ARRAY[at]
      FROM (SELECT *, %(start)s::timestamptz + number * interval '1 s' / %(rate)s AS at FROM loaded
             WHERE number <= %(count)s) AS new
"""
LATENESS = """
    SELECT extract(epoch FROM h.at - (%(start)s::timestamptz + l.number * interval '1 s' / %(rate)s))::float8
      FROM campaign_engine.stage_history h JOIN loaded l ON l.bucket = h.bucket AND l.id = h.conversation_id
"""
NOBODY = "00000000-0000-0000-0000-000000000000"


def measure(url: str, due: int, crowd: int, batch: int, repeats: int) -> dict[str, Any]:
    upgrade(url)
    campaign_id = asyncio.run(prepare(url))
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(url) as connection:
        path = Path(folder) / "recipients.csv"
        write_csv(path, due)
        asyncio.run(enrol(url, campaign_id, path))
        connection.execute(
            "CREATE TABLE loaded AS SELECT *, row_number() OVER () AS number FROM campaign_engine.conversations"
        )
        connection.execute("ALTER TABLE campaign_engine.conversations SET (autovacuum_enabled = false)")
        connection.execute("TRUNCATE campaign_engine.conversations")
        connection.commit()
        result: dict[str, Any] = {"scenes": {"alone": scene(url, connection, batch, repeats)}}
        insert_crowd(connection, crowd)
        result["scenes"]["crowd"] = scene(url, connection, batch, repeats)
        result["scenes"]["dead"] = scene(url, connection, batch, repeats, dead=True)
        result["scenes"]["held"] = scene(url, connection, batch, repeats, dead=True, held=True)
        clear(connection)
        result["idle_ms"] = idle_times(url, datetime(2026, 6, 1, tzinfo=UTC))
        result["trickle"] = trickle(url, connection)
    return result


def insert_crowd(connection: psycopg.Connection, count: int, block: int = 500_000) -> None:
    given = {"buckets": list(BUCKETS), "nobody": NOBODY, "now": datetime(2026, 1, 1, tzinfo=UTC)}
    for first in range(0, count, block):
        connection.execute(CROWD, given | {"first": first, "last": min(first + block, count) - 1})
        connection.commit()


def clear(connection: psycopg.Connection) -> None:
    """Take away all but the crowd."""
    connection.execute("TRUNCATE campaign_engine.stage_history, campaign_engine.outbox, campaign_engine.metric_deltas")
    connection.execute(
        "DELETE FROM campaign_engine.conversations WHERE campaign_id IN (SELECT campaign_id FROM loaded)"
    )
    connection.commit()
    settle(connection)


@contextmanager
def old_transaction(url: str, wanted: bool) -> Iterator[None]:
    """Somebody who looked at the database and has not gone."""
    with psycopg.connect(url) as connection:
        if wanted:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT FROM campaign_engine.conversations LIMIT 1")
        yield


def scene(
    url: str, connection: psycopg.Connection, batch: int, repeats: int, *, dead: bool = False, held: bool = False
) -> dict[str, Any]:
    before, decision, now = story(STEP)
    rates: dict[str, list[float]] = {"floor": [], "engine 1": [], "engine 2": []}
    memory: list[int] = []
    for _ in range(repeats):
        for name in rates:
            clear(connection)
            count = place(connection, before, now, kind="different")
            settle(connection)
            if dead:
                connection.execute(DEAD, {"nobody": NOBODY, "now": now})
                connection.commit()
            with old_transaction(url, held):
                if dead:
                    connection.execute(
                        "DELETE FROM campaign_engine.conversations WHERE due_at < %s::timestamptz - interval '12 h'",
                        (now,),
                    )
                    connection.commit()
                if name == "floor":
                    rates[name].append(count / run_floor(url, before, decision, now, batch))
                else:
                    seconds, most = run_ticks(url, now, batch, int(name[-1]))
                    rates[name].append(count / seconds)
                    memory.append(most)
            (moved,) = connection.execute("SELECT count(*) FROM campaign_engine.stage_history").fetchone() or (0,)
            connection.commit()
            assert moved == count, f"{moved} of {count} conversations moved"
    ratios = {
        name: [rate / floor for rate, floor in zip(rates[name], rates["floor"], strict=True)]
        for name in ("engine 1", "engine 2")
    }
    return {"rates": rates, "ratios": ratios, "memory_mb": max(memory) / 1e6}


def trickle(url: str, connection: psycopg.Connection) -> dict[str, float]:
    """How late those move that come due one after the other, in seconds, and the share of a processor it takes."""
    count = TRICKLE_RATE * TRICKLE_SECONDS
    environment = os.environ | {"DATABASE_URL": url}
    start = datetime.now(UTC) + timedelta(seconds=5)
    given = {"start": start, "rate": TRICKLE_RATE, "count": count}
    connection.execute(TRICKLE, given)
    connection.commit()
    process = subprocess.Popen([sys.executable, "-m", "engine.cli", "tick", "--json"], env=environment, stdout=-1)
    try:
        time.sleep(max(0.0, (start - datetime.now(UTC)).total_seconds()))
        before = cpu_seconds(process.pid)
        time.sleep(TRICKLE_SECONDS)
        used = cpu_seconds(process.pid) - before
        time.sleep(3)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    late = sorted(seconds for (seconds,) in connection.execute(LATENESS, given))
    connection.commit()
    assert len(late) == count, f"{len(late)} of {count} conversations moved"
    quantiles = statistics.quantiles(late, n=100)
    return {"p50": quantiles[49], "p99": quantiles[98], "most": late[-1], "share_of_a_core": used / TRICKLE_SECONDS}


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(result: dict[str, Any]) -> None:
    print(json.dumps(result["machine"]))  # noqa: T201
    for name, measured in result["scenes"].items():
        for who, rates in measured["rates"].items():
            ratio = measured["ratios"].get(who)
            tail = f"   of the floor {spread(ratio, '.2f')}" if ratio else ""
            print(f"{name:6} {who:9} conversations/s {spread(rates, ',.0f')}{tail}")  # noqa: T201
        print(f"{name:6} largest tick process {measured['memory_mb']:.1f} MB")  # noqa: T201
    print(f"idle tick, ms: {spread(result['idle_ms'], '.1f')}")  # noqa: T201
    told = result["trickle"]
    print(  # noqa: T201
        f"trickle, seconds late: {told['p50']:.2f} p50, {told['p99']:.2f} p99, {told['most']:.2f} most; "
        f"{told['share_of_a_core']:.0%} of a core"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--due", type=int, default=100_000)
    parser.add_argument("--crowd", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with fresh_database() as url:
        result = measure(url, given.due, given.crowd, given.batch, given.repeats)
        result["machine"] = machine(url)
    if given.json:
        print(json.dumps(result, indent=2))  # noqa: T201
    else:
        show(result)


if __name__ == "__main__":
    main()
