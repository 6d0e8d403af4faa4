"""One batch: claimed rows in, what to write out, grouped by kind. Pure; the database is elsewhere.

`Batch.decide` evaluates kin, conversations that agree in all but their own instants and facts. An exception there is
one conversation's own misfortune: it is noted, the others go on. Everything else collects what the decisions came to,
in the form the statements of `engine.db.progression` take.

A decision is pure, so conversations that are alike in everything it can read share one. `engine.core.likeness` tells
which are alike in their instants, and `Memo` which in the facts that were read: that is known only afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from engine.core.agenda import wakes
from engine.core.compiled import SHARE, CompiledType
from engine.core.decide import decide
from engine.core.likeness import Likeness, carried
from engine.core.model import Conversation, Decision, Effect, Event, EventKind, Step
from engine.db.conversations import LONG_AGO, Fate, Kin, Waiting
from engine.db.progress import (
    Context,
    ContextUnreadError,
    ConversationCodec,
    dump_context,
    dump_progress,
    dump_values,
)
from engine.db.progression import Move
from engine.groups import DeltaKey, Group, Span
from engine.memo import Memo

Rows = list[dict[str, Any]]


class Campaign(NamedTuple):
    """What a batch must know of a campaign. `ended_by` is set when its conversations are to stop, and why."""

    id: str
    compiled: CompiledType
    codec: ConversationCodec
    paused: bool = False
    ended_at: datetime | None = None
    ended_by: str = ""


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
        self.unsubscribed: list[list[str]] = []
        self.failures: list[tuple[Kin, Exception]] = []
        self._groups: list[Group] = []
        self._counts: dict[DeltaKey, list[int]] = {}  # how many, and microseconds in all

    @property
    def moves(self) -> list[Move]:
        """Who was decided, and by which number their rows are known."""
        return [Move(group.number, group.was, group.ids) for group in self._groups]

    @property
    def advanced_count(self) -> int:
        """Progressions: history rows."""
        return sum(len(group.ids) * group.steps for group in self._groups)

    @property
    def finished_count(self) -> int:
        """Conversations that came to an end."""
        return sum(len(group.ids) for group in self._groups if group.finished)

    def decide(self, kin: Kin, campaign: Campaign, waiting: Sequence[Waiting], fates: Mapping[str, Fate]) -> Kin | None:
        """Evaluate kin and collect what follows. `waiting` is what arrived for one that is alone, `fates` by id.

        Returns those whose contexts must be known to decide them; only kin that came without can be among them.
        """
        likenesses: dict[Fate | None, Likeness] = {}
        memos: dict[object, Memo[Group]] = {}
        unread: list[int] = []
        for place, id in enumerate(kin.ids):
            fate = fates.get(id)
            try:
                if (likeness := likenesses.get(fate)) is None:
                    likeness = likenesses[fate] = self._likeness(kin.at(place), campaign, fate)
                memo = memos.setdefault((fate, likeness.of(kin.pending[place])), Memo())
                group = memo.find(campaign.codec, kin.contexts[place] if kin.contexts else None)
                if group is None:
                    group = self._decide_one(kin.at(place), campaign, waiting, fate, memo)
            except ContextUnreadError:
                memo.is_unread = True
                unread.append(place)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this conversation's own, and is recorded
                self.failures.append((kin.at(place), error))
            else:
                group.add(kin, place)
        return kin.at(*unread) if unread else None

    def count(self, key: DeltaKey, count: int = 1, duration: timedelta = timedelta()) -> None:
        """Add to what `metric_deltas` will say: `count` of something, `duration` in all."""
        _add(self._counts, key, count, duration)

    def deltas(self) -> Rows:
        """Every count of the batch, one row for each key."""
        counts = {key: list(total) for key, total in self._counts.items()}
        for group in self._groups:
            for key, span in group.counts:
                _add(counts, key, len(group.ids), group.lasted(span, self.now))
        day = self.now.date()
        return [
            key._asdict() | {"day": day, "count": count, "duration_us": microseconds}
            for key, (count, microseconds) in counts.items()
        ]

    # ---- deciding ----------------------------------------------------------------------------------------------

    def _likeness(self, row: Kin, campaign: Campaign, fate: Fate | None) -> Likeness:
        conversation = load_conversation(row, campaign)
        heard = [event for event in events_of(campaign, conversation, (), fate) if event.at <= self.now]
        return Likeness(campaign.compiled, conversation, self.now, len(heard))

    def _decide_one(
        self, row: Kin, campaign: Campaign, waiting: Sequence[Waiting], fate: Fate | None, memo: Memo[Group]
    ) -> Group:
        """Decide the one conversation of `row` and, if that tells more than its own fate, keep it for its kin."""
        context = campaign.codec.context(row.contexts[0] if row.contexts else None)
        conversation = load_conversation(row, campaign, context)
        try:
            decision = decide(
                campaign.compiled, conversation, events_of(campaign, conversation, waiting, fate), self.now
            )
        finally:
            if context.is_unread:  # whatever came of it: a plug-in may have taken the error for an answer
                raise ContextUnreadError
        reads = dict(context.reads)
        group = Group(len(self._groups), row.seq)
        self._groups.append(group)
        self._collect(group, row, campaign, conversation, decision, waiting, fate)
        if not waiting and not any(SHARE in each.inputs for each in decision.trace):
            memo.keep(reads, group)
        return group

    # ---- collecting ---------------------------------------------------------------------------------------------

    def _collect(
        self,
        group: Group,
        row: Kin,
        campaign: Campaign,
        before: Conversation,
        decision: Decision,
        waiting: Sequence[Waiting],
        fate: Fate | None,
    ) -> None:
        later = _first_after(self.now, waiting, fate) if waiting or fate is not None else None
        self._collect_row(group, before, decision, waiting, later)
        if decision.conversation.status not in _HELD:
            self._collect_taken(row, before, decision, waiting)
        self._collect_steps(group, row, decision.steps)
        self._collect_effects(group, row, campaign, decision.effects)
        if before.status != decision.conversation.status and decision.steps:
            self._finish(group, campaign, decision)

    def _collect_row(
        self,
        group: Group,
        before: Conversation,
        decision: Decision,
        waiting: Sequence[Waiting],
        later: datetime | None,
    ) -> None:
        """The conversations' own rows. `later` is when something that has arrived is to be looked at, after now."""
        it = decision.conversation
        parked = it.status == "paused"
        changed = it.facts is not before.facts or it.captured is not before.captured
        kept, made = carried(before.agenda, it.agenda)
        known = [before.agenda[place] for place in kept]
        waking = {id(due) for due in wakes(it)}
        soonest = [due.at for due in made if id(due) in waking] + ([later] if later is not None else [])
        self.rows.append(
            {
                "number": group.number,
                "seq": it.seq,
                "stage": it.stage,
                "status": it.status,
                "parked": parked,
                "entered": any(step.entered for step in decision.steps),
                "due_at": min(soonest, default=None),
                "wakes": [place + 1 for place, due in zip(kept, known, strict=True) if id(due) in waking],
                "carried": [place + 1 for place in kept],  # arrays begin at 1 in SQL
                "made": [due.at for due in made],
                "inbox_waiting": bool(waiting) and (it.status in _HELD or waiting[-1].received_at > self.now),
                "progress": dump_progress(it, known + made),
                "context": dump_context(it) if changed else None,
            }
        )

    def _collect_steps(self, group: Group, row: Kin, steps: Sequence[Step]) -> None:
        group.steps = len(steps)
        span: Span = "visit"
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
            group.counts.append((key, span if step.entered else ""))
            if step.entered:
                span = ""  # stages passed in one evaluation take no time

    def _collect_effects(self, group: Group, row: Kin, campaign: Campaign, effects: Iterable[Effect]) -> None:
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
                self.unsubscribed.append(group.ids)
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
            group.counts.append((DeltaKey(campaign.id, metric, effect.stage or "", channel, effect.name), ""))

    def _collect_taken(self, row: Kin, before: Conversation, decision: Decision, waiting: Sequence[Waiting]) -> None:
        """Responses and events received by now are taken in; count first answers."""
        readings = {reading.key: reading for reading in decision.readings}
        values = {reading.key: dump_values(reading.values) for reading in decision.readings}  # all, or none is taken
        engaged = before.responses_total > 0 or row.status not in ("active", "paused")
        for each in waiting:
            if each.received_at > self.now:
                continue
            if each.kind == "event":
                self.events_taken.append(each.id)
                continue
            reading = readings.get(each.id)
            stage = reading.stage if reading else None
            self.readings.append({"id": each.id, "stage": stage, "reading": values.get(each.id, {})})
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
        group.counts.append((key, "life"))
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
        total[1] += duration // _MICROSECOND


_MICROSECOND = timedelta(microseconds=1)
_HELD = ("paused", "failed")  # what arrives for these waits until they go on
_SCOPES: dict[str, set[str]] = {
    "follow_up": {"follow_up"},
    "stage": {"follow_up", "stage"},
    "conversation": {"follow_up", "stage", "conversation"},
}


def load_conversation(row: Kin, campaign: Campaign, context: Context | None = None) -> Conversation:
    """The one conversation of a row, paused exactly while its campaign is, reading its facts from `context`."""
    status: Any = row.status
    if status in ("active", "paused"):
        status = "paused" if campaign.paused else "active"
    it = Conversation(row.ids[0], row.stage, status, row.seq, row.entered_at[0], row.timezone, row.locale)
    it.started_at = row.started_at[0]
    context = context or campaign.codec.context(row.contexts[0] if row.contexts else None)
    campaign.codec.load(it, context, row.progress, row.pending[0])
    return it


def events_of(
    campaign: Campaign, conversation: Conversation, waiting: Sequence[Waiting], fate: Fate | None
) -> list[Event]:
    """What the conversation is to hear: what arrived, the fate of the message it awaits, the campaign's end."""
    events = [
        Event("response", each.received_at, text=each.body, key=each.id)
        if each.kind == "response"
        else Event("event", each.received_at, name=each.body, key=each.id)
        for each in waiting
    ]
    if fate is not None:
        kind: EventKind = "sent" if fate.status == "sent" else "dropped"
        at = fate.sent_at if kind == "sent" else None
        events.append(Event(kind, at or LONG_AGO, message=conversation.awaits))
    if campaign.ended_at is not None:
        events.append(Event("end", campaign.ended_at, name=campaign.ended_by))
    return events
