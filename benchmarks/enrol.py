"""Enrolling a CSV file, beside a bare COPY of the very same rows into the same tables with their keys and indexes.

    python -m benchmarks.enrol [--recipients 100000] [--repeats 5] [--json]

Both are timed in turns on one server: the one of DATABASE_URL (in a database of its own, `campaign_benchmark`, made
anew), else a throwaway one with durable commits. The floor gets its rows ready-made, from memory and over one
connection, in an order that means nothing to the indexes, as a file's, and in the order of the primary keys, which
is the fastest. A ratio is the floor's time by the engine's: 1 would be as fast as the floor.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import resource
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from benchmarks.server import fresh_database, machine
from engine.authoring.files import load_spec
from engine.campaigns import NewCampaign, create_campaign
from engine.clock import DatabaseClock
from engine.db.database import Database
from engine.db.migrate import upgrade
from engine.enrolment import Enrolment
from engine.registry import TypeRegistry, register

TABLES = ("recipients", "conversations")
ORDERS = {"COPY, any order": ("key", "recipient_id"), "COPY, key order": ("bucket, id", "bucket, id")}  # of both tables
CAMPAIGN_TYPE = Path(__file__).parents[1] / "campaign_types" / "b2b_nurture.yaml"
CONTEXT = {"product_name": "Harbour", "value_proposition": "half the paperwork"}
ZONES = ("Europe/London", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "")


def write_csv(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "email", "phone", "timezone", "locale", "first_name", "company_name"])
        for number in range(count):
            key = f"r-{number:07}"
            zone = ZONES[number % len(ZONES)]
            writer.writerow([key, f"{key}@example.com", "", zone, "en_GB", f"Ann {number}", f"Acme {number % 977}"])


async def prepare(url: str) -> UUID:
    database = Database(url)
    try:
        async with database.transaction() as connection:
            await register(connection, load_spec(CAMPAIGN_TYPE))
            wanted = NewCampaign("benchmark", "b2b_nurture", context=CONTEXT)
            return await create_campaign(connection, DatabaseClock(), TypeRegistry(), wanted)
    finally:
        await database.close()


async def enrol(url: str, campaign_id: UUID, path: Path) -> float:
    """Seconds from an open pool to the report."""
    database = Database(url)
    try:
        enrolment = Enrolment(database, DatabaseClock(), TypeRegistry())
        async with database.transaction() as connection:
            await DatabaseClock().now(connection)
        start = perf_counter()
        report = await enrolment.enrol_file(campaign_id, path)
        seconds = perf_counter() - start
    finally:
        await database.close()
    assert not report.rejected, report
    return seconds


def export(connection: psycopg.Connection, order: Sequence[str]) -> dict[str, list[bytes]]:
    """The rows of both tables as blocks of COPY text, each table in the order given."""
    rows = {}
    for table, column in zip(TABLES, order, strict=True):
        query = sql.SQL("COPY (SELECT * FROM campaign_engine.{} ORDER BY {}) TO STDOUT")
        with connection.cursor().copy(query.format(sql.Identifier(table), sql.SQL(column))) as copy:
            lines = [bytes(block) for block in copy]
        rows[table] = [b"".join(lines[start : start + 1000]) for start in range(0, len(lines), 1000)]
    return rows


def empty(connection: psycopg.Connection) -> None:
    connection.execute(
        "TRUNCATE campaign_engine.recipients, campaign_engine.conversations, campaign_engine.metric_deltas"
    )
    connection.commit()
    connection.autocommit = True
    connection.execute("CHECKPOINT")
    connection.autocommit = False


def bare_copy(connection: psycopg.Connection, rows: dict[str, list[bytes]]) -> float:
    start = perf_counter()
    for table in TABLES:
        statement = sql.SQL("COPY campaign_engine.{} FROM STDIN").format(sql.Identifier(table))
        with connection.cursor().copy(statement) as copy:
            for block in rows[table]:
                copy.write(block)
    connection.commit()
    return perf_counter() - start


def measure(url: str, count: int, repeats: int) -> dict[str, Any]:
    upgrade(url)
    campaign_id = asyncio.run(prepare(url))
    times: dict[str, list[float]] = {}
    peak = 0
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(url) as connection:
        path = Path(folder) / "recipients.csv"
        write_csv(path, count)
        for _ in range(repeats):
            empty(connection)
            times.setdefault("engine", []).append(asyncio.run(enrol(url, campaign_id, path)))
            peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # before rows are exported
            times.setdefault("engine, once more", []).append(asyncio.run(enrol(url, campaign_id, path)))
            rows = {name: export(connection, columns) for name, columns in ORDERS.items()}
            for name in ORDERS:
                empty(connection)
                times.setdefault(name, []).append(bare_copy(connection, rows[name]))
    return report(count, times, peak, url)


def report(count: int, times: dict[str, list[float]], peak: int, url: str) -> dict[str, Any]:
    middle = {name: statistics.median(seconds) for name, seconds in times.items()}
    ratios = {
        name: [floor / engine for floor, engine in zip(times[name], times["engine"], strict=True)] for name in ORDERS
    }
    return {
        "recipients": count,
        "repeats": len(times["engine"]),
        "seconds": {
            name: {"median": round(middle[name], 3), "least": round(min(all_), 3), "most": round(max(all_), 3)}
            for name, all_ in times.items()
        },
        "recipients_per_second": round(count / middle["engine"]),
        "ratio_to": {name: round(statistics.median(each), 2) for name, each in ratios.items()},
        "peak_memory_mb": peak,
        **machine(url),
    }


def as_table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['recipients']:,} recipients, {found['repeats']} repeats, {found['machine']}, "
        f"PostgreSQL {found['postgresql']}, Python {found['python']}",
        f"{'':24}{'median':>9}{'least':>9}{'most':>9}{'ratio':>8}",
    ]
    for name, seconds in found["seconds"].items():
        spread = "".join(f"{seconds[each]:>8.2f}s" for each in ("median", "least", "most"))
        lines.append(f"{name:24}{spread}{found['ratio_to'].get(name, ''):>8}")
    lines.append(f"{found['recipients_per_second']:,} recipients/s, {found['peak_memory_mb']} MB of memory at most")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipients", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with fresh_database() as url:
        found = measure(url, options.recipients, options.repeats)
    print(json.dumps(found, indent=2) if options.json else as_table(found))  # noqa: T201


if __name__ == "__main__":
    main()
