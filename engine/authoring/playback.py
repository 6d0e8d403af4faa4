"""One conversation played out in memory: the pure core, a clock, and messages that leave when they are due.

A `Playback` stands in for tick, inbox and worker. It asks `decide` at every instant at which something is due, keeps
the messages that were made, and lets each leave at its planned instant unless something cancelled it before. At one
instant what arrives comes first, then messages leave, then timers run; that is the engine's own order, so what
happens here is what happens in a campaign whose workers are never late.
"""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from typing import NamedTuple

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.model import Conversation, Decision, Event, Scope, cancels

_INSTANT = timedelta(microseconds=1)


class Done(NamedTuple):
    """Something that happened at `at`: a message that left, a hand-over to `name`, a line of the log."""

    name: str
    at: datetime


class Planned(NamedTuple):
    """A message that has not left; they leave in this order."""

    at: datetime
    seq: int
    ordinal: int
    name: str
    scope: Scope
    awaited: bool


class Playback:
    """The conversation as it stands `now`, and everything that came of it: `stages`, `sent`, `assigned`, `log`.

    It begins with the entry of the start stage; that stage's first messages leave when time runs `through` the start.
    """

    def __init__(self, compiled: CompiledType, conversation: Conversation, now: datetime) -> None:
        self.compiled = compiled
        self.conversation = conversation
        self.now = now
        self.next_due: datetime | None = None
        self.stages: set[str] = set()
        self.sent: list[Done] = []
        self.assigned: list[Done] = []
        self.log: list[Done] = []
        self._waiting: list[Planned] = []
        self._carry_out(decide(compiled, conversation, [], now))

    def look_ahead(self, compiled: CompiledType, until: datetime) -> list[Done]:
        """What would happen before `until` if nothing arrived. Nothing of it is seen here."""
        ahead = copy(self)
        ahead.compiled = compiled
        ahead.stages, ahead.sent, ahead.assigned, ahead.log = set(), [], [], []
        ahead.run(until, through=False)
        return ahead.log

    def run(self, until: datetime, *, through: bool = True) -> None:
        """Let time pass to `until`, and what is due at that very instant happen too unless `through` is false."""
        while True:
            at = min((each.at for each in self._waiting), default=None)
            if self.next_due is not None and (at is None or self.next_due < at):
                at = self.next_due
            if at is None or at > until or (at == until and not through):
                break
            self.now = at
            events = self._leave([each for each in self._waiting if each.at <= at])
            if events or (self.next_due is not None and self.next_due <= at):
                self._carry_out(decide(self.compiled, self.conversation, events, at))
        self.now = until

    def receive(self, event: Event, unseen: CompiledType) -> None:
        """Let a response or event arrive now, before anything else that is due at this instant.

        `unseen` is the same campaign type for looking ahead.
        """
        what = f"reply {event.text!r}" if event.kind == "response" else f"event {event.name}"
        self.log.append(Done(what, self.now))
        leaving = [each for each in self._waiting if each.at <= self.now]
        if leaving:
            leaving = self._without_cancelled(leaving, decide(unseen, self._alone(), [event], self.now))
        events = [event, *self._leave(leaving)]
        self._carry_out(decide(self.compiled, self.conversation, events, self.now))

    def _alone(self) -> Conversation:
        """The conversation with all that is due now put off, to see what an arrival does by itself."""
        it = self.conversation.copy()
        it.agenda = tuple(due._replace(at=max(due.at, self.now + _INSTANT)) for due in it.agenda)
        return it

    def _leave(self, leaving: list[Planned]) -> list[Event]:
        """Messages go out, in order; returns what `decide` must hear of it."""
        if not leaving:
            return []
        leaving = sorted(leaving)
        self._waiting = [each for each in self._waiting if each not in leaving]
        self.sent += [Done(each.name, self.now) for each in leaving]
        self.log += [Done(f"sent {each.name}", self.now) for each in leaving]
        return [Event("sent", self.now, message=(each.seq, each.ordinal)) for each in leaving if each.awaited]

    def _carry_out(self, decision: Decision) -> None:
        self.conversation, self.next_due = decision.conversation, decision.next_due
        for step in decision.steps:
            if step.entered and step.to is not None:
                self.stages.add(step.to)
            self.log.append(Done(f"{'entered' if step.entered else 'in'} {step.to} ({step.cause})", step.at))
        self._waiting = self._without_cancelled(self._waiting, decision)
        for effect in decision.effects:
            if effect.kind == "send" and not effect.cancelled:
                at = effect.at or self.now
                planned = Planned(at, effect.seq, effect.ordinal, effect.name, effect.scope, effect.awaited)
                self._waiting = [*self._waiting, planned]
            elif effect.kind == "assign":
                self.assigned.append(Done(effect.name, self.now))
                self.log.append(Done(f"assigned to {effect.name}", self.now))

    @staticmethod
    def _without_cancelled(messages: list[Planned], decision: Decision) -> list[Planned]:
        """The earlier messages that a decision lets live."""
        if any(effect.kind == "unsubscribe" for effect in decision.effects):
            return []
        scopes = [effect.scope for effect in decision.effects if effect.kind == "cancel"]
        return [each for each in messages if not any(cancels(scope, each.scope) for scope in scopes)]
