"""The poller: requests become campaigns, campaigns start in time and end when they are done."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from engine.core.errors import RefusedError, RepositoryError
from engine.db.campaigns import CampaignRepository, CampaignRow
from engine.db.database import Database
from engine.db.metrics import Delta, MetricsRepository
from engine.db.tables import campaign_requests, conversations, metric_deltas, stage_history
from engine.enrolment import Enrolment, EnrolmentReport
from engine.poller import PollCounts, Poller, parse_request
from engine.settings import Settings
from engine.tick import Tick
from tests.integration.launching import NOW, Launch, person

HOUR = timedelta(hours=1)
ONE_BY_ONE = text("""
    INSERT INTO campaign_engine.metric_deltas (bucket, campaign_id, day, metric, count)
    SELECT :bucket, :id, '2026-03-02', 'sent', 1 FROM generate_series(1, :many)
""")
ENDS = ("conversation_id", "cause")


@pytest.fixture
async def launch(database: Database) -> Launch:
    return await Launch(database).register()


def poller(launch: Launch) -> Poller:
    settings = Settings()
    tick = Tick(launch.database, settings, launch.clock, launch.registry)
    return Poller(launch.database, settings, launch.clock, launch.registry, tick.end_campaign)


async def request(launch: Launch, **payload: Any) -> UUID:
    given = {"name": "Spring", "type": "greeting", "context": {"product": "Harbour"}} | payload
    if "file" not in payload:
        given.setdefault("recipients", [person("ann")])
    async with launch.database.transaction() as connection:
        return await CampaignRepository(connection).insert_request(given)


async def campaigns(launch: Launch) -> list[CampaignRow]:
    async with launch.database.transaction() as connection:
        return await CampaignRepository(connection).find_campaigns()


async def requests(launch: Launch) -> Any:
    return await launch.rows(campaign_requests, "created_at", "status", "error", "campaign_id", "processed_at")


async def finish(launch: Launch, campaign_id: UUID, count: int) -> None:
    async with launch.database.transaction() as connection:
        delta = Delta(campaign_id, NOW.date(), "finished", "hello", "done", "won", count)
        await MetricsRepository(connection).insert_deltas(60, [delta])


# ---- requests ----------------------------------------------------------------------------------------------------


async def test_a_request_becomes_a_campaign_with_its_recipients(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("key,email,first_name\nbob,bob@example.org,Bob\ncy,cy@example.org,Cy\n")
    await request(launch, priority="high", ends_at="2026-04-01T00:00:00+02:00", version=1)
    await request(launch, name="Later", file=str(path), starts_at="2026-03-03T09:00", timezone="Asia/Tokyo")
    assert await poller(launch).poll_once() == PollCounts(requests=2)
    later, spring = sorted(await campaigns(launch), key=lambda row: row.name)
    assert (spring.status, spring.priority, spring.context) == ("active", "high", {"product": "Harbour"})
    assert spring.ends_at is not None
    assert spring.ends_at.isoformat() == "2026-03-31T22:00:00+00:00"
    assert (later.status, later.starts_at) == ("scheduled", NOW.replace(day=3, hour=0))
    assert await launch.counted(spring.id) == {"enrolled": 1}
    assert await launch.counted(later.id) == {"enrolled": 2}
    assert [(row.status, row.campaign_id, row.processed_at) for row in await requests(launch)] == [
        ("done", spring.id, NOW), ("done", later.id, NOW)
    ]  # fmt: skip
    assert await poller(launch).poll_once() == PollCounts()


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"type": "greting"}, "unknown campaign type greting; expected one of greeting; did you mean greeting?"),
        ({"version": 9}, "greeting has no version 9"),
        ({"priority": "urgent"}, "unknown priority 'urgent'"),
        ({"context": {"seats": "many"}}, "context: seats: expected int 1..1000"),
        ({"starts_at": "soon"}, "starts_at"),
        ({"timezone": "Mars/Base", "starts_at": "2026-03-03T09:00"}, "unknown time zone 'Mars/Base'"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"file": "people.csv", "recipients": []}, "expected either recipients or file"),
        ({"recipients": None}, "expected either recipients or file"),
        ({"recipients": ["ann"]}, "recipients.0"),
    ],
)
async def test_a_request_that_makes_no_sense_fails_with_its_error_and_the_others_go_on(
    launch: Launch, payload: dict[str, Any], error: str
) -> None:
    await request(launch, **payload)
    await request(launch, name="Good")
    assert await poller(launch).poll_once() == PollCounts(requests=1)
    bad, good = await requests(launch)
    assert (bad.status, bad.campaign_id, good.status) == ("failed", None, "done")
    assert error in bad.error
    assert [row.name for row in await campaigns(launch)] == ["Good"]


@pytest.mark.parametrize("payload", [[], "hello", 5, {"name": "x"}, {}])
async def test_a_payload_of_another_shape_fails_alone(launch: Launch, payload: Any) -> None:
    async with launch.database.transaction() as connection:
        await CampaignRepository(connection).insert_request(payload)
    assert await poller(launch).poll_once() == PollCounts()
    (row,) = await requests(launch)
    assert row.status == "failed"
    assert row.error.startswith("the request makes no sense:")


async def test_a_request_whose_file_cannot_be_read_fails_with_its_campaign(launch: Launch, tmp_path: Path) -> None:
    await request(launch, file=str(tmp_path / "nobody.csv"))
    assert await poller(launch).poll_once() == PollCounts()
    (row,) = await requests(launch)
    (campaign,) = await campaigns(launch)
    assert (row.status, row.campaign_id) == ("failed", campaign.id)
    assert "nobody.csv does not exist" in row.error
    assert (campaign.status, campaign.ended_at) == ("failed", NOW)


async def test_a_request_left_by_a_dead_poller_goes_on_with_the_same_campaign(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    await request(launch)

    async def lost(*_: object) -> EnrolmentReport:
        raise RepositoryError("cannot reach the database", retryable=True)

    with monkeypatch.context() as patch:
        patch.setattr(Enrolment, "enrol_campaign", lost)
        with pytest.raises(RepositoryError):
            await poller(launch).poll_once()
    (campaign,) = await campaigns(launch)
    assert await poller(launch).poll_once() == PollCounts()
    launch.clock.advance(timedelta(seconds=Settings().lease_seconds + 1))
    assert await poller(launch).poll_once() == PollCounts(requests=1)
    assert [row.id for row in await campaigns(launch)] == [campaign.id]
    assert await launch.counted(campaign.id) == {"enrolled": 1}


async def test_two_pollers_at_once_make_each_campaign_once(launch: Launch) -> None:
    for number in range(6):
        await request(launch, name=f"Number {number}")
    counts = await asyncio.gather(poller(launch).poll_once(), poller(launch).poll_once())
    assert sum(each.requests for each in counts) == 6
    assert len(await campaigns(launch)) == 6


def test_all_that_is_wrong_with_a_request_is_told_at_once() -> None:
    with pytest.raises(RefusedError) as caught:
        parse_request({"name": 5, "version": "one", "recipients": {}})
    assert len(caught.value.message.splitlines()) == 5


# ---- starts and ends ---------------------------------------------------------------------------------------------


async def test_a_scheduled_campaign_starts_when_its_time_has_come(launch: Launch) -> None:
    id = await launch.campaign(starts_at=NOW + HOUR)
    assert await poller(launch).poll_once() == PollCounts()
    launch.clock.advance(HOUR)
    assert await poller(launch).poll_once() == PollCounts(started=1)
    assert (await launch.find(id)).status == "active"
    assert await poller(launch).poll_once() == PollCounts()


async def test_a_campaign_is_completed_when_all_its_conversations_are(launch: Launch) -> None:
    id = await launch.campaign()
    await launch.enrol(id, person("ann"), person("bob"))
    await finish(launch, id, 1)
    assert await poller(launch).poll_once() == PollCounts()
    launch.clock.advance(HOUR)
    await finish(launch, id, 1)
    assert await poller(launch).poll_once() == PollCounts(completed=1)
    campaign = await launch.find(id)
    assert (campaign.status, campaign.ended_at) == ("completed", NOW + HOUR)
    assert await poller(launch).poll_once() == PollCounts()


async def test_a_campaign_is_completed_also_when_its_counts_are_in_rollups(launch: Launch) -> None:
    id = await launch.campaign()
    await launch.enrol(id, person("ann"))
    await finish(launch, id, 1)
    async with launch.database.transaction() as connection:
        repository = MetricsRepository(connection)
        for bucket in await repository.find_buckets_with_deltas():
            await repository.compact_deltas(bucket)
    assert await poller(launch).poll_once() == PollCounts(completed=1)


async def test_a_campaign_without_anybody_and_one_that_is_paused_are_not_completed(launch: Launch) -> None:
    await launch.campaign()
    paused = await launch.campaign()
    await launch.enrol(paused, person("ann"))
    await finish(launch, paused, 1)
    async with launch.database.transaction() as connection:
        await CampaignRepository(connection).mark_campaign(paused, "paused", was=("active",))
    assert await poller(launch).poll_once() == PollCounts()


async def test_a_campaign_is_not_completed_while_its_request_is_worked_off(launch: Launch) -> None:
    await request(launch)
    await poller(launch).poll_once()
    (campaign,) = await campaigns(launch)
    await finish(launch, campaign.id, 1)
    async with launch.database.transaction() as connection:
        await connection.execute(update(campaign_requests).values(status="taken"))
    assert await poller(launch).poll_once() == PollCounts()
    async with launch.database.transaction() as connection:
        await connection.execute(update(campaign_requests).values(status="done"))
    assert await poller(launch).poll_once() == PollCounts(completed=1)


@pytest.mark.parametrize("status", ["active", "paused"])
async def test_at_the_campaigns_end_who_is_left_is_stopped_with_a_history_row(launch: Launch, status: str) -> None:
    id = await launch.campaign(ends_at=NOW + HOUR)
    await launch.enrol(id, *(person(f"r{n}") for n in range(150)))
    async with launch.database.transaction() as connection:
        await CampaignRepository(connection).mark_campaign(id, status, was=("active",))
    assert await poller(launch).poll_once() == PollCounts()
    launch.clock.advance(HOUR)
    assert await poller(launch).poll_once() == PollCounts(completed=1)
    assert set(await launch.rows(conversations, "status", "due_at")) == {("stopped", None)}
    ends = [row.conversation_id for row in await launch.rows(stage_history, *ENDS) if row.cause == "campaign_end"]
    assert len(ends) == len(set(ends)) == 150
    counted = await launch.counted(id)
    assert (counted["enrolled"], counted["finished"]) == (150, 150)
    assert (await launch.find(id)).status == "completed"


async def test_an_end_that_was_cut_short_is_taken_up_again(launch: Launch) -> None:
    id = await launch.campaign(ends_at=NOW + HOUR)
    launch.clock.advance(HOUR)

    async def lost(*_: object) -> int:
        raise RepositoryError("cannot reach the database", retryable=True)

    broken = Poller(launch.database, Settings(), launch.clock, launch.registry, lost)
    with pytest.raises(RepositoryError):
        await broken.poll_once()
    assert (await launch.find(id)).status == "active"
    assert await poller(launch).poll_once() == PollCounts(completed=1)


async def test_many_deltas_are_folded_and_nothing_is_lost(launch: Launch) -> None:
    id = await launch.campaign()
    async with launch.database.transaction() as connection:
        for bucket, many in ((60, 2_000), (8, 9)):
            await connection.execute(ONE_BY_ONE, {"bucket": bucket, "id": id, "many": many})
    await poller(launch).poll_once()
    left = await launch.rows(metric_deltas, "bucket")
    assert left == [(8,)] * 9
    assert await launch.counted(id) == {"sent": 2_009}
