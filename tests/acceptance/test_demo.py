"""`campaign demo`, as its user meets it; with fewer people and days than usual."""

from __future__ import annotations

import csv
import json
import os
import pty
import shlex
import subprocess
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.db.embedded import EmbeddedPostgres
from tests.acceptance.conftest import ROOT, Process, Program

ELSEWHERE = {"DATABASE_URL": "postgresql://nobody@localhost:1/of_mine"}
UNSETTLED = {"campaign_id", "seconds"}  # what differs between runs


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of sixty people and one row that cannot be enrolled."""
    path = tmp_path_factory.mktemp("demo") / "few.csv"
    with (ROOT / "examples" / "recipients.csv").open(encoding="utf-8", newline="") as source:
        rows = list(islice(csv.reader(source), 61))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([*rows, [rows[1][0], *rows[2][1:]]])
    return path


@pytest.fixture(scope="module")
def demo(few: Path) -> subprocess.CompletedProcess[str]:
    """A run in a pipe. The server stops with it."""
    return Process(ELSEWHERE).run("demo", "--recipients", few, "--days", "20", "--json")


@pytest.fixture
def result(demo: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(demo.stdout)
    return found


def test_it_succeeds_whatever_database_url_says_with_a_few_plain_lines(
    demo: subprocess.CompletedProcess[str],
) -> None:
    assert demo.returncode == 0, demo.stderr
    lines = demo.stderr.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["day 10 of 20", "day 20 of 20"]
    assert "\x1b" not in demo.stdout + demo.stderr


def test_it_reports_both_campaigns_and_that_all_promises_were_kept(result: dict[str, Any]) -> None:
    assert (result["days"], result["recipients"], result["rejected"]) == (20, 60, 1)
    totals = {each["campaign_type"]: each["total_conversations"] for each in result["campaigns"]}
    assert totals == {"b2b_nurture": 60, "support_followup": 20}
    assert all(each["messages_sent"] and each["messages_received"] for each in result["campaigns"])
    assert result["campaigns"][1]["status"] == "completed"
    assert result["invariants"] == {"hold": True, "conversations": 80, "violations": []}


def test_every_message_can_be_read_in_a_file(result: dict[str, Any]) -> None:
    for path, campaign in zip(result["messages"], result["campaigns"], strict=True):
        messages = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
        assert len(messages) == campaign["messages_sent"]
        assert {each["campaign_id"] for each in messages} == {campaign["campaign_id"]}


def test_its_three_queries_run_and_show_both_campaigns(result: dict[str, Any]) -> None:
    names = {each["name"] for each in result["campaigns"]}
    assert len(result["queries"]) == 3
    with EmbeddedPostgres(), psycopg.connect(result["dsn"]) as connection:
        for query in result["queries"]:
            assert {row[0] for row in connection.execute(query["sql"])} == names, query["title"]


def test_its_commands_open_the_database_when_pasted_into_a_shell(result: dict[str, Any], tmp_path: Path) -> None:
    start, psql, stop = (each.replace(str(ROOT / "dev"), "./dev") for each in result["commands"])
    assert start == "env -u DATABASE_URL ./dev run db start"
    program = f'#!/bin/sh\nshift\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m engine.cli "$@"\n'
    (tmp_path / "dev").write_text(program)  # the real one would make a virtual environment first
    (tmp_path / "dev").chmod(0o755)
    (tmp_path / "query.sql").write_text("\n".join(query["sql"] for query in result["queries"]))
    script = f"set -e\n{start}\n{psql} --no-psqlrc -v ON_ERROR_STOP=1 -f query.sql\n{stop}\n"
    environment = os.environ | ELSEWHERE
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Ledgerline for growing teams") > 3
    assert not EmbeddedPostgres().running()


def test_on_a_terminal_a_funnel_lives_and_the_same_seed_brings_the_same_figures(
    few: Path, result: dict[str, Any]
) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "engine.cli", "demo", "--recipients", str(few), "--days", "20", "--json"]
    environment = Process({"TERM": "xterm"}).environment
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        shown = b""
        with suppress(OSError):  # what a terminal says when nobody is left at its other end
            while read := os.read(terminal, 65536):
                shown += read
        again = json.loads(process.communicate()[0])
    os.close(terminal)
    assert b"\x1b[" in shown
    assert "awareness" in shown.decode()
    assert "█" in shown.decode()

    def settled(of: dict[str, Any]) -> list[dict[str, Any]]:
        return [{name: value for name, value in each.items() if name not in UNSETTLED} for each in of["campaigns"]]

    assert settled(again) == settled(result)


def test_a_second_demo_says_that_it_waits_and_then_runs(few: Path) -> None:
    with EmbeddedPostgres() as server, server.lock("demo"):
        second = Process({}).start("demo", "--recipients", few, "--days", "1")
        assert second.stderr is not None
        assert second.stderr.readline() == "Another demo is running; this one starts when it ends.\n"
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert "history gapless, outbox equals history, metrics equal history: 80 conversations checked" in out
    assert "SELECT campaign, stage" in out


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "does not exist"), ("name\nann", "key"), ("key\nann\nbob", "no column first_name")],
)
def test_a_file_it_cannot_use_is_one_clear_message(
    offline: Program, tmp_path: Path, content: str | None, expected: str
) -> None:
    path = tmp_path / "people.csv"
    if content is not None:
        path.write_text(content)
    assert expected in offline.refuses("demo", "--recipients", path, "--days", "1")


def test_without_the_campaign_types_it_says_where_to_run_it(
    offline: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few: Path
) -> None:
    monkeypatch.setattr("engine.demo.run.ROOT", tmp_path)
    assert "Run it from a checkout, with ./dev demo." in offline.refuses("demo", "--recipients", few)
