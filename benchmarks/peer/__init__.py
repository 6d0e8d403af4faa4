"""What is measured against each other in `benchmarks.peers`: one module a contestant, each with a `CONTESTANT`.

  engine             this engine's tick
  row_at_a_time      a home-made queue: SQLAlchemy's ORM, SELECT … FOR UPDATE SKIP LOCKED LIMIT 1
  with_procrastinate, with_pgqueuer, with_dbos    a job or workflow for each conversation that is due

`step` is the step that all but the engine make, `running` is how a run is set up, timed and checked. A contestant is
tried with several settings and shown with its best, so none is held down by a poor choice. Its module says where the
settings come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter
from uuid import UUID

NAMES = ("engine", "row_at_a_time", "with_procrastinate", "with_pgqueuer", "with_dbos")
INSTALL = "pip install -e '.[benchmarks]'"


@dataclass(frozen=True)
class Reference:
    """Which conversation a job is about."""

    bucket: int
    id: UUID


@dataclass(frozen=True)
class Setting:
    """How a contestant runs; what `concurrency` means is told in `words`, what `kind` means by the contestant."""

    processes: int
    concurrency: int
    words: str
    kind: str = ""

    def __str__(self) -> str:
        number = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{number}, {self.words.format(self.concurrency)}"


class Stopwatch:
    """When the work of a process began, and when each step ended, on a clock that all processes share."""

    def __init__(self) -> None:
        self.began: float | None = None
        self.ended: list[float] = []

    def begin(self) -> None:
        if self.began is None:
            self.began = perf_counter()

    def end(self) -> None:
        self.ended.append(perf_counter())


@dataclass(frozen=True)
class Work:
    """What one process is to do: everything that is due at `now`."""

    url: str
    setting: Setting
    process: int
    now: datetime
    watch: Stopwatch
    wait: Callable[[], None]  # called once when ready; returns when all processes may start


@dataclass(frozen=True)
class Contestant:
    """One way to move conversations. `work` runs in processes of its own, the rest in the parent."""

    name: str
    packages: tuple[str, ...]  # the distributions it stands on
    settings: tuple[Setting, ...]
    work: Callable[[Work], None]
    install: Callable[[str], None] | None = None  # its own tables, once a database
    enqueue: Callable[[str, Sequence[Reference]], float] | None = None  # a job for each; seconds, once connected
    tables: tuple[str, ...] = ()  # its own tables, emptied before each run


class MissingError(Exception):
    """A package that a contestant stands on is not installed; the message says what to run."""


def contestant(name: str) -> Contestant:
    """The contestant called `name`. Raises MissingError when it cannot be imported for want of a package."""
    try:
        found: Contestant = import_module(f"{__name__}.{name}").CONTESTANT
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("benchmarks", "engine"):
            raise
        raise _missing(name, error.name) from error
    return found


def require(name: str) -> None:
    """Raise MissingError unless all packages are there that the contestant called `name` stands on."""
    for package in contestant(name).packages:
        if version_of(package) is None:
            raise _missing(name, package)


def version_of(package: str) -> str | None:
    """The version of an installed distribution, None when it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _missing(name: str, package: str) -> MissingError:
    return MissingError(f"{name} needs the package {package}, which is not installed; run: {INSTALL}")
