"""One PostgreSQL cluster in one folder: made, launched, watched, stopped. `embedded` says who may do it when.

The cluster is built aside and renamed, so a killed `initdb` leaves nothing half-made. The server is detached
from us and listens on a Unix socket only, which its own account alone may open.

After a kill -9 of the server its pid file names a process that is gone, is a zombie, or is someone else's by
now. PostgreSQL itself refuses to start in the last two cases, so the file is removed once it is clear that
the process is not our server. Backends that outlive their postmaster are waited for; PostgreSQL detects them
by the shared memory they hold.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from engine.core.errors import RepositoryError
from engine.db.embedded_files import ServerAccount, programs_for, reason_in

USER = "postgres"
PORT = 5432  # names the socket; nothing listens on the network
_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.02
_SOCKET_PATH_LENGTH = 100  # the kernel takes 108 bytes on Linux and 104 on macOS
_OLD_BACKENDS = "pre-existing shared memory block"
_FAST_AND_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Server:
    """The server of the cluster in `home/data`. `safe=False` is faster, and a power cut destroys it."""

    def __init__(self, home: Path, settings: Mapping[str, str], *, safe: bool) -> None:
        self.home, self.data, self.log = home, home / "data", home / "postgres.log"
        self._settings = dict(settings) if safe else _FAST_AND_UNSAFE | dict(settings)
        self._safe = safe

    @property
    def socket_folder(self) -> Path:
        """The data directory, or a folder in /tmp when that path is too long or too odd for a socket."""
        path = os.fsencode(self.data)
        if len(path) + len(f"/.s.PGSQL.{PORT}") < _SOCKET_PATH_LENGTH and not set(path) & set(b",\"'\\"):
            return self.data
        return Path(f"/tmp/campaign-{hashlib.sha256(path).hexdigest()[:16]}")

    def bring_up(self, account: ServerAccount) -> None:
        """Returns when the server accepts connections, whoever launched it. Makes the cluster if need be."""
        programs = programs_for(account, self.home)
        self._prepare_cluster(account, programs)
        launched: psutil.Process | None = None
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._accepts_connections():
            if self.postmaster() is None and (launched is None or not is_alive(launched)):
                if launched is not None and _OLD_BACKENDS not in self._log_text():
                    raise self._not_started(reason_in(self._log_text()))
                self._remove_stale_files()
                launched = self._launch(account, programs)
            if time.monotonic() > deadline:
                raise self._not_started(f"it is not ready after {_PATIENCE_SECONDS} s")
            time.sleep(_PAUSE_SECONDS)

    def stop(self) -> None:
        """Returns when no server runs."""
        if (server := self.postmaster()) is not None:
            with suppress(psutil.NoSuchProcess):
                server.send_signal(signal.SIGINT if self._safe else signal.SIGQUIT)
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while is_alive(server):
                if time.monotonic() > deadline:
                    message = f"the embedded database (process {server.pid}) does not stop"
                    raise RepositoryError(message, hint=f"Its log is {self.log}.")
                time.sleep(_PAUSE_SECONDS)
        if self.socket_folder != self.data:
            with suppress(OSError):
                self.socket_folder.rmdir()

    def postmaster(self) -> psutil.Process | None:
        """The live server of this folder: not a zombie, and not another process that got its pid."""
        try:
            process = psutil.Process(int(self._pid_file()[0]))
            command = process.cmdline()
        except (IndexError, ValueError, psutil.Error):
            return None
        is_ours = command[1:3] == ["-D", str(self.data)] and Path(command[0]).name == "postgres"
        return process if is_ours and is_alive(process) else None

    def _prepare_cluster(self, account: ServerAccount, programs: Path) -> None:
        """Makes the cluster unless it is there, and makes sure that these programs can read it."""
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            self._make_cluster(account, programs)
        made_by = version_file.read_text().strip()
        version = account.run(programs / "postgres", "--version").split()[-1]
        if not version.startswith(f"{made_by}."):
            raise RepositoryError(
                f"{self.data} was made by PostgreSQL {made_by}, and this is PostgreSQL {version}",
                hint="Set CAMPAIGN_HOME to another folder to start afresh; the old data stays where it is.",
            )

    def _make_cluster(self, account: ServerAccount, programs: Path) -> None:
        with suppress(FileNotFoundError):
            self.data.rmdir()  # which refuses to remove anything that is in it
        unfinished = self.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        encoding = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        hurry = () if self._safe else ("--no-sync",)
        account.run(programs / "initdb", "-D", unfinished, "-U", USER, "--auth=trust", *encoding, *hurry)
        unfinished.rename(self.data)

    def _launch(self, account: ServerAccount, programs: Path) -> psutil.Process | None:
        """The new server, or None if it is gone again.

        pg_ctl cannot be used: its quoting breaks on $ and " in paths.
        """
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_name("postgres.log.old"))
        self.log.touch(mode=0o600)
        account.own(self.log)
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._make_socket_folder(account)),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "timezone": "UTC",
            **self._settings,
        }
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        detach = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
        server: tuple[str | Path, ...] = (programs / "postgres", "-D", self.data, *options)
        pid = int(account.run("/bin/sh", "-c", detach, "sh", self.log, *server))
        try:
            return psutil.Process(pid)
        except psutil.NoSuchProcess:
            return None

    def _make_socket_folder(self, account: ServerAccount) -> Path:
        folder = self.socket_folder
        if folder != self.data:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), self.data.stat().st_uid):
                hint = "Remove it, or set CAMPAIGN_HOME to a shorter path."
                raise RepositoryError(f"{folder}, where the socket should be, is someone else's", hint=hint)
            account.own(folder)
        return folder

    def _accepts_connections(self) -> bool:
        """Also true for a server in another container, whose pid means nothing here."""
        if [line.strip() for line in self._pid_file()[7:8]] != ["ready"]:
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            try:
                client.connect(str(self.socket_folder / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
        return True

    def _pid_file(self) -> list[str]:
        """What the postmaster wrote: its pid first, and as the eighth line whether it is ready."""
        try:
            return (self.data / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []

    def _remove_stale_files(self) -> None:
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        (self.socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def _log_text(self) -> str:
        return self.log.read_text(errors="replace")

    def _not_started(self, reason: str) -> RepositoryError:
        return RepositoryError(f"the embedded database did not start: {reason}", hint=f"Its log is {self.log}.")


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
