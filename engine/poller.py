"""The poller: takes in requests for campaigns, starts those whose time has come, ends those that are done.

Any number may run. A request is taken by marking it, for as long as a lease; enrolling then happens without any
lock, and a request whose poller died is taken up again where it stands, with the same campaign. A request that
makes no sense is marked failed with what is wrong, and the others go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfoNotFoundError

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, NaiveDatetime, ValidationError, model_validator
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.campaigns import NewCampaign, create_campaign
from engine.clock import Clock
from engine.core.durations import instant_of
from engine.core.errors import CampaignError, RefusedError, RepositoryError, UnknownError
from engine.db.campaigns import LIVE, CampaignRepository, RequestRow
from engine.db.database import Database
from engine.db.hints import HintRepository
from engine.db.metrics import MetricsRepository
from engine.enrolment import Enrolment
from engine.registry import TypeRegistry
from engine.settings import Settings

log = structlog.get_logger(__name__)

EndConversations = Callable[[UUID, str], Awaitable[int]]
_MANY_DELTAS = 500
_DEAR, _REST = 0.05, 20  # seconds of a look for finished campaigns; how many times as long to rest after a dear one


@dataclass
class PollCounts:
    """What one poll did: requests that became campaigns, campaigns started, campaigns completed."""

    requests: int = 0
    started: int = 0
    completed: int = 0


class CampaignRequest(BaseModel):
    """The payload of a request. Times without an offset are in the campaign's time zone, else in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    type: str
    version: int | None = None
    context: dict[str, Any] = {}
    starts_at: AwareDatetime | NaiveDatetime | None = None
    ends_at: AwareDatetime | NaiveDatetime | None = None
    priority: str = "normal"
    timezone: str | None = None
    file: str | None = Field(None, min_length=1)
    recipients: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _one_audience(self) -> CampaignRequest:
        if (self.file is None) == (self.recipients is None):
            raise ValueError("expected either recipients or file")
        return self

    def as_campaign(self) -> NewCampaign:
        audience = {"recipients": self.recipients} if self.file is None else {"file": self.file}
        given = self.model_dump(exclude={"file", "recipients", "starts_at", "ends_at"})
        return NewCampaign(
            **given, starts_at=self._instant(self.starts_at), ends_at=self._instant(self.ends_at), audience=audience
        )

    def _instant(self, time: datetime | None) -> datetime | None:
        if time is None or time.tzinfo is not None:
            return time
        try:
            return instant_of(time, self.timezone or "UTC")
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return time  # create_campaign refuses the zone


class Poller:
    """Takes in, starts and ends campaigns. `end_conversations` stops the unfinished ones of a campaign."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        registry: TypeRegistry,
        end_conversations: EndConversations,
    ) -> None:
        self._database = database
        self._clock = clock
        self._registry = registry
        self._end_conversations = end_conversations
        self._enrolment = Enrolment(database, clock, registry)
        self._rests_until: datetime | None = None
        self._lease = timedelta(seconds=settings.lease_seconds)

    async def poll_once(self) -> PollCounts:
        """One look at everything; requests first. Raises RepositoryError when the database is away; safe to repeat."""
        counts = PollCounts()
        while (taken := await self._take_request()) is not None:
            counts.requests += taken
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            counts.started = len(await CampaignRepository(connection).mark_started(now))
            if counts.started:
                await HintRepository(connection).notify("tick")
        counts.completed = await self._complete()
        await self._compact()
        return counts

    # ---- requests ----------------------------------------------------------------------------------------------

    async def _take_request(self) -> bool | None:
        """Work off one request: whether it became a campaign, None when there is none."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            request = await CampaignRepository(connection).lease_request(now, now - self._lease)
            if request is None:
                return None
            campaign_id = await self._create(connection, request, now)
        if campaign_id is None:
            return False
        try:
            report = await self._enrolment.enrol_campaign(campaign_id)
        except CampaignError as error:
            if isinstance(error, RepositoryError) and error.retryable:
                raise  # the lease brings it back
            await self._fail(request, campaign_id, error)
            return False
        rejects = "; ".join(f"line {line}: {reason}" for line, reason in report.problems)
        told = f"{report.rejected} rejected: {rejects}" if report.rejected else None
        if not report.enrolled + report.already:
            await self._fail(request, campaign_id, RefusedError(f"nobody was enrolled; {told or 'no recipients'}"))
            return False
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            await CampaignRepository(connection).mark_request(request.id, "done", now, error=told)
        log.info("request taken in", request=str(request.id), campaign=str(campaign_id), enrolled=report.enrolled,
                 rejected=report.rejected)  # fmt: skip
        return True

    async def _create(self, connection: AsyncConnection, request: RequestRow, now: datetime) -> UUID | None:
        """The campaign of a request, made unless an earlier attempt made it. None when the request makes no sense."""
        repository = CampaignRepository(connection)
        try:
            campaign_id = request.campaign_id or await create_campaign(
                connection, self._clock, self._registry, parse_request(request.payload)
            )
        except (RefusedError, UnknownError) as error:
            await repository.mark_request(request.id, "failed", now, error=str(error))
            log.warning("request refused", request=str(request.id), error=str(error))
            return None
        await repository.mark_request(request.id, "taken", now, campaign_id=campaign_id)
        return campaign_id

    async def _fail(self, request: RequestRow, campaign_id: UUID, error: CampaignError) -> None:
        """A campaign nobody could be enrolled into has failed, and so has its request."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            repository = CampaignRepository(connection)
            await repository.mark_request(request.id, "failed", now, error=str(error))
            await repository.mark_campaign(campaign_id, "failed", was=LIVE, ended_at=now)
        log.warning("request failed, see its error", request=str(request.id), campaign=str(campaign_id))

    # ---- ends --------------------------------------------------------------------------------------------------

    async def _complete(self) -> int:
        """Complete the campaigns whose end has come, stopping who is still in them, and those where all are done."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            repository = CampaignRepository(connection)
            ended, finished = await repository.find_ended(now), await self._find_finished(repository, now)
        for campaign_id in ended:
            await self._end_conversations(campaign_id, "campaign_end")
        completed = 0
        for campaign_id in dict.fromkeys([*ended, *finished]):
            async with self._database.transaction() as connection:
                now = await self._clock.now(connection)
                completed += await CampaignRepository(connection).mark_campaign(
                    campaign_id, "completed", was=LIVE, ended_at=now
                )
        return completed

    async def _find_finished(self, repository: CampaignRepository, now: datetime) -> list[UUID]:
        """The campaigns whose conversations are all done; asked less often where many counts make that dear."""
        if self._rests_until is not None and now < self._rests_until:
            return []
        start = monotonic()
        finished = await repository.find_finished()
        seconds = monotonic() - start
        self._rests_until = now + timedelta(seconds=_REST * seconds) if seconds > _DEAR else None
        return finished

    async def _compact(self) -> None:
        """Fold the deltas of buckets that have many into their rollups, one bucket a transaction."""
        async with self._database.transaction() as connection:
            buckets = await MetricsRepository(connection).find_buckets_with_deltas(_MANY_DELTAS)
        for bucket in buckets:
            async with self._database.transaction() as connection:
                await MetricsRepository(connection).compact_deltas(bucket)


def parse_request(payload: object) -> NewCampaign:
    """The campaign a request asks for. Raises RefusedError naming every key that is wrong.

    >>> parse_request({"name": "Spring", "type": "b2b_nurture", "recipients": []}).priority
    'normal'
    """
    try:
        return CampaignRequest.model_validate(payload).as_campaign()
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in each['loc']) or 'request'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise RefusedError("the request makes no sense:\n  " + "\n  ".join(wrong)) from error
