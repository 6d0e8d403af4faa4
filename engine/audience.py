"""The rows of an audience: from a CSV file, or given with a request. Says nothing yet about what the cells mean.

A file is read line by line, so its size does not matter. It is UTF-8, with or without a byte order mark, and has
a header with a `key` column; fields are parted by comma, semicolon or tab, as the header is. A row that cannot be
read as such comes out with the reason, and reading goes on after it: a quote that is never closed costs the line
it stands in, not the rest of the file. A file that cannot be trusted at all is a `RefusedError`.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from engine.core.errors import RefusedError

_DELIMITERS = ",;\t"
_LONGEST_LINE = 8_000_000  # characters; csv itself stops at 131,072 in one field


class AudienceRow(NamedTuple):
    """One row: the line it starts in (from 1), its cells, and why it is no row; empty when it is one."""

    line: int
    cells: list[str]
    problem: str


@dataclass(frozen=True, slots=True)
class Audience:
    """Column names and rows, to be gone through once."""

    columns: list[str]
    rows: Iterator[AudienceRow]
    delimiter: str = ","


@contextmanager
def open_csv(path: Path) -> Iterator[Audience]:
    """The audience in a CSV file. Raises RefusedError, also while its rows are read."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise RefusedError(f"{path} {what}", hint="Give the path of a CSV file with a header and a key column.")
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise RefusedError(f"cannot read {path}: {error.strerror}") from error
    with file:
        lines = _Lines(path, file)
        delimiter = _sniff(lines)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        columns = _header(lines, reader)
        yield Audience(columns, _rows(lines, reader, len(columns)), delimiter)


def audience_of(recipients: Sequence[Mapping[str, Any]]) -> Audience:
    """The audience in a list of mappings; its lines are its positions from 1.

    >>> audience = audience_of([{"key": "a", "seats": 5}, {"key": "b"}])
    >>> audience.columns, [row.cells for row in audience.rows]
    (['key', 'seats'], [['a', '5'], ['b', '']])
    """
    columns = list(dict.fromkeys(name for each in recipients for name in each)) or ["key"]
    _check_columns(columns, "the recipients")
    return Audience(columns, _given(recipients, columns))


def _given(recipients: Sequence[Mapping[str, Any]], columns: list[str]) -> Iterator[AudienceRow]:
    for line, recipient in enumerate(recipients, 1):
        try:
            yield AudienceRow(line, [as_cell(recipient.get(name)) for name in columns], "")
        except ValueError as error:
            yield AudienceRow(line, [str(recipient.get(name, "")) for name in columns], str(error))


def as_cell(value: Any) -> str:
    """A plain value as the cell that says it. Raises ValueError for a list or mapping.

    >>> as_cell(True), as_cell(2.5), as_cell(None)
    ('true', '2.5', '')
    """
    match value:
        case None:
            return ""
        case str():
            value.encode()  # half a surrogate pair is no text
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | Decimal():
            return format(Decimal(str(value)), "f")  # without an exponent
        case date():
            return value.isoformat()
    raise ValueError(f"expected a text, number, date or true or false, got a {type(value).__name__}")


class _Lines:
    """The physical lines of a file. Knows which ones the record being read takes up, and can give them again."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self.number = 0
        self.record: list[str] = []
        self._file = file
        self._again: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        self.number += 1
        self.record.append(line)
        return line

    def begin_record(self) -> int:
        """The number of the line in which the next record starts."""
        self.record = []
        return self.number + 1

    def give_again(self, start: int) -> None:
        """Read the record's lines from its `start`-th on once more."""
        self._again.extendleft(reversed(self.record[start:]))
        self.number -= len(self.record) - start
        del self.record[start:]

    def _read(self) -> str:
        try:
            line = self._file.readline(_LONGEST_LINE)
        except UnicodeDecodeError as error:
            raise RefusedError(_bad_byte(self.path), hint="Save the file as UTF-8 and try again.") from error
        except OSError as error:
            raise RefusedError(f"cannot read {self.path}: {error.strerror}") from error
        if not line:
            raise StopIteration
        if len(line) == _LONGEST_LINE:
            raise RefusedError(
                f"{self.path}, line {self.number + 1}: longer than {_LONGEST_LINE:,} characters",
                hint="Is it a CSV file with one recipient a line?",
            )
        return line


def _bad_byte(path: Path) -> str:
    """Where a file is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                bad, at = line[error.start], error.start + 1
                return f"{path}, line {number}: byte {at} of the line, 0x{bad:02x}, is not UTF-8"
    return f"{path} is not UTF-8"


def _sniff(lines: _Lines) -> str:
    """The delimiter of the header: the one that finds a `key` column, else the one that finds most columns."""
    lines.begin_record()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise RefusedError(f"{lines.path} is empty", hint="Expected a header line with a key column.")
    if "\0" in first:
        raise RefusedError(
            f"{lines.path}, line {lines.number}: holds NUL characters", hint="Save the file as UTF-8 and try again."
        )
    lines.give_again(len(lines.record) - 1)
    names = {each: [name.strip(' "\r\n') for name in first.split(each)] for each in _DELIMITERS}
    return max(_DELIMITERS, key=lambda each: ("key" in names[each], len(names[each])))


def _header(lines: _Lines, reader: Iterator[list[str]]) -> list[str]:
    start = lines.begin_record()
    try:
        columns = [name.strip() for name in next(reader)]
    except csv.Error as error:
        raise RefusedError(f"{lines.path}, line {start}: cannot read the header: {_explain(error)}") from error
    _check_columns(columns, f"{lines.path}, line {start}")
    return columns


def _check_columns(columns: Sequence[str], where: str) -> None:
    named = [name for name in columns if name]
    if "key" not in named:
        hint = "Every row needs a key that names its recipient for ever, such as an id or an address."
        if near := next((name for name in named if name.lower() in ("key", "id", "recipient")), None):
            hint += f" If that is {near}, rename the column to key."
        raise RefusedError(f"{where}: no column is called key; found {', '.join(named[:20])}", hint=hint)
    if doubled := sorted({name for name in named if named.count(name) > 1}):
        raise RefusedError(f"{where}: more than one column is called {doubled[0]}", hint="Rename or remove one.")


def _rows(lines: _Lines, reader: Iterator[list[str]], width: int) -> Iterator[AudienceRow]:
    while True:
        start = lines.begin_record()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if _is_unclosed(error, lines):
                lines.give_again(1)
            yield AudienceRow(start, ["".join(lines.record).rstrip("\r\n")], _explain(error))
            continue
        if not cells:
            continue
        problem = "" if len(cells) == width else f"expected {width} fields, got {len(cells)}"
        yield AudienceRow(start, cells, problem)


def _is_unclosed(error: csv.Error, lines: _Lines) -> bool:
    """Whether a quote ran on over lines that have nothing to do with it."""
    return len(lines.record) > 1 and "expected after" not in str(error)


_REASONS = {
    "unexpected end": "a quote is opened and never closed",
    "field larger": "a field is longer than 131,072 characters; is a quote not closed?",
    "expected after": "a quote stands inside a quoted field; expected it doubled",
}


def _explain(error: csv.Error) -> str:
    return next((reason for part, reason in _REASONS.items() if part in str(error)), str(error))
