"""The benchmark beside other queues: that it measures the same step, and believes no run that did not make it.

What needs packages of the extra `benchmarks` is left out here; every run of the benchmark checks those peers itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.engine import make_url

from benchmarks.peer import MissingError, Setting, contestant, require
from benchmarks.peer.running import Outcome, check, lay_out, run, seconds_of, time_processes
from benchmarks.peer.step import SCHEMA, decide, numbered
from benchmarks.peers import STEP, report, set_up, show
from benchmarks.server import plain_url
from benchmarks.tick import story

COUNT = 20
BEFORE, DECISION, NOW = story(STEP)
ONE_PROCESS = Setting(1, 3, "{} connections", "psycopg")  # the only driver that is always there


@pytest.fixture
def url(database_url: str) -> str:
    return plain_url(database_url)


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as connection:
        set_up(connection, url, ["engine", "row_at_a_time"], COUNT)
        yield connection


def test_row_at_a_time_every_conversation_makes_the_step_of_the_engine_once(
    connection: psycopg.Connection, url: str
) -> None:
    outcome = run(connection, url, "row_at_a_time", ONE_PROCESS, NOW, COUNT)
    check(connection, SCHEMA, DECISION, COUNT)
    assert outcome.count == COUNT
    assert outcome.rate_with_enqueueing == outcome.rate > 0
    connection.execute(
        "DELETE FROM home_made.outbox WHERE conversation_id IN (SELECT id FROM home_made.waiting LIMIT 1)"
    )
    with pytest.raises(AssertionError, match=r"home_made\.outbox: expected 20 rows"):
        check(connection, SCHEMA, DECISION, COUNT)


def test_conversations_that_nobody_moved_do_not_pass(connection: psycopg.Connection) -> None:
    references = lay_out(connection, contestant("row_at_a_time"), COUNT)
    assert len(set(references)) == COUNT
    with pytest.raises(AssertionError, match=r"home_made\.conversations: .* got \(20, 20, 0\)"):
        check(connection, SCHEMA, DECISION, COUNT)


def test_a_process_that_dies_ends_the_run(url: str) -> None:
    nowhere = make_url(url).set(database="gone").render_as_string(hide_password=False)
    with pytest.raises(RuntimeError, match=r"a process of row_at_a_time ended early: \[1\]"):
        time_processes(nowhere, "row_at_a_time", ONE_PROCESS, NOW)


def test_the_home_made_step_decides_as_the_engine_does_until_the_stage_is_over() -> None:
    later = [(1, timedelta(hours=100)), (2, timedelta(hours=169))]
    assert BEFORE.stage is not None
    assert BEFORE.entered_at is not None
    step, send = DECISION.steps[-1], DECISION.effects[-1]
    found = decide(BEFORE.stage, BEFORE.entered_at, {}, NOW)
    assert (found.stage, found.cause, found.edge, found.message) == (step.to, step.cause, step.edge, send.name)
    assert found.due_at == DECISION.next_due
    messages = [
        decide(BEFORE.stage, BEFORE.entered_at, {"follow_ups_sent": count}, BEFORE.entered_at + after)
        for count, after in later
    ]
    assert [(each.stage, each.message) for each in messages] == [
        ("awareness", "introduction_last"),
        ("no_answer", None),
    ]


def test_names_of_a_statement_become_numbers_and_each_value_is_given_once() -> None:
    statement = numbered("SELECT %(a)s, %(b)s, %(a)s")
    assert statement == ("SELECT $1, $2, $1", ("a", "b"))
    assert statement.values({"b": 2, "a": 1, "c": 3}) == [1, 2]


def test_the_first_tenth_of_many_steps_does_not_count() -> None:
    assert seconds_of([1.0, 2.0], [6.0]) == 5.0
    assert seconds_of([0.0], [8.0, 9.0, *range(10, 28)]) == 20.0  # 18 steps in 18 s, and two that took 9


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    monkeypatch.delitem(sys.modules, "benchmarks.peer.with_procrastinate", raising=False)
    with pytest.raises(MissingError, match=r"needs the package procrastinate.*pip install -e '\.\[benchmarks\]'"):
        contestant("with_procrastinate")
    monkeypatch.setattr("benchmarks.peer.version_of", {"sqlalchemy": "2", "psycopg": "3"}.get)
    with pytest.raises(MissingError, match="row_at_a_time needs the package asyncpg"):
        require("row_at_a_time")


def test_the_table_shows_the_best_setting_of_a_peer_and_every_one_of_the_engine() -> None:
    outcomes = {
        "engine": {"1 process": rounds(1000, 2000, 4000), "2 processes": rounds(3000, 3000, 3000)},
        "row_at_a_time": {"slow": rounds(100, 110, 900), "quick": rounds(200, 200, 200)},
    }
    rows = report(outcomes)
    assert [(row["setting"], row["best"]) for row in rows if "row at a time" in row["name"]] == [
        ("slow", False),
        ("quick", True),
    ]
    assert rows[-1]["of_the_engine"] == [0.2, 0.1, 0.05]  # each by the engine's first setting in the same round
    lines: list[str] = []
    show(rows, lines.append)
    shown = [line.split()[-1] for line in lines[1:]]
    assert shown == ["process", "processes", "quick"]
    assert "0.100 (0.050-0.200)" in lines[-1]
    assert f"sqlalchemy {sys.modules['sqlalchemy'].__version__}" in lines[-1]


def rounds(*rates: float) -> list[Outcome]:
    return [Outcome(100, 100 / rate) for rate in rates]
