"""Making campaigns, finding them again, and the requests for them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.campaigns import LANES, uuid7
from engine.core.errors import RefusedError, UnknownError
from engine.db.campaigns import CampaignRepository
from engine.db.database import Database
from engine.db.metrics import Delta, MetricsRepository
from tests.integration.launching import NOW, Launch, a_type

HOUR = timedelta(hours=1)


@pytest.fixture
async def launch(database: Database) -> Launch:
    return await Launch(database).register()


async def count_enrolled(launch: Launch, campaign_id: UUID, count: int) -> None:
    async with launch.database.transaction() as connection:
        await MetricsRepository(connection).insert_deltas(60, [Delta(campaign_id, NOW.date(), "enrolled", count=count)])


# ---- campaigns ---------------------------------------------------------------------------------------------------


async def test_a_campaign_is_found_as_it_was_wanted(launch: Launch) -> None:
    context = {"product": "Harbour", "price": "2.50", "vip": True, "renewal_on": "2026-05-01", "seats": ""}
    id = await launch.campaign(
        name=" Spring ", context=context, ends_at=NOW + HOUR, priority="high", timezone="Asia/Tokyo",
        audience={"recipients": [{"key": "a"}]},
    )  # fmt: skip
    row = await launch.find(id)
    assert row[:6] == (id, "Spring", "greeting", 1, "active", "high")
    assert (row.timezone, row.starts_at, row.ends_at, row.ended_at) == ("Asia/Tokyo", None, NOW + HOUR, None)
    assert row.created_at == NOW
    assert row.context == {"product": "Harbour", "price": 2.5, "vip": True, "renewal_on": "2026-05-01"}
    assert row.audience == {"recipients": [{"key": "a"}]}


async def test_without_a_version_it_is_the_latest(launch: Launch) -> None:
    await launch.register(a_type("version: 1", "version: 3"))
    assert (await launch.find(await launch.campaign())).version == 3
    assert (await launch.find(await launch.campaign(version=1))).version == 1


@pytest.mark.parametrize(
    ("starts_at", "status"), [(None, "active"), (NOW - HOUR, "active"), (NOW, "active"), (NOW + HOUR, "scheduled")]
)
async def test_a_campaign_that_starts_later_is_scheduled(
    launch: Launch, starts_at: datetime | None, status: str
) -> None:
    assert (await launch.find(await launch.campaign(starts_at=starts_at))).status == status


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"context": {"prodct": "x"}}, "context: no fact is called prodct; expected one of .*did you mean product"),
        ({"context": {"seats": 0}}, "context: seats: expected int 1..1000, got '0'"),
        ({"context": {"product": ["x"]}}, "context: product: expected a text, number, date"),
        ({"context": {"product": "a\0b"}}, "context: product: expected text without NUL"),
        ({"priority": "hihg"}, "unknown priority 'hihg'; expected one of high, low, normal; did you mean high"),
        ({"timezone": "Mars/Base"}, "unknown time zone 'Mars/Base'"),
        ({"timezone": "Mars/Base", "context": {"met_at": "2026-01-01T00:00"}}, "unknown time zone 'Mars/Base'"),
        ({"name": "  "}, "a campaign needs a name"),
        ({"ends_at": NOW}, "the end, 2026-03-02T09:00:00.00:00, has already passed"),
        ({"starts_at": NOW + HOUR, "ends_at": NOW + HOUR}, "does not come after the start"),
        ({"starts_at": NOW.replace(tzinfo=None)}, "a time without an offset"),
    ],
)
async def test_a_campaign_that_makes_no_sense_is_refused(launch: Launch, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        await launch.campaign(**wanted)
    async with launch.database.transaction() as connection:
        assert await CampaignRepository(connection).find_campaigns() == []


async def test_all_that_is_wrong_is_told_at_once(launch: Launch) -> None:
    with pytest.raises(RefusedError) as caught:
        await launch.campaign(name="", priority="x", context={"a": 1, "seats": "b"})
    assert len(caught.value.message.splitlines()) == 4


async def test_an_unknown_campaign_is_told_whatever_was_given_for_its_id(database: Database) -> None:
    async with database.transaction() as connection:
        repository = CampaignRepository(connection)
        for id in (uuid4(), str(uuid4()), "spring", ""):
            with pytest.raises(UnknownError, match="See the campaigns with: campaign list"):
                await repository.find_campaign(id)


async def test_campaigns_come_newest_first_and_ids_sort_by_time(launch: Launch) -> None:
    made = []
    for _ in range(3):
        made.append(await launch.campaign())
        launch.clock.advance(timedelta(milliseconds=1))
    async with launch.database.transaction() as connection:
        rows = await CampaignRepository(connection).find_campaigns()
    assert [row.id for row in rows] == sorted(made, reverse=True)


def test_ids_are_of_version_7_and_differ_at_one_instant() -> None:
    ids = {uuid7(NOW) for _ in range(100)}
    assert len(ids) == 100
    assert {(id.version, id.variant) for id in ids} == {(7, "specified in RFC 4122")}
    assert {id.int >> 80 for id in ids} == {int(NOW.timestamp() * 1000)}


async def test_a_status_changes_only_from_where_it_may(launch: Launch) -> None:
    id = await launch.campaign()
    async with launch.database.transaction() as connection:
        repository = CampaignRepository(connection)
        assert not await repository.mark_campaign(id, "active", was=("paused",))
        assert await repository.mark_campaign(id, "completed", was=("active",), ended_at=NOW)
        assert not await repository.mark_campaign(id, "completed", was=("active",), ended_at=NOW + HOUR)
    row = await launch.find(id)
    assert (row.status, row.ended_at) == ("completed", NOW)


# ---- lanes -------------------------------------------------------------------------------------------------------


async def test_campaigns_spread_over_the_lanes_of_each_priority(launch: Launch) -> None:
    lanes = [(await launch.find(await launch.campaign())).lanes for _ in range(9)]
    assert lanes[:5] == [[0, 4, 12], [1, 5, 13], [2, 6, 14], [3, 7, 15], [0, 8, 12]]
    assert lanes[8][1] == 4
    assert all(lane in LANES[name] for each in lanes for lane, name in zip(each, LANES, strict=True))


async def test_the_lane_with_the_fewest_enrolled_is_chosen(launch: Launch) -> None:
    for count in (500, 20, 700, 30):
        await count_enrolled(launch, await launch.campaign(), count)
    assert (await launch.find(await launch.campaign())).lanes == [1, 8, 13]


async def test_an_ended_campaign_weighs_nothing(launch: Launch) -> None:
    ended = await launch.campaign()
    await count_enrolled(launch, ended, 10_000)
    async with launch.database.transaction() as connection:
        await CampaignRepository(connection).mark_campaign(ended, "cancelled", was=("active",), ended_at=NOW)
    assert (await launch.find(await launch.campaign())).lanes == [0, 4, 12]


# ---- requests ----------------------------------------------------------------------------------------------------


async def test_a_request_is_taken_by_one_and_comes_back_when_its_lease_is_over(launch: Launch) -> None:
    async with launch.database.transaction() as connection:
        repository = CampaignRepository(connection)
        first = await repository.insert_request({"name": "a"})
    async with launch.database.transaction() as one, launch.database.transaction() as two:
        taken = await CampaignRepository(one).lease_request(NOW, NOW - HOUR)
        assert taken is not None
        assert (taken.id, taken.payload, taken.campaign_id) == (first, {"name": "a"}, None)
        assert await CampaignRepository(two).lease_request(NOW, NOW - HOUR) is None
    async with launch.database.transaction() as connection:
        repository = CampaignRepository(connection)
        assert await repository.lease_request(NOW + HOUR, NOW) is None
        again = await repository.lease_request(NOW + 2 * HOUR, NOW + timedelta(seconds=1))
        assert again is not None
        assert again.id == first
        await repository.mark_request(first, "done", NOW + 2 * HOUR)
        assert await repository.lease_request(NOW + 9 * HOUR, NOW + 8 * HOUR) is None
