"""The shape of a campaign type: the typed spec, or every way in which the file does not fit, in an author's words.

pydantic finds the misfits, but names them by its own paths and in its own words. Its path also holds things that
are not in the file (the branch of a union, `[key]`), so each path is followed through the types and the file
together, and the message is written from the type expected at its end.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Tag, ValidationError, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from engine.core.actions import ACTIONS
from engine.core.at_times import AtRule, AtRuleError, parse_at
from engine.core.durations import Duration, zone_of
from engine.core.fact_types import FactType
from engine.core.plugins import plugins_in_use
from engine.core.problems import Problem, expected_one_of, shown
from engine.core.schedules import Rate
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import NAME_PATTERN
from engine.core.yaml_source import Document, Loc

_LONGEST_MESSAGE = 300
_MOST = 1000
_PYDANTICS_OWN = frozenset(get_args(ErrorType))
_NAME = "a name of at most 63 letters, digits and underscores, not beginning with a digit"
_NOUNS: dict[Any, str] = {
    str: "a text", int: "a whole number", float: "a number", bool: "true or false", Duration: "a duration",
    FactType: "a fact type", list: "a list", dict: "a mapping", time: "a time in quotes", frozenset: "days of the week",
    AtRule: "a fact with an offset", Rate: "a rate",
}  # fmt: skip
_CODES = {"duration": "E105", "zone": "E106"}  # of the kinds of misfit that the vocabulary names; the rest is E107
_RATE = re.compile(r"\s*[0-9]+\s+per\s+\S")
_CLOCK = re.compile(r"[0-9]{1,2}:[0-9]{2}")


def read_spec(document: Document) -> tuple[CampaignTypeSpec | None, list[Problem]]:
    """The spec that `document` holds, or None and one problem for each place that does not fit.

    Of a great many misfits, as aliases can make them, only the first are told.
    """
    data = document.data or {}
    spec = None
    problems: dict[tuple[Loc, str], Problem] = {}
    for loc in islice(_empty_values(data), _MOST):
        message = f"the key {str(loc[-1])[:40]!r} has no value; expected one, or the key left out"
        problems[loc, ""] = document.problem("E107", message, loc, key=True)
    for loc in _unquoted_times(data, document):
        message = "a time without quotes, which other readers of YAML take for a number; quote it"
        problems[loc, ""] = document.problem("E104", message, loc)
    try:
        spec = CampaignTypeSpec.model_validate(data)
    except ValidationError as error:
        for details in error.errors(include_url=False)[:_MOST]:
            target = _follow(details["loc"], document)
            # The branches of a union complain one by one about one value; what is missing is named one by one.
            what = str(details["loc"][-1]) if details["type"] == "missing" else ""
            if (target.loc, what) not in problems and not (what and _is_misspelt(what, details["input"], target)):
                problems[target.loc, what] = _problem(details, target, document)
    return (None if problems else spec), list(problems.values())


def _empty_values(data: Any, loc: Loc = ()) -> Iterator[Loc]:
    """Every place where nothing stands; an optional key left empty would pass for one left out."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for part, value in items:
        if value is None and isinstance(part, str):
            yield (*loc, part)
        yield from _empty_values(value, (*loc, part))


def _unquoted_times(data: Mapping[str, Any], document: Document) -> Iterator[Loc]:
    """Every H:MM without quotes where a time is expected: in send windows, and alone after a timer's `at`."""
    stages = data.get("stages")
    places: list[Loc] = [("stages", name) for name in stages] if isinstance(stages, dict) else []
    times: list[Loc] = [(*loc, "send_window", key) for loc in ((), *places) for key in ("from", "to", "at")]
    for loc in places:
        timers = document.value((*loc, "timers"))
        times += [(*loc, "timers", index, "at") for index in range(len(timers) if isinstance(timers, list) else 0)]
    for loc in times:
        given = document.value(loc)
        for each in [(*loc, index) for index in range(len(given))] if isinstance(given, list) else [loc]:
            value = document.value(each)
            if isinstance(value, str) and _CLOCK.fullmatch(value) and document.is_plain(each):
                yield each


class _Target(NamedTuple):
    """Where a path leads: the place in the file, whether its key is meant, the type there and the model around."""

    loc: Loc
    is_key: bool
    expected: Any
    around: Any


def _follow(path: tuple[int | str, ...], document: Document) -> _Target:
    """Walk `path` through the types; what is not in the file is left out of the place."""
    loc: Loc = ()
    expected: Any = CampaignTypeSpec
    around: Any = None
    for part in path:
        if part == "[key]" and get_origin(around) is dict:
            return _Target(loc, True, get_args(_bare(around))[0], None)
        if part in (branches := _branches(expected)):
            expected, around = branches[str(part)], None
            continue
        around, inner = _bare(expected), _inner(expected, part)
        if inner is None and not _is_model(expected):
            break
        expected = inner
        if document.holds((*loc, part)):
            loc = (*loc, part)
    return _Target(loc, False, expected, around)


def _problem(details: ErrorDetails, target: _Target, document: Document) -> Problem:
    """One of pydantic's errors as a problem in the file."""
    kind, given, name = details["type"], details["input"], str(details["loc"][-1])
    if kind == "extra_forbidden":
        return document.problem("E101", _unknown_key(name, _fields(target.around)), target.loc, key=True)
    if kind == "missing":
        message = f"the key {name!r} is missing; expected {_noun(target.expected)}"
        return document.problem("E107", message, target.loc, key=True)
    if kind == "action" and isinstance(given, Mapping) and (misnamed := _unknown_to_all(target.expected, given)):
        message = _unknown_key(misnamed, (*ACTIONS, *plugins_in_use().actions))
        return document.problem("E101", message, (*target.loc, misnamed), key=True)
    message = _misfit(details, target.expected)[:_LONGEST_MESSAGE]
    if kind == "range":
        return document.problem("E107", message, (*target.loc, "number"))
    if kind == "at" and isinstance(given, str):
        return _no_at_rule(given, message, target.loc, document)
    if kind == "zone":
        message += _zone_hint(given)
    is_whole = kind not in _PYDANTICS_OWN and isinstance(given, Mapping)
    code = "E105" if kind == "rate" and _RATE.match(str(given)) else _CODES.get(kind, "E107")
    return document.problem(code, message, target.loc, key=target.is_key or is_whole)


def _no_at_rule(given: str, message: str, loc: Loc, document: Document) -> Problem:
    """A timer's `at` that cannot be read, at the character that is wrong; what follows a sign is a duration."""
    try:
        parse_at(given)
    except AtRuleError as error:
        code = "E105" if given[: error.offset].rstrip().endswith(("+", "-")) else "E107"
        return document.problem(code, message, loc, offset=error.offset)
    raise AssertionError(f"{given!r} is a rule after all")


def _zone_hint(given: object) -> str:
    """The zone that is meant when only its capitals or underscores are wrong."""
    parts = str(given).strip()[:40].split("/")
    meant = "/".join("_".join(word.capitalize() for word in re.split(r"[\s_]+", part)) for part in parts)
    try:
        return f"; did you mean {zone_of(meant).key}?" if meant != given else ""
    except ValueError:
        return ""


def _misfit(details: ErrorDetails, expected: Any) -> str:
    """What was expected and what was there instead."""
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "action":
        return f"{details['msg']}, got {shown(given)}"
    if kind not in _PYDANTICS_OWN and isinstance(given, str | Mapping):
        return details["msg"]
    if kind == "literal_error" and isinstance(given, str):
        return f"unknown value {given[:40]!r}; {expected_one_of(given, map(str, get_args(_bare(expected))))}"
    if context.get("pattern") == NAME_PATTERN or kind == "string_too_long":
        return f"expected {_NAME}, got {shown(given)}"
    if kind == "string_too_short":
        return "expected a text, got an empty one"
    if kind == "too_short":
        return f"expected {_noun(expected)} with at least one entry, got an empty one"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return f"expected {bound}, got {given}"
    remedy = ""
    if _bare(expected) is str and isinstance(given, int | float):
        remedy = "; quote it"
    elif get_origin(_bare(expected)) is list:
        remedy = "; put it in [ ]"
    return f"expected {_noun(expected)}, got {shown(given)}{remedy}"


def _unknown_key(name: str, known: Iterable[str]) -> str:
    return f"unknown key {name[:40]!r}; {expected_one_of(name, known)}"


def _is_misspelt(name: str, given: Mapping[str, Any], target: _Target) -> bool:
    """Whether the missing key `name` is there after all, spelt so that its own problem leads back to it."""
    unknown = [key for key in given if key not in _fields(target.around)]
    return bool(get_close_matches(name, unknown, n=1))


def _unknown_to_all(union: Any, given: Mapping[str, Any]) -> str | None:
    """The first key that no branch of `union` has."""
    known = {name for branch in _branches(union).values() for name in _fields(branch)}
    return next((name for name in given if name not in known), None)


def _noun(expected: Any) -> str:
    """`expected` as a message names it, with an example where the type gives one."""
    bare = _bare(expected)
    if _is_union(bare):
        *nouns, last = (_noun(branch) for branch in _members(bare))
        return f"{', '.join(nouns)} or {last}"
    if get_origin(bare) is Literal:
        values = get_args(bare)
        return "true" if values == (True,) else "one of " + ", ".join(map(str, values))
    noun = "a mapping" if _is_model(bare) else _NOUNS[get_origin(bare) or bare]
    examples = [example for extra in _extras(expected) for example in _examples(extra)]
    return f"{noun}, as in {examples[0]}" if examples else noun


def _examples(extra: Any) -> list[Any]:
    if isinstance(extra, WithJsonSchema):
        return list((extra.json_schema or {}).get("examples", []))
    return list(extra.examples or []) if isinstance(extra, FieldInfo) else []


def _inner(expected: Any, part: int | str) -> Any:
    """The type under a key or index of `expected`; None when there is none."""
    bare = _bare(expected)
    if _is_model(bare):
        return _fields(bare).get(str(part))
    return get_args(bare)[-1] if get_origin(bare) in (list, dict) else None


@cache
def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The keys of a model, as the file writes them, each with its whole type."""
    hints = get_type_hints(model, include_extras=True)
    return {info.alias or name: hints[name] for name, info in model.model_fields.items()}


def _branches(union: Any) -> dict[str, Any]:
    """The tagged branches of a union, by tag; empty for any other type."""
    members = _members(_bare(union)) if _is_union(_bare(union)) else ()
    return {extra.tag: _bare(each) for each in members for extra in _extras(each) if isinstance(extra, Tag)}


def _bare(expected: Any) -> Any:
    """A type without its annotations and without None."""
    while get_origin(expected) is Annotated or (_is_union(expected) and len(_members(expected)) == 1):
        expected = get_args(expected)[0] if get_origin(expected) is Annotated else _members(expected)[0]
    return expected


def _members(union: Any) -> tuple[Any, ...]:
    return tuple(member for member in get_args(union) if member is not types.NoneType)


def _extras(expected: Any) -> tuple[Any, ...]:
    """The annotations of a type, also inside an optional one."""
    if _is_union(expected) and len(_members(expected)) == 1:
        return _extras(_members(expected)[0])
    return get_args(expected)[1:] if get_origin(expected) is Annotated else ()


def _is_union(expected: Any) -> bool:
    return get_origin(expected) in (Union, types.UnionType)


def _is_model(expected: Any) -> bool:
    bare = _bare(expected)
    return isinstance(bare, type) and issubclass(bare, BaseModel)
