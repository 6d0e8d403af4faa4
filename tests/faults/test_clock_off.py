"""The clock of the engine's host is hours off: nobody asks it, all times are the database's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.site import RELAY, ROOT, Site
from tests.integration.builders import people

# Python imports a module of this name at its start, before anything of the engine could keep the true clock.
SITECUSTOMIZE = """
import datetime, os, time

off_by = datetime.timedelta(hours=int(os.environ["CLOCK_OFF_BY_HOURS"]))
true_time, true_time_ns, true_datetime = time.time, time.time_ns, datetime.datetime


class Any(type):
    def __instancecheck__(cls, value):
        return isinstance(value, true_datetime)


class Shifted(true_datetime, metaclass=Any):
    @classmethod
    def now(cls, tz=None):
        return true_datetime.now(tz) + off_by

    @classmethod
    def utcnow(cls):
        return true_datetime.utcnow() + off_by


time.time = lambda: true_time() + off_by.total_seconds()
time.time_ns = lambda: true_time_ns() + int(off_by.total_seconds()) * 10**9
datetime.datetime = Shifted
"""


@pytest.mark.parametrize("hours", [-7, 7])
async def test_times_are_those_of_the_database_whatever_the_host_believes(
    site: Site, tmp_path: Path, hours: int
) -> None:
    (tmp_path / "shift").mkdir()
    (tmp_path / "shift" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    began = await site.read_clock()
    campaign = await site.house.campaign(people(5), RELAY)
    program = await site.start(
        "run",
        STAGE_DELAY_FACTOR="0.3",
        LOG_LEVEL="DEBUG",
        PYTHONPATH=f"{tmp_path / 'shift'}:{ROOT}",
        CLOCK_OFF_BY_HOURS=str(hours),
    )

    async def everybody_got_something() -> bool:
        return await site.count("outbox WHERE status = 'sent' AND seq > 2") >= 5

    await site.until(everybody_got_something)
    await site.house.reply(campaign, "hm", "p1")
    await site.until(lambda: site.is_none("responses WHERE status = 'waiting'"))
    await site.stop(program)
    ended = await site.read_clock()
    believed = datetime.fromisoformat(site.logs(program)[0]["timestamp"])
    assert abs(believed - ended - timedelta(hours=hours)) < timedelta(hours=1)
    for column in (
        "stage_history.at",
        "outbox.at",
        "outbox.sent_at",
        "responses.processed_at",
        "conversations.entered_at",
    ):
        table, name = column.split(".")
        ((first, last),) = await site.house.sql(f"SELECT min({name}), max({name}) FROM campaign_engine.{table}")  # noqa: S608
        assert began <= first <= last <= ended, column
