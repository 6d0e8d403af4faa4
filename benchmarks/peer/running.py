"""One run of a contestant: conversations laid out, jobs made, processes started together, timed, and checked.

A process says when it is ready, all start at one word, and each tells when its steps ended. Of a peer the first tenth
is left out: starting, connecting, and compiling statements count for none of them, nor does the time in which a queue
finds out that it is empty. A process that dies takes the whole run down with its exit code. After each run every
conversation must stand where the decision puts it, with one row of history and one message, or the run is worth
nothing.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.peer import Contestant, Reference, Setting, Stopwatch, Work, contestant
from engine.core.model import Decision

TABLES = ("conversations", "stage_history", "outbox")


@dataclass(frozen=True)
class Outcome:
    """What a run took: seconds for all the steps, and seconds to make the jobs before."""

    count: int
    seconds: float
    enqueue_seconds: float = 0.0

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def rate_with_enqueueing(self) -> float:
        return self.count / (self.seconds + self.enqueue_seconds)


def create_home_made(connection: psycopg.Connection) -> None:
    """The peers' tables: those of the engine, in a schema of their own, with a due index that asks for no bucket.

    The conversations that are in the engine's table now are kept beside, to begin each run with.
    """
    connection.execute("CREATE SCHEMA home_made")
    for table in map(sql.Identifier, TABLES):
        like = "CREATE TABLE home_made.{0} (LIKE campaign_engine.{0} INCLUDING ALL)"
        connection.execute(sql.SQL(like).format(table))
    due = connection.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = 'home_made' AND indexdef LIKE '%(bucket, lane, due_at)%'"
    ).fetchone()
    assert due is not None, "expected an index of the engine on (bucket, lane, due_at)"
    connection.execute(sql.SQL("DROP INDEX home_made.{}").format(sql.Identifier(due[0])))
    connection.execute("CREATE INDEX ON home_made.conversations (due_at) WHERE due_at IS NOT NULL")
    connection.execute("ALTER TABLE home_made.conversations SET (fillfactor = 80)")
    connection.execute("CREATE TABLE home_made.waiting AS SELECT * FROM campaign_engine.conversations")
    connection.commit()


def lay_out(connection: psycopg.Connection, it: Contestant, count: int) -> list[Reference]:
    """Put `count` conversations into the peers' table, and empty everything else of theirs."""
    for name in (*(f"home_made.{table}" for table in TABLES), *it.tables):
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(*name.split("."))))
    connection.execute(
        "INSERT INTO home_made.conversations SELECT * FROM home_made.waiting ORDER BY due_at LIMIT %s", [count]
    )
    rows = connection.execute("SELECT bucket, id FROM home_made.conversations ORDER BY due_at").fetchall()
    connection.commit()
    settle(connection, "VACUUM (ANALYZE) home_made.conversations")
    return [Reference(*row) for row in rows]


def settle(connection: psycopg.Connection, *statements: str) -> None:
    """Run statements that stand outside transactions, and a checkpoint, so that none falls into a run by chance."""
    connection.autocommit = True
    for statement in (*statements, "CHECKPOINT"):
        connection.execute(statement)
    connection.autocommit = False


def run(connection: psycopg.Connection, url: str, name: str, setting: Setting, now: datetime, count: int) -> Outcome:
    """One run of a peer."""
    it, enqueue_seconds = contestant(name), 0.0
    references = lay_out(connection, it, count)
    if it.enqueue is not None:
        enqueue_seconds = it.enqueue(url, references)
        settle(connection, *(f"VACUUM (ANALYZE) {table}" for table in it.tables))  # as autovacuum would have in time
    return Outcome(count, time_processes(url, name, setting, now), enqueue_seconds)


def time_processes(url: str, name: str, setting: Setting, now: datetime) -> float:
    """Seconds of the work of all processes together."""
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(setting.processes)]
    processes = [
        context.Process(target=_process, args=(name, url, setting, number, now, theirs))
        for number, (_, theirs) in enumerate(pairs)
    ]
    for process in processes:
        process.start()
    for _, theirs in pairs:
        theirs.close()
    ours = [mine for mine, _ in pairs]
    try:
        for each in ours:
            each.recv()
        for each in ours:
            each.send("go")
        times = [each.recv() for each in ours]
    except EOFError as error:
        for process in processes:
            process.join(10)
            process.kill()
        raise RuntimeError(f"a process of {name} ended early: {[each.exitcode for each in processes]}") from error
    for process in processes:
        process.join()
    return seconds_of([each for each, _ in times if each is not None], sorted(chain(*(ended for _, ended in times))))


def seconds_of(began: Sequence[float], ended: Sequence[float]) -> float:
    """From the first begin to the last end; of many steps, how long all take at the pace of the last nine tenths."""
    first = len(ended) // 10
    if first == 0:
        return max(ended) - min(began)
    return (ended[-1] - ended[first - 1]) * len(ended) / (len(ended) - first)


def _process(name: str, url: str, setting: Setting, number: int, now: datetime, parent: Connection) -> None:
    def wait() -> None:
        parent.send("ready")
        parent.recv()

    watch = Stopwatch()
    contestant(name).work(Work(url, setting, number, now, watch, wait))
    parent.send((watch.began, watch.ended))


def check(connection: psycopg.Connection, schema: str, decision: Decision, count: int) -> None:
    """Raise AssertionError unless each of `count` conversations made this step, once, with its history and message."""
    it, step = decision.conversation, decision.steps[-1]
    send = next(effect for effect in decision.effects if effect.kind == "send")
    assert decision.next_due is not None
    expected: dict[str, dict[str, Any]] = {  # no two conversations entered their stage at the same microsecond
        "conversations": {"seq": it.seq, "stage": it.stage, "due_at": decision.next_due},
        "stage_history": {
            "seq": it.seq, "from_stage": step.source, "to_stage": step.to, "cause": step.cause, "edge": step.edge,
            "entered": step.entered, "sends": step.sends,
        },
        "outbox": {
            "seq": it.seq, "ordinal": send.ordinal, "message": send.name, "stage": send.stage, "status": "ready",
            "channel": "email", "scope": send.scope, "not_before": send.at, "awaited": send.awaited,
        },
    }  # fmt: skip
    for table, values in expected.items():
        right = sql.SQL(" AND ").join(
            sql.SQL("date_trunc('second', {}) = {}" if name == "due_at" else "{} = {}").format(
                sql.Identifier(name), sql.Placeholder(name)
            )
            for name in values
        )
        key = sql.Identifier("id" if table == "conversations" else "conversation_id")
        query = sql.SQL("SELECT count(*), count(DISTINCT {}), count(*) FILTER (WHERE {}) FROM {}.{}")
        found = connection.execute(
            query.format(key, right, sql.Identifier(schema), sql.Identifier(table)), values
        ).fetchone()
        connection.commit()
        assert found == (count, count, count), (
            f"{schema}.{table}: expected {count} rows, of as many conversations, all of them right; got {found}"
        )
