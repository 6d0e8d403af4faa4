"""What one decision will have done to the world: messages, assignments, cancellations.

Messages die in three ways before they leave: follow-ups by a response, whatever a visit planned for later by leaving
the stage, everything by an exit except what this decision's own edges sent. `Effects` marks those of its own
decision as `cancelled` and asks for the rest with a `cancel` effect, whose reach is `model.cancels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.core.compiled import Action, Assign, Call, Emit, Row, Send
from engine.core.departures import opens_at
from engine.core.facts import fit_fact
from engine.core.model import Conversation, Effect, Scope, Values, cancels
from engine.core.windows import Window


class Effects:
    """The effects of one decision, in order; actions are run against the conversation and row being worked on."""

    def __init__(self, conversation: Conversation, row: Row, now: datetime, window: Window | None = None) -> None:
        self.made: list[Effect] = []
        self.window = window  # of the stage the conversation is in
        self.answering = False  # whether a response is being evaluated: limits do not hold back an answer
        self._conversation = conversation
        self._row = row
        self._now = now
        self._earlier = conversation.seq > 0  # whether an earlier decision can have made messages
        self._of_visit: list[int] = []
        self._of_edges: set[int] = set()
        self._delayed: dict[int, Send] = {}

    def act(
        self, actions: Iterable[Action], seq: int, sends: int = 0, *, of_edge: bool = False, silent: bool = False
    ) -> int:
        """Run actions in order; returns `sends` plus the messages they made. `silent` leaves messages out."""
        for action in actions:
            if isinstance(action, Send):
                if not silent and (action.guard is None or action.guard(self._row) is True):
                    self._send(action, seq, sends, of_edge=of_edge)
                    sends += 1
            elif isinstance(action, Assign):
                self.assign(action, seq)
            elif isinstance(action, Emit):
                self._emit(action.event, seq)
            elif isinstance(action, Call):
                done = action.run(self._row.facts, self._row.said)
                self._set(done.facts)
                for event in done.events:
                    self._emit(event, seq)
            elif action.response is None:
                self._set({action.fact: action.value})
            else:
                self._set({action.fact: fit_fact(action.kind, self._row.said.get(action.response))})
        return sends

    def _set(self, values: Values) -> None:
        """Set facts; one without a value stays as it is."""
        known = {name: value for name, value in values.items() if value is not None}
        if known:
            it = self._conversation
            it.facts = self._row.facts = {**it.facts, **known}

    def assign(self, action: Assign, seq: int) -> None:
        ordinal = sum(effect.kind == "assign" and effect.seq == seq for effect in self.made)
        stage = self._conversation.stage
        self.made.append(Effect("assign", seq, ordinal, action.to, self._now, stage=stage, priority=action.priority))

    def _emit(self, event: str, seq: int) -> None:
        ordinal = sum(effect.kind == "emit" and effect.seq == seq for effect in self.made)
        self.made.append(Effect("emit", seq, ordinal, event, self._now, stage=self._conversation.stage))

    def follow_up(self, send: Send, seq: int, *, awaited: bool) -> None:
        """A follow-up leaves as soon as it may; it dies with the visit, or by a response."""
        self.answering = False
        self._of_visit.append(len(self.made))
        self._conversation.unsent = True
        self.made.append(self._message(send, seq, 0, "follow_up")._replace(awaited=awaited))

    def unsubscribe(self) -> None:
        """Nothing more reaches the recipient: what waits in other decisions and campaigns dies by this very effect."""
        self._kill(range(len(self.made)))
        self.made.append(Effect("unsubscribe", seq=self._conversation.seq))

    def await_last(self, seq: int, start: int) -> tuple[int, int] | None:
        """Ask for the fate of the last message made since `start`; its (seq, ordinal), or None without one."""
        for place in range(len(self.made) - 1, start - 1, -1):
            if self.made[place].kind == "send":
                self.made[place] = self.made[place]._replace(awaited=True)
                return seq, self.made[place].ordinal
        return None

    def cancel_follow_ups(self) -> None:
        self._cancel("follow_up", self._of_visit)

    def cancel_visit(self) -> None:
        """The stage is being left: what its visit planned for later dies."""
        if self._conversation.unsent:
            self._cancel("stage", self._of_visit)
        self.forget_visit()

    def forget_visit(self) -> None:
        """Nothing planned so far dies with the visit that comes next."""
        self._of_visit = []
        self._conversation.unsent = False

    def cancel_for_exit(self) -> None:
        """An exit is entered: all dies that has not left, save what this decision's edges sent for now or for it."""
        kept = self._of_edges.difference(self._of_visit)
        self._cancel("conversation", [place for place in range(len(self.made)) if place not in kept])

    def cancel_all(self) -> None:
        """The conversation is cut off: all dies that has not left."""
        self._cancel("conversation", range(len(self.made)))

    def delayed_since(self, start: int) -> list[int]:
        """The places of the messages made since `start` that were planned for later."""
        return [place for place in range(start, len(self.made)) if self.made[place].scope == "stage"]

    def belong_to_visit(self, places: list[int]) -> None:
        """Delayed messages of the edges that led here belong to this visit: to its stage, its window and its end."""
        for place in places:
            effect = self.made[place]
            wanted_at, at = self._leaves_at(self._delayed[place])
            self.made[place] = effect._replace(stage=self._conversation.stage, at=at, wanted_at=wanted_at)
        if places:
            self._of_visit += places
            self._conversation.unsent = True

    def _send(self, action: Send, seq: int, ordinal: int, *, of_edge: bool) -> None:
        place = len(self.made)
        if of_edge:
            self._of_edges.add(place)
        if action.after is not None:
            self._of_visit.append(place)
            self._delayed[place] = action
            self._conversation.unsent = True
        self.made.append(self._message(action, seq, ordinal, "conversation" if action.after is None else "stage"))

    def _message(self, send: Send, seq: int, ordinal: int, scope: Scope) -> Effect:
        wanted_at, at = self._leaves_at(send)
        return Effect(
            "send", seq, ordinal, send.message, at, scope, self._conversation.stage,
            channel=send.channel, ignores_window=send.ignores_window,
            ignores_limits=send.ignores_limits or self.answering, wanted_at=wanted_at,
        )  # fmt: skip

    def _leaves_at(self, send: Send) -> tuple[datetime | None, datetime]:
        """When the message is wanted if its window moves it, and when that lets it leave."""
        zone = self._conversation.zone
        at = send.after.after(self._now, zone, self.window) if send.after is not None else self._now
        opening = at if send.ignores_window else opens_at(self.window, at, zone)
        return at if opening != at else None, opening

    def _cancel(self, scope: Scope, places: Iterable[int]) -> None:
        self._kill(place for place in places if cancels(scope, self.made[place].scope))
        if self._earlier:
            self.made.append(Effect("cancel", seq=self._conversation.seq, scope=scope))

    def _kill(self, places: Iterable[int]) -> None:
        for place in places:
            if self.made[place].kind == "send":
                self.made[place] = self.made[place]._replace(cancelled=True)
