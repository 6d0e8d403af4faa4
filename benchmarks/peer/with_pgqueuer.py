"""PgQueuer: one job for each conversation that is due.

From its documentation (janbjorge.github.io/pgqueuer): asyncpg is the recommended driver ("Benchmarks"), a single
connection of its own for the queue manager, `pgq autovac` after installation, and a `batch_size` above the default of
10 when jobs are short ("Performance Tuning"); jobs are made by one `enqueue` with lists; the pool for a job's own
work is passed in `resources` ("Shared Resources"), at most 20 connections as in its example. Durability stays at its
default, `durable`. The event loop is uvloop's, as under its own command `pgq run`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter
from uuid import UUID

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Context, Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from benchmarks.peer import Contestant, Reference, Setting, Work
from benchmarks.peer.step import HISTORY, MESSAGE, READ, UPDATE, numbered, values_of

ENTRYPOINT = "move"
POOL_SIZE = 20
WORDS = "batches of {}"
READ_IT, WRITES = numbered(READ), [numbered(each) for each in (UPDATE, HISTORY, MESSAGE)]


def install(url: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    asyncio.run(run())


def enqueue(url: str, references: Sequence[Reference]) -> float:
    async def run() -> float:
        connection = await asyncpg.connect(url)
        start = perf_counter()
        payloads = [json.dumps({"bucket": each.bucket, "id": str(each.id)}).encode() for each in references]
        await Queries(AsyncpgDriver(connection)).enqueue(
            [ENTRYPOINT] * len(payloads), list(payloads), [0] * len(payloads)
        )
        seconds = perf_counter() - start
        await connection.close()
        return seconds

    return uvloop.run(run())


def work(work: Work) -> None:
    uvloop.run(_work(work))


async def _as_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _work(work: Work) -> None:
    size = POOL_SIZE // work.setting.processes
    connection = await asyncpg.connect(work.url)
    async with asyncpg.create_pool(work.url, min_size=size, max_size=size, init=_as_json) as pool:
        queue = PgQueuer(AsyncpgDriver(connection), resources={"pool": pool})

        @queue.entrypoint(ENTRYPOINT, accepts_context=True)
        async def move(job: Job, context: Context) -> None:
            work.watch.begin()
            found = json.loads(job.payload or b"")
            reference = {"bucket": found["bucket"], "id": UUID(found["id"])}
            async with context.resources["pool"].acquire() as connection, connection.transaction():
                row = await connection.fetchrow(READ_IT.text, *READ_IT.values(reference | {"now": work.now}))
                if row is not None:
                    given = values_of(row, reference, work.now)
                    for statement in WRITES:
                        await connection.execute(statement.text, *statement.values(given))
            work.watch.end()

        work.wait()
        await queue.run(batch_size=work.setting.concurrency, mode=QueueExecutionMode.drain)
    await connection.close()


CONTESTANT = Contestant(
    name="PgQueuer",
    packages=("pgqueuer", "asyncpg"),
    settings=(Setting(1, 10, WORDS), Setting(1, 100, WORDS), Setting(2, 50, WORDS)),
    work=work,
    install=install,
    enqueue=enqueue,
    tables=("pgqueuer", "pgqueuer_log"),
)
