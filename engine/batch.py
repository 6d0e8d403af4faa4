"""One batch: claimed rows in, what to write out, grouped by kind. Pure; the database is elsewhere.

`Batch.decide` evaluates one conversation. An exception there is that conversation's own misfortune: it is noted,
the others go on. Everything else collects what the decisions came to, in the form the statements of
`engine.db.progression` take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.model import Conversation, Decision, Effect, Event, Step
from engine.db.conversations import Claimed, Fate, Waiting
from engine.db.progress import ConversationCodec, dump_context, dump_progress, dump_values

Rows = list[dict[str, Any]]


class Campaign(NamedTuple):
    """What a batch must know of a campaign. `ended_by` is set when its conversations are to stop, and why."""

    id: UUID
    compiled: CompiledType
    codec: ConversationCodec
    paused: bool = False
    ended_at: datetime | None = None
    ended_by: str = ""


class DeltaKey(NamedTuple):
    """What a count is of; the meaning of the dimensions stands above `metric_deltas` in `engine.db.tables`."""

    campaign_id: UUID
    metric: str
    stage: str = ""
    target: str = ""
    label: str = ""


class Batch:
    """The decisions of one bucket at one instant, ready to be written."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.rows: Rows = []
        self.steps: Rows = []
        self.messages: Rows = []
        self.assignments: Rows = []
        self.cancels: Rows = []
        self.readings: Rows = []
        self.events_taken: list[UUID] = []
        self.unsubscribed: list[UUID] = []
        self.failures: list[tuple[Claimed, Exception]] = []
        self.finished_count = 0
        self._counts: Counter[DeltaKey] = Counter()
        self._durations: Counter[DeltaKey] = Counter()

    @property
    def advanced_count(self) -> int:
        """Progressions: history rows."""
        return len(self.steps)

    def decide(self, row: Claimed, campaign: Campaign, waiting: Sequence[Waiting], fate: Fate | None) -> None:
        """Evaluate one claimed conversation and collect what follows."""
        try:
            conversation = load_conversation(row, campaign)
            decision = decide(campaign.compiled, conversation, events_of(campaign, waiting, fate), self.now)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this conversation's own, and is recorded
            self.failures.append((row, error))
            return
        arrivals = [each.received_at for each in waiting]
        if fate is not None and fate.sent_at is not None:
            arrivals.append(fate.sent_at)
        later = min((at for at in arrivals if at > self.now), default=None)
        self._collect_row(row, conversation, decision, waiting, later)
        self._collect_steps(row, decision.steps)
        self._collect_effects(row, campaign, decision.effects)
        if decision.conversation.status != "paused":
            self._collect_taken(row, decision, waiting)
        if conversation.status != decision.conversation.status and decision.steps:
            self._finish(row, campaign, decision)

    def count(self, key: DeltaKey, count: int = 1, duration: timedelta | None = None) -> None:
        """Add to what `metric_deltas` will say."""
        self._counts[key] += count
        if duration is not None:
            self._durations[key] += duration // timedelta(microseconds=1)

    def deltas(self) -> Rows:
        day = self.now.date().isoformat()
        return [
            {
                "campaign_id": key.campaign_id,
                "day": day,
                "metric": key.metric,
                "stage": key.stage,
                "target": key.target,
                "label": key.label,
                "count": count,
                "duration_us": self._durations[key],
            }
            for key, count in self._counts.items()
        ]

    # ---- collecting ---------------------------------------------------------------------------------------------

    def _collect_row(
        self, row: Claimed, before: Conversation, decision: Decision, waiting: Sequence[Waiting], later: datetime | None
    ) -> None:
        """The conversation's own row. `later` is when something that has arrived is to be looked at, after now."""
        it = decision.conversation
        parked = it.status == "paused"
        changed = it.facts is not before.facts or it.captured is not before.captured
        due = min((at for at in (decision.next_due, later) if at is not None), default=None)
        self.rows.append(
            {
                "id": row.id,
                "was": row.seq,
                "seq": it.seq,
                "stage": it.stage,
                "status": it.status,
                "due_at": None if parked else due,
                "held_due_at": (row.held_due_at or row.due_at) if parked else None,
                "entered_at": it.entered_at,
                "inbox_waiting": any(parked or each.received_at > self.now for each in waiting),
                "progress": dump_progress(it),
                "context": dump_context(it) if changed else None,
            }
        )

    def _collect_steps(self, row: Claimed, steps: Iterable[Step]) -> None:
        since = row.entered_at
        for step in steps:
            self.steps.append(
                {
                    "id": row.id,
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
            self.count(key, duration=step.at - since if step.entered and since is not None else None)
            if step.entered:
                since = step.at

    def _collect_effects(self, row: Claimed, campaign: Campaign, effects: Iterable[Effect]) -> None:
        scopes: set[str] = set()
        for effect in effects:
            if effect.kind == "send":
                self._collect_send(row, campaign, effect)
            elif effect.kind == "assign":
                self.assignments.append(
                    {
                        "id": row.id,
                        "seq": effect.seq,
                        "ordinal": effect.ordinal,
                        "campaign_id": campaign.id,
                        "stage": effect.stage,
                        "assignee": effect.name,
                        "priority": effect.priority,
                    }
                )
            elif effect.kind == "cancel":
                scopes |= _SCOPES[effect.scope]
            elif effect.kind == "unsubscribe":
                self.unsubscribed.append(row.recipient_id)
        if scopes:
            self.cancels.append({"id": row.id, "was": row.seq, "scopes": sorted(scopes)})

    def _collect_send(self, row: Claimed, campaign: Campaign, effect: Effect) -> None:
        channel = campaign.compiled.spec.channel
        self.messages.append(
            {
                "id": row.id,
                "not_before": effect.at,
                "seq": effect.seq,
                "ordinal": effect.ordinal,
                "awaited": effect.awaited,
                "status": "cancelled" if effect.cancelled else "ready",
                "scope": effect.scope,
                "stage": effect.stage,
                "channel": channel,
                "message": effect.name,
            }
        )
        self.count(DeltaKey(campaign.id, "queued", effect.stage or "", channel, effect.name))
        if effect.cancelled:
            self.count(DeltaKey(campaign.id, "cancelled", effect.stage or "", channel, effect.name))

    def _collect_taken(self, row: Claimed, decision: Decision, waiting: Sequence[Waiting]) -> None:
        """Responses and events received by now are taken in; count first answers."""
        readings = {reading.key: reading for reading in decision.readings}
        engaged = row.progress.get("responses_total", 0) > 0
        for each in waiting:
            if each.received_at > self.now:
                continue
            if each.kind == "event":
                self.events_taken.append(each.id)
                continue
            reading = readings.get(str(each.id))
            stage = reading.stage if reading else None
            values = dump_values(reading.values) if reading else {}
            self.readings.append({"id": each.id, "stage": stage, "reading": values})
            if reading is not None and reading.first:
                self.count(DeltaKey(row.campaign_id, "responded", stage or ""))
            if not engaged and row.status in ("active", "paused"):
                engaged = True
                self.count(DeltaKey(row.campaign_id, "engaged", stage or ""))

    def _finish(self, row: Claimed, campaign: Campaign, decision: Decision) -> None:
        it = decision.conversation
        exit = campaign.compiled.stages[it.stage] if it.stage is not None else None
        outcome = exit.outcome if exit is not None and exit.outcome is not None else it.status
        target = it.stage if exit is not None and exit.outcome is not None else None
        last = decision.steps[-1]
        key = DeltaKey(campaign.id, "finished", last.source or "", target or "", outcome)
        self.count(key, duration=self.now - it.started_at if it.started_at is not None else None)
        self.finished_count += 1


_SCOPES: dict[str, set[str]] = {
    "follow_up": {"follow_up"},
    "stage": {"follow_up", "stage"},
    "conversation": {"follow_up", "stage", "conversation"},
}


def load_conversation(row: Claimed, campaign: Campaign) -> Conversation:
    """The conversation of a row; paused exactly while its campaign is."""
    status: Any = row.status
    if status in ("active", "paused"):
        status = "paused" if campaign.paused else "active"
    it = Conversation(row.id, row.stage, status, row.seq, row.entered_at, row.timezone, row.locale)
    return campaign.codec.load(it, row.context, row.progress)


def events_of(campaign: Campaign, waiting: Sequence[Waiting], fate: Fate | None) -> list[Event]:
    events = [
        Event("response", each.received_at, text=each.body, key=str(each.id))
        if each.kind == "response"
        else Event("event", each.received_at, name=each.body, key=str(each.id))
        for each in waiting
    ]
    if fate is not None:
        kind, at = ("sent", fate.sent_at) if fate.status == "sent" else ("dropped", _LONG_AGO)
        events.append(Event(kind, at or _LONG_AGO, message=(fate.seq, fate.ordinal)))  # type: ignore[arg-type]
    if campaign.ended_at is not None:
        events.append(Event("end", campaign.ended_at, name=campaign.ended_by))
    return events


_LONG_AGO = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
