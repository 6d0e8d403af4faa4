"""The whole loop by hand: register, create, tick, work, reply, tick, explain, measure."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import CONTEXT, NOW, NURTURE, Process, Program, wait_until

NEXT_DAY = "2026-03-03T15:00:00Z"


@pytest.fixture
def mailbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "sent.jsonl"
    monkeypatch.setenv("CAMPAIGN_CHANNELS", f"email=file:{path}")
    return path


def conversation_of(campaign: Program, id: str, recipient: str) -> str:
    page = campaign.json("conversations", "--campaign", id)
    return next(each["id"] for each in page if each["recipient"] == recipient)


def test_the_loop_goes_round_by_hand(campaign: Program, people: Path, mailbox: Path) -> None:
    assert campaign.json("types", "register", NURTURE) == {"name": "b2b_nurture", "version": 1, "created": True}
    made = campaign.json(
        "create", "--name", "Spring", "--type", "b2b_nurture@1", "--recipients", people, *CONTEXT, "--now", NOW
    )
    assert (made["enrolled"], made["already"], made["rejected"]) == (2, 0, 1)
    id = made["id"]

    counts = campaign.json("tick", "--drain", "--now", NOW)
    assert list(counts) == ["claimed", "advanced", "completed", "failed", "seconds"]
    assert (counts["claimed"], counts["advanced"]) == (2, 2)
    assert campaign.json("work", "--drain", "--now", NOW) == {"sent": 2, "failed": 0, "retried": 0, "cancelled": 0}
    letters = [json.loads(line) for line in mailbox.read_text().splitlines()]
    assert {each["to"] for each in letters} == {"ann@example.org", "bob@example.org"}
    assert any("less = more" in each["text"] for each in letters)

    answered = campaign.json("reply", "--campaign", id, "--recipient", "ann", "Do tell!", "--at", NEXT_DAY)
    assert answered["status"] == "recorded"
    campaign.json("reply", "--campaign", id, "--recipient", "bob", "stop", "--at", NEXT_DAY)
    assert campaign.json("tick", "--drain", "--now", NEXT_DAY)["completed"] == 1

    ann = conversation_of(campaign, id, "ann")
    assert answered["conversations"] == [ann]
    explained = campaign.json("explain", ann, "--now", NEXT_DAY)
    assert explained["stage"] == "consideration"
    assert explained["timezone"] == "Europe/London"
    assert [each["to_stage"] for each in explained["history"]] == ["awareness", "consideration"]
    figures = campaign.json("metrics", id)
    assert (figures["active"], figures["stopped"], figures["response_rate"]) == (1, 1, 1.0)
    assert figures["stages"]["awareness"]["entered"] == 2
    assert campaign.json("tick", "--drain", "--now", NEXT_DAY)["advanced"] == 0


def test_people_read_the_same_in_tables(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", NOW)
    campaign("tick", "--now", NOW)
    assert id in campaign("list")
    assert "Spring" in campaign("show", id)
    assert "first_name=Ann" in campaign("explain", conversation_of(campaign, id, "ann"))
    assert "awareness" in campaign("conversations", "--campaign", id, "--stage", "awareness")
    assert "total conversations  2" in campaign("metrics", id)
    assert campaign("tick", "--now", NOW).startswith("0 claimed, 0 advanced")


def test_the_explanation_names_each_guard_its_verdict_and_the_zone_of_its_times(
    campaign: Program, people: Path
) -> None:
    id = campaign.create(people, "--now", NOW)
    campaign("tick", "--now", NOW)
    told = campaign("explain", conversation_of(campaign, id, "bob"), "--now", NOW)
    assert "in America/New_York, the recipient's zone" in told
    assert "now            2026-03-02 04:00:00" in told
    assert 'when answer == "stop": unknown, so it does not pass (answer is missing)' in told
    assert "waits for a response, not before 2026-03-03 04:00:00" in told  # min_stay
    assert "Nails,\nand more" in told


def test_a_paused_campaign_rests_until_it_is_resumed(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", NOW)
    assert campaign.json("pause", id, "--now", NOW)["status"] == "paused"
    assert campaign.json("tick", "--drain", "--now", NOW)["advanced"] == 0
    assert campaign.json("resume", id, "--now", NOW) == {"id": id, "name": "Spring", "status": "active", "woken": 2}
    assert campaign.json("tick", "--drain", "--now", NOW)["advanced"] == 2


def test_a_cancelled_campaign_stops_its_conversations_and_sends_nothing_more(
    campaign: Program, people: Path, mailbox: Path
) -> None:
    id = campaign.create(people, "--now", NOW)
    campaign("tick", "--drain", "--now", NOW)
    assert campaign.json("cancel", id, "--now", NOW)["stopped"] == 2
    assert campaign.json("cancel", id, "--now", NOW)["stopped"] == 0
    assert campaign.json("work", "--drain", "--now", NOW)["sent"] == 0
    assert not mailbox.exists()
    assert len(campaign.json("conversations", "--campaign", id, "--status", "stopped")) == 2
    assert "cannot become active" in campaign.refuses("resume", id)


def test_an_event_reaches_every_active_conversation_of_its_recipient_once(campaign: Program, people: Path) -> None:
    ids = [campaign.create(people, "--now", NOW) for _ in range(2)]
    told = ("event", "--recipient", "ann", "email_opened", "--message-id", "7", "--at", NOW)
    assert len(campaign.json(*told)["conversations"]) == len(ids)
    assert campaign.json(*told)["status"] == "repeated"
    one = campaign.json("event", "--campaign", ids[0], "--recipient", "ann", "email_opened")
    assert len(one["conversations"]) == 1


def test_an_answer_of_nobody_is_kept_with_a_warning(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", NOW)
    done = campaign.run("reply", "--campaign", id, "--recipient", "zoe", "hello", "--json")
    assert json.loads(done.stdout)["status"] == "unmatched"
    assert "kept as unmatched" in done.stderr


def test_the_poller_starts_a_campaign_in_its_time_and_ends_it(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", NOW, "--starts-at", "2026-03-03 09:00", "--ends-at", "2026-03-05T09:00+00:00")
    assert campaign.json("show", id)["status"] == "scheduled"
    assert campaign.json("poll", "--once", "--now", NOW) == {"requests": 0, "started": 0, "completed": 0}
    assert campaign.json("poll", "--once", "--now", "2026-03-03T09:00:00Z")["started"] == 1
    assert campaign.json("poll", "--now", "2026-03-05T09:00:00Z")["completed"] == 1
    assert campaign.json("show", id)["status"] == "completed"


def test_pages_of_conversations_go_on_where_the_last_one_ended(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", NOW)
    first = campaign.run("conversations", "--campaign", id, "--limit", "1", "--json")
    (shown,) = json.loads(first.stdout)
    assert f"--after {shown['id']}" in first.stderr
    (other,) = campaign.json("conversations", "--campaign", id, "--after", shown["id"])
    assert {shown["recipient"], other["recipient"]} == {"ann", "bob"}


def test_messages_of_a_channel_that_is_not_configured_wait_with_a_warning(campaign: Program, people: Path) -> None:
    campaign.create(people, "--now", NOW)
    campaign("tick", "--now", NOW)
    done = campaign.run("work", "--drain", "--now", NOW, "--json")
    assert json.loads(done.stdout)["sent"] == 0
    warning = json.loads(done.stderr)
    assert warning["event"] == "messages wait: their channel is not configured"
    assert "CAMPAIGN_CHANNELS=email=" in warning["hint"]


def test_several_processes_advance_everybody_once_and_their_counts_are_summed(
    campaign: Program, tmp_path: Path, postgresql: psycopg.Connection
) -> None:
    crowd = tmp_path / "crowd.csv"
    rows = [f"k{number},k{number}@example.org,Kim,Loom" for number in range(400)]
    crowd.write_text("\n".join(["key,email,first_name,company_name", *rows]))
    campaign.create(crowd, "--now", NOW)
    counts = campaign.json("tick", "--drain", "--workers", "2", "--now", NOW)
    assert counts["advanced"] == len(rows)
    assert 0 < counts["seconds"] < 60
    with postgresql.cursor() as cursor:
        cursor.execute("SELECT count(*), min(seq), max(seq) FROM campaign_engine.stage_history")
        assert cursor.fetchone() == (len(rows), 1, 1)


def test_run_does_it_all_until_it_is_asked_to_stop(process: Process, people: Path, tmp_path: Path) -> None:
    mailbox = tmp_path / "sent.jsonl"
    process.environment["CAMPAIGN_CHANNELS"] = f"email=file:{mailbox}"
    process.json("create", "--name", "Spring", "--type", NURTURE, "--recipients", people, *CONTEXT)
    running = process.start("run", "--json")
    wait_until(lambda: mailbox.exists() and len(mailbox.read_text().splitlines()) == 2)
    running.terminate()
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    did = json.loads(out)
    assert did["work"]["sent"] == 2
    assert did["tick"]["advanced"] == 2
    assert set(did["poll"]) == {"requests", "started", "completed"}


@pytest.mark.parametrize(("arguments", "members"), [(("poll",), 1), (("tick", "--workers", "2"), 2)])
def test_what_runs_on_and_on_ends_in_peace_on_sigterm(
    process: Process, arguments: tuple[str, ...], members: int, postgresql: psycopg.Connection
) -> None:
    running = process.start(*arguments, "--json")
    postgresql.autocommit = True
    count = "SELECT count(*) FROM campaign_engine.members"
    wait_until(lambda: postgresql.execute(count).fetchone() == (members,))
    running.terminate()
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert all(json.loads(line)["level"] == "info" for line in err.splitlines()), err
    assert set(json.loads(out).values()) >= {0}


@pytest.mark.parametrize(
    ("zone", "source", "says"),
    [
        ("Asia/Tokyo", "campaign", "in Asia/Tokyo, the campaign's zone, since the recipient has none"),
        (None, "default", "in UTC, since neither the recipient nor the campaign has a zone"),
    ],
)
def test_explain_says_whose_time_zone_a_conversation_keeps(
    campaign: Program, tmp_path: Path, zone: str | None, source: str, says: str
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("key,email,first_name,company_name\nann,ann@example.org,Ann,Loom\n", encoding="utf-8")
    id = campaign.create(people, "--now", NOW, *(("--timezone", zone) if zone else ()))
    conversation = conversation_of(campaign, id, "ann")
    assert campaign.json("explain", conversation, "--now", NOW)["timezone_source"] == source
    assert says in campaign("explain", conversation, "--now", NOW)
