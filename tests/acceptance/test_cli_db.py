"""`campaign db`, and the whole loop on an embedded server that starts by itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from engine.db.embedded import temporary_folder
from tests.acceptance.conftest import CONTEXT, NOW, NURTURE, Process, Program


@pytest.fixture
def embedded() -> Iterator[Process]:
    """The program as a process, with an embedded server in a folder of its own."""
    home = Path(tempfile.mkdtemp(prefix="campaign-tests-", dir=temporary_folder()))
    home.chmod(0o711)  # a server that root starts runs as another account
    process = Process({"CAMPAIGN_HOME": str(home / "home"), "DATABASE_URL": ""})
    yield process
    process.run("db", "stop")
    shutil.rmtree(home)


def test_the_loop_goes_round_on_an_embedded_server_that_starts_by_itself(embedded: Process, people: Path) -> None:
    started = embedded.run("db", "start")
    assert started.returncode == 0, started.stderr
    url = started.stdout.strip()
    create = ("create", "--name", "Spring", "--type", NURTURE, "--recipients", people, *CONTEXT, "--now", NOW)
    id = embedded.json(*create)["id"]
    assert embedded.json("tick", "--drain", "--now", NOW)["advanced"] == 2
    assert embedded.json("work", "--drain", "--now", NOW)["sent"] == 2
    outbox = Path(embedded.environment["CAMPAIGN_HOME"]) / "outbox" / "email.jsonl"
    assert len(outbox.read_text().splitlines()) == 2
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT messages_sent FROM reporting.campaign_summary").fetchone()
        assert found == (2,)
        connection.commit()
    assert embedded.json("metrics", id)["messages_sent"] == 2


def test_the_embedded_server_says_where_it_is_and_that_it_does_not_run(
    offline: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGN_HOME", str(tmp_path / "no where"))
    assert offline.json("db", "stop") == {"stopped": True}
    done = offline.run("db", "url")
    assert done.stdout == f"postgresql://postgres@/campaign?host={tmp_path}/no%20where/data&port=5432\n"
    assert "campaign db start" in done.stderr


def test_an_empty_database_is_migrated_and_then_fits(
    offline: Program, postgresql: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgresql.autocommit = True
    postgresql.execute("CREATE DATABASE empty")
    monkeypatch.setenv("DATABASE_URL", database_url.replace(postgresql.info.dbname, "empty"))
    assert "campaign db upgrade" in offline.refuses("db", "check")
    upgraded = offline.json("db", "upgrade")
    assert upgraded["from"] is None
    assert offline.json("db", "check") == {"revision": upgraded["to"]}
    assert offline.json("db", "upgrade")["from"] == upgraded["to"]
    postgresql.execute("DROP DATABASE empty")


def test_the_url_is_one_that_psql_takes(campaign: Program) -> None:
    url = campaign("db", "url").strip()
    assert os.environ["DATABASE_URL"].startswith("postgresql+psycopg://")
    with psycopg.connect(url) as connection:
        connection.execute("SELECT FROM campaign_engine.campaigns")


@pytest.mark.parametrize("command", ["start", "stop"])
def test_a_server_of_ones_own_is_not_ours_to_start_or_stop(campaign: Program, command: str) -> None:
    assert "DATABASE_URL is set" in campaign.refuses("db", command)


def test_upkeep_tells_what_it_made_dropped_and_kept(
    campaign: Program, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPAIGN_ALLOW_TIME_TRAVEL", "1")
    campaign("create", "--name", "Spring", "--type", NURTURE, "--recipients", people, *CONTEXT, "--now", NOW)
    campaign("tick", "--drain", "--now", NOW)
    dry = campaign.json("db", "maintain", "--dry-run", "--now", NOW)
    assert (len(dry["closed"]), len(dry["made"]), dry["dry_run"]) == (1, 3, True)
    assert campaign.json("db", "maintain", "--now", NOW) == dry | {"dry_run": False}
    later = campaign("db", "maintain", "--keep-days", "30", "--now", "2031-03-02")
    kept, made = later.splitlines()[-1], later.splitlines()[:-1]
    assert kept.endswith(": messages of it have not left")
    assert [line.split()[0] for line in made] == ["made"] * 4
    assert campaign("db", "maintain", "--now", "2031-03-02") == "Nothing to do.\n"
    assert "N" in campaign.refuses("db", "maintain", "--keep-days", "-1", code=2)
