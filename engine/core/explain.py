"""Why a conversation stands where it stands: each way on, its guard, what the guard reads, and when it could pass.

Pure. The guards are run for real, by the very machine that `decide` uses, on a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from engine.core.compiled import CompiledType, Row, Stage
from engine.core.model import Conversation, Due, Rank, Values


class Explanation(NamedTuple):
    """One way on. `verdict` is True, False or None (unknown) for what is known now; None without a guard too.

    `waits_for` says what must happen first; `earliest` is the first instant at which it could be taken, None when
    it cannot from here.
    """

    edge: str
    target: str | None
    when: str
    inputs: Values
    passes: bool
    verdict: bool | None
    waits_for: str
    earliest: datetime | None


def explain(compiled: CompiledType, conversation: Conversation, now: datetime) -> list[Explanation]:
    """Every way on from where the conversation stands, in the order of the vocabulary. Empty after an exit.

    What waits for a response is judged as the next one will find it: counted, and its values not known yet.
    """
    if conversation.status in ("completed", "stopped", "failed"):
        return []
    dues = {(due.rank, due.number): due for due in conversation.agenda}
    stage = compiled.stages.get(conversation.stage or "")
    found = []
    for trigger, waits_for, earliest in _ways(compiled, conversation, stage, dues, now):
        row = Row.of(conversation)
        if trigger in ("always", "respond"):
            row.said, row.responses, row.responses_total = {}, row.responses + 1, row.responses_total + 1
        elif trigger.startswith("event:"):
            row.event = trigger.removeprefix("event:")
        for edge, passes in compiled.probe(trigger, row):
            verdict = next((each for each in reversed(row.trace) if each.edge == edge.key), None)
            inputs, passed = (verdict.inputs, verdict.passed) if verdict is not None else ({}, None)
            found.append(Explanation(edge.key, edge.target, edge.when, inputs, passes, passed, waits_for, earliest))
    return found


def _ways(
    compiled: CompiledType,
    conversation: Conversation,
    stage: Stage | None,
    dues: dict[tuple[int, int], Due],
    now: datetime,
) -> Iterator[tuple[str, str, datetime | None]]:
    """Each trigger that could come, what it waits for and when it could come first."""
    yield "always", "a response or event", now
    if stage is None:
        yield "begin", "the start of the campaign", _at(dues, Rank.BEGIN, 0, now)
        return
    stay = dues.get((Rank.STAY_END, 0))
    yield "respond", "a response", max(stay.at, now) if stay else now
    events = compiled.spec.stages[stage.name].on_event if stage.name in compiled.spec.stages else ()
    for name in events:
        yield f"event:{name}", f"the event {name}", now
    for index, timer in enumerate(stage.timers):
        at = _at(dues, Rank.TIMER, index, now)
        over = f"{timer.at}, which is missing, past or over" if timer.at is not None and at is None else "its time"
        yield f"timer{index}", over, at
    if (Rank.ENDS_WITHIN, 0) in dues:
        yield "end", "the end of the conversation", _at(dues, Rank.ENDS_WITHIN, 0, now)
    for index in range(len(stage.escalations)):
        yield f"escalate{index}", "its time", _at(dues, Rank.ESCALATION, index, now)
    if conversation.follow_up < len(stage.follow_ups):
        index = conversation.follow_up
        waits_for = "the message before it to leave" if conversation.awaits else "its time"
        yield f"follow{index}", waits_for, _at(dues, Rank.FOLLOW_UP, index, now)


def _at(dues: dict[tuple[int, int], Due], rank: Rank, index: int, now: datetime) -> datetime | None:
    due = dues.get((rank, index))
    return max(due.at, now) if due else None
