"""The funnel while the demo runs: on a terminal a picture that changes, elsewhere a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

_BAR = 40  # columns
_EVERY = 10  # days between the lines


class Moment(NamedTuple):
    """How things stand at the end of a simulated day. `campaigns` are metrics as the manager gives them."""

    day: int
    now: datetime
    sent: int
    received: int
    campaigns: Sequence[Mapping[str, Any]]


class View(Protocol):
    def wants(self, day: int) -> bool:
        """Whether to show how things stand after that day."""
        ...

    def show(self, moment: Moment) -> None: ...


@contextmanager
def open_view(days: int) -> Iterator[View]:
    """The view that fits standard error: a live funnel on a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield _Lines(days)
        return
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        yield _Funnel(days, live)


class _Lines:
    def __init__(self, days: int) -> None:
        self._days = days

    def wants(self, day: int) -> bool:
        return day % _EVERY == 0 or day == self._days

    def show(self, moment: Moment) -> None:
        sys.stderr.write(f"{headline(moment, self._days)}\n")
        sys.stderr.flush()


class _Funnel:
    def __init__(self, days: int, live: Live) -> None:
        self._days = days
        self._live = live

    def wants(self, _day: int) -> bool:
        return True

    def show(self, moment: Moment) -> None:
        funnels = [part for each in moment.campaigns for part in (Text(""), funnel(each))]
        self._live.update(Group(Text(headline(moment, self._days), style="bold"), *funnels), refresh=True)


def headline(moment: Moment, days: int) -> str:
    """One line about all of it."""
    ended = sum(each["completed"] + each["stopped"] + each["failed"] for each in moment.campaigns)
    active = sum(each["active"] for each in moment.campaigns)
    return (
        f"day {moment.day:>{len(str(days))}} of {days}, {moment.now:%a %d %b}: {moment.sent:,} messages sent, "
        f"{moment.received:,} answers; {active:,} conversations active, {ended:,} ended"
    )


def funnel(metrics: Mapping[str, Any]) -> Table:
    """A campaign's stages in the order of their first visits, how many came there and how many are there now."""
    whole = max(1, metrics["total_conversations"])
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(metrics["campaign_type"], min_width=18, header_style="bold cyan")
    table.add_column("", min_width=_BAR)
    for name in ("entered", "here now"):
        table.add_column(name, justify="right")
    for stage, it in metrics["stages"].items():
        reached, present = it["entered"], it["current"]
        table.add_row(stage, bar(reached / whole, present / whole), f"{reached:,}", f"{present:,}")
    for outcome, count in metrics["outcomes"].items():
        table.add_row(Text(outcome, style="bold"), bar(count / whole, 0), f"{count:,}", "")
    return table


def bar(reached: float, present: float) -> Text:
    """A bar of those who came so far; the part of those who are still here is bright.

    >>> len(bar(0.5, 0.25)), len(bar(0, 0)), len(bar(7, 2))
    (20, 0, 40)
    """
    width = min(_BAR, round(reached * _BAR))
    bright = min(width, round(present * _BAR))
    return Text.assemble(("█" * bright, "green"), ("█" * (width - bright), "bright_black"))


def tell(line: str) -> None:
    """A line beside the result."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
