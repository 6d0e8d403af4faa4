"""The values that go into a decision and come out of it. Nothing here does anything.

A `Conversation` is what the engine knows of one recipient in one campaign. `decide` takes one with the `Event`s
that arrived and gives a `Decision`: the conversation as it stands afterwards, a `Step` for every progression (one
`seq` and one history row each) and the `Effect`s to carry out. All instants are aware datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, Literal, NamedTuple
from uuid import UUID

Status = Literal["active", "paused", "completed", "stopped", "failed"]
EventKind = Literal["response", "event", "sent", "dropped", "end"]
EffectKind = Literal["send", "assign", "emit", "cancel", "unsubscribe"]
Scope = Literal["conversation", "stage", "follow_up"]
Values = Mapping[str, Any]


class Rank(IntEnum):
    """What comes first at one instant. Responses and events, then messages that left, come before all of these."""

    BEGIN = 0
    STAY_END = 1
    TIMER = 2
    ENDS_WITHIN = 3
    ESCALATION = 4
    FOLLOW_UP = 5


class Due(NamedTuple):
    """One thing a conversation waits for: the `number`-th of its kind in the stage, from 0, at `at`."""

    at: datetime
    rank: int
    number: int = 0


class Held(NamedTuple):
    """A response kept back by `min_stay`, with what was true at its receipt."""

    key: str
    values: Values
    responses: int
    responses_total: int
    follow_ups_sent: int


@dataclass(slots=True)
class Conversation:
    """One recipient in one campaign, light enough to be made a million times.

    `stage` is None before the start stage is entered and the exit's name after an exit. `facts` and `captured`
    (the last understood response values) are what messages see. The rest are the counters and pending instants of
    section "Time" of the vocabulary: `agenda` is everything waited for, `held` the responses kept back by
    `min_stay`, `follow_up` the index of the next follow-up, `awaits` the (seq, ordinal) of the message it counts
    from while that has not left, `used` how often each bounded edge was taken, `unsent` whether this visit made
    sends that die with it, `started_at` when the start stage was entered. Treat the mappings as values: replace
    them, never change them.
    """

    id: UUID | str
    stage: str | None = None
    status: Status = "active"
    seq: int = 0
    entered_at: datetime | None = None
    zone: str = "UTC"
    locale: str = "en"
    facts: Values = field(default_factory=dict)
    captured: Values = field(default_factory=dict)
    agenda: tuple[Due, ...] = ()
    held: tuple[Held, ...] = ()
    responses: int = 0
    responses_total: int = 0
    follow_ups_sent: int = 0
    visits: Mapping[str, int] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)
    follow_up: int = 0
    awaits: tuple[int, int] | None = None
    unsent: bool = False
    started_at: datetime | None = None
    splits: Mapping[str, str] = field(default_factory=dict)

    def copy(self) -> Conversation:
        """A shallow copy; its mappings are shared, which is safe while nobody changes them."""
        return Conversation(
            self.id, self.stage, self.status, self.seq, self.entered_at, self.zone, self.locale, self.facts,
            self.captured, self.agenda, self.held, self.responses, self.responses_total, self.follow_ups_sent,
            self.visits, self.used, self.follow_up, self.awaits, self.unsent, self.started_at, self.splits,
        )  # fmt: skip


class Event(NamedTuple):
    """Something that reached a conversation at `at`.

    `response` carries `text`; `event` carries `name`; `sent` and `dropped` tell the fate of the outbox message
    `message` (seq, ordinal); `end` is a word from outside about all of it, `name` being `campaign_end`, `cancelled`,
    `completed`, or that somebody moved it (see `engine.core.moves`). `key` identifies it to whoever recorded it.
    """

    kind: EventKind
    at: datetime
    name: str = ""
    text: str = ""
    key: str = ""
    message: tuple[int, int] | None = None


class Step(NamedTuple):
    """One progression: `seq`, where from, where to, why, by which edge, how many messages it made, when.

    `entered` tells whether `to` was entered; if not (a stay, a follow-up, an escalation, a campaign's end) the
    conversation remained where it was.
    """

    seq: int
    source: str | None
    to: str | None
    cause: str
    edge: str
    entered: bool
    sends: int
    at: datetime


class Effect(NamedTuple):
    """Something to carry out, in order.

    `send` makes an outbox message `name`, to leave at `at`; it lives as long as its `scope` (a `stage` or
    `follow_up` send dies when the conversation leaves the stage before it left; a `cancelled` one died in the same
    decision). Its fate is reported back when it is `awaited`. `channel` "" is the campaign type's. `at` lies in the
    send window already (`wanted_at` is when it was planned for, if that moved it); whoever lets it leave later asks
    `leaves_at` again, with the two `ignores`. `assign` hands the conversation to `name` with `priority`. `emit` tells
    other systems of the event `name`. `cancel` kills what has not left of earlier decisions, as far as its `scope`
    reaches (see `cancels`). `unsubscribe` opts the recipient out of every campaign.
    """

    kind: EffectKind
    seq: int = 0
    ordinal: int = 0
    name: str = ""
    at: datetime | None = None
    scope: Scope = "conversation"
    stage: str | None = None
    awaited: bool = False
    cancelled: bool = False
    priority: str = ""
    channel: str = ""
    ignores_window: bool = False
    ignores_limits: bool = False
    wanted_at: datetime | None = None


class Verdict(NamedTuple):
    """One guard that ran: the edge, the values it read, and what it said (None is unknown)."""

    edge: str
    inputs: Values
    passed: bool | None


class Reading(NamedTuple):
    """How one response was understood: its key, the stage it met and the value of each declared response.

    `first` tells that it was the first response of this visit to the stage.
    """

    key: str
    stage: str | None
    values: Values
    first: bool = False


class Decision(NamedTuple):
    """What one evaluation came to. `next_due` is None when there is nothing to wait for."""

    conversation: Conversation
    steps: tuple[Step, ...]
    effects: tuple[Effect, ...]
    next_due: datetime | None
    readings: tuple[Reading, ...]
    trace: tuple[Verdict, ...]


def new_conversation(id: UUID | str, starts_at: datetime, **fields: Any) -> Conversation:
    """A conversation as enrolment makes it: seq 0, no stage, waiting for `starts_at`; `fields` as of Conversation."""
    return Conversation(id, agenda=(Due(starts_at, Rank.BEGIN),), **fields)


def cancels(cancel: Scope, scope: Scope) -> bool:
    """Whether a `cancel` effect of scope `cancel` kills an unsent message of `scope`.

    Entering an exit cancels the whole conversation's, leaving a stage the stage's and its follow-ups, a response
    the follow-ups.

    >>> cancels("stage", "follow_up"), cancels("follow_up", "stage"), cancels("conversation", "stage")
    (True, False, True)
    """
    return cancel == "conversation" or scope == "follow_up" or cancel == scope == "stage"
