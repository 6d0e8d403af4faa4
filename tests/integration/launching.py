"""A small campaign type and what the tests of types, campaigns, enrolment and poller do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Table, select

from engine.campaigns import NewCampaign, create_campaign
from engine.clock import SimulatedClock
from engine.core.loader import LoadedType, parse_campaign_type
from engine.db.campaigns import CampaignRepository, CampaignRow
from engine.db.database import Database
from engine.db.metrics import MetricsRepository
from engine.enrolment import Enrolment, EnrolmentReport
from engine.registry import TypeRegistry, register

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)

YAML = """\
campaign_type: greeting
version: 1
facts:
  first_name: text
  seats: int 1..1000?
  price: number?
  vip: bool?
  renewal_on: date?
  met_at: datetime?
  plan: one of [free, team]?
  product: text
responses:
  intent:
    stop: {any_word: [stop]}
    no: {any_word: [no]}
    accept: {any_word: [yes]}
channel: email
priority:
  - {when: vip, is: high}
  - {when: seats < 10, is: low}
start: hello
always: [{when: intent == "stop", go: left}]
stages:
  hello:
    on_enter: [{send: hello}]
    on_response: [{otherwise: done}]
    timers: [{after: 7d, go: done}]
exits:
  done: won
  left: stopped
messages:
  hello: {text: "Hi {{ first_name }}, meet {{ product }}"}
"""


def a_type(old: str = "", new: str = "") -> LoadedType:
    """The type, with one text in its YAML replaced: `a_type("version: 1", "version: 2")`."""
    assert old in YAML
    return parse_campaign_type(YAML.replace(old, new), "greeting.yaml")


class Launch:
    """A registered type on a database and a clock that stands still."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = SimulatedClock(NOW)
        self.registry = TypeRegistry()

    async def register(self, loaded: LoadedType | None = None) -> Launch:
        async with self.database.transaction() as connection:
            await register(connection, loaded or a_type())
        return self

    async def campaign(self, **wanted: Any) -> UUID:
        given = {"name": "Spring", "type": "greeting", "context": {"product": "Harbour"}} | wanted
        async with self.database.transaction() as connection:
            return await create_campaign(connection, self.clock, self.registry, NewCampaign(**given))

    async def find(self, campaign_id: UUID) -> CampaignRow:
        async with self.database.transaction() as connection:
            return await CampaignRepository(connection).find_campaign(campaign_id)

    def enrolment(self) -> Enrolment:
        return Enrolment(self.database, self.clock, self.registry)

    async def enrol(self, campaign_id: UUID, *recipients: Mapping[str, Any]) -> EnrolmentReport:
        return await self.enrolment().enrol_recipients(campaign_id, recipients)

    async def enrol_text(self, campaign_id: UUID, folder: Path, text: str | bytes) -> EnrolmentReport:
        """Enrol a CSV file of this content, `people.csv` in the folder."""
        path = folder / "people.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return await self.enrolment().enrol_file(campaign_id, path)

    async def rows(self, table: Table, *columns: str) -> Sequence[Any]:
        """The rows of a table, ordered by the columns asked for."""
        chosen = [table.c[name] for name in columns]
        async with self.database.transaction() as connection:
            return (await connection.execute(select(*chosen).order_by(*chosen))).all()

    async def counted(self, campaign_id: UUID) -> dict[str, int]:
        async with self.database.transaction() as connection:
            totals = await MetricsRepository(connection).find_campaign_metrics(campaign_id)
        return {total.metric: total.count for total in totals}


def person(key: str, **given: Any) -> dict[str, Any]:
    return {"key": key, "email": f"{key}@example.org", "first_name": key.title()} | given
