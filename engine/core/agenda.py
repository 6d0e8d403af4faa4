"""What a conversation waits for: the due things of a visit to a stage, as `Due` entries of its agenda.

Delays count from the entry, in the conversation's zone, business time on the stage's send window. A timer `at` an
instant that a fact gives is due only if that instant is not past when the stage is entered; when the fact changes
during the visit the timer moves with it, unless it has fired.
"""

from __future__ import annotations

from datetime import datetime

from engine.core.compiled import CompiledType, Stage, Timer
from engine.core.model import Conversation, Due, Rank


def agenda_of_conversation(compiled: CompiledType, conversation: Conversation, now: datetime) -> list[Due]:
    """The end of the whole conversation, which counts from the entry of the start stage: if not yet, from `now`."""
    if conversation.started_at is not None:
        return [due for due in conversation.agenda if due.rank == Rank.ENDS_WITHIN]
    if compiled.ends_within is None:
        return []
    return [Due(compiled.ends_within.after(now, conversation.zone, compiled.window), Rank.ENDS_WITHIN)]


def agenda_of_visit(stage: Stage, conversation: Conversation, now: datetime) -> list[Due]:
    """What a stage entered `now` makes the conversation wait for, follow-ups aside."""
    zone, window = conversation.zone, stage.window
    agenda = []
    if stage.min_stay is not None:
        agenda.append(Due(stage.min_stay.after(now, zone, window), Rank.STAY_END))
    for index, timer in enumerate(stage.timers):
        if timer.after is not None:
            agenda.append(Due(timer.after.after(now, zone, window), Rank.TIMER, index))
    for index, escalation in enumerate(stage.escalations):
        agenda.append(Due(escalation.after.after(now, zone, window), Rank.ESCALATION, index))
    return agenda


def with_dates(stage: Stage, conversation: Conversation, now: datetime) -> tuple[Due, ...]:
    """The agenda with every `at` timer where the facts put it now.

    One that is planned already for that instant keeps it, even if it is past and about to fire; a new instant must
    not be past.
    """
    agenda = list(conversation.agenda)
    for index, timer in enumerate(stage.timers):
        if timer.at is None or fired(timer) in conversation.used:
            continue
        at = _instant(timer, conversation)
        planned = next((due for due in agenda if due.rank == Rank.TIMER and due.number == index), None)
        if planned is not None and planned.at != at:
            agenda.remove(planned)
        if at is not None and at >= now and (planned is None or planned.at != at):
            agenda.append(Due(at, Rank.TIMER, index))
    return tuple(agenda)


def wakes(conversation: Conversation) -> list[Due]:
    """What of its agenda an active conversation is looked at for; `min_stay` only ends for responses held back."""
    if conversation.status != "active":
        return []
    return [due for due in conversation.agenda if due.rank != Rank.STAY_END or conversation.held]


def fired(timer: Timer) -> str:
    """The key under which `used` remembers that an `at` timer has fired in this visit."""
    return f"{timer.edge.key}.at"


def _instant(timer: Timer, conversation: Conversation) -> datetime | None:
    assert timer.at is not None
    value = conversation.facts.get(timer.at.fact)
    return None if value is None else timer.at.instant(value, conversation.zone)


def follow_up_due(stage: Stage, conversation: Conversation, base: datetime) -> Due:
    """The conversation's next follow-up, which counts from `base`."""
    index = conversation.follow_up
    after = stage.follow_ups[index].after
    return Due(after.after(base, conversation.zone, stage.window), Rank.FOLLOW_UP, index)
