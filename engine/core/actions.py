"""What a campaign type can do when an edge is taken or a stage entered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Discriminator, Field, Tag

from engine.core.vocabulary import Name, Priority, Span, Spec, Text


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
