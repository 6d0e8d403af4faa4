"""What one decision will have done to the world: messages, assignments, cancellations.

Messages die in three ways before they leave: follow-ups by a response, whatever a visit planned for later by leaving
the stage, everything by an exit except what this decision's own edges sent. `Effects` marks those of its own
decision as `cancelled` and asks for the rest with a `cancel` effect, whose reach is `model.cancels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engine.core.compiled import Action, Assign, Row, Send
from engine.core.facts import fit_fact
from engine.core.model import Conversation, Effect, Scope, cancels


class Effects:
    """The effects of one decision, in order; actions are run against the conversation and row being worked on."""

    def __init__(self, conversation: Conversation, row: Row, now: datetime) -> None:
        self.made: list[Effect] = []
        self._conversation = conversation
        self._row = row
        self._now = now
        self._earlier = conversation.seq > 0  # whether an earlier decision can have made messages
        self._of_visit: list[int] = []
        self._of_edges: set[int] = set()

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
            else:
                value = action.value
                if action.response is not None:
                    value = fit_fact(action.kind, self._row.said.get(action.response))
                if value is not None:
                    it = self._conversation
                    it.facts = self._row.facts = {**it.facts, action.fact: value}
        return sends

    def assign(self, action: Assign, seq: int) -> None:
        ordinal = sum(effect.kind == "assign" and effect.seq == seq for effect in self.made)
        stage = self._conversation.stage
        self.made.append(Effect("assign", seq, ordinal, action.to, self._now, stage=stage, priority=action.priority))

    def follow_up(self, message: str, seq: int, *, awaited: bool) -> None:
        """A follow-up leaves now; it dies with the visit, or by a response."""
        stage = self._conversation.stage
        self._of_visit.append(len(self.made))
        self._conversation.unsent = True
        self.made.append(Effect("send", seq, 0, message, self._now, "follow_up", stage, awaited))

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
        """Delayed messages of the edges that led here die with this visit."""
        if places:
            self._of_visit += places
            self._conversation.unsent = True

    def _send(self, action: Send, seq: int, ordinal: int, *, of_edge: bool) -> None:
        it, place, stage = self._conversation, len(self.made), self._conversation.stage
        if of_edge:
            self._of_edges.add(place)
        if action.after is None:
            self.made.append(Effect("send", seq, ordinal, action.message, self._now, "conversation", stage))
            return
        self._of_visit.append(place)
        it.unsent = True
        at = action.after.after(self._now, it.zone)
        self.made.append(Effect("send", seq, ordinal, action.message, at, "stage", stage))

    def _cancel(self, scope: Scope, places: Iterable[int]) -> None:
        self._kill(place for place in places if cancels(scope, self.made[place].scope))
        if self._earlier:
            self.made.append(Effect("cancel", seq=self._conversation.seq, scope=scope))

    def _kill(self, places: Iterable[int]) -> None:
        for place in places:
            if self.made[place].kind == "send":
                self.made[place] = self.made[place]._replace(cancelled=True)
