"""A campaign type made ready to run: what `machine` builds and `decide` reads. Values only.

`Row` is the light object that the state machine moves and the guards read. `Edge` is one way on, with the place in
the YAML it came from as its `key`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from engine.core.at_times import AtRule
from engine.core.durations import Duration
from engine.core.fact_types import FactType
from engine.core.model import Conversation, Values, Verdict
from engine.core.plugins import ActionResult
from engine.core.schedules import Rate
from engine.core.spec import CampaignTypeSpec, Outcome
from engine.core.windows import Window

NEW = "(new)"
SHARE = "(share)"  # in a trace: where the conversation falls between 0 and 1
Guard = Callable[["Row"], bool | None]


class Row:
    """What guards see of a conversation while it is evaluated; `state` and `edge` are set by the machine.

    `said` holds the response values in force: only a response's own in `always`, `on_response` and their `do`, the
    last captured ones everywhere else.
    """

    __slots__ = (
        "edge", "event", "facts", "follow_ups_sent", "id", "responses", "responses_total", "said", "splits", "state",
        "trace", "used", "visits",
    )  # fmt: skip

    id: UUID | str
    state: str
    facts: Values
    said: Values
    event: str | None
    responses: int
    responses_total: int
    follow_ups_sent: int
    visits: Mapping[str, int]
    used: Mapping[str, int]
    splits: Mapping[str, str]
    trace: list[Verdict]
    edge: Edge | None

    @classmethod
    def of(cls, conversation: Conversation) -> Row:
        """The row of a conversation as it stands."""
        it, row = conversation, cls()
        row.id, row.state, row.edge, row.event = it.id, it.stage or NEW, None, None
        row.facts, row.said, row.splits = it.facts, it.captured, it.splits
        row.responses, row.responses_total, row.follow_ups_sent = it.responses, it.responses_total, it.follow_ups_sent
        row.visits, row.used, row.trace = it.visits, it.used, []
        return row


class Send(NamedTuple):
    """Make an outbox message, `after` a while, if `guard` passes when the action runs. `channel` "" is the type's."""

    message: str
    after: Duration | None = None
    guard: Guard | None = None
    channel: str = ""
    ignores_window: bool = False
    ignores_limits: bool = False


class Assign(NamedTuple):
    """Hand the conversation to someone."""

    to: str
    priority: str


class Set(NamedTuple):
    """Set `fact`, of type `kind`, to `value`, or to the captured value of `response` when there is one that fits."""

    fact: str
    kind: FactType
    value: Any = None
    response: str | None = None


class Emit(NamedTuple):
    """Tell other systems that `event` happened."""

    event: str


class Call(NamedTuple):
    """Ask the plug-in action `name` what is to be done, given the facts and what is captured."""

    name: str
    run: Callable[[Values, Values], ActionResult]


Action = Send | Assign | Set | Emit | Call


class Edge(NamedTuple):
    """One way on from `source`. `target` is None for a stay. `key` is its place, `stages.ask.on_response[1]`."""

    key: str
    source: str
    target: str | None = None
    actions: tuple[Action, ...] = ()
    when: str = ""
    at_most: int = 0


class Timer(NamedTuple):
    """Due `after` a while in the stage, or `at` an instant that a fact gives: one of the two."""

    after: Duration | None
    at: AtRule | None
    edge: Edge


class FollowUp(NamedTuple):
    after: Duration
    send: Send
    edge: Edge


class Escalation(NamedTuple):
    after: Duration
    to: str
    priority: str
    edge: Edge


class Stage(NamedTuple):
    """A stage or, when it has an `outcome`, an exit."""

    name: str
    on_enter: tuple[Action, ...] = ()
    min_stay: Duration | None = None
    timers: tuple[Timer, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    splits: bool = False
    outcome: Outcome | None = None
    window: Window | None = None
    has_dates: bool = False


class Trigger(Protocol):
    """Run the guards of one trigger for `row`; True when an edge was taken (see `row.edge` and `row.state`)."""

    def __call__(self, name: str, row: Row) -> bool: ...


class Probe(Protocol):
    """Every edge that one trigger has where `row` stands, and whether it would be taken if it came to it.

    Leaves `row.trace` with the guards' inputs and verdicts.
    """

    def __call__(self, name: str, row: Row) -> list[tuple[Edge, bool]]: ...


class CompiledType(NamedTuple):
    """One version of a campaign type, shared by all its conversations."""

    spec: CampaignTypeSpec
    stages: Mapping[str, Stage]
    edges: tuple[Edge, ...]
    ends_within: Duration | None
    window: Window | None
    limits: tuple[Rate, ...]
    read: Callable[[str, str, str, datetime], Mapping[str, Any]]
    trigger: Trigger
    probe: Probe

    @property
    def name(self) -> str:
        return self.spec.campaign_type

    @property
    def version(self) -> int:
        return self.spec.version
