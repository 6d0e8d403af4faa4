"""The clock of the engine's host is hours off: nobody asks it, all times are the database's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.site import RELAY, RELAY_ENDS, ROOT, Site
from tests.integration.builders import neighbours

TIMES = ("stage_history.at", "outbox.at", "outbox.sent_at", "responses.processed_at", "conversations.entered_at")
# Python imports a module of this name at its start, before anything of the engine could keep the true clock.
SITECUSTOMIZE = """
import datetime, os, time

off_by = datetime.timedelta(hours=int(os.environ["CLOCK_OFF_BY_HOURS"]))
true_time, true_time_ns, true_datetime = time.time, time.time_ns, datetime.datetime


class Any(type):
    def __instancecheck__(cls, value):
        return isinstance(value, true_datetime)


class Shifted(true_datetime, metaclass=Any):
    __slots__ = ()

    def __new__(cls, *args, **kwargs):
        return true_datetime(*args, **kwargs)

    @classmethod
    def now(cls, tz=None):
        return true_datetime.now(tz) + off_by

    @classmethod
    def utcnow(cls):
        return true_datetime.utcnow() + off_by


time.time = lambda: true_time() + off_by.total_seconds()
time.time_ns = lambda: true_time_ns() + int(off_by.total_seconds()) * 10**9
datetime.datetime = Shifted
with open(os.environ["BELIEVED"], "a") as file:
    file.write(Shifted.now(datetime.UTC).isoformat() + "\\n")
"""


async def test_times_are_those_of_the_database_whatever_the_hosts_believe(site: Site, tmp_path: Path) -> None:
    folder, believed = tmp_path / "shift", tmp_path / "believed"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    began = await site.read_clock()
    campaign = await site.house.campaign(neighbours(5), RELAY)
    shifted = {"STAGE_DELAY_FACTOR": "0.3", "PYTHONPATH": f"{folder}:{ROOT}", "BELIEVED": str(believed)}
    hosts = [await site.start("run", CLOCK_OFF_BY_HOURS=hours, **shifted) for hours in ("-7", "7")]
    await site.until(lambda: site.is_any("outbox WHERE status = 'sent' AND seq > 2"))
    await site.house.reply(campaign, "hm", "ann")
    await site.until(lambda: site.is_none("responses WHERE status = 'waiting'"))
    await site.stop(*hosts)
    ended = await site.read_clock()

    instants = [datetime.fromisoformat(line) for line in believed.read_text().split()]
    assert {round((instant - began) / timedelta(hours=1)) for instant in instants} == {-7, 7}
    for column in TIMES:
        table, name = column.split(".")
        ((first, last),) = await site.house.sql(f"SELECT min({name}), max({name}) FROM campaign_engine.{table}")  # noqa: S608
        assert began <= first <= last <= ended, column
    await site.settles(*RELAY_ENDS)
