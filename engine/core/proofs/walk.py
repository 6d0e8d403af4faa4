"""One conversation walked through on time: the pure core, and messages that leave as soon as they may.

A walk can be forked, so that a search tries every way on from where it stands. It notes the edges it takes, each
with its instant, and the guards that ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import datetime
from typing import Any, NamedTuple

from engine.core.compiled import CompiledType, Row
from engine.core.decide import decide
from engine.core.departures import leaves_at
from engine.core.model import Effect, Event, Rank, Values, Verdict, cancels, new_conversation


class Taken(NamedTuple):
    """An edge that was taken, from where and when."""

    edge: str
    source: str
    at: datetime


class Walk:
    """A conversation as it stands `now`; `taken` and `trace` are those of the last move."""

    def __init__(self, compiled: CompiledType, start: datetime, facts: Values, splits: Values) -> None:
        self.now = start
        self.next_due: datetime | None = None
        self.taken: list[Taken] = []
        self.trace: list[Verdict] = []
        self._waiting: tuple[Effect, ...] = ()
        self._sent: tuple[datetime, ...] = ()
        self.conversation = new_conversation("proof", start, facts=facts, splits=splits)
        self._compiled = compiled
        self._recording = compiled._replace(trigger=self._trigger)
        self._decide()

    def fork(self) -> Walk:
        """The same conversation, to be moved on its own."""
        other = copy(self)
        other._recording = other._compiled._replace(trigger=other._trigger)
        other.taken, other.trace = [], []
        return other

    def put_on(self, facts: Values, splits: Mapping[str, str]) -> None:
        """Become somebody with other facts and shares, None being a fact that is missing."""
        it = self.conversation = self.conversation.copy()
        changed = {**it.facts, **facts}
        it.facts = {name: value for name, value in changed.items() if value is not None}
        it.splits = splits

    def run(self, until: datetime, *, through: bool = True) -> None:
        """Let time pass to `until`, with what is due at that very instant unless `through` is false."""
        while True:
            at = min((each.at for each in self._waiting if each.at is not None), default=None)
            if self.next_due is not None and (at is None or self.next_due < at):
                at = self.next_due
            if at is None or at > until or (at == until and not through):
                break
            self.now = max(at, self.now)
            events = self._leave()
            if events or (self.next_due is not None and self.next_due <= self.now):
                self._decide(*events)
        self.now = until

    def hear(self, event: Event) -> None:
        """Let a response or event arrive now, and whatever else is due now happen after it."""
        self._decide(event)
        self.run(self.now)

    def end_of_stay(self) -> datetime | None:
        return min((due.at for due in self.conversation.agenda if due.rank == Rank.STAY_END), default=None)

    def _trigger(self, name: str, row: Row) -> bool:
        source = row.state
        passed = self._compiled.trigger(name, row)
        if passed and row.edge is not None:
            self.taken.append(Taken(row.edge.key, source, self.now))
        return passed

    def _decide(self, *events: Event) -> None:
        decision = decide(self._recording, self.conversation, events, self.now)
        self.conversation, self.next_due = decision.conversation, decision.next_due
        self.trace += decision.trace
        cancelled = [effect.scope for effect in decision.effects if effect.kind == "cancel"]
        if any(effect.kind == "unsubscribe" for effect in decision.effects):
            self._waiting = ()
        if self._waiting and cancelled:
            self._waiting = tuple(
                each for each in self._waiting if not any(cancels(scope, each.scope) for scope in cancelled)
            )
        made = tuple(each for each in decision.effects if each.kind == "send" and not each.cancelled)
        self._waiting += made

    def _leave(self) -> list[Event]:
        """The messages due now go out, in order, but for those that limits hold back; what `decide` hears of it."""
        due = sorted((each for each in self._waiting if each.at is not None and each.at <= self.now), key=_order)
        self._waiting = tuple(each for each in self._waiting if each not in due)
        heard = []
        for each in due:
            at = leaves_at(each, self._compiled, self.conversation.zone, self.now, self._sent)
            if at > self.now:
                self._waiting = (*self._waiting, each._replace(at=at))
                continue
            self._sent = (*self._sent, at)
            if each.awaited:
                heard.append(Event("sent", self.now, message=(each.seq, each.ordinal)))
        return heard


def _order(effect: Effect) -> tuple[Any, ...]:
    return effect.at, effect.seq, effect.ordinal
