"""The guards and actions of a spec, bound to the rows they read and act on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from engine.core.actions import Action as ActionSpec
from engine.core.actions import AssignSpec, EmitSpec, PluginActionSpec, SendSpec, SetSpec
from engine.core.compiled import Action, Assign, Call, Emit, Guard, Row, Send, Set
from engine.core.expressions import compile_guard, parse_expression
from engine.core.facts import parse_constant
from engine.core.model import Values
from engine.core.plugins import ActionResult, acted, named, plugins_in_use
from engine.core.spec import CampaignTypeSpec, FollowUpSpec

Read = Callable[[Row], Any]


class Bindings:
    """Binds what one spec says; every delay is multiplied by `delay_factor`."""

    def __init__(self, spec: CampaignTypeSpec, delay_factor: float) -> None:
        self._spec = spec
        self._delay_factor = delay_factor

    def guard(self, when: str | None) -> tuple[Guard, tuple[tuple[str, Read], ...]] | None:
        """The guard that `when` says and, for the trace, how to read each of its names; None when there is none."""
        if not when:
            return None
        expression = parse_expression(when)
        reads = tuple((name, self._getter(name)) for name in sorted(expression.names))
        return compile_guard(expression, self._getter), reads

    def actions(self, specs: Iterable[ActionSpec]) -> tuple[Action, ...]:
        return tuple(action for spec in specs for action in self._bound(spec))

    def send(self, spec: SendSpec | FollowUpSpec) -> Send:
        """The message of an action or, without its delay and guard, of a follow-up."""
        after, guard = None, None
        if isinstance(spec, SendSpec):
            after = spec.after.scaled(self._delay_factor) if spec.after else None
            guard = self.guard(spec.when)
        return Send(spec.send, after, guard and guard[0], spec.channel or "", spec.ignore_window, spec.ignore_limits)

    def _bound(self, spec: ActionSpec) -> Iterable[Action]:
        if isinstance(spec, SendSpec):
            return (self.send(spec),)
        if isinstance(spec, AssignSpec):
            return (Assign(spec.assign.to, spec.assign.priority),)
        if isinstance(spec, EmitSpec):
            return (Emit(spec.emit),)
        if isinstance(spec, PluginActionSpec):
            return (Call(spec.plugin, self._call(spec)),)
        return self._sets(spec)

    def _sets(self, spec: SetSpec) -> Iterable[Set]:
        for fact, value in spec.set.items():
            kind = self._spec.facts[fact]
            if isinstance(value, str) and value in self._spec.responses:
                yield Set(fact, kind, response=value)
            else:
                yield Set(fact, kind, parse_constant(kind, value))

    def _call(self, spec: PluginActionSpec) -> Callable[[Values, Values], ActionResult]:
        """The plug-in action, whose result must be of use to this campaign type."""
        plugin, facts = plugins_in_use().actions[spec.plugin], self._spec.facts
        given = {name: parse_constant(plugin.arguments[name], value) for name, value in spec.arguments.items()}
        return lambda known, captured: acted(plugin, given, known, captured, facts)

    def _getter(self, name: str) -> Read:
        if name in self._spec.responses:
            return lambda row: row.said.get(name)
        if name in self._spec.facts:
            return lambda row: row.facts.get(name)
        if (plugin := plugins_in_use().names.get(name)) is not None:
            return lambda row: named(plugin, row.facts, row.said)
        if name == "visits":
            return lambda row: row.visits.get(row.state, 0)
        return attrgetter(name)
