"""The shape of a campaign type: what the YAML may say, as typed values.

These models check shape only: keys, types, durations, fact types. Names that lead nowhere, guards that miss cases
and conversations that never end are the work of `engine.core.checks`, which sees the whole. Every model is frozen
and refuses unknown keys. `JSON Schema` for editors is written from these very models.

Still to come, each with an obvious place: `send_window` and `limits` (CampaignTypeSpec, StageSpec), timers `at:`
(TimerSpec), `emit` (an Action), `any_of` and the date, time, phone and email matchers (MATCHERS).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine.core.durations import Duration, parse_duration

Outcome = Literal["won", "lost", "stopped"]
Priority = Literal["high", "normal", "low"]
Matcher = Literal[
    "any_word", "all_words", "phrase", "only_phrase", "beginning", "pattern", "text", "only_text", "number"
]
OTHER = "other"
STAY = "stay"
NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=63)]
Text = Annotated[str, Field(min_length=1)]


def _duration(value: object) -> Duration:
    if isinstance(value, Duration):
        return value
    try:
        return parse_duration(value)
    except ValueError as error:
        raise PydanticCustomError("duration", "{reason}", {"reason": str(error)}) from error


Span = Annotated[
    Duration,
    PlainValidator(_duration),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*[0-9]{1,9}\s*(s|m|h|d|w)\s*$", "examples": ["48h", "3d"]}),
]


@dataclass(frozen=True, slots=True)
class FactType:
    """What a fact may hold: `kind`, the bounds of a number, the choices of `one of`, whether it may be missing."""

    text: str
    kind: Literal["text", "int", "number", "bool", "date", "datetime", "choice"]
    optional: bool = False
    low: Decimal | None = None
    high: Decimal | None = None
    choices: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


_NUMBER = r"[+-]?[0-9]+(?:\.[0-9]+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")
_FACT_TYPE = re.compile(rf"(text|bool|date|datetime|int|number)(?:\s+({_NUMBER}\s*\.\.\s*{_NUMBER}))?(\?)?")
_CHOICE = re.compile(r"one of\s*\[([^\[\]]*)\](\?)?")
_FACT_TYPES = (
    "expected text, int, int 1..9, number, number 0..1, bool, date, datetime or one of [a, b], with ? if optional"
)


def parse_range(text: object) -> tuple[Decimal, Decimal]:
    """The two bounds of `a..b`, both inside. Raises ValueError.

    >>> parse_range("1..5")
    (Decimal('1'), Decimal('5'))
    """
    found = _RANGE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a range; expected two numbers, as in 1..5")
    low, high = Decimal(found[1]), Decimal(found[2])
    if low > high:
        raise ValueError(f"{text!r} is an empty range; expected the smaller number first")
    return low, high


def parse_fact_type(text: object) -> FactType:
    """The fact type that `text` names. Raises ValueError with what was expected.

    >>> parse_fact_type("one of [free, team]?").choices
    ('free', 'team')
    >>> parse_fact_type("int 1..9").high
    Decimal('9')
    """
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is not a fact type; {_FACT_TYPES}")
    if choice := _CHOICE.fullmatch(text.strip()):
        choices = tuple(part.strip().strip("'\"") for part in choice[1].split(","))
        if "" in choices or len(set(choices)) < len(choices):
            raise ValueError(f"{text!r} has an empty or doubled choice; expected one of [a, b]")
        return FactType(text, "choice", bool(choice[2]), choices=choices)
    found = _FACT_TYPE.fullmatch(text.strip())
    if found is None or (found[2] and found[1] not in ("int", "number")):
        raise ValueError(f"{text!r} is not a fact type; {_FACT_TYPES}")
    low, high = parse_range(found[2]) if found[2] else (None, None)
    return FactType(text, found[1], bool(found[3]), low, high)  # type: ignore[arg-type]


def _fact_type(value: object) -> FactType:
    if isinstance(value, FactType):
        return value
    try:
        return parse_fact_type(value)
    except ValueError as error:
        raise PydanticCustomError("fact_type", "{reason}", {"reason": str(error)}) from error


class Spec(BaseModel):
    """The manners of every model here."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class MatcherSpec(Spec):
    """One way to understand a text: exactly one of the keys below.

    `any_word` and `all_words` take a list of words; `phrase`, `only_phrase`, `beginning`, `pattern` and
    `only_text` a string; `text` is true; `number` is true or a range.
    """

    any_word: list[Text] | None = Field(None, min_length=1)
    all_words: list[Text] | None = Field(None, min_length=1)
    phrase: Text | None = None
    only_phrase: Text | None = None
    beginning: Text | None = None
    pattern: Text | None = None
    text: Literal[True] | None = None
    only_text: Text | None = None
    number: Literal[True] | Annotated[str, Field(examples=["1..5"])] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> MatcherSpec:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError(
                "matcher", "expected exactly one of {names}", {"names": ", ".join(type(self).model_fields)}
            )
        if isinstance(self.number, str):
            try:
                parse_range(self.number)
            except ValueError as error:
                raise PydanticCustomError("range", "{reason}", {"reason": str(error)}) from error
        return self

    @property
    def as_dict(self) -> dict[str, Any]:
        """The matcher as `match_response` takes it, for example `{"number": "1..5"}`."""
        return self.model_dump(exclude_unset=True)


MATCHERS = tuple(MatcherSpec.model_fields)


def _response_kind(value: object) -> str:
    if isinstance(value, MatcherSpec):
        return "matcher"
    if isinstance(value, Mapping) and any(isinstance(each, Mapping | MatcherSpec) for each in value.values()):
        return "labels"
    return "matcher"


ResponseSpec = Annotated[
    Annotated[MatcherSpec, Tag("matcher")] | Annotated[dict[Name, MatcherSpec], Tag("labels")],
    Discriminator(_response_kind),
]


class SendSpec(Spec):
    """Send `send`, now or `after` a while, when its guard holds at the time the action runs."""

    send: Text
    after: Span | None = None
    when: Text | None = None


class AssigneeSpec(Spec):
    to: Text
    priority: Priority = "normal"


class AssignSpec(Spec):
    """Hand the conversation to a person or queue."""

    assign: AssigneeSpec


class SetSpec(Spec):
    """Set facts, each to a constant or, given the name of a response, to its captured value."""

    set: dict[Name, bool | int | float | str] = Field(min_length=1)


def _action_kind(value: object) -> str | None:
    for kind in ("send", "assign", "set"):
        if (isinstance(value, Mapping) and kind in value) or (isinstance(value, BaseModel) and hasattr(value, kind)):
            return kind
    return None


Action = Annotated[
    Annotated[SendSpec, Tag("send")] | Annotated[AssignSpec, Tag("assign")] | Annotated[SetSpec, Tag("set")],
    Discriminator(
        _action_kind,
        custom_error_type="action",
        custom_error_message="expected an action: one of send, assign, set",
    ),
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
    """An edge that is taken `after` a while in the stage."""

    after: Span


class FollowUpSpec(Spec):
    """A message `after` the one before it, `times` times in a row, while nobody responds."""

    after: Span
    send: Text
    times: int = Field(1, ge=1, le=100)
    when: Text | None = None


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


FactTypeText = Annotated[
    FactType,
    PlainValidator(_fact_type),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["text", "int 1..100", "one of [free, team]?"]}),
]


class CampaignTypeSpec(Spec):
    """A whole campaign type, as the author wrote it."""

    campaign_type: Name
    version: int = Field(ge=1)
    title: str | None = None
    facts: dict[Name, FactTypeText] = {}
    responses: dict[Name, ResponseSpec] = {}
    channel: Name = "email"
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
