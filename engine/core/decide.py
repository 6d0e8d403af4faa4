"""What happens to one conversation, given what arrived and what time it is. Pure, total and deterministic.

Everything that happens forms one sequence: responses and events by the time they were received, due things by the
time they were due, whatever the time is now. At one instant responses and events come first, then messages that
left, then the end of `min_stay`, timers as listed, `ends_within`, escalations and follow-ups (`model.Rank`). So a
tick that comes late decides as one in time would have, with one difference that protects people: a stage is
entered, and a follow-up sent, *now*, and what follows counts from there.

`decide` walks that sequence. For each item it lets the state machine run the guards and take an edge, and then
does what the edge says: actions, leaving, entering, splitting on. The result is a value; nobody has been written
to and nothing is stored. Whoever carries it out must do all of it or nothing.

Who gets a response or event: `always` first; if that does not take it, the stage that was current when it was
received, now or, while `min_stay` lasts, at its end. One received before the stage was entered is only counted.
Opting out works always: while paused, and after an exit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from engine.core.agenda import agenda_of_conversation, agenda_of_visit, fired, follow_up_due, wakes, with_dates
from engine.core.compiled import NEW, Assign, CompiledType, Edge, Row, Stage
from engine.core.effects import Effects
from engine.core.errors import DecisionError
from engine.core.model import Conversation, Decision, Due, Event, Held, Rank, Reading, Step, Values
from engine.core.moves import MOVED, expect_known_stage, target_of

_MOST_STEPS = 1_000
_NEVER = datetime.max.replace(tzinfo=UTC)
_ORDER = {"response": 0, "event": 0, "sent": 1, "dropped": 1, "end": 2}


def decide(compiled: CompiledType, conversation: Conversation, events: Sequence[Event], now: datetime) -> Decision:
    """The conversation after `events` and all that is due by `now`, with the steps and effects that follow.

    `events` are those received by `now`, in any order; later ones are not looked at. The same arguments always
    give the same decision. While the conversation is paused the events are left waiting unless one opts out.
    Raises DecisionError for a conversation that cannot stand where it stands under this campaign type.
    """
    arrived = [event for event in events if event.at <= now]
    expect_known_stage(compiled, conversation, arrived)
    evaluation = _Evaluation(compiled, conversation, now)
    if len(arrived) > 1:
        arrived.sort(key=lambda event: (event.at, _ORDER[event.kind]))
    if conversation.status == "active":
        evaluation.run(arrived)
    else:
        evaluation.listen(arrived)
    return evaluation.decision()


class _Evaluation:
    """The conversation being worked on, the row its guards see, and what has come of it so far."""

    def __init__(self, compiled: CompiledType, conversation: Conversation, now: datetime) -> None:
        self.compiled = compiled
        self.now = now
        self.conversation = conversation.copy()
        self.stage = compiled.stages.get(conversation.stage or NEW)
        self.steps: list[Step] = []
        self.readings: list[Reading] = []
        self.row = Row.of(self.conversation)
        self.effects = Effects(self.conversation, self.row, now, self.stage.window if self.stage else compiled.window)

    # ---- the sequence ------------------------------------------------------------------------------------------

    def run(self, events: Sequence[Event]) -> None:
        """Take everything in its order until nothing is left that is due."""
        self._follow_dates()
        place = 0
        while self.conversation.status == "active":
            due = min(self.conversation.agenda, default=None)
            due_at = due.at if due is not None and due.at <= self.now else _NEVER
            if place < len(events) and self._comes_first(events[place], due, due_at):
                self._receive(events[place])
                place += 1
            elif due is not None and due_at is not _NEVER:
                self._fire(due)
            else:
                return
        self.listen(events[place:])

    @staticmethod
    def _comes_first(event: Event, due: Due | None, due_at: datetime) -> bool:
        if event.kind == "end" and due is not None and event.at == due_at:
            return False
        return event.at <= due_at

    def listen(self, events: Iterable[Event]) -> None:
        """While paused or after an exit: hear nothing but an opt-out and the campaign's end."""
        it = self.conversation
        for event in events:
            if event.kind == "end" and it.status == "paused":
                self._end(event)
            elif event.kind in ("response", "event"):
                self._hear_opt_out(event)

    def decision(self) -> Decision:
        it = self.conversation
        waiting = wakes(it)
        next_due = min(waiting).at if waiting else None
        return Decision(
            it, tuple(self.steps), tuple(self.effects.made), next_due, tuple(self.readings), tuple(self.row.trace)
        )

    # ---- what arrives ------------------------------------------------------------------------------------------

    def _receive(self, event: Event) -> None:
        if event.kind in ("sent", "dropped"):
            self._hear_of_message(event)
        elif event.kind == "end":
            self._end(event)
        else:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        """A response or event: `always` first, then the stage it was received in."""
        it, is_response = self.conversation, event.kind == "response"
        values = self._understand(event)
        here = self._is_here(event)
        if is_response:
            self._count(event, values, here=here)
        if self._trigger("always", values if is_response else {}, event):
            self._take(_cause(event))
        elif not here:
            return
        elif not is_response:
            if self._trigger(f"event:{event.name}", it.captured, event):
                self._take(_cause(event))
        elif any(due.rank == Rank.STAY_END for due in it.agenda):
            held = Held(event.key, values, it.responses, it.responses_total, it.follow_ups_sent)
            it.held = (*it.held, held)
        elif self._trigger("respond", values, event):
            self._take("response")

    def _hear_opt_out(self, event: Event) -> None:
        """A response or event while paused or over: it is counted only if it opts out of what is paused."""
        it, row, is_response = self.conversation, self.row, event.kind == "response"
        values = self._understand(event)
        here = self._is_here(event)
        row.responses, row.responses_total = it.responses + (is_response and here), it.responses_total + is_response
        opted_out = self._trigger("opt_out", values, event)
        if opted_out and it.status == "paused":
            if is_response:
                self._count(event, values, here=here)
            it.status = "active"
            self._take(_cause(event))
            return
        row.responses, row.responses_total = it.responses, it.responses_total
        if is_response:
            self.readings.append(Reading(event.key, it.stage, values))
        if opted_out:
            self.effects.unsubscribe()

    def _is_here(self, event: Event) -> bool:
        """Whether the current stage was the current one when the event was received."""
        entered_at = self.conversation.entered_at
        return entered_at is not None and event.at >= entered_at

    def _understand(self, event: Event) -> Values:
        it = self.conversation
        return self.compiled.read(event.text, it.locale, it.zone, event.at) if event.kind == "response" else {}

    def _count(self, event: Event, values: Values, *, here: bool = False) -> None:
        """Every response counts and is captured; one to the current stage also ends its follow-ups."""
        it, row = self.conversation, self.row
        it.responses_total += 1
        if values:
            it.captured = {**it.captured, **values}
        if here:
            it.responses += 1
            self._stop_follow_ups()
        row.responses, row.responses_total = it.responses, it.responses_total
        self.readings.append(Reading(event.key, it.stage, values, first=here and it.responses == 1))

    def _stop_follow_ups(self) -> None:
        it = self.conversation
        if self.stage is None or not self.stage.follow_ups:
            return
        it.follow_up, it.awaits = len(self.stage.follow_ups), None
        it.agenda = tuple(due for due in it.agenda if due.rank != Rank.FOLLOW_UP)
        if it.follow_ups_sent:
            self.effects.cancel_follow_ups()

    def _hear_of_message(self, event: Event) -> None:
        """The message that the next follow-up counts from has left, or never will."""
        it = self.conversation
        if it.awaits is None or event.message != it.awaits or self.stage is None:
            return
        it.awaits = None
        if event.kind == "sent":
            self._plan_follow_up(event.at)
        else:
            it.follow_up = len(self.stage.follow_ups)

    def _end(self, event: Event) -> None:
        """The campaign is over, or somebody ended the conversation: it is over where it stands; or it was moved."""
        it, target = self.conversation, target_of(event)
        if target is not None:
            self.row.state, self.row.edge = target, Edge("", it.stage or NEW, target)
            self._take(MOVED)
            return
        seq = self._next_seq()
        self.effects.cancel_all()
        self._close("completed" if event.name == "completed" else "stopped")
        self.steps.append(Step(seq, it.stage, it.stage, event.name, "", False, 0, self.now))

    # ---- what is due -------------------------------------------------------------------------------------------

    def _fire(self, due: Due) -> None:
        it = self.conversation
        it.agenda = tuple(other for other in it.agenda if other is not due)
        if due.rank == Rank.BEGIN:
            if self._trigger("begin", it.captured):
                self._take("start")
        elif due.rank == Rank.STAY_END:
            self._offer_held()
        elif due.rank == Rank.TIMER:
            self._note_fired(due.number)
            if self._trigger(f"timer{due.number}", it.captured):
                self._take("timer")
        elif due.rank == Rank.ENDS_WITHIN:
            if self._trigger("end", it.captured):
                self._take("ends_within")
        elif due.rank == Rank.ESCALATION:
            self._escalate(due.number)
        else:
            self._follow_up(due)

    def _note_fired(self, index: int) -> None:
        """An `at` timer fires once in a visit, wherever its fact moves later."""
        it, timer = self.conversation, self.stage.timers[index] if self.stage is not None else None
        if timer is not None and timer.at is not None:
            it.used = self.row.used = {**it.used, fired(timer): 1}

    def _offer_held(self) -> None:
        """The end of `min_stay`: offer the held responses in order until one leaves the stage."""
        it, row = self.conversation, self.row
        held, it.held = it.held, ()
        entered_as = it.visits
        for each in held:
            row.responses, row.responses_total = each.responses, each.responses_total
            row.follow_ups_sent = each.follow_ups_sent
            if self._trigger("respond", each.values):
                self._take("response")
            if it.visits is not entered_as or it.status != "active":
                return
        row.responses, row.responses_total, row.follow_ups_sent = it.responses, it.responses_total, it.follow_ups_sent

    def _escalate(self, index: int) -> None:
        assert self.stage is not None
        escalation = self.stage.escalations[index]
        if self._trigger(f"escalate{index}", self.conversation.captured):
            seq = self._next_seq()
            self.effects.assign(Assign(escalation.to, escalation.priority), seq)
            self._stayed(seq, "escalation", escalation.edge.key, sends=0)

    def _follow_up(self, due: Due) -> None:
        assert self.stage is not None
        it = self.conversation
        follow_up = self.stage.follow_ups[due.number]
        it.follow_up = due.number + 1
        if not self._trigger(f"follow{due.number}", it.captured):
            self._plan_follow_up(due.at)
            return
        it.follow_ups_sent += 1
        self.row.follow_ups_sent = it.follow_ups_sent
        seq = self._next_seq()
        awaited = it.follow_up < len(self.stage.follow_ups)
        self.effects.follow_up(follow_up.send, seq, awaited=awaited)
        it.awaits = (seq, 0) if awaited else None
        self._stayed(seq, "follow_up", follow_up.edge.key, sends=1)

    def _plan_follow_up(self, base: datetime) -> None:
        """Wait for the next follow-up, which counts from `base`."""
        it = self.conversation
        if self.stage is not None and it.follow_up < len(self.stage.follow_ups):
            it.agenda = (*it.agenda, follow_up_due(self.stage, it, base))

    def _follow_dates(self) -> None:
        """Facts may have changed, and with them when `at` timers are due."""
        if self.stage is not None and self.stage.has_dates and self.conversation.status == "active":
            self.conversation.agenda = with_dates(self.stage, self.conversation, self.now)

    # ---- taking an edge ----------------------------------------------------------------------------------------

    def _trigger(self, name: str, said: Values, event: Event | None = None) -> bool:
        row = self.row
        row.said = said
        row.event = event.name if event is not None and event.kind == "event" else None
        return self.compiled.trigger(name, row)

    def _take(self, cause: str) -> None:
        """Follow the edge the machine just took, and any splits it leads into."""
        it, edge = self.conversation, self._edge
        self.effects.answering = cause == "response"
        if edge.at_most:
            it.used = self.row.used = {**it.used, edge.key: it.used.get(edge.key, 0) + 1}
        if edge.target is None:
            if edge.actions:
                seq = self._next_seq()
                self._stayed(seq, cause, edge.key, self.effects.act(edge.actions, seq, of_edge=True))
                self._follow_dates()
            return
        heard = cause.startswith(("response", "event:", MOVED))
        delayed = self._move(cause, heard=heard)
        while self.stage is not None and self.stage.splits:
            if not self._trigger("split", it.captured):
                raise DecisionError(
                    f"no edge of the split in stage {self.stage.name!r} took conversation {it.id}",
                    hint="Add an otherwise: to the split.",
                )
            delayed += self._move("split", heard=heard)
        if it.status == "active":
            self.effects.belong_to_visit(delayed)
            self._follow_dates()

    def _move(self, cause: str, *, heard: bool) -> list[int]:
        """Leave the stage, run the edge's actions, enter where the machine went.

        Returns the places of the edge's delayed messages: they belong to the stage finally entered. `heard` tells
        that it comes of a response, an event or a hand, which opts out if a `stopped` exit is entered.
        """
        it, row, edge = self.conversation, self.row, self._edge
        source, destination = it.stage, self.compiled.stages[row.state]
        opting_out = heard and destination.outcome == "stopped"
        seq = self._next_seq()
        if destination.outcome is not None:
            self.effects.cancel_for_exit()
        else:
            self.effects.cancel_visit()
        row.state = source or NEW  # the edge's own guards still look at the stage they leave
        start = len(self.effects.made)
        sends = self.effects.act(edge.actions, seq, of_edge=True, silent=opting_out)
        delayed = self.effects.delayed_since(start)
        self.effects.forget_visit()
        self._enter(destination)
        sends = self._arrive(destination, seq, sends, silent=opting_out)
        if opting_out:
            self.effects.unsubscribe()
        self.steps.append(Step(seq, source, it.stage, cause, edge.key, True, sends, self.now))
        return delayed

    @property
    def _edge(self) -> Edge:
        assert self.row.edge is not None
        return self.row.edge

    def _enter(self, stage: Stage) -> None:
        """Stand in `stage` from now on, with fresh counters and an agenda of its own."""
        it, row = self.conversation, self.row
        self.stage = stage
        it.visits = {**it.visits, stage.name: it.visits.get(stage.name, 0) + 1}
        it.used = {key: count for key, count in it.used.items() if key.startswith("always")}
        ends = agenda_of_conversation(self.compiled, it, self.now)
        it.started_at = it.started_at or self.now
        it.stage, it.entered_at, it.held, it.awaits = stage.name, self.now, (), None
        self.effects.window = stage.window
        it.responses = it.follow_ups_sent = it.follow_up = 0
        row.state, row.visits, row.used, row.said = stage.name, it.visits, it.used, it.captured
        row.responses, row.responses_total, row.follow_ups_sent = 0, it.responses_total, 0
        if stage.outcome is not None:
            self._close("stopped" if stage.outcome == "stopped" else "completed")
            return
        it.agenda = (*ends, *agenda_of_visit(stage, it, self.now))

    def _arrive(self, stage: Stage, seq: int, sends: int, *, silent: bool) -> int:
        """Run `on_enter` and let the follow-ups wait for its last message, or count from now without one."""
        start = len(self.effects.made)
        sends = self.effects.act(stage.on_enter, seq, sends, silent=silent)
        if stage.follow_ups:
            self.conversation.awaits = self.effects.await_last(seq, start)
            if self.conversation.awaits is None:
                self._plan_follow_up(self.now)
        return sends

    def _stayed(self, seq: int, cause: str, key: str, sends: int) -> None:
        stage = self.conversation.stage
        self.steps.append(Step(seq, stage, stage, cause, key, False, sends, self.now))

    def _close(self, status: str) -> None:
        it = self.conversation
        it.status = "stopped" if status == "stopped" else "completed"
        it.agenda, it.held, it.awaits, it.unsent = (), (), None, False

    def _next_seq(self) -> int:
        if len(self.steps) >= _MOST_STEPS:
            raise DecisionError(
                f"conversation {self.conversation.id} took more than {_MOST_STEPS} steps in one evaluation",
                hint="Give the loop in its campaign type a delay or a visits bound.",
            )
        self.conversation.seq += 1
        return self.conversation.seq


def _cause(event: Event) -> str:
    return "response" if event.kind == "response" else f"event:{event.name}"
