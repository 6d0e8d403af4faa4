"""The engine beside what one would pick instead, on one server, making the same step.

    python -m benchmarks.peers [--conversations 20000] [--peers 2000] [--repeats 3] [--only NAME …] [--json]

Needs packages that nothing else here needs: pip install -e '.[benchmarks]'

The step is the first follow-up of `b2b_nurture`: read a conversation, decide, write its stage, a row of history and a
message. It is made by this engine's tick; by a home-made queue, row at a time through SQLAlchemy's ORM; and by a job or
workflow a conversation of Procrastinate, PgQueuer and DBOS. The rows come out the same, and each run is checked: every
conversation moved exactly once, with one row of history and one message. Commits are durable for all.

The modules of `benchmarks.peer` tell which bulk call, driver and concurrency each documentation recommends. Each
contestant is tried with three settings in every round and shown with the best of them. A rate counts from the first
step's begin to the last one's end, for a queue with all its jobs made before; what making them costs is told beside.
A ratio is to one process of the engine in the same round that decides each conversation on its own, although it may
share decisions among conversations that are alike; that is shown, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.enrol import enrol, prepare, write_csv
from benchmarks.peer import NAMES, Contestant, MissingError, contestant
from benchmarks.peer.running import Outcome, check, create_home_made, run, time_processes
from benchmarks.peer.step import SCHEMA
from benchmarks.server import fresh_database, machine
from benchmarks.tick import load, story
from engine.db.migrate import upgrade

STEP = "follow_up"
ENGINE = NAMES[0]

Outcomes = dict[str, dict[str, list[Outcome]]]  # of contestants, of their settings, of the rounds


def measure(url: str, names: Sequence[str], count: int, peer_count: int, repeats: int) -> Outcomes:
    """The outcome of every contestant with every setting in every round."""
    before, decision, now = story(STEP)
    upgrade(url)
    campaign_id = asyncio.run(prepare(url))
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(url) as connection:
        path = Path(folder) / "recipients.csv"
        write_csv(path, count)
        asyncio.run(enrol(url, campaign_id, path))
        connection.execute(
            "CREATE TABLE loaded AS SELECT *, row_number() OVER () AS number FROM campaign_engine.conversations"
        )
        load(connection, before, now, alike=False)
        create_home_made(connection)
        for name in names:
            if (install := contestant(name).install) is not None:
                install(url)
        outcomes: Outcomes = {name: {str(each): [] for each in contestant(name).settings} for name in names}
        for _ in range(repeats):
            for name in names:
                it = contestant(name)
                for setting in it.settings:
                    if name == ENGINE:
                        load(connection, before, now, alike=setting.alike)
                        outcome = Outcome(count, time_processes(url, name, setting, now))
                        check(connection, "campaign_engine", decision, count)
                    else:
                        outcome = run(connection, url, name, setting, now, int(peer_count * it.share))
                        check(connection, SCHEMA, decision, outcome.count)
                    outcomes[name][str(setting)].append(outcome)
    return outcomes


def report(outcomes: Outcomes) -> list[dict[str, Any]]:
    """A row for each contestant and setting; the best setting of each contestant is marked."""
    yard = [each.rate for each in next(iter(outcomes[ENGINE].values()))]
    rows = []
    for name, settings in outcomes.items():
        best = max(settings, key=lambda setting: statistics.median(each.rate for each in settings[setting]))
        for setting, found in settings.items():
            rates = [each.rate for each in found]
            rows.append(
                {
                    "name": contestant(name).name,
                    "setting": setting,
                    "best": setting == best,
                    "per_second": rates,
                    "per_second_with_enqueueing": [each.rate_with_enqueueing for each in found],
                    "of_the_engine": [rate / engine for rate, engine in zip(rates, yard, strict=True)],
                }
            )
    return rows


def versions(it: Contestant) -> str:
    return ", ".join(f"{name} {version(name)}" for name in it.packages)


def show(rows: Sequence[dict[str, Any]], versions: dict[str, str], say: Callable[[str], None]) -> None:
    """A line for each contestant with its best setting, for the engine with each."""
    say(f"{'':24} {'steps/s':>23} {'of the engine':>20} {'with enqueueing':>16}  setting")
    for row in rows:
        if row["best"] or row["name"] == contestant(ENGINE).name:
            whole = f"{statistics.median(row['per_second_with_enqueueing']):,.0f}/s"
            ratio = spread(row["of_the_engine"], ".3f")
            say(f"{row['name']:24} {spread(row['per_second'], ',.0f'):>23} {ratio:>20} {whole:>16}  {row['setting']}")
    for name, which in versions.items():
        say(f"{name}: {which}")


def spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=20_000, help="that the engine moves")
    parser.add_argument("--peers", type=int, default=2_000, help="that a peer moves, a slow one a part of them")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=NAMES[1:], default=NAMES[1:], help="these peers")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = (ENGINE, *given.only)
    try:
        packages = {contestant(name).name: versions(contestant(name)) for name in names}
    except MissingError as error:
        sys.exit(f"benchmarks.peers: {error}")
    if given.peers > given.conversations:
        parser.error("--peers: expected no more than --conversations, of which the peers are given the first ones")
    with fresh_database() as url:
        rows = report(measure(url, names, given.conversations, given.peers, given.repeats))
        ran_on = machine(url)
    if given.json:
        print(json.dumps({"machine": ran_on, "versions": packages, "rows": rows}, indent=2))  # noqa: T201
    else:
        print(json.dumps(ran_on))  # noqa: T201
        show(rows, packages, print)


if __name__ == "__main__":
    main()
