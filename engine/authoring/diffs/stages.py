"""A stage compared with what it was: its bounds, its edges and timers, its follow-ups and escalations."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

from engine.authoring.diffs.changes import Change, Home, Item, Pair, both
from engine.authoring.diffs.edges import Edges
from engine.authoring.diffs.meanings import NOTHING, Aspect, Reader, channel_of, said_flags, span, text_of, window_of
from engine.core.checks.outline import Place
from engine.core.schedules import WindowSpec
from engine.core.spec import CampaignTypeSpec, FollowUpSpec, StageSpec

_SEND = ("send", "after", "channel", "when", "flags")
_SENDS = ((*_SEND, "times"), _SEND, ("send", "after"), ("send",), ("after",))
_CALLS = (("to", "after", "priority"), ("to",), ("after",))


class StageSide(NamedTuple):
    """A stage with its name and the campaign type it belongs to: one side of a comparison."""

    spec: CampaignTypeSpec
    name: str
    stage: StageSpec

    @property
    def window(self) -> WindowSpec | None:
        """The window that counts in it."""
        return self.stage.send_window or self.spec.send_window


class Stages:
    """The comparing of stages, with one `reader` of guards."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.edges = Edges(reader)

    def values(self, home: Home, sides: Pair[StageSide]) -> Iterator[Change]:
        """What changed of that which a stage has one of."""
        loc = ("stages", sides[1].name)
        for name, of in _VALUES.items():
            yield from home.value(name, both(of, sides), (*loc, name))

    def lists(self, home: Home, sides: Pair[StageSide]) -> Iterator[Change]:
        """What changed in its lists of follow-ups, edges, timers and escalations."""
        sends = both(self._sends, sides)
        if _in_a_row(sends[0]) != _in_a_row(sends[1]):
            yield from home.changes(sends, _SENDS)
            yield from home.reordered(sends, _SENDS)
        for event in dict.fromkeys((*sides[1].stage.on_event, *sides[0].stage.on_event)):
            yield from self._edges(home, Place("on_event", sides[1].name, event), sides)
        yield from self._edges(home, Place("on_response", sides[1].name), sides)
        yield from self._edges(home, Place("split", sides[1].name), sides)
        place = Place("timers", sides[1].name)
        timers = both(lambda it: self.edges.timers(it.spec, place, it.name, it.stage.timers, it.window), sides)
        yield from self.edges.timer_changes(home, place, timers)
        yield from home.changes(both(_escalations, sides), _CALLS)

    def _edges(self, home: Home, place: Place, sides: Pair[StageSide]) -> Iterator[Change]:
        """What changed in one list of edges; both sides' guards are read as those of `place`."""

        def items(side: StageSide) -> list[Item]:
            if place.event is not None:
                edges = side.stage.on_event.get(place.event, [])
                loc = ("stages", side.name, "on_event", place.event)
                return self.edges.items(f"on_event {place.event}", side.spec, place, loc, edges)
            listed = side.stage.split if place.kind == "split" else side.stage.on_response
            return self.edges.items(place.kind, side.spec, place, ("stages", side.name, place.kind), listed)

        yield from self.edges.changes(home, place, both(items, sides))

    def _sends(self, side: StageSide) -> list[Item]:
        return [self._send(side, index, each) for index, each in enumerate(side.stage.follow_ups)]

    def _send(self, side: StageSide, index: int, follow_up: FollowUpSpec) -> Item:
        aspects = {
            "after": span(follow_up.after, window=side.window),
            "send": Aspect(follow_up.send, f"send {follow_up.send}"),
            "times": Aspect(follow_up.times, f"{follow_up.times} times" if follow_up.times > 1 else ""),
            "channel": channel_of(follow_up.channel, side.spec),
            "when": self._reader.guard(Place("follow_ups", side.name), follow_up.when),
            "flags": said_flags(follow_up.ignore_window, follow_up.ignore_limits),
        }
        return Item("follow_up", aspects, ("stages", side.name, "follow_ups", index))


def _visits(side: StageSide) -> Aspect:
    visits = side.stage.visits
    return NOTHING if visits is None else Aspect(visits, f"at most {visits.at_most}, then {visits.then}")


_VALUES = {
    "guidance": lambda side: text_of(side.stage.guidance),
    "send_window": lambda side: window_of(side.stage.send_window),
    "min_stay": lambda side: span(side.stage.min_stay, "", side.window),
    "visits": _visits,
}


def _escalations(side: StageSide) -> list[Item]:
    found = []
    for index, each in enumerate(side.stage.escalate):
        aspects = {
            "after": span(each.after, window=side.window),
            "to": Aspect(each.to, f"to {each.to}"),
            "priority": Aspect(each.priority, f"priority {each.priority}"),
        }
        found.append(Item("escalation", aspects, ("stages", side.name, "escalate", index)))
    return found


def _in_a_row(sends: Sequence[Item]) -> list[Hashable]:
    """Follow-ups one by one: `times: 2` is the same as two of them."""
    each = (repeat(tuple(it[name].meaning for name in _SEND), int(str(it["times"].meaning))) for it in sends)
    return list(chain.from_iterable(each))
