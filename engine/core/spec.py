"""The shape of a campaign type: what the YAML may say, as typed values.

These models check shape only: keys, types, durations, fact types. Names that lead nowhere, guards that miss cases
and conversations that never end are the work of `engine.core.checks`, which sees the whole. Every model is frozen
and refuses unknown keys. `JSON Schema` for editors is written from these very models.

`fact_types`, `matchers`, `actions` and `schedules` hold the parts; `vocabulary` what they all share.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from engine.core.actions import Action
from engine.core.at_times import AtRule, parse_at
from engine.core.fact_types import FactTypeText
from engine.core.matchers import ResponseSpec
from engine.core.schedules import LimitsSpec, WindowSpec
from engine.core.vocabulary import STAY, Name, Priority, Span, Spec, Text

Outcome = Literal["won", "lost", "stopped"]


def _at_rule(value: object) -> AtRule:
    if isinstance(value, AtRule):
        return value
    try:
        return parse_at(value)
    except ValueError as error:
        raise PydanticCustomError("at", "{reason}", {"reason": str(error)}) from error


AtText = Annotated[
    AtRule,
    PlainValidator(_at_rule),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["renewal_on - 30d 09:00"]}),
]


class EdgeSpec(Spec):
    """A way out of a stage: `go` to a stage, an exit or `stay`, when the guard holds; or `otherwise` as the last."""

    when: Text | None = None
    go: Text | None = None
    otherwise: Text | None = None
    do: list[Action] = []
    at_most: int | None = Field(None, ge=1)

    @property
    def target(self) -> str:
        return self.go or self.otherwise or STAY

    @model_validator(mode="after")
    def _one_target(self) -> EdgeSpec:
        if (self.go is None) == (self.otherwise is None):
            raise PydanticCustomError("edge", "an edge needs one target; expected either go: or otherwise:")
        if self.otherwise is not None and self.when is not None:
            raise PydanticCustomError("edge", "otherwise: is what remains; expected no when: beside it")
        if self.at_most is not None and self.target != STAY:
            raise PydanticCustomError(
                "edge", "at_most bounds a stay; expected go: stay beside it, or visits on the stage"
            )
        return self


class SplitSpec(EdgeSpec):
    """An edge of a `split`; `share` takes a fixed part of the conversations, for example 50%."""

    share: Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})(\.[0-9]{1,4})?%$", examples=["50%"])] | None = None

    @property
    def portion(self) -> Decimal | None:
        """The share as a fraction of one, or None."""
        return Decimal(self.share.rstrip("%")) / 100 if self.share else None


class TimerSpec(EdgeSpec):
    """An edge that is taken `after` a while in the stage, or `at` an instant that a date of the recipient gives."""

    after: Span | None = None
    at: AtText | None = None

    @model_validator(mode="after")
    def _one_time(self) -> TimerSpec:
        if (self.after is None) == (self.at is None):
            raise PydanticCustomError("timer", "a timer needs one time; expected either after: or at:")
        return self


class FollowUpSpec(Spec):
    """A message `after` the one before it, `times` times in a row, while nobody responds."""

    after: Span
    send: Text
    channel: Name | None = None
    times: int = Field(1, ge=1, le=100)
    when: Text | None = None
    ignore_window: bool = False
    ignore_limits: bool = False


class EscalationSpec(Spec):
    """Tell `to` when the conversation has been in the stage this long."""

    after: Span
    to: Text
    priority: Priority = "high"


class VisitsSpec(Spec):
    """At most so many entries; one more goes to `then` instead."""

    at_most: int = Field(ge=1)
    then: Text


def _as_list(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


class StageSpec(Spec):
    """A place where a conversation waits (for responses, events, time) or splits at once."""

    guidance: str | None = None
    send_window: WindowSpec | None = None
    min_stay: Span | None = None
    on_enter: list[Action] = []
    follow_ups: list[FollowUpSpec] = []
    on_response: list[EdgeSpec] = []
    on_event: dict[
        Text, Annotated[list[EdgeSpec], BeforeValidator(_as_list, json_schema_input_type=EdgeSpec | list[EdgeSpec])]
    ] = {}
    split: list[SplitSpec] = []
    timers: list[TimerSpec] = []
    escalate: list[EscalationSpec] = []
    visits: VisitsSpec | None = None


class ExitSpec(Spec):
    """An end, with the outcome analysts count."""

    outcome: Outcome
    on_enter: list[Action] = []


def _exit(value: object) -> object:
    return {"outcome": value} if isinstance(value, str) else value


class MessageSpec(Spec):
    """What is sent: a Liquid template, as `text` or as a `file` beside the campaign type."""

    subject: str | None = None
    text: Text | None = None
    file: Text | None = None

    @model_validator(mode="after")
    def _one_body(self) -> MessageSpec:
        if (self.text is None) == (self.file is None):
            raise PydanticCustomError("message", "a message needs one body; expected either text: or file:")
        return self


class EndsWithinSpec(Spec):
    """The whole conversation ends in `then` when it has lasted `at_most`."""

    at_most: Span
    then: Text


class PrioritySpec(Spec):
    """Conversations whose facts pass `when` at enrolment have this priority; the first that passes wins."""

    when: Text
    is_: Priority = Field(alias="is")


class CampaignTypeSpec(Spec):
    """A whole campaign type, as the author wrote it."""

    campaign_type: Name
    version: int = Field(ge=1)
    title: str | None = None
    facts: dict[Name, FactTypeText] = {}
    responses: dict[Name, ResponseSpec] = {}
    channel: Name = "email"
    send_window: WindowSpec | None = None
    limits: LimitsSpec | None = None
    ends_within: EndsWithinSpec | None = None
    priority: list[PrioritySpec] = []
    start: Text
    always: list[EdgeSpec] = []
    stages: dict[Name, StageSpec] = Field(min_length=1)
    exits: dict[Name, Annotated[ExitSpec, BeforeValidator(_exit, json_schema_input_type=Outcome | ExitSpec)]] = Field(
        min_length=1
    )
    messages: dict[Name, MessageSpec] = {}

    def as_json(self) -> dict[str, Any]:
        """The spec as plain data that validates to an equal spec again."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)
