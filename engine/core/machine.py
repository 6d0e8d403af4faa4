"""From a spec to one `transitions` Machine that all conversations of a campaign type version share.

The guards of the YAML *are* the Machine's conditions, so there is one interpreter of a campaign type, not two.
The Machine has a state for every stage and exit and `(new)`; its triggers are

    begin            from (new) to the start stage
    always           the `always` edges, from every stage and from (new)
    opt_out          those of them that lead to a `stopped` exit, from everywhere, exits too
    respond          the stage's `on_response`
    event:NAME       the stage's `on_event` of that name
    timer0, follow0, escalate0 …, end, split

`go: stay`, follow-ups and escalations are internal transitions. Bounds (`visits`, `at_most`) and shares are further
conditions. A stage with `visits` gives every edge into it a second transition, to the stage's `then`; only one of
them is open at a time, so that no guard runs twice. Due instants and actions stay outside: `decide` knows those.
What the Machine moves is a `Row`, handed to the trigger each time; no model is ever registered, since that would
cost four times as much and never be freed.

`_Trigger` and `_Guarded` are an event and a transition without the callbacks nobody uses here: the first
transition whose conditions hold notes its edge and sets the state. Conditions are given the row itself. That makes
a trigger cost a quarter. No YAML string ever reaches `transitions`, which would import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from hashlib import blake2b
from typing import Any

from transitions import Event, Machine, Transition

from engine.core.bindings import Bindings
from engine.core.compiled import (
    NEW,
    SHARE,
    CompiledType,
    Edge,
    Escalation,
    FollowUp,
    Guard,
    Row,
    Stage,
    Timer,
)
from engine.core.model import Verdict
from engine.core.responses import compile_responses
from engine.core.schedules import WindowSpec
from engine.core.spec import CampaignTypeSpec, EdgeSpec, ExitSpec, SplitSpec, StageSpec
from engine.core.vocabulary import STAY
from engine.core.windows import Window

Condition = Callable[[Row], bool]
_DRAWS = 2**64  # how many draws there are for a share: eight bytes of a hash


class _Trigger(Event):
    def trigger(self, model: Any, *_: Any, **__: Any) -> bool:
        for transition in self.transitions.get(model.state, ()):  # noqa: SIM110 - any() costs a generator each time
            if transition.execute(model):
                return True
        return False


class _Guarded(Transition):
    def execute(self, row: Any) -> bool:
        for condition in self.conditions:
            check: Any = condition.func
            if not check(row):
                return False
        for note in self.before:
            noted: Any = note
            noted(row)
        if self.dest is not None:
            row.state = self.dest
        return True


class _Machine(Machine):
    event_cls = _Trigger
    transition_cls = _Guarded


def compile_campaign_type(spec: CampaignTypeSpec, delay_factor: float = 1.0) -> CompiledType:
    """The runnable form of a checked spec; every delay is multiplied by `delay_factor`."""
    builder = _Builder(spec, delay_factor)
    stages = {name: builder.stage(name, stage) for name, stage in spec.stages.items()}
    stages |= {name: builder.exit(name, exit) for name, exit in spec.exits.items()}
    builder.always()
    if spec.ends_within:
        builder.edges.append(Edge("ends_within", "", spec.ends_within.then))
    ends_within = spec.ends_within.at_most.scaled(delay_factor) if spec.ends_within else None
    return CompiledType(
        spec=spec,
        stages=stages,
        edges=tuple(builder.edges),
        ends_within=ends_within,
        window=spec.send_window.window if spec.send_window else None,
        limits=spec.limits.rates if spec.limits else (),
        read=compile_responses(spec.responses),
        trigger=partial(_trigger, builder.machine.events),
        probe=partial(_probe, builder.machine.events),
    )


def _trigger(events: Mapping[str, Any], name: str, row: Row) -> bool:
    event = events.get(name)
    return event is not None and bool(event.trigger(row))


def _probe(events: Mapping[str, Any], name: str, row: Row) -> list[tuple[Edge, bool]]:
    """Each edge once, with the target it would have: bounded visits give it a transition for each."""
    event = events.get(name)
    found: dict[str, tuple[Edge, bool]] = {}
    for transition in event.transitions.get(row.state, ()) if event is not None else ():
        verdicts = [condition.func(row) for condition in transition.conditions]
        for note in transition.before:
            note(row)
        edge = row.edge
        assert edge is not None
        if all(verdicts):
            found[edge.key] = (edge._replace(target=transition.dest), True)
        else:
            found.setdefault(edge.key, (edge, False))
    return list(found.values())


class _Builder:
    """Fills the Machine, edge by edge, in the order of the YAML."""

    def __init__(self, spec: CampaignTypeSpec, delay_factor: float) -> None:
        self.spec = spec
        self.delay_factor = delay_factor
        self.bind = Bindings(spec, delay_factor)
        self.edges: list[Edge] = []
        states = [NEW, *spec.stages, *spec.exits]
        self.machine = _Machine(
            model=None, states=states, initial=NEW, auto_transitions=False, send_event=True, queued=False
        )
        self._add("begin", Edge("start", NEW, spec.start), [])

    def stage(self, name: str, spec: StageSpec) -> Stage:
        place = f"stages.{name}"
        self._edges("respond", f"{place}.on_response", name, spec.on_response)
        for event, edges in spec.on_event.items():
            self._edges(f"event:{event}", f"{place}.on_event.{event}", name, edges)
        self._split(f"{place}.split", name, spec.split)
        timers = self._timers(f"{place}.timers", name, spec)
        if self.spec.ends_within and not spec.split:
            self._add("end", Edge("ends_within", name, self.spec.ends_within.then), [])
        return Stage(
            name,
            on_enter=self.bind.actions(spec.on_enter),
            min_stay=spec.min_stay.scaled(self.delay_factor) if spec.min_stay else None,
            timers=timers,
            follow_ups=self._follow_ups(f"{place}.follow_ups", name, spec),
            escalations=self._escalations(f"{place}.escalate", name, spec),
            splits=bool(spec.split),
            window=self._window(spec.send_window),
            has_dates=any(timer.at is not None for timer in timers),
        )

    def _window(self, own: WindowSpec | None = None) -> Window | None:
        """The stage's own send window, else the campaign type's."""
        spec = own or self.spec.send_window
        return spec.window if spec else None

    def exit(self, name: str, spec: ExitSpec) -> Stage:
        return Stage(name, on_enter=self.bind.actions(spec.on_enter), outcome=spec.outcome, window=self._window())

    def always(self) -> None:
        """The `always` edges, from every place; an edge is passed over in its own target stage."""
        for index, spec in enumerate(self.spec.always):
            key = f"always[{index}]"
            edge = self._edge(key, "", spec)
            conditions = self._conditions(edge, spec)
            stops = spec.target in self.spec.exits and self.spec.exits[spec.target].outcome == "stopped"
            for source in (NEW, *self.spec.stages):
                self._add("always", edge._replace(source=source), conditions)
                if stops:
                    self._add("opt_out", edge._replace(source=source), conditions)
            for source in self.spec.exits if stops else ():
                self._add("opt_out", edge._replace(source=source, target=None), conditions)
            self.edges.append(edge)

    def _edges(self, trigger: str, place: str, source: str, specs: Iterable[EdgeSpec]) -> None:
        for index, spec in enumerate(specs):
            edge = self._edge(f"{place}[{index}]", source, spec)
            self._add(trigger, edge, self._conditions(edge, spec))
            self.edges.append(edge)

    def _split(self, place: str, source: str, specs: Iterable[SplitSpec]) -> None:
        low = Decimal(0)
        for index, spec in enumerate(specs):
            edge = self._edge(f"{place}[{index}]", source, spec)
            conditions = self._conditions(edge, spec)
            if spec.portion is not None:
                high = low + spec.portion
                conditions.append(partial(_in_share, edge, int(low * _DRAWS), int(high * _DRAWS)))
                low = high
            self._add("split", edge, conditions)
            self.edges.append(edge)

    def _timers(self, place: str, source: str, spec: StageSpec) -> tuple[Timer, ...]:
        timers = []
        for index, timer in enumerate(spec.timers):
            edge = self._edge(f"{place}[{index}]", source, timer)
            self._add(f"timer{index}", edge, self._conditions(edge, timer))
            self.edges.append(edge)
            timers.append(Timer(timer.after and timer.after.scaled(self.delay_factor), timer.at, edge))
        return tuple(timers)

    def _follow_ups(self, place: str, source: str, spec: StageSpec) -> tuple[FollowUp, ...]:
        flat: list[FollowUp] = []
        for index, follow_up in enumerate(spec.follow_ups):
            edge = Edge(f"{place}[{index}]", source, when=follow_up.when or "")
            guard = self.bind.guard(edge.when)
            conditions = [] if guard is None else [_guarded(edge, *guard)]
            for _ in range(follow_up.times):
                self._add(f"follow{len(flat)}", edge, conditions)
                flat.append(FollowUp(follow_up.after.scaled(self.delay_factor), self.bind.send(follow_up), edge))
            self.edges.append(edge)
        return tuple(flat)

    def _escalations(self, place: str, source: str, spec: StageSpec) -> tuple[Escalation, ...]:
        escalations = []
        for index, escalation in enumerate(spec.escalate):
            edge = Edge(f"{place}[{index}]", source)
            self._add(f"escalate{index}", edge, [])
            self.edges.append(edge)
            after = escalation.after.scaled(self.delay_factor)
            escalations.append(Escalation(after, escalation.to, escalation.priority, edge))
        return tuple(escalations)

    def _edge(self, key: str, source: str, spec: EdgeSpec) -> Edge:
        target = None if spec.target == STAY else spec.target
        return Edge(key, source, target, self.bind.actions(spec.do), spec.when or "", spec.at_most or 0)

    def _conditions(self, edge: Edge, spec: EdgeSpec) -> list[Condition]:
        guard = self.bind.guard(spec.when)
        conditions = [] if guard is None else [_guarded(edge, *guard)]
        if edge.at_most:
            conditions.append(partial(_has_uses_left, edge.key, edge.at_most))
        return conditions

    def _add(self, trigger: str, edge: Edge, conditions: list[Condition]) -> None:
        """The transition of an edge and, where its target's visits are bounded, one to each place they send it on to.

        An `always` edge gets none in its own target stage, and none back to where it stands.
        """
        always, note = edge.key.startswith("always"), partial(_note, edge)
        if always and edge.target == edge.source:
            return
        full: list[Condition] = []
        for target, at_most in self._landings(edge.target):
            free = [partial(_has_visits_left, target, at_most)] if target and at_most else []
            if not (always and target == edge.source):
                all_of: list[Any] = [*full, *free, *conditions]
                self.machine.add_transition(trigger, edge.source, target, conditions=all_of, before=note)
            full += [partial(_has_no, each) for each in free]

    def _landings(self, target: str | None) -> Iterator[tuple[str | None, int]]:
        """Where an edge to `target` may come to, in order, each with the bound of its visits, 0 for none."""
        seen = {target}
        while target in self.spec.stages and (visits := self.spec.stages[target].visits) and visits.then not in seen:
            yield target, visits.at_most
            target = visits.then
            seen.add(target)
        yield target, 0


def _guarded(edge: Edge, guard: Guard, reads: tuple[tuple[str, Callable[[Row], Any]], ...]) -> Condition:
    """The guard as a condition that leaves its inputs and verdict in the trace."""
    key = edge.key

    def condition(row: Row) -> bool:
        passed = guard(row)
        row.trace.append(Verdict(key, {name: read(row) for name, read in reads}, passed))
        return passed is True

    return condition


def _note(edge: Edge, row: Row) -> None:
    row.edge = edge


def _has_uses_left(key: str, at_most: int, row: Row) -> bool:
    return row.used.get(key, 0) < at_most


def _has_visits_left(stage: str, at_most: int, row: Row) -> bool:
    return row.visits.get(stage, 0) < at_most


def _has_no(condition: Condition, row: Row) -> bool:
    return not condition(row)


def _in_share(edge: Edge, low: int, high: int, row: Row) -> bool:
    """Whether the conversation falls in this share: a stable hash of its id, the stage and the visit."""
    if row.state in row.splits:
        return row.splits[row.state] == edge.target
    seed = f"{row.id}\0{row.state}\0{row.visits.get(row.state, 0)}".encode()
    drawn = int.from_bytes(blake2b(seed, digest_size=8).digest(), "big")
    passed = low <= drawn < high
    row.trace.append(Verdict(edge.key, {SHARE: round(drawn / _DRAWS, 6)}, passed))
    return passed
