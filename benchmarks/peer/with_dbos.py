"""DBOS: one durable workflow for each conversation that is due, of one transactional step.

From its documentation (docs.dbos.dev): work on tables goes through a datasource, whose transaction holds the step and
its checkpoint ("Transactions & Datasources"), here READ COMMITTED, since the row is locked; `worker_concurrency` is
"recommended for most use cases" ("Queues & Concurrency"). Many workflows are enqueued in one transaction with
`DBOSClient.enqueue_in_transaction`; there is no call for many. The benchmark that DBOS publishes of its queues
(dbos-inc/dbos-postgres-benchmark) gives the rest: asynchronous workflows enqueued by a client, 1,000 at a time in a
process, 512 executor threads, 5 connections to the system tables. Workflows in threads are tried as well, with its
default of 20 connections: they were the faster ones where this was written. The driver is psycopg 3, its only one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from time import perf_counter
from typing import Any
from uuid import UUID

from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSClient, DBOSConfig, SQLAlchemyDatasource
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.engine import make_url

from benchmarks.peer import Contestant, Reference, Setting, Work
from benchmarks.peer.step import Conversation, move

NAME, QUEUE, WORKFLOW, VERSION = "peers", "due", "move", "1"
AT_A_TIME = 1_000  # workflows in a process that have left the queue
ASYNCHRONOUS, THREADS = "asynchronous", "threads"
WORDS = {ASYNCHRONOUS: "asynchronous, {} connections", THREADS: "{} threads"}
UNFINISHED = text("SELECT count(*) FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')")


def _config(url: str, **more: Any) -> DBOSConfig:
    return {
        "name": NAME,
        "system_database_url": url,
        "application_version": VERSION,
        "log_level": "WARNING",
        **more,
    }


def install(url: str) -> None:
    SQLAlchemyDatasource.migrate(url)
    DBOS(config=_config(url))
    DBOS.launch()
    DBOS.destroy(destroy_registry=True)


def enqueue(url: str, references: Sequence[Reference]) -> float:
    client = DBOSClient(system_database_url=url, application_name=NAME)
    engine = _engine(url)
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
    size, process = work.setting.concurrency, f"process-{work.process}"
    if work.setting.kind == ASYNCHRONOUS:
        _register_asynchronous(work)
        config = _config(work.url, executor_id=process, sys_db_pool_size=size, max_executor_threads=512)
    else:
        _register_threaded(work)
        config = _config(work.url, executor_id=process, sys_db_pool_size=20, max_executor_threads=size)
    DBOS(config=config)
    work.wait()
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=AT_A_TIME, on_conflict="always_update")
    _wait_until_done(work.url)
    DBOS.destroy()


def _due(work: Work, bucket: int, id: str) -> Any:
    due = select(Conversation).where(Conversation.bucket == bucket, Conversation.id == UUID(id))
    return due.where(Conversation.due_at <= work.now).with_for_update()


def _register_asynchronous(work: Work) -> None:
    async def create() -> AsyncSQLAlchemyDatasource:
        found = await AsyncSQLAlchemyDatasource.create(work.url, _pool(work), run_migrations=False)
        await found.engine.dispose()  # its connections belong to this event loop; workflows run in another
        return found

    source = asyncio.run(create())

    @source.transaction(isolation_level="READ COMMITTED")
    async def step(bucket: int, id: str) -> None:
        session = source.sql_session()
        if (found := await session.scalar(_due(work, bucket, id))) is not None:
            move(session, found, work.now)

    @DBOS.workflow(name=WORKFLOW)
    async def workflow(bucket: int, id: str) -> None:
        work.watch.begin()
        await step(bucket, id)
        work.watch.end()


def _register_threaded(work: Work) -> None:
    source = SQLAlchemyDatasource.create(work.url, _pool(work), run_migrations=False)

    @source.transaction(isolation_level="READ COMMITTED")
    def step(bucket: int, id: str) -> None:
        session = source.sql_session()
        if (found := session.scalar(_due(work, bucket, id))) is not None:
            move(session, found, work.now)

    @DBOS.workflow(name=WORKFLOW)
    def workflow(bucket: int, id: str) -> None:
        work.watch.begin()
        step(bucket, id)
        work.watch.end()


def _pool(work: Work) -> dict[str, Any]:
    return {"pool_size": work.setting.concurrency, "max_overflow": 0, "pool_timeout": 120}


def _engine(url: str) -> Engine:
    return create_engine(make_url(url).set(drivername="postgresql+psycopg"))


def _wait_until_done(url: str) -> None:
    """DBOS works until it is told to stop, so the queue is asked now and then whether it is empty."""
    engine, pause = _engine(url), threading.Event()
    while True:
        with engine.connect() as connection:
            if connection.scalar(UNFINISHED) == 0:
                break
        pause.wait(0.5)
    engine.dispose()


def _setting(processes: int, kind: str, concurrency: int) -> Setting:
    return Setting(processes, concurrency, WORDS[kind], kind)


CONTESTANT = Contestant(
    name="DBOS",
    packages=("dbos", "psycopg"),
    settings=(_setting(1, ASYNCHRONOUS, 5), _setting(1, THREADS, 16), _setting(2, THREADS, 8)),
    work=work,
    install=install,
    enqueue=enqueue,
    tables=("dbos.workflow_status", "dbos.datasource_outputs"),
)
