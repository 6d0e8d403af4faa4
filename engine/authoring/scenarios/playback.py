"""One conversation played out in memory: the pure core, a clock, and messages that leave when they are due.

A `Playback` stands in for tick, inbox and worker. It asks `decide` at every instant at which something is due, keeps
the messages that were made, and lets each leave at its planned instant unless something cancelled it before. At one
instant what arrives comes first, then messages leave, then timers run; that is the engine's own order, so what
happens here is what happens in a campaign whose workers are never late.
"""

from __future__ import annotations

from copy import copy
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.departures import leaves_at
from engine.core.model import Conversation, Decision, Event, Scope, Step, cancels

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
    stage: str | None
    ignores_window: bool
    ignores_limits: bool
    wanted_at: datetime  # before windows and limits
    opens_at: datetime  # before limits


_ORDER = attrgetter("at", "seq", "ordinal")


class Playback:
    """The conversation as it stands `now`, and all that came of it.

    `path` has the stages entered, `steps` every progression, `sent` the messages that left, of which `left` tells more,
    and `assigned`, `emitted` and `log` the rest.

    It begins with the entry of the start stage; that stage's first messages leave when time runs `through` the start.
    """

    def __init__(self, compiled: CompiledType, conversation: Conversation, now: datetime) -> None:
        self.compiled = compiled
        self.conversation = conversation
        self.now = now
        self.next_due: datetime | None = None
        self.path: list[str] = []
        self.sent: list[Done] = []
        self.assigned: list[Done] = []
        self.log: list[Done] = []
        self.emitted: list[Done] = []
        self.steps: list[Step] = []
        self.left: list[Planned] = []
        self._waiting: list[Planned] = []
        self._departures: tuple[datetime, ...] = ()
        self._carry_out(decide(compiled, conversation, [], now))

    def look_ahead(self, compiled: CompiledType, until: datetime) -> list[Done]:
        """What would happen before `until` if nothing arrived. Nothing of it is seen here."""
        ahead = copy(self)
        ahead.compiled = compiled
        ahead.path, ahead.steps, ahead.sent, ahead.left = [], [], [], []
        ahead.assigned, ahead.emitted, ahead.log = [], [], []
        ahead.run(until, through=False)
        return ahead.log

    @property
    def waiting(self) -> int:
        """How many messages have yet to leave."""
        return len(self._waiting)

    @property
    def next_at(self) -> datetime | None:
        """When something happens next if nothing arrives: a message leaves or a step is due. None is never."""
        if not self._waiting:
            return self.next_due
        at = min([each.at for each in self._waiting])
        return self.next_due if self.next_due is not None and self.next_due < at else at

    def run(self, until: datetime, *, through: bool = True) -> None:
        """Let time pass to `until`, and what is due at that very instant happen too unless `through` is false."""
        while (at := self.next_at) is not None and (at < until or (at == until and through)):
            self.advance(at)
        self.now = until

    def advance(self, at: datetime) -> None:
        """Let what is due at `at` happen, which is the `next_at`."""
        self.now = at
        events = self._leave([each for each in self._waiting if each.at <= at])
        if events or (self.next_due is not None and self.next_due <= at):
            self._carry_out(decide(self.compiled, self.conversation, events, at))

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
        """Messages go out, in order, but for those that limits hold back; returns what `decide` must hear of it."""
        if not leaving:
            return []
        heard = []
        if len(leaving) == len(self._waiting):
            self._waiting = []
        else:
            self._waiting = [each for each in self._waiting if each not in leaving]
        for each in sorted(leaving, key=_ORDER) if len(leaving) > 1 else leaving:
            at = leaves_at(each, self.compiled, self.conversation.zone, self.now, self._departures)
            if at > self.now:
                self._waiting.append(each._replace(at=at))
                continue
            self._departures = (*self._departures, at)
            self.sent.append(Done(each.name, self.now))
            self.left.append(each if each.at == at else each._replace(at=at))
            self.log.append(Done(f"sent {each.name}", self.now))
            if each.awaited:
                heard.append(Event("sent", self.now, message=(each.seq, each.ordinal)))
        return heard

    def _carry_out(self, decision: Decision) -> None:
        self.conversation, self.next_due = decision.conversation, decision.next_due
        self.steps += decision.steps
        for step in decision.steps:
            if step.entered and step.to is not None:
                self.path.append(step.to)
            self.log.append(Done(f"{'entered' if step.entered else 'in'} {step.to} ({step.cause})", step.at))
        self._waiting = self._without_cancelled(self._waiting, decision)
        for effect in decision.effects:
            if effect.kind == "send" and not effect.cancelled:
                at = effect.at or self.now
                planned = Planned(
                    at, effect.seq, effect.ordinal, effect.name, effect.scope, effect.awaited, effect.stage,
                    effect.ignores_window, effect.ignores_limits, effect.wanted_at or at, at,
                )  # fmt: skip
                self._waiting = [*self._waiting, planned]
            elif effect.kind == "assign":
                self.assigned.append(Done(effect.name, self.now))
                self.log.append(Done(f"assigned to {effect.name}", self.now))
            elif effect.kind == "emit":
                self.emitted.append(Done(effect.name, self.now))
                self.log.append(Done(f"emitted {effect.name}", self.now))

    @staticmethod
    def _without_cancelled(messages: list[Planned], decision: Decision) -> list[Planned]:
        """The earlier messages that a decision lets live."""
        if not messages:
            return messages
        if any(effect.kind == "unsubscribe" for effect in decision.effects):
            return []
        scopes = [effect.scope for effect in decision.effects if effect.kind == "cancel"]
        return [each for each in messages if not any(cancels(scope, each.scope) for scope in scopes)]
