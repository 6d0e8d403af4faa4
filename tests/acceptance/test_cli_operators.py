"""`campaign doctor`, `retry` and `move`, as an operator uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.acceptance.conftest import NOW, Program

LATER = "2026-03-02T10:00:00Z"


@pytest.fixture
def operated(campaign: Program, people: Path, postgresql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A campaign of two, of whom the first is parked: (program, campaign, her conversation)."""
    monkeypatch.setenv("MAX_ATTEMPTS", "1")
    id = campaign.create(people, "--now", NOW)
    campaign("tick", "--now", NOW)
    [ann] = [each["id"] for each in campaign.json("conversations", "--campaign", id) if each["recipient"] == "ann"]
    postgresql.autocommit = True
    postgresql.execute("UPDATE campaign_engine.conversations SET stage = 'gone', due_at = %s WHERE id = %s", (NOW, ann))
    assert campaign.json("tick", "--now", NOW)["failed"] == 1
    return campaign, id, ann


def examined(program: Program) -> tuple[int, Any]:

    done = program.run("doctor", "--json")
    return done.exit_code, json.loads(done.stdout)


def test_the_doctor_tells_what_is_parked_until_it_is_moved(operated: Any) -> None:
    program, id, ann = operated
    code, report = examined(program)
    assert (code, report["healthy"]) == (1, False)
    [parked] = [each for each in report["findings"] if each["what"] == "parked"]
    assert set(parked) == {"severity", "what", "where", "count", "message", "advice"}
    assert f"campaign retry --campaign {id}" in parked["advice"]
    done = program.run("doctor")
    assert done.exit_code == 1
    assert done.stderr == ""
    assert f"wrong  campaign {id} (Spring): parked as failed: 1 conversation, such as {ann}" in done.stdout
    moved = program.json("move", ann, "consideration", "--reason", "Her stage is gone", "--now", LATER)
    assert (moved["stage"], moved["status"], moved["seq"]) == ("consideration", "active", 2)
    assert "Her stage is gone" in program("explain", ann)
    assert "parked" not in [each["what"] for each in examined(program)[1]["findings"]]


def test_a_parked_conversation_is_retried_alone_or_with_its_campaign(operated: Any) -> None:
    program, id, ann = operated
    retried = program.json("retry", ann, "--now", LATER)
    assert (retried["status"], retried["due_at"]) == ("active", "2026-03-02T10:00:00+00:00")
    assert program.json("tick", "--now", LATER)["failed"] == 1
    assert program.json("retry", "--campaign", id, "--error", "no such words") == {"campaign": id, "retried": 0}
    assert program.json("retry", "--campaign", id, "--now", LATER) == {"campaign": id, "retried": 1}
    assert program("retry", "--campaign", id) == f"campaign  {id}\nretried   0\n"


def test_what_makes_no_sense_is_refused_with_what_to_do(operated: Any) -> None:
    program, id, ann = operated
    assert "expected either a CONVERSATION or --campaign ID" in program.refuses("retry", code=2)
    assert "expected either" in program.refuses("retry", ann, "--campaign", id, code=2)
    assert "goes with --campaign" in program.refuses("retry", ann, "--error", "x", code=2)
    assert "--reason" in program.refuses("move", ann, "consideration", code=2)
    assert "did you mean consideration?" in program.refuses("move", ann, "considration", "--reason", "x")
    assert "expected a reason" in program.refuses("move", ann, "consideration", "--reason", " ")
    assert "unknown conversation nonsense" in program.refuses("move", "nonsense", "consideration", "--reason", "x")
    assert "unknown conversation nonsense" in program.refuses("retry", "nonsense")
    assert "unknown campaign nonsense" in program.refuses("retry", "--campaign", "nonsense")
    program("cancel", id)
    assert f"error: campaign {id} is cancelled\n" in program.refuses("retry", ann)


def test_the_clock_is_not_stopped_by_hand_on_a_real_database(operated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program, _, ann = operated
    monkeypatch.delenv("CAMPAIGN_ALLOW_TIME_TRAVEL")
    for command in (("retry", ann), ("move", ann, "consideration", "--reason", "x")):
        assert "set CAMPAIGN_ALLOW_TIME_TRAVEL=1" in program.refuses(*command, "--now", LATER)


def test_every_command_refuses_a_database_that_does_not_fit_and_check_and_doctor_tell_all_of_it(
    campaign: Program, people: Path, postgresql: psycopg.Connection
) -> None:
    postgresql.autocommit = True
    postgresql.execute("DELETE FROM campaign_engine.send_gates WHERE bucket IN (60, 82)")
    create = ("create", "--name", "x", "--type", "b2b_nurture", "--recipients", people)
    for command in (create, ("list",), ("tick", "--once"), ("work", "--drain"), ("poll", "--once"), ("run",)):
        assert "error: bucket 60 has no row in send_gates" in campaign.refuses(*command)
    told = campaign.refuses("db", "check")
    assert "bucket 60 has no row" in told
    assert "bucket 82 has no row" in told
    code, report = examined(campaign)
    assert (code, [each["what"] for each in report["findings"]]) == (1, ["database", "database"])
