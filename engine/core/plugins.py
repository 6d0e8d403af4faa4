"""Plug-ins: matchers, classifiers, actions and names that other packages add to the vocabulary.

A plug-in is a value that says what it is called, what it takes and what it gives, so that the checks judge guards
over it as over any other name. Its function is plain and pure: the same arguments always give the same answer, with
no clock, network or randomness, for decisions are replayed. Finding installed plug-ins is the work of
`engine.plugins`.

A process uses one set of plug-ins, told once at its start with `use_plugins`, before any campaign type is read:
the models of the vocabulary have no other way to know which keys are matchers. A test uses `using_plugins`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from engine.core.errors import DecisionError
from engine.core.fact_types import FactType
from engine.core.vocabulary import NAME_PATTERN

Value = str | Decimal | date
Argument = Literal["true", "text", "words", "number"]
_CAPTURED = ("text", "choice", "int", "number", "date")


@dataclass(frozen=True)
class ClassifierPlugin:
    """Puts a text under a label, for `classifier: NAME`; `labels` lists all it can give, None means any text.

    `classify(text, locale)` gives a label, or None for a text it does not understand.
    """

    name: str
    labels: tuple[str, ...] | None
    classify: Callable[[str, str], str | None]

    @property
    def result(self) -> FactType:
        """What `classifier: NAME` captures."""
        if self.labels is None:
            return FactType("text", "text")
        return FactType(f"one of [{', '.join(self.labels)}]", "choice", choices=self.labels)


@dataclass(frozen=True)
class MatcherPlugin:
    """A matcher of its own key, `NAME: VALUE`, where `argument` says what VALUE is.

    `match(argument, text, locale)` gives the value it found, of the type `result`, or None. The argument comes as
    True, a str, a tuple of str or a Decimal. What is captured is text, a choice, a number or a date.
    """

    name: str
    argument: Argument
    result: FactType
    match: Callable[[Any, str, str], Value | None]

    def __post_init__(self) -> None:
        if self.result.kind not in _CAPTURED:
            raise ValueError(f"matcher {self.name}: expected a result of {', '.join(_CAPTURED)}, got {self.result}")


class ActionResult(NamedTuple):
    """What an action comes to: `facts` to set, by name, and `events` to emit, in order."""

    facts: Mapping[str, Any] = MappingProxyType({})
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActionPlugin:
    """An action of its own key, `NAME: {argument: value}`; each argument has the type that `arguments` gives it.

    `run(arguments, facts, captured)` says what is to be done, in the vocabulary's own terms: facts to set, which
    the campaign type must declare, and events for other systems. Those do the rest, when they read them.
    """

    name: str
    arguments: Mapping[str, FactType]
    run: Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], ActionResult]


@dataclass(frozen=True)
class NamePlugin:
    """A name that guards may use like a fact, worked out from `read(facts, captured)`.

    None is missing, which only an optional `type` may be. It is not known in `priority`, which is judged before there
    is a conversation.
    """

    name: str
    type: FactType
    read: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Plugins:
    """Plug-ins by name, four kinds."""

    matchers: Mapping[str, MatcherPlugin] = field(default_factory=lambda: MappingProxyType({}))
    classifiers: Mapping[str, ClassifierPlugin] = field(default_factory=lambda: MappingProxyType({}))
    actions: Mapping[str, ActionPlugin] = field(default_factory=lambda: MappingProxyType({}))
    names: Mapping[str, NamePlugin] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for plugins in (self.matchers, self.classifiers, self.actions, self.names):
            for name, plugin in plugins.items():
                if name != plugin.name or not re.match(NAME_PATTERN, name):
                    raise ValueError(
                        f"a plug-in called {plugin.name!r} stands under {name!r}; expected one name for both, of "
                        "letters, digits and underscores"
                    )


NO_PLUGINS = Plugins()
_in_use = NO_PLUGINS


def use_plugins(plugins: Plugins) -> None:
    """From now on campaign types may use these plug-ins, and no others."""
    global _in_use  # noqa: PLW0603 - the one registry, see above
    _in_use = plugins


def plugins_in_use() -> Plugins:
    """The plug-ins that campaign types may use.

    >>> shout = ClassifierPlugin("shout", ("loud",), lambda text, locale: "loud" if text.isupper() else None)
    >>> with using_plugins(Plugins(classifiers={"shout": shout})):
    ...     list(plugins_in_use().classifiers)
    ['shout']
    >>> plugins_in_use() == NO_PLUGINS
    True
    """
    return _in_use


@contextmanager
def using_plugins(plugins: Plugins) -> Iterator[Plugins]:
    """For as long as the block runs, these plug-ins and no others."""
    before = plugins_in_use()
    use_plugins(plugins)
    try:
        yield plugins
    finally:
        use_plugins(before)


def classified(plugin: ClassifierPlugin, text: str, locale: str) -> Any:
    """The label that a classifier gives. Raises DecisionError when it fails, or gives what it did not declare."""
    return _given(f"classifier {plugin.name}", plugin.result, lambda: plugin.classify(text, locale))


def matched(plugin: MatcherPlugin, argument: Any, text: str, locale: str) -> Any:
    """The value that a matcher finds. Raises DecisionError when it fails, or gives what it did not declare."""
    return _given(f"matcher {plugin.name}", plugin.result, lambda: plugin.match(argument, text, locale))


def named(plugin: NamePlugin, facts: Mapping[str, Any], captured: Mapping[str, Any]) -> Any:
    """The value of a name. Raises DecisionError when it fails, or gives what it did not declare."""
    value = _given(f"name {plugin.name}", plugin.type, lambda: plugin.read(facts, captured))
    if value is None and not plugin.type.optional:
        raise _breach(f"name {plugin.name}", "None", f"{plugin.type}, as declared")
    return value


def acted(
    plugin: ActionPlugin,
    arguments: Mapping[str, Any],
    facts: Mapping[str, Any],
    captured: Mapping[str, Any],
    declared: Mapping[str, FactType],
) -> ActionResult:
    """What an action comes to, its facts as `declared`. Raises DecisionError when it fails, or is of no use."""
    what = f"action {plugin.name}"
    result = _called(what, lambda: plugin.run(arguments, facts, captured))
    if not isinstance(result, ActionResult):
        raise _breach(what, type(result).__name__, "an ActionResult")
    for name in result.facts:
        if name not in declared:
            raise _breach(what, f"the fact {name!r}", "facts that the campaign type declares")
    for event in result.events:
        if not (isinstance(event, str) and re.match(NAME_PATTERN, event)):
            raise _breach(what, "an event without a proper name", "names of letters, digits and underscores")
    values = {name: _declared(what, declared[name], value) for name, value in result.facts.items()}
    return ActionResult(values, tuple(result.events))


def _given(what: str, declared: FactType, call: Callable[[], Any]) -> Any:
    return _declared(what, declared, _called(what, call))


def _called(what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        raise DecisionError(
            f"the plug-in {what} failed: {type(error).__name__}", hint="Mend or update the package it comes from."
        ) from error


def _declared(what: str, declared: FactType, value: Any) -> Any:
    """The value, if it is missing or what was declared."""
    if value is None or _fits(declared, value):
        return Decimal(value) if type(value) is int and declared.kind == "number" else value
    raise _breach(what, type(value).__name__, f"{declared}, as declared, or None")


def _breach(what: str, got: str, expected: str) -> DecisionError:
    return DecisionError(
        f"the plug-in {what} gave {got}; expected {expected}", hint="Mend or update the package it comes from."
    )


def _fits(declared: FactType, value: object) -> bool:
    match declared.kind:
        case "text":
            return type(value) is str
        case "choice":
            return value in declared.choices
        case "bool":
            return type(value) is bool
        case "date":
            return type(value) is date
        case "datetime":
            return isinstance(value, datetime) and value.tzinfo is not None
    if type(value) is not int and not (isinstance(value, Decimal) and value.is_finite()):
        return False
    number, low, high = Decimal(value), declared.low, declared.high
    whole = declared.kind == "number" or number == number.to_integral_value()
    return whole and (low is None or number >= low) and (high is None or number <= high)
