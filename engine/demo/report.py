"""The demo's report: exact figures, whether the engine kept its promises, and how to look further."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from engine.db.embedded_files import ServerAccount, default_home, programs_for
from engine.db.migrate import ROOT
from engine.demo.run import Report

_WIDE = 120  # columns of a pipe


class Query(NamedTuple):
    title: str
    sql: str


QUERIES = (
    Query(
        "Where people are lost",
        "SELECT campaign, stage, entered, completed, completion_rate, responded\n"
        "FROM reporting.funnel ORDER BY campaign, entered DESC;",
    ),
    Query(
        "How conversations ended, and after how long",
        "SELECT campaign, outcome, exit, count, share, justify_hours(average_duration) AS after\n"
        "FROM reporting.outcomes ORDER BY campaign, count DESC;",
    ),
    Query(
        "Week by week",
        "SELECT campaign, date_trunc('week', day)::date AS week, sum(sent) AS sent, sum(received) AS received,\n"
        "       sum(finished) AS finished\n"
        "FROM reporting.daily_activity GROUP BY 1, 2 ORDER BY 1, 2;",
    ),
)


def print_report(report: Report, as_json: bool) -> None:
    """The report on standard output, as JSON or for people."""
    if as_json:
        sys.stdout.write(json.dumps(_plain(report), ensure_ascii=False) + "\n")
        return
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, soft_wrap=True)
    for metrics in report.campaigns:
        console.print(f"\n{metrics['name']}: {metrics['campaign_type']}, {metrics['status']}", style="bold")
        console.print(_outcomes(metrics))
        console.print(_stages(metrics), soft_wrap=False)
    for line in _ending(report):
        console.print(line)


def _plain(report: Report) -> dict[str, Any]:
    return {
        "days": report.days,
        "seconds": report.seconds,
        "recipients": report.recipients,
        "rejected": report.rejected,
        "answers": report.received,
        "repeated": report.repeated,
        "campaigns": report.campaigns,
        "dsn": report.url,
        "commands": commands(report.url),
        "queries": [query._asdict() for query in QUERIES],
        "messages": [str(path) for path in report.mail],
        "invariants": {
            "hold": not report.violations,
            "conversations": _conversations(report),
            "violations": report.violations,
        },
    }


def _conversations(report: Report) -> int:
    return sum(metrics["total_conversations"] for metrics in report.campaigns)


def _outcomes(metrics: Mapping[str, Any]) -> str:
    outcomes = [f"{count:,} {outcome}" for outcome, count in metrics["outcomes"].items()]
    ended = ", ".join([*outcomes, f"{metrics['active']:,} active"])
    answered = "-" if metrics["response_rate"] is None else f"{metrics['response_rate']:.1%}"
    return (
        f"{metrics['total_conversations']:,} conversations: {ended}; {metrics['messages_sent']:,} messages sent, "
        f"{metrics['messages_received']:,} answers, {answered} answered at least once"
    )


def _stages(metrics: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("stage")
    for name in ("entered", "completed", "here now", "average days", "sent", "answers", "answered"):
        table.add_column(name, justify="right")
    for stage, it in metrics["stages"].items():
        days = "-" if it["average_seconds"] is None else f"{it['average_seconds'] / 86_400:.1f}"
        answered = "-" if it["response_rate"] is None else f"{it['response_rate']:.1%}"
        counts = (it["entered"], it["completed"], it["current"])
        exchanged = (it["messages_sent"], it["messages_received"])
        table.add_row(stage, *map(str, counts), days, *map(str, exchanged), answered)
    return table


def _ending(report: Report) -> Iterator[str]:
    yield f"\n{report.days} days in {report.seconds} s. {report.repeated} answers came twice and were counted once."
    if report.rejected:
        yield f"{report.rejected} rows could not be enrolled."
    if report.violations:
        yield "BROKEN PROMISES, which is a defect of the engine:"
        yield from (f"  {line}" for line in report.violations)
    else:
        yield (
            "history gapless, outbox equals history, metrics equal history: "
            f"{_conversations(report):,} conversations checked"
        )
    yield f"Every message that was sent: {', '.join(map(str, report.mail))}"
    yield "\nLook further. The database stays until the next demo; these start its server, open it and stop it:\n"
    yield from (f"  {command}" for command in commands(report.url))
    yield "\nand there, for example:"
    for query in QUERIES:
        yield f"\n-- {query.title}\n{query.sql}"


def commands(url: str) -> list[str]:
    """Lines to paste into a shell: start the server, open the demo's database, stop the server."""
    dev = "./dev" if Path.cwd() == ROOT else shlex.quote(str(ROOT / "dev"))
    if os.environ.get("DATABASE_URL"):
        dev = f"env -u DATABASE_URL {dev}"
    return [f"{dev} run db start", f"{shlex.quote(_psql())} {shlex.quote(url)}", f"{dev} run db stop"]


def _psql() -> str:
    """The user's psql, or the one that came with the embedded server."""
    if shutil.which("psql"):
        return "psql"
    home = default_home()
    return str(programs_for(ServerAccount(home), home) / "psql")
