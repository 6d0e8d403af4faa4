"""What a campaign type can do when an edge is taken or a stage entered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, Discriminator, Field, GetJsonSchemaHandler, Tag, model_serializer, model_validator
from pydantic_core import PydanticCustomError

from engine.core.facts import parse_constant
from engine.core.plugins import plugins_in_use
from engine.core.problems import expected_one_of
from engine.core.vocabulary import Name, Priority, Span, Spec, Text


class SendSpec(Spec):
    """Send `send`, now or `after` a while, when its guard holds at the time the action runs."""

    send: Text
    channel: Name | None = None
    after: Span | None = None
    when: Text | None = None
    ignore_window: bool = False
    ignore_limits: bool = False


class AssigneeSpec(Spec):
    to: Text
    priority: Priority = "normal"


class AssignSpec(Spec):
    """Hand the conversation to a person or queue."""

    assign: AssigneeSpec


class SetSpec(Spec):
    """Set facts, each to a constant or, given the name of a response, to its captured value."""

    set: dict[Name, bool | int | float | str] = Field(min_length=1)


class EmitSpec(Spec):
    """Tell other systems that something happened."""

    emit: Name


class PluginActionSpec(Spec):
    """An action that a plug-in adds: `NAME: {argument: value}`."""

    plugin: Name
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        if isinstance(value, Mapping) and len(value) == 1:
            [(name, arguments)] = value.items()
            return {"plugin": name, "arguments": arguments}
        raise PydanticCustomError("plugin", "expected the name of the action and its arguments, and nothing else")

    @model_validator(mode="after")
    def _fits(self) -> PluginActionSpec:
        wanted = plugins_in_use().actions[self.plugin].arguments
        for name, value in self.arguments.items():
            if name not in wanted:
                self._object(f"unknown argument {name!r}; {expected_one_of(name, wanted)}")
            try:
                parse_constant(wanted[name], value)
            except ValueError as error:
                self._object(f"{name}: {error}")
        for name, kind in wanted.items():
            if name not in self.arguments and not kind.optional:
                self._object(f"the argument {name!r} is missing; expected {kind}")
        return self

    def _object(self, reason: str) -> NoReturn:
        raise PydanticCustomError("plugin", "{reason}", {"reason": f"{self.plugin}: {reason}"})

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """One key, of the actions that are installed; `engine.core.schema` names them."""
        del core_schema, handler
        one = {"minProperties": 1, "maxProperties": 1, "additionalProperties": False}
        return {"type": "object", "title": cls.__name__, "properties": {}, **one}

    @model_serializer
    def _as_written(self) -> dict[str, Any]:
        return {self.plugin: dict(self.arguments)}


ACTIONS = ("send", "assign", "set", "emit")


def _action_kind(value: object) -> str | None:
    if isinstance(value, BaseModel):
        return next((kind for kind in (*ACTIONS, "plugin") if hasattr(value, kind)), None)
    if not isinstance(value, Mapping):
        return None
    known = next((kind for kind in ACTIONS if kind in value), None)
    return known or ("plugin" if any(name in plugins_in_use().actions for name in value) else None)


Action = Annotated[
    Annotated[SendSpec, Tag("send")]
    | Annotated[AssignSpec, Tag("assign")]
    | Annotated[SetSpec, Tag("set")]
    | Annotated[EmitSpec, Tag("emit")]
    | Annotated[PluginActionSpec, Tag("plugin")],
    Discriminator(
        _action_kind,
        custom_error_type="action",
        custom_error_message="expected an action: one of send, assign, set, emit",
    ),
]
