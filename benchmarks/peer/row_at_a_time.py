"""A home-made queue: the table itself, row at a time through SQLAlchemy's ORM.

Each of N connections takes the earliest due row with SELECT … FOR UPDATE SKIP LOCKED LIMIT 1, decides, and commits.
From SQLAlchemy's documentation ("Asynchronous I/O"): one AsyncSession for each concurrent task, `expire_on_commit`
off, and asyncpg as in all its examples; psycopg 3, on which this project stands, is tried as well. The pool is as large
as there are tasks. There is nothing to enqueue.
"""

from __future__ import annotations

import asyncio

from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from benchmarks.peer import Contestant, Setting, Work
from benchmarks.peer.step import Conversation, move

WORDS = {"asyncpg": "{} connections of asyncpg", "psycopg": "{} connections of psycopg"}


def work(work: Work) -> None:
    asyncio.run(_work(work))


async def _work(work: Work) -> None:
    size = work.setting.concurrency
    url = make_url(work.url).set(drivername=f"postgresql+{work.setting.kind}")
    engine = create_async_engine(url, pool_size=size, max_overflow=0)
    session_of = async_sessionmaker(engine, expire_on_commit=False)
    due = select(Conversation).where(Conversation.due_at <= work.now).order_by(Conversation.due_at).limit(1)
    due = due.with_for_update(skip_locked=True)

    async def one() -> bool:
        work.watch.begin()
        async with session_of.begin() as session:
            found = await session.scalar(due)
            if found is None:
                return False
            move(session, found, work.now)
        work.watch.end()
        return True

    async def all_of_them() -> None:
        while await one():
            pass

    await asyncio.gather(*(_connect(engine) for _ in range(size)))
    work.wait()
    await asyncio.gather(*(all_of_them() for _ in range(size)))
    await engine.dispose()


async def _connect(engine: AsyncEngine) -> None:
    async with engine.connect():
        pass


def _setting(processes: int, kind: str, concurrency: int) -> Setting:
    return Setting(processes, concurrency, WORDS[kind], kind)


CONTESTANT = Contestant(
    name="row at a time",
    packages=("sqlalchemy", "asyncpg", "psycopg"),
    settings=(_setting(1, "asyncpg", 8), _setting(2, "asyncpg", 8), _setting(1, "psycopg", 8)),
    work=work,
)
