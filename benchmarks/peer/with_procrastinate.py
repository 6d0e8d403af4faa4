"""Procrastinate: one asynchronous task for each conversation that is due.

From its documentation (procrastinate.readthedocs.io): jobs are made with `batch_defer_async` ("Batch defer multiple
jobs"); a worker runs several at a time by `concurrency`, and throughput is raised by more workers, "each using their
own process" ("Execute multiple jobs at the same time"); the shorter the jobs, the more the pool of `PsycopgConnector`
wants as many connections as the concurrency plus one ("Mind the size of your PostgreSQL pool"). Finished jobs are
deleted, which "Delete finished jobs" offers and which keeps its table small. A task's own work goes through a psycopg
pool of the same size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from procrastinate import App, PsycopgConnector
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.peer import Contestant, Reference, Setting, Work
from benchmarks.peer.step import HISTORY, MESSAGE, READ, UPDATE, values_of

TASK = "move"
WORDS = "concurrency {}"


def _app(url: str, connections: int) -> App:
    return App(connector=PsycopgConnector(conninfo=url, min_size=connections, max_size=connections))


def install(url: str) -> None:
    async def run() -> None:
        async with _app(url, 1).open_async() as app:
            await app.schema_manager.apply_schema_async()

    asyncio.run(run())


def enqueue(url: str, references: Sequence[Reference]) -> float:
    async def run() -> float:
        async with _app(url, 1).open_async() as app:
            start = perf_counter()
            await app.configure_task(TASK).batch_defer_async(
                *({"bucket": each.bucket, "id": str(each.id)} for each in references)
            )
            return perf_counter() - start

    return asyncio.run(run())


def work(work: Work) -> None:
    asyncio.run(_work(work))


async def _work(work: Work) -> None:
    size = work.setting.concurrency
    app = _app(work.url, size + 1)
    pool = AsyncConnectionPool(work.url, min_size=size, max_size=size, open=False, kwargs={"row_factory": dict_row})

    @app.task(name=TASK)
    async def move(**reference: Any) -> None:
        work.watch.begin()
        async with pool.connection() as connection:  # a transaction, committed at the end
            found = await connection.execute(READ, reference | {"now": work.now})
            row = await found.fetchone()
            if row is not None:
                given = values_of(row, reference, work.now)
                await connection.execute(UPDATE, given)
                await connection.execute(HISTORY, given)
                await connection.execute(MESSAGE, given)
        work.watch.end()

    async with app.open_async(), pool:
        await pool.wait()
        work.wait()
        await app.run_worker_async(concurrency=size, wait=False, delete_jobs="always", install_signal_handlers=False)


CONTESTANT = Contestant(
    name="Procrastinate",
    packages=("procrastinate", "psycopg"),
    settings=(Setting(1, 8, WORDS), Setting(1, 30, WORDS), Setting(2, 8, WORDS)),
    work=work,
    install=install,
    enqueue=enqueue,
    tables=("procrastinate_jobs",),
)
