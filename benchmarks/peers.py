"""The engine beside what one would pick instead, on one server, making the same step.

    python -m benchmarks.peers [--conversations 20000] [--most 2000] [--seconds 2.5] [--repeats 3] [--only NAME …]
                               [--json]

Needs packages that nothing else here needs: pip install -e '.[benchmarks]'

The step is the first follow-up of `b2b_nurture`: read a conversation, decide, write its stage, a row of history and a
message. It is made by this engine's tick; by a home-made queue, row at a time through SQLAlchemy's ORM; and by a job or
workflow a conversation of Procrastinate, PgQueuer and DBOS. The rows come out the same, and each run is checked: every
conversation moved exactly once, with one row of history and one message. Commits are durable for all.

The modules of `benchmarks.peer` tell which bulk call, driver and concurrency each documentation recommends. Each
contestant is tried with three settings in every round and shown with the best of them; a trial before tells how many
conversations it moves in a few seconds. A peer's first tenth is left out of its rate, and all
jobs of a queue are made before; beside it is the rate with making them. A ratio is to one process of the engine in the
same round that decides each conversation on its own; how it does when decisions can be shared is shown, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.enrol import enrol, prepare, write_csv
from benchmarks.peer import NAMES, Contestant, MissingError, contestant, require, version_of
from benchmarks.peer.engine import ALIKE
from benchmarks.peer.running import Outcome, check, create_home_made, run, time_processes
from benchmarks.peer.step import SCHEMA
from benchmarks.server import fresh_database, machine
from benchmarks.tick import load, story
from engine.db.migrate import upgrade

STEP = "follow_up"
ENGINE = NAMES[0]
TRIAL = 150  # conversations

Outcomes = dict[str, dict[str, list[Outcome]]]  # of contestants, of their settings, of the rounds


def measure(url: str, names: Sequence[str], count: int, most: int, seconds: float, repeats: int) -> Outcomes:
    """The outcome of every contestant with every setting in every round.

    A trial tells of each peer how many conversations it moves in about so many `seconds`, at the `most` so many.
    """
    before, decision, now = story(STEP)
    with psycopg.connect(url) as connection:
        set_up(connection, url, names, count)
        counts = {name: count_for(connection, url, name, now, most, seconds) for name in names[1:]}
        outcomes: Outcomes = {name: {str(each): [] for each in contestant(name).settings} for name in names}
        for _, name in product(range(repeats), names):
            for setting in contestant(name).settings:
                if name == ENGINE:
                    load(connection, before, now, kind="alike" if setting.kind == ALIKE else "alone")
                    outcome = Outcome(count, time_processes(url, name, setting, now))
                    check(connection, "campaign_engine", decision, count)
                else:
                    outcome = run(connection, url, name, setting, now, counts[name])
                    check(connection, SCHEMA, decision, outcome.count)
                outcomes[name][str(setting)].append(outcome)
    return outcomes


def set_up(connection: psycopg.Connection, url: str, names: Sequence[str], count: int) -> None:
    """Enrol `count` conversations, bring them to where the step is due, and make the tables of the peers."""
    before, _, now = story(STEP)
    upgrade(url)
    campaign_id = asyncio.run(prepare(url))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipients.csv"
        write_csv(path, count)
        asyncio.run(enrol(url, campaign_id, path))
    connection.execute(
        "CREATE TABLE loaded AS SELECT *, row_number() OVER () AS number FROM campaign_engine.conversations"
    )
    load(connection, before, now, kind="alone")
    create_home_made(connection)
    for name in names:
        if (install := contestant(name).install) is not None:
            install(url)


def count_for(connection: psycopg.Connection, url: str, name: str, now: datetime, most: int, seconds: float) -> int:
    """How many conversations a peer is given: what it moves in so many seconds, found by a trial of a few."""
    trial = run(connection, url, name, contestant(name).settings[0], now, min(TRIAL, most))
    return min(most, max(TRIAL, int(trial.rate * seconds)))


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
                    "name": label(contestant(name)),
                    "setting": setting,
                    "best": setting == best,
                    "conversations": found[0].count,
                    "per_second": rates,
                    "per_second_with_enqueueing": [each.rate_with_enqueueing for each in found],
                    "of_the_engine": [rate / engine for rate, engine in zip(rates, yard, strict=True)],
                }
            )
    return rows


def label(it: Contestant) -> str:
    """The contestant's name, and in brackets what it stands on."""
    return f"{it.name} ({', '.join(f'{name} {version_of(name)}' for name in it.packages)})"


def show(rows: Sequence[dict[str, Any]], say: Callable[[str], None]) -> None:
    """A line for each contestant with its best setting, for the engine with each."""
    say(f"{'':66} {'steps/s':>23}  {'of the engine':19}  {'jobs made, too':14}  setting")
    for row in rows:
        if row["best"] or row["name"] == label(contestant(ENGINE)):
            whole = f"{statistics.median(row['per_second_with_enqueueing']):,.0f}/s"
            rates, ratio = spread(row["per_second"], ",.0f"), spread(row["of_the_engine"], ".3f")
            say(f"{row['name']:66} {rates:>23}  {ratio:19}  {whole:>14}  {row['setting']}")


def spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=20_000, help="that the engine moves")
    parser.add_argument("--most", type=int, default=2_000, help="that a peer moves at most")
    parser.add_argument("--seconds", type=float, default=2.5, help="that a run of a peer takes at most, about")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--only", nargs="+", choices=NAMES[1:], default=NAMES[1:], help="these peers")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = (ENGINE, *given.only)
    try:
        for name in names:
            require(name)
    except MissingError as error:
        sys.exit(f"benchmarks.peers: {error}")
    if given.most > given.conversations:
        parser.error("--most: expected no more than --conversations, of which the peers are given the first ones")
    with fresh_database() as url:
        outcomes = measure(url, names, given.conversations, given.most, given.seconds, given.repeats)
        ran_on = machine(url)
    rows = report(outcomes)
    if given.json:
        print(json.dumps({"machine": ran_on, "rows": rows}, indent=2))  # noqa: T201
    else:
        print(json.dumps(ran_on))  # noqa: T201
        show(rows, print)


if __name__ == "__main__":
    main()
