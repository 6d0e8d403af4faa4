"""What is wrong with a running system, and what to do next: `campaign doctor`.

The doctor looks and changes nothing. A finding is `wrong` when it needs a person, `watch` when it may pass by itself or
is for somebody to know, `note` when it is only told. First comes whether the engine can work on the database at all; if
it cannot, there is nothing more to find out. All that is looked for is bounded, so it costs little on any database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from engine.clock import Clock
from engine.db import diagnosis
from engine.db.database import Database, find_time
from engine.startup import look, misfits_of

LATE = timedelta(minutes=5)  # what is overdue for longer is not on its way
GONE = timedelta(minutes=1)  # a process writes down every few seconds that it is there
RECENT = timedelta(days=1)
_LONG = timedelta(minutes=10)  # for a transaction
_WEEK = timedelta(days=7)
_LARGE = 2**30  # bytes

Severity = Literal["wrong", "watch", "note"]
SEVERITIES: tuple[Severity, ...] = ("wrong", "watch", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was found `where`, `count` times, as a name, a sentence, and what to do about it."""

    severity: Severity
    what: str
    where: str
    count: int
    message: str
    advice: str = ""


@dataclass(frozen=True)
class Report:
    """All findings, the gravest first."""

    at: datetime
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing needs a person."""
        return all(each.severity != "wrong" for each in self.findings)

    def as_dict(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "at": self.at, "findings": [asdict(each) for each in self.findings]}


class Doctor:
    """Looks at one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def examine(self) -> Report:
        """What there is to find now. Raises RepositoryError only when the database cannot be reached."""
        fitness = await look(self._database)
        unfit = [Finding("wrong", "database", "", 1, *misfit) for misfit in misfits_of(fitness)]
        if unfit:
            return Report(datetime.now(UTC), tuple(unfit))
        async with self._database.transaction() as connection:
            host, theirs = datetime.now(UTC), await find_time(connection)
            now = await self._clock.now(connection)
            it = diagnosis.DiagnosisRepository(connection)
            members = await it.find_members()
            found = [
                *_failing(await it.find_failing(now)),
                *_failed_messages(await it.find_failed_messages(now - RECENT)),
                *_circuits(await it.find_circuits()),
                *_members(members, theirs),
                *_overdue(await it.find_overdue(now - LATE)),
                *_unsent(await it.find_unsent(now - LATE)),
                *_requests(await it.find_failed_requests()),
                *_unmatched(await it.find_unmatched(now - _WEEK)),
                *_strange(await it.find_strange_rows()),
                *_paused(await it.find_paused()),
                *_deltas(await it.count_deltas()),
                *_transactions(await it.find_transactions(theirs - _LONG), theirs),
                *_partitions(await it.find_default_partitions()),
                *_setting(fitness.server_version, fitness.revision, members, theirs - host),
            ]
        return Report(now, tuple(sorted(found, key=lambda each: SEVERITIES.index(each.severity))))


def _failing(rows: Iterable[diagnosis.Failing]) -> Iterator[Finding]:
    for row in rows:
        where = f"campaign {row.campaign_id} ({row.campaign})"
        such = f"{_count(row.number, row.more, 'conversation')}, such as {', '.join(row.ids)}: {row.error}"
        if row.parked:
            advice = f"Remove the cause, then: campaign retry --campaign {row.campaign_id} (or: campaign move ID STAGE)"
            yield Finding("wrong", "parked", where, row.number, f"parked as failed: {such}", advice)
        else:
            advice = f"They are tried again by themselves, and parked in the end. See: campaign explain {row.ids[0]}"
            yield Finding("watch", "failing", where, row.number, f"failing: {such}", advice)


def _failed_messages(rows: Iterable[diagnosis.Failed]) -> Iterator[Finding]:
    for row in rows:
        told = f"{_count(row.number, row.more, 'message')} given up since yesterday: {row.reason}"
        yield Finding("watch", "messages failed", f"channel {row.channel}", row.number, told, _CHANNEL)


def _circuits(rows: Iterable[diagnosis.Circuit]) -> Iterator[Finding]:
    for row in rows:
        since = f" since {_time(row.changed_at)}" if row.changed_at else ""
        told = f"its circuit is {row.status.replace('_', ' ')}{since}, after {row.failure_count} failures in a row"
        severity: Severity = "wrong" if row.status == "open" else "watch"
        yield Finding(severity, "circuit", f"channel {row.channel}", row.failure_count, told, _CHANNEL)


def _members(rows: Iterable[diagnosis.Member], now: datetime) -> Iterator[Finding]:
    for row in rows:
        where = f"process {row.name}"
        if row.seen_at < now - GONE:
            told = f"not seen since {_time(row.seen_at)}"
            yield Finding("watch", "process gone", where, 1, told, "Start it again if nothing else does its work.")
            continue
        for name, state in sorted(row.states.items()):
            if state["state"] == "closed":
                continue
            severity: Severity = "wrong" if state["state"] == "open" else "watch"
            told = f"{name} is {state['state'].replace('_', ' ')} since {state['since']}"
            yield Finding(severity, "breaker", where, state["failures"], told, "See the log of that process.")


def _overdue(rows: Iterable[diagnosis.Late]) -> Iterator[Finding]:
    for row in rows:
        told = f"{_count(row.number, row.more, 'conversation')} overdue, the first since {_time(row.since)}"
        advice = "See that campaign run, or campaign tick, is at work; more processes do more."
        yield Finding("wrong", "overdue", f"lane {row.where}", row.number, told, advice)


def _unsent(rows: Iterable[diagnosis.Late]) -> Iterator[Finding]:
    for row in rows:
        told = f"{_count(row.number, row.more, 'message')} could have left, the first at {_time(row.since)}"
        advice = (
            f"See that campaign run, or campaign work, is at work, and that its CAMPAIGN_CHANNELS names {row.where}."
        )
        yield Finding("wrong", "unsent", f"channel {row.where}", row.number, told, advice)


def _requests(found: diagnosis.Requests) -> Iterator[Finding]:
    if found.number:
        told = f"{_count(found.number, False, 'request')} for campaigns came to nothing, such as {', '.join(found.ids)}"
        advice = "Each says why in its error. Ask again as it should be, and delete the row."
        yield Finding("wrong", "requests failed", "campaign_requests", found.number, told, advice)


def _unmatched(found: diagnosis.Late) -> Iterator[Finding]:
    if found.number:
        told = f"{_count(found.number, found.more, 'response')} of the last 7 days fit no conversation"
        yield Finding("watch", "unmatched", "responses", found.number, told, "Nobody acts on them but a person.")


def _strange(places: list[str]) -> Iterator[Finding]:
    if places:
        told = f"rows lie in buckets that are none: {'; '.join(places[:3])}"
        advice = "Nothing visits them. Find out who wrote them; the engine never does."
        yield Finding("wrong", "strange buckets", places[0], len(places), told, advice)


def _paused(rows: Iterable[diagnosis.Paused]) -> Iterator[Finding]:
    for row in rows:
        told = f"paused, and with it {_count(row.number, False, 'conversation')}"
        where = f"campaign {row.campaign_id} ({row.campaign})"
        yield Finding("note", "paused", where, row.number, told, f"To go on: campaign resume {row.campaign_id}")


def _deltas(count: int) -> Iterator[Finding]:
    if count > diagnosis.MOST_DELTAS:
        told = f"more than {diagnosis.MOST_DELTAS} deltas are not compacted, so figures take long"
        advice = "See that campaign run, or campaign poll, is at work."
        yield Finding("watch", "deltas", "metric_deltas", count, told, advice)


def _transactions(rows: Iterable[diagnosis.Transaction], now: datetime) -> Iterator[Finding]:
    for row in rows:
        told = f"open since {_time(row.since)}; nothing deleted since then can be cleaned up"
        advice = "End it, if nobody needs it: SELECT pg_terminate_backend(ID), or ROLLBACK PREPARED."
        minutes = (now - row.since) // timedelta(minutes=1)
        yield Finding("watch", "long transaction", f"transaction {row.who}", minutes, told, advice)


def _partitions(rows: Iterable[diagnosis.Partition]) -> Iterator[Finding]:
    for row in rows:
        if row.bytes >= _LARGE:
            told = f"holds {row.bytes / 2**30:.1f} GiB, which cannot be dropped by time"
            advice = "Have partitions made for what comes, as the owner of the tables: campaign db maintain"
            yield Finding("note", "default partition", row.name, row.bytes, told, advice)


def _setting(
    server: int, revision: str | None, members: Iterable[diagnosis.Member], ahead: timedelta
) -> Iterator[Finding]:
    major, minor = divmod(server, 10_000)
    told = f"PostgreSQL {major}.{minor}, revision {revision}; its clock is {_seconds(ahead)} this machine's"
    yield Finding("note", "database", "", 1, told)
    if len(versions := sorted({row.version for row in members})) > 1:
        told = f"processes of several versions are at work: {', '.join(versions)}"
        yield Finding("note", "versions", "", len(versions), told, "Start the older ones again.")


def _seconds(ahead: timedelta) -> str:
    seconds = ahead.total_seconds()
    return f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'}"


def _count(count: int, more: bool, name: str) -> str:
    """How many, in words.

    >>> _count(1, False, "message"), _count(6400, True, "message")
    ('1 message', 'at least 6400 messages')
    """
    return f"{'at least ' if more else ''}{count} {name}{'' if count == 1 else 's'}"


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


_CHANNEL = "See whether the system behind the channel works, and CAMPAIGN_CHANNELS."
