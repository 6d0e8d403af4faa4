"""How the author says a text is to be understood: one matcher, or several under labels.

Shape only. Whether an argument makes sense (a pattern that can be read, a word in a list of words, a classifier
that is installed) is found by `engine.core.responses`, which compiles matchers, and told by the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Tag,
    WithJsonSchema,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from engine.core.fact_types import parse_range
from engine.core.plugins import Argument, MatcherPlugin, plugins_in_use
from engine.core.vocabulary import Name, Spec, Text

Captured = Literal["text", "number", "date"]
_Number = int | float
_Between = Annotated[
    list[_Number],
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "examples": [[1, 5]]}),
]
_Day = Annotated[str, Field(min_length=1, examples=["today + 3d"])]
_CAPTURED: dict[str, Captured] = {"int": "number", "number": "number", "date": "date"}


class OneMatcherSpec(Spec):
    """One way to understand a text: exactly one of the keys below, or that of a plug-in."""

    any_word: list[Text] | None = Field(None, min_length=1)
    all_words: list[Text] | None = Field(None, min_length=1)
    phrase: Text | None = None
    only_phrase: Text | None = None
    beginning: Text | None = None
    pattern: Text | None = None
    text: Literal[True] | None = None
    only_text: Text | None = None
    number: Literal[True] | Annotated[str, Field(examples=["1..5"])] | None = None
    number_lt: _Number | None = None
    number_lte: _Number | None = None
    number_eq: _Number | None = None
    number_gte: _Number | None = None
    number_gt: _Number | None = None
    number_between: _Between | None = None
    date: Literal[True] | None = None
    date_lt: _Day | None = None
    date_eq: _Day | None = None
    date_gt: _Day | None = None
    time: Literal[True] | None = None
    email: Literal[True] | None = None
    phone: Literal[True] | Annotated[str, Field(examples=["GB"])] | None = None
    classifier: Name | None = None

    _plugin: MatcherPlugin | None = PrivateAttr(None)
    _argument: Any = PrivateAttr(None)

    @model_validator(mode="wrap")
    @classmethod
    def _with_plugin(cls, data: Any, handler: ModelWrapValidatorHandler[OneMatcherSpec]) -> OneMatcherSpec:
        """Take the key of a plug-in, which no field has; every other unknown key is refused as ever."""
        if not isinstance(data, Mapping):
            return handler(data)
        if "any_of" in data and "any_of" not in cls.model_fields:
            raise PydanticCustomError("matcher", "any_of cannot stand inside any_of; expected all matchers in one list")
        plugins = [plugin for name, plugin in plugins_in_use().matchers.items() if name in data]
        if not plugins:
            return handler(data)
        if len(data) > 1:
            raise cls._not_one()
        plugin, value = plugins[0], data[plugins[0].name]
        if not fits_argument(plugin.argument, value):
            reason = f"{plugin.name}: expected {ARGUMENTS[plugin.argument]}"
            raise PydanticCustomError("matcher", "{reason}", {"reason": reason})
        spec = cls.model_construct()
        spec._plugin, spec._argument = plugin, value
        return spec

    @model_validator(mode="after")
    def _exactly_one(self) -> OneMatcherSpec:
        if self._plugin is None and len(self.model_fields_set) != 1:
            raise self._not_one()
        if isinstance(self.number, str):
            try:
                parse_range(self.number)
            except ValueError as error:
                raise PydanticCustomError("range", "{reason}", {"reason": str(error)}) from error
        return self

    @classmethod
    def _not_one(cls) -> PydanticCustomError:
        names = ", ".join([*cls.model_fields, *plugins_in_use().matchers])
        return PydanticCustomError("matcher", "expected exactly one of {names}", {"names": names})

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {self._plugin.name: self._argument} if self._plugin else handler(self)

    @property
    def as_dict(self) -> dict[str, Any]:
        """The matcher as `match_response` takes it, for example `{"number": "1..5"}`."""
        return self.model_dump(exclude_unset=True)

    @property
    def plugin(self) -> MatcherPlugin | None:
        """The plug-in whose key this is."""
        return self._plugin

    @property
    def name(self) -> str:
        """The matcher's key."""
        return self._plugin.name if self._plugin else next(iter(self.model_fields_set))

    @property
    def captures(self) -> Captured:
        """What it captures: a str, a Decimal or a datetime.date."""
        if self._plugin:
            return _CAPTURED.get(self._plugin.result.kind, "text")
        return _CAPTURED.get(self.name.partition("_")[0], "text")


class MatcherSpec(OneMatcherSpec):
    """A matcher, or `any_of` several, of which the first that matches counts."""

    any_of: list[OneMatcherSpec] | None = Field(None, min_length=1)

    @property
    def parts(self) -> tuple[OneMatcherSpec, ...]:
        """The matchers of `any_of`, else this one."""
        return tuple(self.any_of) if self.any_of else (self,)

    @property
    def captures(self) -> Captured:
        return self.parts[0].captures if self.any_of else super().captures


MATCHERS = tuple(MatcherSpec.model_fields)
ARGUMENTS: dict[Argument, str] = {
    "true": "true",
    "text": "a text",
    "words": "a list of texts",
    "number": "a number",
}


def fits_argument(argument: Argument, value: object) -> bool:
    """Whether `value` is what a plug-in asks to stand after its key.

    >>> fits_argument("words", ["a", "b"]), fits_argument("number", True)
    (True, False)
    """
    match argument:
        case "true":
            return value is True
        case "text":
            return isinstance(value, str) and value != ""
        case "words":
            return isinstance(value, list) and value != [] and all(fits_argument("text", each) for each in value)
        case "number":
            return is_number(value)


def is_number(value: object) -> bool:
    """Whether `value` is a finite number, and no bool.

    >>> is_number(5), is_number("5"), is_number(float("nan"))
    (True, False, False)
    """
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool) and Decimal(value).is_finite()


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
