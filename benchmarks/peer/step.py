"""The step that every peer makes: what somebody without this engine would write for the first stages of `b2b_nurture`.

`decide` asks a `transitions` Machine that all conversations share, each added to it as a model for as long as it
takes, which is how the documentation of transitions handles many short-lived models. A peer then updates the
conversation, guarded by its `seq`, and inserts a row of history and one message, all in one transaction: as ORM
objects (`move`) or in plain SQL (`READ`, `UPDATE`, `HISTORY`, `MESSAGE`).

Rows go into tables of the engine's shape with the engine's keys and indexes, in a schema of their own and not
partitioned. The due index alone is on `due_at` only, since a peer asks for whatever is due, not bucket by bucket.
Unlike the engine a peer keeps no counts for reports, answers no replies and cancels nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import registry
from transitions import Machine

from engine.db import tables

SCHEMA = "home_made"

# ---- deciding ------------------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
REMINDERS = {  # what is sent when nobody answers, in turn
    "awareness": ("introduction_question", "introduction_last"),
    "consideration": ("example_questions", "example_last"),
    "decision": ("offer_open_points", "offer_start_date", "offer_last"),
}
PATIENCE = {"awareness": 168 * HOUR, "consideration": 336 * HOUR, "decision": 504 * HOUR}
AFTER_SILENCE = {"awareness": "no_answer", "consideration": "decision", "decision": "no_decision"}
STAGES = [*REMINDERS, "no_answer", "no_decision", "accepted", "declined", "opted_out"]


class Talk:
    """One conversation while the machine looks at it."""

    state: str

    def __init__(self, entered_at: datetime, reminder_count: int, now: datetime) -> None:
        self.entered_at = entered_at
        self.reminder_count = reminder_count
        self.now = now
        self.message: str | None = None

    def is_over(self) -> bool:
        return self.now >= self.entered_at + PATIENCE[self.state]

    def has_reminder(self) -> bool:
        return self.reminder_count < len(REMINDERS[self.state])

    def remind(self) -> None:
        self.message = REMINDERS[self.state][self.reminder_count]
        self.reminder_count += 1


TRANSITIONS = [
    each
    for stage, target in AFTER_SILENCE.items()
    for each in (
        {"trigger": "wake", "source": stage, "dest": target, "conditions": "is_over"},
        {"trigger": "wake", "source": stage, "dest": None, "conditions": "has_reminder", "after": "remind"},
    )
]
machine = Machine(model=None, states=STAGES, transitions=TRANSITIONS, initial="awareness", auto_transitions=False)


@dataclass(frozen=True)
class Next:
    """What becomes of a conversation."""

    stage: str
    due_at: datetime | None
    reminder_count: int
    message: str | None
    cause: str
    edge: str


def decide(stage: str, entered_at: datetime, progress: Mapping[str, Any], now: datetime) -> Next:
    """What a conversation that is due comes to."""
    talk: Any = Talk(entered_at, progress.get("follow_ups_sent", 0), now)
    machine.add_model(talk, initial=stage)
    try:
        talk.wake()
    finally:
        machine.remove_model(talk)
    if talk.state == stage:
        edge = f"stages.{stage}.follow_ups[{talk.reminder_count - 1}]"
        return Next(stage, entered_at + PATIENCE[stage], talk.reminder_count, talk.message, "follow_up", edge)
    patience = PATIENCE.get(talk.state)
    return Next(talk.state, patience and now + patience, 0, None, "timer", f"stages.{stage}.timers[0]")


# ---- in plain SQL --------------------------------------------------------------------------------------------------

READ = """
    SELECT campaign_id, recipient_id, seq, stage, entered_at, context, progress FROM home_made.conversations
     WHERE bucket = %(bucket)s AND id = %(id)s AND due_at <= %(now)s FOR UPDATE
"""
UPDATE = """
    UPDATE home_made.conversations
       SET seq = %(seq)s, stage = %(stage)s, due_at = %(due_at)s, entered_at = %(entered_at)s,
           progress = progress || jsonb_build_object('follow_ups_sent', %(reminder_count)s::int)
     WHERE bucket = %(bucket)s AND id = %(id)s AND seq = %(seq)s - 1
"""
HISTORY = """
    INSERT INTO home_made.stage_history
           (bucket, conversation_id, campaign_id, at, seq, sends, entered, from_stage, to_stage, cause, edge)
    VALUES (%(bucket)s, %(id)s, %(campaign_id)s, %(now)s, %(seq)s, %(sends)s, %(entered)s, %(from_stage)s, %(stage)s,
            %(cause)s, %(edge)s)
"""
MESSAGE = """
    INSERT INTO home_made.outbox
           (bucket, conversation_id, campaign_id, recipient_id, at, not_before, seq, ordinal, awaited, status, scope,
            stage, channel, message)
    VALUES (%(bucket)s, %(id)s, %(campaign_id)s, %(recipient_id)s, %(now)s, %(now)s, %(seq)s, 0, true, 'ready',
            'follow_up', %(stage)s, 'email', %(message)s)
"""


def values_of(row: Mapping[str, Any], reference: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What `UPDATE`, `HISTORY` and `MESSAGE` are given for a row that `READ` found."""
    to = decide(row["stage"], row["entered_at"], row["progress"], now)
    entered = to.stage != row["stage"]
    return asdict(to) | {
        **reference,
        "campaign_id": row["campaign_id"],
        "recipient_id": row["recipient_id"],
        "now": now,
        "seq": row["seq"] + 1,
        "entered_at": now if entered else row["entered_at"],
        "entered": entered,
        "sends": int(to.message is not None),
        "from_stage": row["stage"],
    }


class Numbered(NamedTuple):
    """A statement as asyncpg takes it, with $1, $2 …, and which value each of them is."""

    text: str
    names: tuple[str, ...]

    def values(self, given: Mapping[str, Any]) -> Sequence[Any]:
        return [given[name] for name in self.names]


def numbered(statement: str) -> Numbered:
    """A statement with names, for asyncpg.

    >>> numbered("SELECT %(a)s, %(b)s, %(a)s")
    Numbered(text='SELECT $1, $2, $1', names=('a', 'b'))
    """
    names = tuple(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    return Numbered(re.sub(r"%\((\w+)\)s", lambda found: f"${names.index(found[1]) + 1}", statement), names)


# ---- as objects ----------------------------------------------------------------------------------------------------

_metadata = MetaData()
_map = registry(metadata=_metadata).map_imperatively


class Conversation:
    bucket: Any
    id: Any
    campaign_id: Any
    recipient_id: Any
    seq: Any
    stage: Any
    due_at: Any
    entered_at: Any
    progress: Any


class Progression:
    def __init__(self, **columns: Any) -> None:
        for name, value in columns.items():
            setattr(self, name, value)


class Message(Progression):
    pass


_map(Conversation, tables.conversations.to_metadata(_metadata, schema=SCHEMA))
_map(Progression, tables.stage_history.to_metadata(_metadata, schema=SCHEMA))
_map(Message, tables.outbox.to_metadata(_metadata, schema=SCHEMA), concrete=True)


def move(session: AsyncSession, it: Conversation, now: datetime) -> None:
    """Take a locked conversation one step on; written when the session's transaction commits."""
    to = decide(it.stage, it.entered_at, it.progress, now)
    entered, source = to.stage != it.stage, it.stage
    it.seq, it.stage, it.due_at = it.seq + 1, to.stage, to.due_at
    it.entered_at = now if entered else it.entered_at
    it.progress = it.progress | {"follow_ups_sent": to.reminder_count}
    same = {"bucket": it.bucket, "conversation_id": it.id, "campaign_id": it.campaign_id, "at": now, "seq": it.seq}
    session.add(
        Progression(
            **same, sends=int(to.message is not None), entered=entered, from_stage=source, to_stage=to.stage,
            cause=to.cause, edge=to.edge,
        )
    )  # fmt: skip
    if to.message is not None:
        session.add(
            Message(
                **same, recipient_id=it.recipient_id, not_before=now, ordinal=0, awaited=True, status="ready",
                scope="follow_up", stage=to.stage, channel="email", message=to.message,
            )
        )  # fmt: skip
