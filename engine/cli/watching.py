"""`--watch`: the same command again whenever one of its files changes, until somebody ends it.

Files are looked at twice a second, and read when they have settled; a change is another time of change, size or file
under the name. A file that appears or disappears is a change too. Ctrl-C and SIGTERM end it, with exit code 0: to be
ended is what it waits for.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from engine.cli.command import explain
from engine.cli.output import tell

SECONDS = 0.5
SETTLED = 0.1
_MENTIONED = re.compile(r"""\b(?:file|campaign_type):[ \t]*['"]?([^\s'",{}]+)""")
_LONGEST = 4_000_000  # bytes of a file in which others can be mentioned

Stamps = dict[Path, tuple[int, int, int] | None]


def watch(files: Callable[[], Iterable[Path]], run: Callable[[], None]) -> None:
    """Call `run` now and after every change of `files` or of what they mention. Raises typer.Exit at the end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while True:
            seen = _stamps(files)  # before the run, so that a change during it is not missed
            if sys.stdout.isatty():
                _clear()
            _run(run)
            tell(f"watching {len(seen)} files; Ctrl-C ends it")
            while _stamps(files) == seen:
                time.sleep(SECONDS)
            _settle(files)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _settle(files: Callable[[], Iterable[Path]]) -> None:
    """Wait until nothing changes any more: many programs empty a file and then write it."""
    before: Stamps | None = None
    while (now := _stamps(files)) != before:
        before = now
        time.sleep(SETTLED)


def _clear() -> None:
    from rich.console import Console

    Console().clear()


def _run(run: Callable[[], None]) -> None:
    """One run; whatever it comes to, the watch goes on."""
    try:
        run()
    except typer.Exit:
        pass
    except typer.BadParameter as error:
        tell(f"error: {error.format_message()}")
    except Exception as error:  # noqa: BLE001 - told, as it would be without --watch
        tell(explain(error))


def _stamps(files: Callable[[], Iterable[Path]]) -> Stamps:
    try:
        found = list(files())
    except typer.BadParameter:  # a folder without files, for now
        found = []
    return {path: _stamp(path) for path in dict.fromkeys([*found, *(it for each in found for it in _mentioned(each))])}


def _mentioned(path: Path) -> Iterable[Path]:
    """The files beside `path` that its text seems to name: bodies of messages, the type that scenarios are about."""
    try:
        text = path.read_bytes()[:_LONGEST].decode(errors="replace")
        names = [name for found in _MENTIONED.findall(text) for name in (found, f"{found}.yaml")]
        return [each for name in names if (each := path.parent / name).is_file()]
    except (OSError, ValueError):
        return []


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
