"""Enrolment on a real PostgreSQL: who comes in, who does not, and that doing it again changes nothing."""

from __future__ import annotations

import asyncio
import csv
import os
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, text

import engine.enrolment
from engine.core.errors import RefusedError, RepositoryError, UnknownError
from engine.db.buckets import bucket_of_key, conversation_id, recipient_id
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.db.tables import conversations, metric_deltas, recipients
from engine.enrolment import EnrolmentReport
from tests.integration.launching import NOW, Launch, person

DAY = timedelta(days=1)
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'campaign-engine'
"""


@pytest.fixture
async def launch(database: Database) -> Launch:
    return await Launch(database).register()


# ---- what goes in ------------------------------------------------------------------------------------------------


async def test_a_recipient_and_a_conversation_are_made_of_a_row(launch: Launch, tmp_path: Path) -> None:
    id = await launch.campaign(context={"product": "Harbour", "seats": 50})
    report = await launch.enrol_text(
        id,
        tmp_path,
        "key,email,phone,timezone,locale,first_name,seats,price,met_at\n"
        "r-1,ann@example.org,+1 202 555 0100,Asia/Tokyo,ja_JP,Ann,12,9.50,2026-03-02T09:00\n",
    )
    assert report == EnrolmentReport(enrolled=1, already=0, rejected=0)
    facts = {"first_name": "Ann", "seats": 12, "price": 9.5, "met_at": "2026-03-02T00:00:00+00:00"}
    bucket = bucket_of_key("r-1")
    assert await launch.rows(recipients, *recipients.c.keys()) == [
        (
            bucket,
            recipient_id("r-1"),
            "r-1",
            "ann@example.org",
            "+1 202 555 0100",
            "Asia/Tokyo",
            "ja_JP",
            facts,
            None,
            NOW,
        )
    ]
    (row,) = await launch.rows(conversations, *conversations.c.keys())
    assert (row.bucket, row.id) == (bucket, conversation_id(id, "r-1"))
    assert (row.campaign_id, row.recipient_id, row.version) == (id, recipient_id("r-1"), 1)
    assert (row.seq, row.stage, row.status, row.attempts, row.inbox_waiting) == (0, None, "active", 0, False)
    assert (row.due_at, row.enrolled_at, row.entered_at) == (NOW, NOW, None)
    assert (row.timezone, row.locale) == ("Asia/Tokyo", "ja_JP")
    assert row.context == {"facts": {"product": "Harbour"} | facts, "captured": {}}
    assert (row.progress, row.pending, row.started_at) == ({"agenda": [[0, 0]]}, [NOW], None)
    assert await launch.counted(id) == {"enrolled": 1}


async def test_what_the_recipient_leaves_open_the_campaign_says(launch: Launch) -> None:
    id = await launch.campaign(timezone="Europe/Berlin", starts_at=NOW + DAY)
    await launch.enrol(id, person("ann"))
    (row,) = await launch.rows(conversations, "timezone", "locale", "due_at", "pending")
    assert row == ("Europe/Berlin", "en", NOW + DAY, [NOW + DAY])
    assert await launch.rows(recipients, "timezone", "locale") == [(None, None)]


async def test_a_start_in_the_past_is_the_due_time_all_the_same(launch: Launch) -> None:
    await launch.enrol(await launch.campaign(starts_at=NOW - DAY), person("ann"))
    assert await launch.rows(conversations, "due_at", "enrolled_at") == [(NOW - DAY, NOW)]


async def test_priority_guards_choose_the_lane_within_the_campaigns_lanes(launch: Launch) -> None:
    id = await launch.campaign()
    await launch.enrol(id, person("ann", vip="yes", seats=5), person("bob", seats=5), person("cy"))
    found = dict(await launch.rows(conversations, "id", "lane"))
    high, normal, low = (await launch.find(id)).lanes
    assert [found[conversation_id(id, key)] for key in ("ann", "bob", "cy")] == [high, low, normal]


async def test_awkward_text_arrives_as_it_was(launch: Launch, tmp_path: Path) -> None:
    names = ["tab\tand\nnewline", "back\\slash \\N \\.", '"quoted"', "naïve 🌍", "{{ liquid }}", "'; --"]
    path = tmp_path / "people.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("key", "email", "first_name"), *((f"k\\{n}\t", f"a{n}@b.org", name) for n, name in enumerate(names))]
        )
    report = await launch.enrolment().enrol_file(await launch.campaign(), path)
    assert (report.enrolled, report.rejected) == (len(names), 0)
    found = {row.key: row.facts["first_name"] for row in await launch.rows(recipients, "key", "facts")}
    assert found == {f"k\\{n}": name for n, name in enumerate(names)}


async def test_ten_thousand_recipients_lie_in_their_buckets_and_are_counted(launch: Launch) -> None:
    id = await launch.campaign()
    count = engine.enrolment._BLOCK + 234
    heard: list[tuple[int, int | None]] = []
    launched = engine.enrolment.Enrolment(
        launch.database, launch.clock, launch.registry, lambda done, total: heard.append((done, total))
    )
    report = await launched.enrol_recipients(id, [person(f"r{n}") for n in range(count)])
    assert report.enrolled == count
    assert await launch.counted(id) == {"enrolled": count}
    for table in (recipients, conversations):
        async with launch.database.transaction() as connection:
            rows = await connection.scalar(select(func.count()).select_from(table))
        assert rows == count
    for key, bucket, id_ in await launch.rows(recipients, "key", "bucket", "id"):
        assert (bucket, id_) == (bucket_of_key(key), recipient_id(key))
    assert heard[:2] == [(engine.enrolment._BLOCK, None), (count, None)]
    assert heard[-1] == (count, count)
    assert len(heard) == 2 + 64


async def test_columns_that_no_fact_declares_are_warned_of_and_not_kept(launch: Launch) -> None:
    report = await launch.enrol(await launch.campaign(), person("ann", colour="red", frist_name="Ann"))
    (warning,) = report.warnings
    assert "colour, frist_name are not used" in warning
    assert await launch.rows(recipients, "facts") == [({"first_name": "Ann"},)]


# ---- again -------------------------------------------------------------------------------------------------------


async def test_enrolling_again_adds_nobody_twice_and_touches_no_row(launch: Launch) -> None:
    id = await launch.campaign()
    people = [person("ann", seats=5), person("bob", timezone="Asia/Tokyo")]
    await launch.enrol(id, *people)
    tables = (recipients, conversations, metric_deltas)
    before = [await launch.rows(table, *table.c.keys()) for table in tables]
    async with launch.database.transaction() as connection:
        places = text("SELECT ctid::text, xmin::text, xmax::text FROM campaign_engine.recipients ORDER BY key")
        written = (await connection.execute(places)).all()
    launch.clock.advance(DAY)
    assert await launch.enrol(id, *people) == EnrolmentReport(enrolled=0, already=2, rejected=0)
    assert [await launch.rows(table, *table.c.keys()) for table in tables] == before
    async with launch.database.transaction() as connection:
        assert (await connection.execute(places)).all() == written


async def test_a_longer_file_adds_only_who_is_new(launch: Launch) -> None:
    id = await launch.campaign()
    await launch.enrol(id, person("ann"))
    report = await launch.enrol(id, person("ann"), person("bob"))
    assert (report.enrolled, report.already) == (1, 1)
    assert await launch.counted(id) == {"enrolled": 2}


async def test_new_values_of_a_known_recipient_win_and_the_others_stay(launch: Launch) -> None:
    await launch.enrol(await launch.campaign(), person("ann", phone="+12025550100", seats=5, plan="free", locale="de"))
    second = await launch.campaign(name="Summer", timezone="Asia/Tokyo")
    launch.clock.advance(DAY)
    report = await launch.enrol(second, person("ann", email="new@example.org", plan="team"))
    assert (report.enrolled, report.already) == (1, 0)
    (row,) = await launch.rows(recipients, *recipients.c.keys())
    assert (row.email, row.phone, row.locale, row.created_at) == ("new@example.org", "+12025550100", "de", NOW)
    assert row.facts == {"first_name": "Ann", "seats": 5, "plan": "team"}
    (first, other) = await launch.rows(conversations, "enrolled_at", "campaign_id", "locale", "timezone", "context")
    assert first.context["facts"]["plan"] == "free"
    assert (other.campaign_id, other.locale, other.timezone) == (second, "de", "Asia/Tokyo")


async def test_an_opt_out_stays_when_the_recipient_is_enrolled_again(launch: Launch) -> None:
    await launch.enrol(await launch.campaign(), person("ann"))
    async with launch.database.transaction() as connection:
        await connection.execute(recipients.update().values(unsubscribed_at=NOW))
    await launch.enrol(await launch.campaign(), person("ann", seats=9))
    assert await launch.rows(recipients, "unsubscribed_at") == [(NOW,)]


async def test_two_who_enrol_the_same_people_at_once_enrol_each_once(launch: Launch) -> None:
    id = await launch.campaign()
    people = [person(f"r{n}") for n in range(500)]
    reports = await asyncio.gather(*(launch.enrol(id, *order) for order in (people, people[::-1], people)))
    assert sum(report.enrolled for report in reports) == 500
    assert all(report.enrolled + report.already == 500 for report in reports)
    assert await launch.counted(id) == {"enrolled": 500}


async def test_what_a_crash_left_out_comes_in_the_next_time(launch: Launch) -> None:
    id = await launch.campaign()
    people = [person(f"r{n}") for n in range(300)]
    enrolment = launch.enrolment()

    class Killed(BaseException):
        pass

    def heard(done: int, total: int | None) -> None:
        if total is not None and done > 100:
            raise Killed

    enrolment._progress = heard
    with pytest.raises(Killed):
        await enrolment.enrol_recipients(id, people)
    there = len(await launch.rows(conversations, "id"))
    assert 100 < there < 300
    assert await launch.counted(id) == {"enrolled": there}
    report = await launch.enrol(id, *people)
    assert (report.enrolled, report.already) == (300 - there, there)
    assert await launch.counted(id) == {"enrolled": 300}


async def test_a_connection_lost_midway_is_told_as_such_and_loses_nothing(launch: Launch) -> None:
    id = await launch.campaign()
    people = [person(f"r{n}") for n in range(300)]
    enrolment = launch.enrolment()

    def heard(_done: int, total: int | None) -> None:
        if total is not None:
            with psycopg.connect(launch.database.url.set(drivername="postgresql").render_as_string(False)) as other:
                other.execute(CUT)

    enrolment._progress = heard
    with pytest.raises(RepositoryError) as caught:
        await enrolment.enrol_recipients(id, people)
    assert caught.value.retryable
    assert (await launch.enrol(id, *people)).enrolled < 300
    assert await launch.counted(id) == {"enrolled": 300}


# ---- what does not go in -----------------------------------------------------------------------------------------


async def test_bad_rows_are_kept_with_line_and_reason_while_the_good_go_in(launch: Launch, tmp_path: Path) -> None:
    report = await launch.enrol_text(
        await launch.campaign(),
        tmp_path,
        "key;email;first_name;seats;timezone\n"
        'ann;ann@example.org;"Ann\nMarie";5;\n'
        ";bob@example.org;Bob;5;\n"
        "ann;ann@example.org;Ann;5;\n"
        "cy;cy@;Cy;5;\n"
        "di;di@example.org;Di;5;Mars/Base\n"
        "ed;ed@example.org;Ed;many;\n"
        "flo;flo@example.org;;5;\n"
        "gil;;Gil;5;\n"
        "hal;hal@example.org\n"
        'ida;ida@example.org;"Ida;5;\n'
        "jo;jo@example.org;Jo;7;Asia/Tokyo\n",
    )
    reasons = [
        (4, "no key"),
        (5, "this key was seen before in the file"),
        (6, "the email is not possible: There must be something after the @-sign."),
        (7, "unknown time zone 'Mars/Base'; expected one such as Europe/Berlin"),
        (8, "seats: expected int 1..1000, got 'many'"),
        (9, "no first_name, a fact that may not be missing"),
        (10, "no email, which the channel email needs"),
        (11, "expected 5 fields, got 2"),
        (12, "a quote is opened and never closed"),
    ]
    rejects = tmp_path / "people.rejects.csv"
    assert report == EnrolmentReport(2, 0, 9, tuple(reasons), rejects)
    assert [key for (key,) in await launch.rows(recipients, "key")] == ["ann", "jo"]
    with rejects.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, delimiter=";")
    assert header == ["key", "email", "first_name", "seats", "timezone", "line", "reason"]
    assert [(int(row[-2]), row[-1]) for row in rows] == reasons
    assert rows[3][:5] == ["di", "di@example.org", "Di", "5", "Mars/Base"]


async def test_a_corrected_file_of_rejects_can_be_enrolled_as_it_is(launch: Launch, tmp_path: Path) -> None:
    id = await launch.campaign()
    report = await launch.enrol_text(id, tmp_path, "key,email,first_name\nann,,Ann\nbob,bob@example.org,Bob\n")
    assert report.rejects_file is not None
    report.rejects_file.write_text(report.rejects_file.read_text().replace("ann,,", "ann,ann@example.org,"))
    again = await launch.enrolment().enrol_file(id, report.rejects_file)
    assert (again.enrolled, again.rejected, again.rejects_file) == (1, 0, None)


async def test_without_rejects_no_file_is_left(launch: Launch, tmp_path: Path) -> None:
    await launch.enrol_text(await launch.campaign(), tmp_path, "key,email,first_name\nann,a@b.org,Ann\n")
    assert os.listdir(tmp_path) == ["people.csv"]


async def test_rejects_go_where_they_are_wanted_but_never_over_the_file_itself(launch: Launch, tmp_path: Path) -> None:
    id, path = await launch.campaign(), tmp_path / "people.csv"
    path.write_text("key,email,first_name\nann,,Ann\n")
    report = await launch.enrolment().enrol_file(id, path, tmp_path / "bad.csv")
    assert report.rejects_file == tmp_path / "bad.csv"
    assert report.rejects_file.exists()
    with pytest.raises(RefusedError, match="cannot go into"):
        await launch.enrolment().enrol_file(id, path, tmp_path / "." / "people.csv")


async def test_a_file_that_turns_bad_at_its_end_enrols_nobody_and_leaves_no_rejects(
    launch: Launch, tmp_path: Path
) -> None:
    id = await launch.campaign()
    good = "".join(f"r{n},r{n}@example.org,Ann\n" for n in range(500))
    with pytest.raises(RefusedError, match="line 503: byte 2 of the line, 0xff, is not UTF-8"):
        await launch.enrol_text(id, tmp_path, f"key,email,first_name\nx,,\n{good}".encode() + b"y\xff,,\n")
    assert await launch.rows(recipients, "key") == []
    assert os.listdir(tmp_path) == ["people.csv"]
    assert (await launch.enrol(id, person("ann"))).enrolled == 1


async def test_a_file_with_a_header_only_enrols_nobody(launch: Launch, tmp_path: Path) -> None:
    report = await launch.enrol_text(await launch.campaign(), tmp_path, "key,email,first_name\n")
    assert report == EnrolmentReport(0, 0, 0)


@pytest.mark.parametrize("status", ["completed", "cancelled", "failed"])
async def test_nobody_enters_a_campaign_that_is_over(launch: Launch, status: str) -> None:
    id = await launch.campaign()
    async with launch.database.transaction() as connection:
        await CampaignRepository(connection).mark_campaign(id, status, was=("active",), ended_at=NOW)
    with pytest.raises(RefusedError, match=f"is {status}; nobody can enter it"):
        await launch.enrol(id, person("ann"))


# ---- the audience a campaign was created with --------------------------------------------------------------------


async def test_the_audience_of_the_campaign_is_enrolled(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("key,email,first_name\nann,a@b.org,Ann\n")
    for audience in ({"file": str(path)}, {"recipients": [person("bob")]}):
        report = await launch.enrolment().enrol_campaign(str(await launch.campaign(audience=audience)))
        assert report.enrolled == 1
    assert [key for (key,) in await launch.rows(recipients, "key")] == ["ann", "bob"]


async def test_a_campaign_without_an_audience_and_one_that_is_unknown_are_told(launch: Launch) -> None:
    with pytest.raises(RefusedError, match="was created without an audience"):
        await launch.enrolment().enrol_campaign(await launch.campaign())
    with pytest.raises(UnknownError, match="unknown campaign nobody"):
        await launch.enrolment().enrol_campaign("nobody")
