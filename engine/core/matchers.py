"""How the author says a text is to be understood: one matcher, or several under labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from engine.core.fact_types import parse_range
from engine.core.vocabulary import Name, Spec, Text


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
