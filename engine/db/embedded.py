"""A real PostgreSQL for whoever has none: started on first use, shared, and stopped by its last user.

Everything is in one folder, `home`: the cluster `data`, the log of the server's present life `postgres.log`,
and locks. Every process that uses the server holds a shared lock on `.use.lock`, which the kernel frees
however the process ends. The last to leave stops the server, unless `start(keep=True)` left the marker
`.keep`, which `shutdown` takes away. Starting and stopping happen under `.start.lock`, so first runs that
coincide make one cluster.

Every failure is a `RepositoryError` with the next step to take. Calls block, starting for about a minute at
most.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from engine.core.errors import RepositoryError
from engine.db.embedded_files import ServerAccount, default_home, explained, reason_in
from engine.db.embedded_server import PORT, USER, Server


class EmbeddedPostgres:
    """The server of one folder. As a context manager it is up inside, and counted as used by this process.

    `settings` are server settings (`{"work_mem": "64MB"}`), in force when it is this object that launches the
    server. A `throwaway` server may lose everything in a power cut, and removes its folder when it stops.
    """

    def __init__(
        self, home: Path | None = None, settings: Mapping[str, str] | None = None, *, throwaway: bool = False
    ) -> None:
        self.home = Path(os.path.realpath(home or default_home()))
        self._server = Server(self.home, settings or {}, safe=not throwaway)
        self.socket_folder = self._server.socket_folder
        self._throwaway = throwaway
        self._use: int | None = None

    def start(self, *, keep: bool = False) -> Self:
        """The server, up. Takes 0.1 s, or 1-2 s when the cluster is made first; does nothing when it is up.

        With `keep` it stays up after its last user, until `shutdown`.
        """
        with explained(self.home):
            account = ServerAccount(self.home)
            account.make_home(self.home)
            with self.lock("start"):
                self._server.bring_up(account)
                if keep:
                    self._keep.touch()
                if self._use is None:
                    self._use = self._open_lock("use")
                    fcntl.flock(self._use, fcntl.LOCK_SH)
        return self

    def stop(self) -> None:
        """Leaves; the server stops when nobody else uses it and nobody asked to keep it."""
        if self._use is None:
            return
        with explained(self.home), self.lock("start"):
            self._leave()
            if not self._keep.exists():
                self._stop_unless_used()

    def shutdown(self) -> bool:
        """Ends a `keep` and stops the server. False when others use it: it stops with the last one."""
        if not self.home.is_dir():
            return True
        with explained(self.home), self.lock("start"):
            self._keep.unlink(missing_ok=True)
            self._leave()
            return self._stop_unless_used()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def running(self) -> bool:
        with explained(self.home):
            return self._server.postmaster() is not None

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, as DATABASE_URL and psql take it."""
        folder = quote(str(self.socket_folder), safe="/")
        return f"postgresql://{USER}@/{quote(database, safe='')}?host={folder}&port={PORT}"

    def conninfo(self, database: str = "postgres") -> str:
        """The same for `psycopg.connect`."""
        return make_conninfo(host=str(self.socket_folder), port=PORT, user=USER, dbname=database)

    def ensure_database(self, name: str) -> bool:
        """Makes the database unless it is there. True when it was made; of several at once one makes it."""
        with self._administration() as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount:
                return False
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            return True

    def recreate_database(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        """An empty database of this name, with these settings. One that was there is dropped and its users cut off."""
        database = sql.Identifier(name)
        with self._administration() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(database))
            for setting, value in (settings or {}).items():
                change = sql.SQL("ALTER DATABASE {} SET {} = {}")
                connection.execute(change.format(database, sql.Identifier(setting), sql.Literal(value)))

    @contextmanager
    def _administration(self) -> Iterator[psycopg.Connection]:
        try:
            with self.lock("databases"), psycopg.connect(self.conninfo(), autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            reason = reason_in(str(error))
            hint = f"The server's log is {self._server.log}."
            raise RepositoryError(f"cannot make the embedded database: {reason}", hint=hint) from error

    @contextmanager
    def lock(self, name: str, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Held by one process at a time; the kernel frees it if that is killed. Migrations hold `migrate`.

        `on_wait` is called when it has to be waited for.
        """
        with explained(self.home):
            descriptor = self._open_lock(name)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait is not None:
                    on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self, name: str) -> int:
        descriptor = os.open(self.home / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.geteuid() == 0:  # so that root's help does not lock the folder's owner out
            owner = self.home.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    @property
    def _keep(self) -> Path:
        return self.home / ".keep"

    def _leave(self) -> None:
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def _stop_unless_used(self) -> bool:
        """True when no server runs any more. Called under the start lock, so that nobody joins meanwhile."""
        descriptor = self._open_lock("use")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        self._server.stop()
        if self._throwaway:
            shutil.rmtree(self.home, ignore_errors=True)
        return True


def throwaway_server(settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
    """A server in a fresh temporary folder, for tests and checks. Removes what killed runs left."""
    temporary = temporary_folder()
    for old in temporary.glob("campaign-throwaway-*"):
        with suppress(OSError, RepositoryError):
            if old.stat().st_uid == os.geteuid() and time.time() - old.stat().st_mtime > 120:
                EmbeddedPostgres(old, throwaway=True).shutdown()
    home = tempfile.mkdtemp(prefix="campaign-throwaway-", dir=temporary)
    return EmbeddedPostgres(Path(home), settings, throwaway=True)


def temporary_folder() -> Path:
    """Where to put what the server's account must reach; the one root was given may be private."""
    return Path("/tmp" if os.geteuid() == 0 else tempfile.gettempdir())
