"""The file of rejected rows: the original columns, the line each row stood in, and why it was not taken.

It appears under its name only when it is whole, and not at all when nothing was rejected, so that whoever finds
one can correct and enrol it as it is.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from engine.core.errors import RefusedError

_SHOWN = 20


def rejects_path(path: Path, wanted: Path | None = None) -> Path:
    """Where the rejects of an audience file go: beside it, unless told otherwise. Raises RefusedError for itself.

    >>> rejects_path(Path("lists/people.csv")).as_posix()
    'lists/people.rejects.csv'
    """
    if wanted is not None and wanted.resolve() == path.resolve():
        raise RefusedError(f"the rejected rows cannot go into {path} itself", hint="Name another file for them.")
    return wanted or path.with_name(f"{path.stem}.rejects.csv")


class Rejects:
    """Counts the rejected rows, keeps the first few reasons and writes every row to the file, if there is one."""

    def __init__(self, columns: Sequence[str], delimiter: str = ",", path: Path | None = None) -> None:
        self.count = 0
        self.problems: list[tuple[int, str]] = []
        self.path = path
        self._columns = list(columns)
        self._delimiter = delimiter
        self._file: TextIO | None = None

    def add(self, line: int, cells: Sequence[str], reason: str) -> None:
        self.count += 1
        if len(self.problems) < _SHOWN:
            self.problems.append((line, reason))
        if self.path is not None:
            self._write(line, cells, reason)

    @property
    def _partial(self) -> Path:
        assert self.path is not None
        return self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")

    def _write(self, line: int, cells: Sequence[str], reason: str) -> None:
        try:
            if self._file is None:
                self._file = self._partial.open("w", encoding="utf-8", newline="")
                csv.writer(self._file, delimiter=self._delimiter).writerow([*self._columns, *self._own_columns()])
            csv.writer(self._file, delimiter=self._delimiter).writerow([*self._fitted(cells), line, reason])
        except OSError as error:
            raise RefusedError(
                f"cannot write the rejected rows to {self.path}: {error.strerror}",
                hint="Nobody was enrolled. Name another file for them and try again.",
            ) from error

    def _own_columns(self) -> Iterator[str]:
        for name in ("line", "reason"):
            while name in self._columns:
                name = f"rejected_{name}"  # noqa: PLW2901 - until it is free
            yield name

    def _fitted(self, cells: Sequence[str]) -> list[str]:
        """As many cells as there are columns; what is too much stays at the end of the last, so nothing is lost."""
        width = len(self._columns)
        fitted = [*cells[:width], *[""] * (width - len(cells))]
        if len(cells) > width:
            fitted[-1] = self._delimiter.join(cells[width - 1 :])
        return fitted

    def keep(self) -> Path | None:
        """Give the file its name; None when there is none."""
        if self._file is None:
            return None
        assert self.path is not None
        self._file.close()
        self._partial.replace(self.path)
        return self.path

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._partial.unlink(missing_ok=True)


@contextmanager
def open_rejects(columns: Sequence[str], delimiter: str, path: Path | None) -> Iterator[Rejects]:
    """The rejects of one enrolment; what is not kept by its end is gone."""
    rejects = Rejects(columns, delimiter, path)
    try:
        yield rejects
    finally:
        rejects.close()
