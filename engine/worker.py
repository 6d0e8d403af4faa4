"""The worker: takes due messages out of the outbox, hands them to channels, records what became of them.

Who is in charge, and for how long. A worker holds a timed *lease* on the messages of one batch, all of one
bucket, and never a lock while it sends. Leasing is one short transaction, sending happens outside any,
recording is another. The lease is known by its end (`lease_until`), and recording asks for that very instant, so
a worker that comes too late records nothing.

What may happen twice. A worker that dies between sending and recording leaves leased messages behind. When
the lease runs out, another worker sends them *again*, with the same idempotency key (conversation, seq,
ordinal). So delivery is at least once; exactly once only through a channel that forgets repeated keys. To
keep the doubtful part short, a batch goes out in volleys: look, send for at most a second, record, look
again. The look, directly before a volley leaves, is where an opt-out, a cancelled campaign or a cancelled
message still stops it. A worker that has used half of its lease gives the rest of the batch back.

What waits. Messages of paused campaigns, of channels that are not open and of those whose circuit is not closed (see
`engine.channels.circuits`) are not leased at all. What its send window or the recipient's limits hold back is leased,
put off to the time it may leave and given back, all in the leasing transaction. Limits count the messages of all
campaigns to a recipient, and those share a bucket; so one worker at a time leases from a bucket, under the lock of its
*gate*, and counts what earlier ones sent or have in flight. So no number of workers exceeds a limit, except by sending
again what a killed worker may have sent. Windows are looked at again before each volley.

Locks are taken in the order of the whole engine: conversations, by id, before the outbox. A gate comes before all, and
nobody waits for one: a bucket whose gate another holds is left to the next pass.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic
from typing import NamedTuple

import structlog

from engine.channels.circuits import PROBES, ChannelCircuits
from engine.channels.registry import Channels
from engine.clock import Clock
from engine.core.errors import RepositoryError
from engine.db.channels import ChannelStateRepository
from engine.db.database import Database
from engine.db.hints import HintRepository
from engine.db.messages import LeasedMessage, MessageRepository
from engine.db.metrics import Delta, MetricsRepository
from engine.holding import Parting, find_limited, part
from engine.rendering import Renderer, Types
from engine.sending import Outcome, Sender, give_back
from engine.settings import Settings

log = structlog.get_logger(__name__)

_RECORD_PAUSES = (0.05, 0.2, 0.8)  # seconds before each further try


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """What became of the messages that a worker touched; `retried` ones wait for another try."""

    sent: int = 0
    failed: int = 0
    retried: int = 0
    cancelled: int = 0

    def __add__(self, other: WorkCounts) -> WorkCounts:
        return WorkCounts(
            self.sent + other.sent,
            self.failed + other.failed,
            self.retried + other.retried,
            self.cancelled + other.cancelled,
        )


class Worker:
    """Sends what is due. Many workers share a database safely; one worker does one thing at a time."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        channels: Channels,
        types: Types,
        random: Random | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._channels = channels
        self._random = random or Random()
        self.circuits = ChannelCircuits(settings.lease_seconds)
        self._renderer = Renderer(types, settings.unsubscribe_url)
        self._sender = Sender(channels, self.circuits, self._renderer, settings, self._random)
        self._lease_span = timedelta(seconds=settings.lease_seconds)
        self._batch_size = settings.max_batch_size
        self._warned: set[str] = set()
        self._stopping = False

    def stop(self) -> None:
        """Let a pass that is under way end after the volley in hand, giving back what has not been sent."""
        self._stopping = True

    async def work_once(self) -> WorkCounts:
        """One pass: at most one batch from each bucket where messages are due. Raises RepositoryError."""
        return (await self._pass())[1]

    async def drain(self, progress: Callable[[WorkCounts], None] | None = None) -> WorkCounts:
        """Passes until nothing is due but what other workers hold. Raises RepositoryError."""
        total = WorkCounts()
        while True:
            leased, counts = await self._pass()
            total += counts
            if progress is not None:
                progress(total)
            if not leased or self._stopping:
                return total

    async def _pass(self) -> tuple[int, WorkCounts]:
        """How many messages were leased, and what became of them."""
        async with self._database.transaction() as connection:
            repository, now = MessageRepository(connection), await self._clock.now(connection)
            await self.circuits.look(ChannelStateRepository(connection))
            buckets = await repository.find_due_buckets(now, self._channels.names, self.circuits.shut)
            if not buckets:
                await self._warn_of_waiting(repository, now)
        self._random.shuffle(buckets)  # so that workers seldom meet
        leased, total = 0, WorkCounts()
        for channel in self.circuits.due_probes(now):
            size, counts = await self._probe(channel)
            leased, total = leased + size, total + counts
        for bucket in buckets:
            if self._stopping:
                break
            size, counts = await self._work(bucket)
            leased, total = leased + size, total + counts
        return leased, total

    async def _probe(self, channel: str) -> tuple[int, WorkCounts]:
        """Try a channel that is shut with a few messages, if there are any and no other worker is at it."""
        names = self._channels.names
        if self._stopping or not (names is None or channel in names):
            return 0, WorkCounts()
        async with self._database.transaction() as connection:
            began_at = await self._clock.now(connection)
            buckets = await MessageRepository(connection).find_due_buckets(began_at, [channel])
            if not buckets:
                return 0, WorkCounts()
            if not await self.circuits.lease_probe(ChannelStateRepository(connection), channel, began_at):
                return 0, WorkCounts()
        self.circuits.begin_probe(channel)
        try:
            size, counts = await self._work(self._random.choice(buckets), probe=channel)
            async with self._database.transaction() as connection:
                now = await self._clock.now(connection)
                await self.circuits.end_probe(ChannelStateRepository(connection), began_at, now)
        finally:
            self.circuits.probing = None
        return size, counts

    async def _warn_of_waiting(self, repository: MessageRepository, now: datetime) -> None:
        """Say, once for each channel that is not open, that its messages wait."""
        if self._channels.names is None:
            return
        known = [*self._channels.names, *self._warned]
        for channel in await repository.find_waiting_channels(now, known):
            self._warned.add(channel)
            log.warning(
                "messages wait: their channel is not configured",
                channel=channel,
                hint=f"Say where they go, for example CAMPAIGN_CHANNELS={channel}=file:/path/{channel}.jsonl",
            )

    async def _work(self, bucket: int, probe: str | None = None) -> tuple[int, WorkCounts]:
        """Lease a batch of `bucket` and send it, volley by volley: its size, and what became of it.

        With a channel to `probe` a few messages of that one only.
        """
        half_time = monotonic() + self._lease_span.total_seconds() / 2
        size, lease, refused = await self._take(bucket, probe)
        total = await self._record(lease, refused) if refused else WorkCounts()
        while lease.messages:
            outcomes = await self._sender.volley(lease.messages, lease.now)
            rest = lease.messages[len(outcomes) :]
            if self._stopping or monotonic() > half_time:
                outcomes += map(give_back, rest)
                rest = []
            total += await self._record(lease, outcomes)
            if self.circuits.tripped:
                await self._save_circuits()
            lease = await self._look(lease, rest) if rest else lease._replace(messages=[])
        return size, total

    async def _save_circuits(self) -> None:
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            await self.circuits.save(ChannelStateRepository(connection), now)
        self.circuits.saved(now)

    async def _take(self, bucket: int, probe: str | None) -> tuple[int, _Lease, list[Outcome]]:
        """A batch of `bucket`: how many were leased, those of them to send, and the outcomes of those that never can.

        One transaction under the bucket's gate. Each statement has a newer snapshot than the one before, so what is
        counted holds all that left before the gate was taken.
        """
        async with self._database.transaction() as connection:
            repository = MessageRepository(connection)
            free, now = await repository.lock_gate(bucket), await self._clock.now(connection)
            lease = _Lease(bucket, now + self._lease_span, now, [])
            if not free:
                return 0, lease, []
            if probe is None:
                names, shut, limit = self._channels.names, self.circuits.shut, self._batch_size
            else:
                names, shut, limit = [probe], [], PROBES
            keys = await repository.lease_messages(bucket, now, lease.until, names, limit, shut)
            if not keys:
                return 0, lease, []
            messages = await repository.find_leased(bucket, lease.until, keys)
            await self._renderer.prepare(connection, messages)
            parting = await self._part(repository, lease, messages)
            if parting.held:  # their rows are ours since the lease, so none can have been called off meanwhile
                marks = [give_back(message, at).mark for message, at in parting.held]
                await repository.mark_messages(bucket, lease.until, marks)
                log.debug("messages held back", bucket=bucket, messages=len(marks))
        refused = [self._sender.failure(message, error, now) for message, error in parting.refused]
        return len(keys), lease._replace(messages=parting.leaving), refused

    async def _part(self, repository: MessageRepository, lease: _Lease, messages: Sequence[LeasedMessage]) -> Parting:
        """Which of the leased messages leave now, by their windows and the limits of their recipients."""
        sends, limited = {}, find_limited(messages, self._renderer.type_of)
        if limited.recipients:
            own = [each.key for each in messages]
            sends = await repository.find_sends(lease.bucket, lease.now, *limited, own)
        return part(messages, self._renderer.type_of, sends, lease.now)

    async def _look(self, lease: _Lease, rest: Sequence[LeasedMessage]) -> _Lease:
        """The lease with only `rest` in it, as it is now."""
        async with self._database.transaction() as connection:
            repository, now = MessageRepository(connection), await self._clock.now(connection)
            messages = await repository.find_leased(lease.bucket, lease.until, [each.key for each in rest])
        return lease._replace(now=now, messages=messages)

    async def _record(self, lease: _Lease, outcomes: Sequence[Outcome]) -> WorkCounts:
        """Write the outcomes down, patiently: what is not recorded is sent again."""
        for pause in _RECORD_PAUSES:
            try:
                return await self._mark(lease, outcomes)
            except RepositoryError as error:
                if not error.retryable:
                    raise
                log.warning("recording tried again", bucket=lease.bucket, sqlstate=error.sqlstate)
                await asyncio.sleep(pause)
        return await self._mark(lease, outcomes)

    async def _mark(self, lease: _Lease, outcomes: Sequence[Outcome]) -> WorkCounts:
        """Wake who waits for these messages, mark them and count them, in one transaction.

        A message that goes on waiting wakes too: whether someone asked to cancel it shows only when its row
        is locked, and that comes after the conversations.
        """
        waiting = {message.key.conversation_id for message, _ in outcomes if message.awaited}
        async with self._database.transaction() as connection:
            repository = MessageRepository(connection)
            if waiting:
                await repository.mark_conversations_due(lease.bucket, waiting, lease.now)
                await HintRepository(connection).notify("tick")
            marked = await repository.mark_messages(lease.bucket, lease.until, [mark for _, mark in outcomes])
            done = [each.with_status(marked[each.place]) for each in outcomes if each.place in marked]
            await MetricsRepository(connection).insert_deltas(lease.bucket, _deltas(done, lease.now))
        if lost := len(outcomes) - len(done):
            log.warning("lease ran out while sending", bucket=lease.bucket, messages=lost)
        _log_failures(each for each in done if each.message.channel != self.circuits.probing)
        return _counts(done)


class _Lease(NamedTuple):
    """The messages of one batch that are still to go, as they were at `now`."""

    bucket: int
    until: datetime
    now: datetime
    messages: list[LeasedMessage]


def _deltas(done: Iterable[Outcome], now: datetime) -> list[Delta]:
    day = now.astimezone(UTC).date()
    return [
        Delta(message.campaign_id, day, mark.status, message.stage, message.channel, message.message)
        for message, mark in done
        if mark.status != "ready"
    ]


def _counts(done: Iterable[Outcome]) -> WorkCounts:
    counted = (each for each in done if each.mark.status != "ready" or each.tried)
    return WorkCounts(**Counter("retried" if mark.status == "ready" else mark.status for _, mark in counted))


def _log_failures(done: Iterable[Outcome]) -> None:
    """One line for each reason, however many messages it met."""
    failures = ((message.channel, mark.last_error, mark.status) for message, mark in done if mark.last_error)
    for (channel, reason, status), count in Counter(failures).items():
        log.warning("messages not sent", channel=channel, reason=reason, status=status, messages=count)
