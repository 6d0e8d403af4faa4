"""Everything in a campaign type that can be wrong, as flat lists, each item with its place in the file.

The checks walk these lists instead of the spec's tree. A `Place` says which list of which stage an item
stands in, because that decides which names its guard may read and what values they can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from engine.core.actions import SendSpec, SetSpec
from engine.core.problems import Problem
from engine.core.spec import CampaignTypeSpec, EdgeSpec, FollowUpSpec

if TYPE_CHECKING:
    from engine.core.yaml_source import Document

Loc = tuple[str | int, ...]
Kind = Literal["priority", "always", "on_enter", "follow_ups", "on_response", "on_event", "split", "timers"]


@dataclass(frozen=True, slots=True)
class Place:
    """Which list an item stands in; `stage` is None in `always` and `priority`."""

    kind: Kind
    stage: str | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    place: Place
    loc: Loc
    spec: EdgeSpec

    @property
    def target_loc(self) -> Loc:
        return (*self.loc, "go" if self.spec.go is not None else "otherwise")


@dataclass(frozen=True, slots=True)
class EdgeList:
    """Edges of which the first that matches is taken; timers are a list each, since each has its own time."""

    place: Place
    loc: Loc
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class Guard:
    place: Place
    loc: Loc
    text: str


@dataclass(frozen=True, slots=True)
class Act:
    """An action or a follow-up."""

    place: Place
    loc: Loc
    spec: object


class Outline:
    """A campaign type taken apart for checking."""

    def __init__(self, spec: CampaignTypeSpec, document: Document) -> None:
        self.spec = spec
        self.document = document
        self.lists = tuple(self._lists())
        self.edges = tuple(edge for each in self.lists for edge in each.edges)
        self.acts = tuple(self._acts())

    def problem(self, code: str, message: str, loc: Loc, *, key: bool = False, offset: int | None = None) -> Problem:
        return self.document.problem(code, message, loc, key=key, offset=offset)

    def error(self, code: str, message: str, loc: Loc) -> Problem:
        """A problem that is an error although its code is that of a warning."""
        return replace(self.problem(code, message, loc), grave=True)

    def later(self, *locs: Loc, key: bool = False) -> Loc:
        """Of several places the one furthest down the file: where a problem of two places is reported."""
        return max(locs, key=lambda loc: self.document.position(loc, key=key))

    @cached_property
    def sends(self) -> tuple[tuple[str, Loc], ...]:
        """Every message name that is sent, and where it is named."""
        return tuple(
            (act.spec.send, (*act.loc, "send")) for act in self.acts if isinstance(act.spec, SendSpec | FollowUpSpec)
        )

    @cached_property
    def sets(self) -> tuple[tuple[SetSpec, Loc], ...]:
        return tuple((act.spec, (*act.loc, "set")) for act in self.acts if isinstance(act.spec, SetSpec))

    @cached_property
    def guards(self) -> tuple[Guard, ...]:
        """Every `when` there is."""
        whens: list[tuple[Place, Loc, str | None]] = [
            (Place("priority"), ("priority", index), rule.when) for index, rule in enumerate(self.spec.priority)
        ]
        whens += [(edge.place, edge.loc, edge.spec.when) for edge in self.edges]
        whens += [
            (act.place, act.loc, act.spec.when) for act in self.acts if isinstance(act.spec, SendSpec | FollowUpSpec)
        ]
        return tuple(Guard(place, (*loc, "when"), when) for place, loc, when in whens if when is not None)

    def _lists(self) -> Iterator[EdgeList]:
        yield _edge_list(Place("always"), ("always",), self.spec.always)
        for name, stage in self.spec.stages.items():
            loc = ("stages", name)
            yield _edge_list(Place("on_response", name), (*loc, "on_response"), stage.on_response)
            for event, edges in stage.on_event.items():
                place, event_loc = Place("on_event", name, event), (*loc, "on_event", event)
                if self.document.holds((*event_loc, 0)):
                    yield _edge_list(place, event_loc, edges)
                else:  # a single edge, written without a list
                    yield EdgeList(place, event_loc, tuple(Edge(place, event_loc, edge) for edge in edges))
            yield _edge_list(Place("split", name), (*loc, "split"), stage.split)
            for index, timer in enumerate(stage.timers):
                place, timer_loc = Place("timers", name), (*loc, "timers", index)
                yield EdgeList(place, timer_loc, (Edge(place, timer_loc, timer),))

    def _acts(self) -> Iterator[Act]:
        for edge in self.edges:
            for index, action in enumerate(edge.spec.do):
                yield Act(edge.place, (*edge.loc, "do", index), action)
        for name, stage in self.spec.stages.items():
            for index, action in enumerate(stage.on_enter):
                yield Act(Place("on_enter", name), ("stages", name, "on_enter", index), action)
            for index, follow_up in enumerate(stage.follow_ups):
                yield Act(Place("follow_ups", name), ("stages", name, "follow_ups", index), follow_up)
        for name, ending in self.spec.exits.items():
            for index, action in enumerate(ending.on_enter):
                yield Act(Place("on_enter", name), ("exits", name, "on_enter", index), action)


def _edge_list(place: Place, loc: Loc, edges: Sequence[EdgeSpec]) -> EdgeList:
    return EdgeList(place, loc, tuple(Edge(place, (*loc, index), edge) for index, edge in enumerate(edges)))
