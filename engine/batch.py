"""One batch: claimed rows in, what to write out, grouped by kind. Pure; the database is elsewhere.

`Batch.decide` evaluates one conversation. An exception there is that conversation's own misfortune: it is noted,
the others go on. Everything else collects what the decisions came to, in the form the statements of
`engine.db.progression` take.

A decision is pure, so conversations that are alike in everything a decision can read share one: those of a campaign
that stand at the same place since the same instant, with the same counters and pending instants and the same news.
Whether a decision read more, a fact or the conversation's own id, is known afterwards, and then it is not shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from engine.core.compiled import SHARE, CompiledType
from engine.core.decide import decide
from engine.core.model import Conversation, Decision, Effect, Event, Step
from engine.db.conversations import Claimed, Fate, Waiting
from engine.db.progress import Context, ConversationCodec, dump_context, dump_progress, dump_values

Rows = list[dict[str, Any]]


class Campaign(NamedTuple):
    """What a batch must know of a campaign. `ended_by` is set when its conversations are to stop, and why."""

    id: str
    compiled: CompiledType
    codec: ConversationCodec
    paused: bool = False
    ended_at: datetime | None = None
    ended_by: str = ""


class DeltaKey(NamedTuple):
    """What a count is of; the meaning of the dimensions stands above `metric_deltas` in `engine.db.tables`."""

    campaign_id: str
    metric: str
    stage: str = ""
    target: str = ""
    label: str = ""


class Group:
    """Conversations that share a decision: their ids, and what one of them counts for."""

    __slots__ = ("counts", "finished", "ids", "number", "steps")

    def __init__(self, number: int, first: str) -> None:
        self.number = number
        self.ids = [first]
        self.steps = 0
        self.finished = False
        self.counts: list[tuple[DeltaKey, timedelta]] = []


class Batch:
    """The decisions of one bucket at one instant, ready to be written."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.rows: Rows = []
        self.steps: Rows = []
        self.messages: Rows = []
        self.assignments: Rows = []
        self.emitted: Rows = []
        self.cancels: Rows = []
        self.readings: Rows = []
        self.events_taken: list[str] = []
        self.unsubscribed: list[str] = []
        self.failures: list[tuple[Claimed, Exception]] = []
        self._groups: list[Group] = []
        self._alike: dict[tuple[object, ...], Group] = {}
        self._counts: dict[DeltaKey, list[int]] = {}  # how many, and microseconds in all

    @property
    def conversation_count(self) -> int:
        """Conversations decided."""
        return sum(len(group.ids) for group in self._groups)

    @property
    def advanced_count(self) -> int:
        """Progressions: history rows."""
        return sum(len(group.ids) * group.steps for group in self._groups)

    @property
    def finished_count(self) -> int:
        """Conversations that came to an end."""
        return sum(len(group.ids) for group in self._groups if group.finished)

    def decide(self, row: Claimed, campaign: Campaign, waiting: Sequence[Waiting], fate: Fate | None) -> None:
        """Evaluate one claimed conversation and collect what follows."""
        alike = None
        if not waiting and not campaign.paused and row.status == "active":
            news = fate[1:] if fate is not None else None
            alike = (
                row.campaign_id, row.version, row.seq, row.stage, row.entered_at, row.timezone, row.locale,
                row.progress, news,
            )  # fmt: skip
            if (group := self._alike.get(alike)) is not None:
                group.ids.append(row.id)
                return
        try:
            conversation, context = load_conversation(row, campaign)
            decision = decide(campaign.compiled, conversation, events_of(campaign, waiting, fate), self.now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this conversation's own, and is recorded
            self.failures.append((row, error))
            return
        group = Group(len(self._groups), row.id)
        self._groups.append(group)
        self._collect(group, row, campaign, conversation, decision, waiting, fate)
        if alike is not None and not context.was_read and not any(SHARE in each.inputs for each in decision.trace):
            self._alike[alike] = group

    def count(self, key: DeltaKey, count: int = 1, duration: timedelta = timedelta()) -> None:
        """Add to what `metric_deltas` will say: `count` of something, `duration` for each."""
        _add(self._counts, key, count, duration)

    def deltas(self) -> Rows:
        """Every count of the batch, one row for each key."""
        counts = {key: list(total) for key, total in self._counts.items()}
        for group in self._groups:
            for key, duration in group.counts:
                _add(counts, key, len(group.ids), duration)
        day = self.now.date()
        return [
            key._asdict() | {"day": day, "count": count, "duration_us": microseconds}
            for key, (count, microseconds) in counts.items()
        ]

    # ---- collecting ---------------------------------------------------------------------------------------------

    def _collect(
        self,
        group: Group,
        row: Claimed,
        campaign: Campaign,
        before: Conversation,
        decision: Decision,
        waiting: Sequence[Waiting],
        fate: Fate | None,
    ) -> None:
        later = _first_after(self.now, waiting, fate) if waiting or fate is not None else None
        self._collect_row(group, row, before, decision, waiting, later)
        self._collect_steps(group, row, decision.steps)
        self._collect_effects(group, row, campaign, decision.effects)
        if decision.conversation.status != "paused":
            self._collect_taken(row, before, decision, waiting)
        if before.status != decision.conversation.status and decision.steps:
            self._finish(group, campaign, decision)

    def _collect_row(
        self,
        group: Group,
        row: Claimed,
        before: Conversation,
        decision: Decision,
        waiting: Sequence[Waiting],
        later: datetime | None,
    ) -> None:
        """The conversation's own row. `later` is when something that has arrived is to be looked at, after now."""
        it = decision.conversation
        parked = it.status == "paused"
        changed = it.facts is not before.facts or it.captured is not before.captured
        due = decision.next_due
        if later is not None and (due is None or later < due):
            due = later
        self.rows.append(
            {
                "number": group.number,
                "ids": group.ids,
                "was": row.seq,
                "seq": it.seq,
                "stage": it.stage,
                "status": it.status,
                "due_at": due,
                "held_due_at": (row.held_due_at or row.due_at) if parked else None,
                "entered_at": it.entered_at,
                "inbox_waiting": bool(waiting) and (parked or waiting[-1].received_at > self.now),
                "progress": dump_progress(it),
                "context": dump_context(it) if changed else None,
            }
        )

    def _collect_steps(self, group: Group, row: Claimed, steps: Sequence[Step]) -> None:
        group.steps = len(steps)
        since = row.entered_at
        for step in steps:
            self.steps.append(
                {
                    "number": group.number,
                    "seq": step.seq,
                    "sends": step.sends,
                    "entered": step.entered,
                    "from_stage": step.source,
                    "to_stage": step.to,
                    "cause": step.cause,
                    "edge": step.edge,
                }
            )
            metric = "entered" if step.entered else "stayed"
            key = DeltaKey(row.campaign_id, metric, step.source or "", step.to or "", step.cause)
            stayed = step.at - since if step.entered and since is not None else timedelta()
            group.counts.append((key, stayed))
            if step.entered:
                since = step.at

    def _collect_effects(self, group: Group, row: Claimed, campaign: Campaign, effects: Iterable[Effect]) -> None:
        scopes: set[str] = set()
        for effect in effects:
            if effect.kind == "send":
                self._collect_send(group, campaign, effect)
            elif effect.kind == "assign":
                self.assignments.append(
                    {
                        "ids": group.ids,
                        "seq": effect.seq,
                        "ordinal": effect.ordinal,
                        "campaign_id": campaign.id,
                        "stage": effect.stage,
                        "assignee": effect.name,
                        "priority": effect.priority,
                    }
                )
            elif effect.kind == "emit":
                self.emitted.append(
                    {
                        "ids": group.ids,
                        "seq": effect.seq,
                        "ordinal": effect.ordinal,
                        "campaign_id": campaign.id,
                        "stage": effect.stage,
                        "name": effect.name,
                    }
                )
            elif effect.kind == "cancel":
                scopes |= _SCOPES[effect.scope]
            elif effect.kind == "unsubscribe":
                self.unsubscribed.append(row.recipient_id)
        if scopes:
            self.cancels.append({"ids": group.ids, "was": row.seq, "scopes": sorted(scopes)})

    def _collect_send(self, group: Group, campaign: Campaign, effect: Effect) -> None:
        channel = effect.channel or campaign.compiled.spec.channel
        self.messages.append(
            {
                "number": group.number,
                "not_before": effect.at,
                "seq": effect.seq,
                "ordinal": effect.ordinal,
                "awaited": effect.awaited,
                "status": "cancelled" if effect.cancelled else "ready",
                "scope": effect.scope,
                "stage": effect.stage,
                "channel": channel,
                "message": effect.name,
                "ignores_window": effect.ignores_window,
                "ignores_limits": effect.ignores_limits,
            }
        )
        for metric in ("queued", "cancelled") if effect.cancelled else ("queued",):
            group.counts.append((DeltaKey(campaign.id, metric, effect.stage or "", channel, effect.name), timedelta()))

    def _collect_taken(
        self, row: Claimed, before: Conversation, decision: Decision, waiting: Sequence[Waiting]
    ) -> None:
        """Responses and events received by now are taken in; count first answers."""
        readings = {reading.key: reading for reading in decision.readings}
        engaged = before.responses_total > 0 or row.status not in ("active", "paused")
        for each in waiting:
            if each.received_at > self.now:
                continue
            if each.kind == "event":
                self.events_taken.append(each.id)
                continue
            reading = readings.get(each.id)
            stage = reading.stage if reading else None
            self.readings.append(
                {"id": each.id, "stage": stage, "reading": dump_values(reading.values) if reading else {}}
            )
            if reading is not None and reading.first:
                self.count(DeltaKey(row.campaign_id, "responded", stage or ""))
            if not engaged:
                engaged = True
                self.count(DeltaKey(row.campaign_id, "engaged", stage or ""))

    def _finish(self, group: Group, campaign: Campaign, decision: Decision) -> None:
        it = decision.conversation
        exit = campaign.compiled.stages[it.stage] if it.stage is not None else None
        exited = exit is not None and exit.outcome is not None
        outcome = exit.outcome if exit is not None and exit.outcome is not None else it.status
        key = DeltaKey(
            campaign.id, "finished", decision.steps[-1].source or "", it.stage or "" if exited else "", outcome
        )
        lasted = self.now - it.started_at if it.started_at is not None else timedelta()
        group.counts.append((key, lasted))
        group.finished = True


def _first_after(now: datetime, waiting: Sequence[Waiting], fate: Fate | None) -> datetime | None:
    """When the next of what has arrived is to be looked at, if it lies after `now`."""
    arrivals = [each.received_at for each in waiting if each.received_at > now]
    if fate is not None and fate.sent_at is not None and fate.sent_at > now:
        arrivals.append(fate.sent_at)
    return min(arrivals, default=None)


def _add(counts: dict[DeltaKey, list[int]], key: DeltaKey, count: int, duration: timedelta) -> None:
    total = counts.get(key)
    if total is None:
        total = counts[key] = [0, 0]
    total[0] += count
    if duration:
        total[1] += count * (duration // _MICROSECOND)


_MICROSECOND = timedelta(microseconds=1)
_SCOPES: dict[str, set[str]] = {
    "follow_up": {"follow_up"},
    "stage": {"follow_up", "stage"},
    "conversation": {"follow_up", "stage", "conversation"},
}
LONG_AGO = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


def load_conversation(row: Claimed, campaign: Campaign) -> tuple[Conversation, Context]:
    """The conversation of a row, paused exactly while its campaign is; and what it reads its facts from."""
    status: Any = row.status
    if status in ("active", "paused"):
        status = "paused" if campaign.paused else "active"
    it = Conversation(row.id, row.stage, status, row.seq, row.entered_at, row.timezone, row.locale)
    return it, campaign.codec.load(it, row.context, row.progress)


def events_of(campaign: Campaign, waiting: Sequence[Waiting], fate: Fate | None) -> list[Event]:
    """What the conversation is to hear: what arrived, the fate of the message it counts from, the campaign's end."""
    events = [
        Event("response", each.received_at, text=each.body, key=each.id)
        if each.kind == "response"
        else Event("event", each.received_at, name=each.body, key=each.id)
        for each in waiting
    ]
    if fate is not None:
        kind, at = ("sent", fate.sent_at) if fate.status == "sent" else ("dropped", LONG_AGO)
        events.append(Event(kind, at or LONG_AGO, message=(fate.seq, fate.ordinal)))  # type: ignore[arg-type]
    if campaign.ended_at is not None:
        events.append(Event("end", campaign.ended_at, name=campaign.ended_by))
    return events
