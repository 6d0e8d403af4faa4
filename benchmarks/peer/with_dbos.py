"""DBOS: one durable workflow for each conversation that is due, of one transactional step.

From its documentation (docs.dbos.dev): work on tables goes through a datasource, whose transaction holds the step and
its checkpoint ("Transactions & Datasources"), here READ COMMITTED as the row is locked; `worker_concurrency` is
"recommended for most use cases" ("Queues & Concurrency"). Many workflows are enqueued in one transaction with
`DBOSClient.enqueue_in_transaction`; there is no call for many. The benchmark that DBOS publishes of its queues
(dbos-inc/dbos-postgres-benchmark) sets the rest: asynchronous workflows, enqueued by a client, several worker
processes, 1,000 workflows a process, 512 executor threads, 5 connections to the system tables.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from time import perf_counter
from uuid import UUID

from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSClient, DBOSConfig, SQLAlchemyDatasource
from sqlalchemy import create_engine, select, text
from sqlalchemy.engine import make_url

from benchmarks.peer import Contestant, Reference, Setting, Work
from benchmarks.peer.step import Conversation, move

NAME, QUEUE, WORKFLOW, VERSION = "peers", "due", "move", "1"
WORDS = "{} workflows at a time"
POOL_SIZE = 5
UNFINISHED = text("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')")


def _config(url: str, process: int) -> DBOSConfig:
    return {
        "name": NAME,
        "system_database_url": url,
        "application_version": VERSION,
        "executor_id": f"process-{process}",
        "sys_db_pool_size": POOL_SIZE,
        "max_executor_threads": 512,
        "log_level": "WARNING",
    }


def install(url: str) -> None:
    SQLAlchemyDatasource.migrate(url)
    DBOS(config=_config(url, 0))
    DBOS.launch()
    DBOS.destroy(destroy_registry=True)


def enqueue(url: str, references: Sequence[Reference]) -> float:
    client = DBOSClient(system_database_url=url, application_name=NAME)
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        start = perf_counter()
        for each in references:
            client.enqueue_in_transaction(
                connection, {"queue_name": QUEUE, "workflow_name": WORKFLOW}, each.bucket, str(each.id)
            )
        connection.commit()
        seconds = perf_counter() - start
    engine.dispose()
    client.destroy()
    return seconds


def work(work: Work) -> None:
    logging.getLogger("dbos").setLevel(logging.WARNING)
    source = asyncio.run(_source(work.url, POOL_SIZE))

    @source.transaction(isolation_level="READ COMMITTED")
    async def step(bucket: int, id: str) -> None:
        session = source.sql_session()
        due = select(Conversation).where(Conversation.bucket == bucket, Conversation.id == UUID(id))
        found = await session.scalar(due.where(Conversation.due_at <= work.now).with_for_update())
        if found is not None:
            move(session, found, work.now)

    @DBOS.workflow(name=WORKFLOW)
    async def workflow(bucket: int, id: str) -> None:
        work.watch.begin()
        await step(bucket, id)
        work.watch.end()

    DBOS(config=_config(work.url, work.process))
    work.wait()
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=work.setting.concurrency, on_conflict="always_update")
    _wait_until_done(work.url)
    DBOS.destroy()


async def _source(url: str, size: int) -> AsyncSQLAlchemyDatasource:
    found = await AsyncSQLAlchemyDatasource.create(
        url, engine_kwargs={"pool_size": size, "max_overflow": 0, "pool_timeout": 120}, run_migrations=False
    )
    await found.engine.dispose()  # its connections belong to this event loop, workflows run in another
    return found


def _wait_until_done(url: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    while True:
        with engine.connect() as connection:
            if connection.scalar(UNFINISHED) == 0:
                break
        threading.Event().wait(0.2)
    engine.dispose()


CONTESTANT = Contestant(
    name="DBOS",
    packages=("dbos", "psycopg"),
    settings=(Setting(1, 100, WORDS), Setting(1, 1_000, WORDS), Setting(2, 1_000, WORDS)),
    work=work,
    install=install,
    enqueue=enqueue,
    tables=("dbos.workflow_status", "dbos.datasource_outputs"),
)
