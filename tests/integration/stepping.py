"""Operations taken step by step: each stops before every word it has with the database, until it is let on.

psycopg speaks to its server in one place, `AsyncConnection.wait`. `Stage` replaces that, for the time of a test, with
one that first asks the operation it is called in for leave. So any part of the engine can be left between two round
trips, with whatever locks it holds then, while others go on; later it is let on, loses its connection or the answer to
its last words, or dies. Nothing in the engine knows of it, and nothing here knows the engine's statements. Sleeping is
a step too, and takes no time.

One round trip is under way at a time, and what follows is waited for: until every operation is over, asks for leave
again, or waits for a lock of another that stands still. So the same steps give the same interleaving.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

_CURRENT: ContextVar[Operation | None] = ContextVar("operation", default=None)
_LOOK_AGAIN = 0.01  # seconds without news after which to look who waits for whom
_PATIENCE = 120.0  # seconds after which something hangs that should not
_BLOCKED = "SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event_type = 'Lock'"
_ALIVE = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)"


class Operation:
    """Something under way on one or more connections. `steps` is how many more round trips it may make."""

    def __init__(self, name: str, work: Coroutine[Any, Any, Any], tell: Callable[[], None]) -> None:
        self.name = name
        self.tell = tell  # called when there is news of it
        self.steps = 0
        self.harmed = False  # so that it may say that the database went away
        self.dead = False
        self.loses_answer = False
        self.connections: list[psycopg.AsyncConnection[Any]] = []
        self.asking: deque[tuple[psycopg.AsyncConnection[Any] | None, asyncio.Future[None]]] = deque()
        self.talking: set[psycopg.AsyncConnection[Any]] = set()
        context = copy_context()
        context.run(_CURRENT.set, self)
        self.task = asyncio.get_running_loop().create_task(work, context=context)
        self.task.add_done_callback(lambda _: tell())

    def __repr__(self) -> str:
        return self.name

    @property
    def is_over(self) -> bool:
        return self.task.done()

    @property
    def stands_still(self) -> bool:
        """Whether nothing happens until somebody lets it on."""
        return bool(self.asking) and not self.talking

    @property
    def pids(self) -> list[int]:
        """The backends it may hold locks with, those in a transaction first."""
        alive = [each for each in self.connections if not each.closed]
        alive.sort(key=lambda each: each.pgconn.transaction_status == TransactionStatus.IDLE)
        return [each.info.backend_pid for each in alive]

    @property
    def standing_pids(self) -> list[int]:
        """The backends that hear nothing more until somebody lets the operation on."""
        asking = [connection for connection, _ in self.asking if connection is not None and not connection.closed]
        return self.pids if self.stands_still else [each.info.backend_pid for each in asking]

    async def ask(self, connection: psycopg.AsyncConnection[Any] | None) -> None:
        """Return when it may go on. Raises OperationalError once it is dead."""
        if connection is not None and connection not in self.connections:
            self.connections.append(connection)
        if self.dead:
            raise psycopg.OperationalError("the process was killed")
        leave = asyncio.get_running_loop().create_future()
        self.asking.append((connection, leave))
        self.tell()
        await leave

    def let_on(self) -> None:
        self.steps -= 1
        connection, leave = self.asking.popleft()
        if connection is not None:
            self.talking.add(connection)
        leave.set_result(None)

    def close(self) -> None:
        """Cut its connections, as the end of its process does."""
        self.dead = True
        for each in self.connections:
            each.pgconn.finish()
        while self.asking:
            self.asking.popleft()[1].set_exception(psycopg.OperationalError("the process was killed"))


class Stage:
    """The operations under way on one database, and a connection that watches them and is never stopped."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._news = asyncio.Event()
        self._watcher: psycopg.AsyncConnection[Any] | None = None

    async def open(self, conninfo: str) -> None:
        self._watcher = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)

    async def close(self) -> None:
        assert self._watcher is not None
        await self._watcher.close()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> Operation:
        """Begin something; it makes no step yet. Call in a running event loop."""
        operation = Operation(name, work, self._news.set)
        self.operations.append(operation)
        return operation

    async def go_on(self) -> None:
        """Let everybody make the steps they have; return when all are over, stand still or wait for such a one."""
        async with asyncio.timeout(_PATIENCE):
            await self._settle()
            while ready := [each for each in self.operations if each.steps and each.asking and not each.is_over]:
                ready[0].let_on()
                await self._settle()
        for operation in [each for each in self.operations if each.is_over]:
            self.operations.remove(operation)

    async def terminate(self, operation: Operation) -> None:
        """End a backend of the operation, one in a transaction if there is any, on the server's side."""
        operation.harmed = True
        await self._end_backends(operation.pids[:1])
        await self._settle()

    async def kill(self, operation: Operation) -> None:
        """End the operation with all its connections, as when its process is killed."""
        pids = operation.pids
        if operation.talking:  # it waits for a lock, and a dead client's backend would go on waiting
            await self._end_backends(pids)
        operation.close()
        await asyncio.wait([operation.task], timeout=_PATIENCE)
        assert operation.is_over, f"{operation} does not end"
        operation.task.exception()
        self.operations.remove(operation)
        await self._until_gone(pids)
        await self._settle()

    async def _end_backends(self, pids: list[int]) -> None:
        await self._fetch("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", pids)
        await self._until_gone(pids)

    async def _until_gone(self, pids: list[int]) -> None:
        while await self._fetch(_ALIVE, pids):
            await _sleep(_LOOK_AGAIN)

    async def _settle(self) -> None:
        """Wait until every operation is over, stands still, or waits for the lock of one that does."""
        while True:
            self._news.clear()
            for _ in range(3):
                await _sleep(0)
            moving = [each for each in self.operations if not each.is_over and not each.stands_still]
            if not moving:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _LOOK_AGAIN)
                continue
            if all(each.talking for each in moving) and await self._wait_for_standing(moving):
                return

    async def _wait_for_standing(self, moving: list[Operation]) -> bool:
        """Whether each of `moving` waits, maybe through others, for one that stands still; not in a circle."""
        standing = {pid for each in self.operations for pid in each.standing_pids}
        talking = [connection.info.backend_pid for each in moving for connection in each.talking]
        blockers = dict(await self._fetch(_BLOCKED, talking))
        if len(blockers) < len(talking):
            return False
        reached, ends = set(talking), set()
        queue = list(talking)
        while queue:
            for pid in blockers.get(queue.pop(), ()):
                if pid not in blockers:
                    ends.add(pid)
                elif pid not in reached:
                    reached.add(pid)
                    queue.append(pid)
        return bool(ends) and ends <= standing

    async def command(self, statements: str) -> None:
        """Run statements, all in one transaction, past everybody."""
        assert self._watcher is not None
        await self._watcher.execute(statements)

    async def _fetch(self, statement: str, pids: list[int]) -> list[Any]:
        assert self._watcher is not None
        return await (await self._watcher.execute(statement, [pids])).fetchall()


@contextmanager
def stepping(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage, and psycopg and sleep asking for leave in whatever is started on it."""
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.AsyncConnection, "wait", _wait)
        patched.setattr(asyncio, "sleep", _asked_sleep)
        yield Stage()


_really_wait = psycopg.AsyncConnection.wait
_sleep = asyncio.sleep


async def _wait(connection: psycopg.AsyncConnection[Any], *given: Any, **more: Any) -> Any:
    if (operation := _CURRENT.get()) is None:
        return await _really_wait(connection, *given, **more)
    await operation.ask(connection)
    try:
        answer = await _really_wait(connection, *given, **more)
    finally:
        operation.talking.discard(connection)
        operation.tell()
    if operation.loses_answer:
        operation.loses_answer, operation.harmed = False, True
        connection.pgconn.finish()
        raise psycopg.OperationalError("the connection was lost")
    return answer


async def _asked_sleep(delay: float, result: Any = None) -> Any:
    if (operation := _CURRENT.get()) is not None:
        await operation.ask(None)
        delay = 0
    return await _sleep(delay, result)
