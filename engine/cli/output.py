"""Results on standard output, everything else on standard error.

JSON is one line in a pipe and indented on a terminal, with times in ISO 8601. Texts for people are never cut off in
a pipe, and whatever came from outside is shown without the control characters that could steer a terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import typer

_WIDE = 1_000  # columns of a pipe: as many as a row needs
_STEERING = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}

Progress = Callable[[int, int | None], None]
"""Hears how much is done, and of how much once that is known."""


def emit(result: Any, as_json: bool, show: Callable[[Any], None]) -> None:
    """Print the result of a command: as JSON, or as `show` does it for people."""
    if as_json:
        print_json(result)
    else:
        show(result)


def print_json(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, default=_plain, indent=2 if sys.stdout.isatty() else None)
    typer.echo(text.encode("utf-8", "replace").decode())


def _plain(value: Any) -> Any:
    """What JSON has no word for: times in ISO 8601, everything else as its text."""
    return value.isoformat() if isinstance(value, date) else str(value)


def say(text: str) -> None:
    """A line of the result."""
    typer.echo(text.translate(_STEERING))


def tell(text: str) -> None:
    """A line beside the result."""
    typer.echo(text.translate(_STEERING), err=True)


def write_text(path: Path, text: str, *, mode: str = "w") -> None:
    """Write a file, UTF-8. Raises RefusedError when it cannot be written."""
    from engine.core.errors import RefusedError

    try:
        with path.open(mode, encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        message = f"cannot write {str(path)!r}: {error.strerror or error}"
        raise RefusedError(message, hint="Name a file in a folder that exists and that you may write to.") from error


def expect_writable(path: Path) -> None:
    """Tell before long work that its result cannot be written; what stands in the file stays. Raises RefusedError."""
    write_text(path, "", mode="a")


def shown(value: Any) -> str:
    """A value as people read it in a table.

    >>> shown(None), shown(0.256), shown(datetime(2026, 3, 2, 9, tzinfo=UTC)), shown({"seats": 5})
    ('-', '0.256', '2026-03-02 09:00:00Z', 'seats=5')
    """
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        case Mapping():
            return ", ".join(f"{name}={shown(each)}" for name, each in value.items()) or "-"
    return str(value).translate(_STEERING)


def print_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one pair a line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        say(f"{name.replace('_', ' '):{width}}  {shown(value)}")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Rows under their columns."""
    from rich.console import Console
    from rich.table import Table

    console = Console(
        width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False, highlight=False, soft_wrap=False
    )
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        table.add_row(*map(shown, row))
    with console.capture() as captured:
        console.print(table)
    say("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A progress bar on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(bar, completed=done, total=total)
