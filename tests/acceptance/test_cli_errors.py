"""Whatever goes wrong is one clear message with the next step, an exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from engine.manager import CampaignManager
from tests.acceptance.conftest import CONTEXT, NOW, NURTURE, ROOT, Process, Program, wait_until

UNKNOWN = "00000000-0000-0000-0000-000000000000"


COMMANDS = (
    "show", "pause", "resume", "cancel", "metrics", "enrol", "conversations --campaign",
    "reply --recipient ann hello --campaign", "event --recipient ann opened --campaign",
)  # fmt: skip


def test_an_unknown_campaign_or_conversation_is_refused_with_where_to_look(campaign: Program) -> None:
    for id in ("nonsense", UNKNOWN):
        expected = f"error: unknown campaign {id}\nSee the campaigns with: campaign list\n"
        for command in COMMANDS:
            assert campaign.refuses(*command.split(), id) == expected
        assert "campaign conversations --campaign ID" in campaign.refuses("explain", id)


def test_an_unknown_stage_status_or_limit_is_refused(campaign: Program, people: Path) -> None:
    id = campaign.create(people)
    listing = ("conversations", "--campaign", id)
    assert "did you mean awareness?" in campaign.refuses(*listing, "--stage", "awarness")
    assert "did you mean stopped?" in campaign.refuses(*listing, "--status", "stoped")
    assert "expected a limit from 1" in campaign.refuses(*listing, "--limit", "0")
    assert "unknown conversation" in campaign.refuses(*listing, "--after", "nonsense")


@pytest.mark.parametrize("time", ["yesterday", "2026-02-30", "9999-12-31", "12:00", ""])
@pytest.mark.parametrize("command", [("tick", "--now"), ("work", "--now"), ("poll", "--now")])
def test_a_time_that_is_none_is_a_usage_error(offline: Program, command: tuple[str, ...], time: str) -> None:
    assert "expected one such as 2026-03-02T09:00:00Z" in offline.refuses(*command, time, code=2)


def test_a_time_without_offset_is_utc(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", "2026-03-02T09:00", "--starts-at", "2026-03-03T09:00+02:00")
    shown = campaign.json("show", id)
    assert shown["created_at"] == "2026-03-02T09:00:00+00:00"
    assert shown["starts_at"] == "2026-03-03T07:00:00+00:00"


def test_once_and_drain_exclude_each_other(offline: Program) -> None:
    assert "either --once or --drain" in offline.refuses("tick", "--once", "--drain", code=2)


def test_time_travel_is_refused_on_a_database_that_is_not_embedded(
    campaign: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAMPAIGN_ALLOW_TIME_TRAVEL")
    assert "set CAMPAIGN_ALLOW_TIME_TRAVEL=1" in campaign.refuses("tick", "--now", NOW)


def test_json_may_stand_before_the_command_too(campaign: Program) -> None:
    assert json.loads(campaign("--json", "list")) == []
    assert json.loads(campaign("--json", "db", "check"))["revision"]


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MAX_BATCH_SIZE", "0", "MAX_BATCH_SIZE: Input should be greater than or equal to 1, got '0'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL"),
        ("CAMPAIGN_CHANNELS", "email", "expected name=target pairs"),
        ("CAMPAIGN_CHANNELS", "email=pigeon", "expected NAME=console or NAME=file:PATH"),
        ("DATABASE_URL", "nonsense", "DATABASE_URL is not a database URL"),
        ("DATABASE_URL", "mysql://localhost/x", "expected a PostgreSQL database, got mysql"),
        ("DATABASE_URL", "postgresql://localhost:1/x", "cannot reach the database at localhost:1/x"),
    ],
)
def test_a_wrong_setting_is_named(
    offline: Program, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost:1/x")
    monkeypatch.setenv(variable, value)
    assert expected in offline.refuses("list")


def test_a_database_that_was_never_migrated_says_what_to_run(
    campaign: Program, postgresql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", os.environ["DATABASE_URL"].replace(postgresql.info.dbname, "postgres"))
    for command in (("list",), ("tick",), ("db", "check")):
        assert "campaign db upgrade" in campaign.refuses(*command)


def test_a_data_directory_that_cannot_be_used_is_named(
    offline: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CAMPAIGN_HOME", str(tmp_path / "file" / "home"))
    message = offline.refuses("list")
    assert "Set CAMPAIGN_HOME to a folder you can write to" in message


def test_a_database_lost_midway_is_told_and_the_work_is_done_the_next_time(
    campaign: Program, people: Path, postgresql: psycopg.Connection
) -> None:
    id = campaign.create(people, "--now", NOW)
    postgresql.autocommit = True
    postgresql.execute(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';"
        "CREATE TRIGGER lose BEFORE INSERT ON campaign_engine.outbox FOR EACH ROW EXECUTE FUNCTION lose()"
    )
    assert "try again" in campaign.refuses("tick", "--drain", "--now", NOW)
    postgresql.execute("DROP FUNCTION lose CASCADE")
    assert campaign.json("tick", "--drain", "--now", NOW)["advanced"] == 2
    assert campaign.json("metrics", id)["stages"]["awareness"]["entered"] == 2


def test_what_nobody_foresaw_is_an_internal_error_and_its_traceback_is_for_debug_alone(
    campaign: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_manager: CampaignManager) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(CampaignManager, "list_campaigns", fail)
    done = campaign.run("list")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("internal error: ZeroDivisionError\n")
    assert "secret" not in done.stderr
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert "Traceback" in campaign.run("list").stderr


def test_an_argument_that_is_no_text_is_refused(campaign: Program, people: Path) -> None:
    id = campaign.create(people)
    for arguments in (("show", "\udcff"), ("reply", "--campaign", id, "--recipient", "ann", "\udcff")):
        assert "is not text" in campaign.refuses(*arguments, code=2)


def test_ctrl_c_is_exit_code_130_and_what_was_in_hand_is_done_whole_or_not_at_all(
    process: Process, people: Path, postgresql: psycopg.Connection
) -> None:
    process.json("create", "--name", "Spring", "--type", NURTURE, "--recipients", people, *CONTEXT)
    postgresql.execute("LOCK TABLE campaign_engine.outbox IN ACCESS EXCLUSIVE MODE")
    running = process.start("tick", "--drain")

    def is_waiting() -> bool:
        found = postgresql.execute("SELECT FROM pg_locks WHERE NOT granted AND relation IS NOT NULL")
        return found.rowcount > 0

    wait_until(is_waiting)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    postgresql.rollback()
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err
    process.json("tick", "--drain")
    steps = postgresql.execute("SELECT count(*), count(DISTINCT conversation_id) FROM campaign_engine.stage_history")
    assert steps.fetchone() == (2, 2)


def test_a_reader_that_goes_away_is_no_error(process: Process) -> None:
    running = process.start("types", "schema")
    assert running.stdout is not None
    running.stdout.close()
    running.stdout = None
    _, err = running.communicate(timeout=30)
    assert err == ""


@pytest.mark.parametrize("command", ["", "create", "types lint"])
def test_help_loads_nothing_that_is_slow(command: str) -> None:
    look = (
        "import sys\n"
        "from engine.cli.app import app\n"
        f"try: app([*{command.split()}, '--help'])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules.keys() & {'engine.settings', 'sqlalchemy', 'psycopg', 'yaml', 'rich', 'asyncio'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.splitlines()[-1] == ""
    assert "Usage:" in done.stdout
