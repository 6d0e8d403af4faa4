"""Edges compared: lists in which the first that matches is taken, and timers, which each have a time of their own."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from engine.authoring.diffs.changes import Change, Home, Item, Loc, Pair
from engine.authoring.diffs.meanings import NOTHING, Aspect, Reader, actions_of, are_equal, time_of
from engine.core.checks.outline import Place
from engine.core.regions import Region, TooComplex
from engine.core.schedules import WindowSpec
from engine.core.spec import CampaignTypeSpec, EdgeSpec, SplitSpec, TimerSpec

_WAYS = ("when", "share", "go", "do", "at_most")
_EDGES = (_WAYS, ("when", "share", "go"), ("when", "share"), ("go", "do"), ("go",))
_TIMERS = (
    ("time", *_WAYS),
    ("time", "when", "go"),
    ("when", "go"),
    ("time", "when"),
    ("time", "go"),
    ("go",),
    ("time",),
)


class Edges:
    """The comparing of edges, with one `reader` of guards."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def items(self, noun: str, spec: CampaignTypeSpec, place: Place, loc: Loc, edges: Sequence[EdgeSpec]) -> list[Item]:
        """The edges of one list as parts to compare."""
        places = [f" (number {at} of {len(edges)})" if len(edges) > 1 else "" for at in range(1, len(edges) + 1)]
        return [
            Item(noun, self._aspects(spec, place, edge), (*loc, index), places[index])
            for index, edge in enumerate(edges)
        ]

    def timers(
        self, spec: CampaignTypeSpec, place: Place, stage: str, timers: Sequence[TimerSpec], window: WindowSpec | None
    ) -> list[Item]:
        """The timers of a stage as parts to compare; `window` is the one that counts in it."""
        return [
            Item(
                "timer",
                {"time": time_of(timer, window)} | self._aspects(spec, place, timer),
                ("stages", stage, "timers", at),
            )
            for at, timer in enumerate(timers)
        ]

    def changes(self, home: Home, place: Place, lists: Pair[list[Item]]) -> Iterator[Change]:
        """What changed in a list of edges; nothing when both lead every conversation the same way.

        An `always` edge is passed over in its own target, so there a later edge with the same case counts too.
        """
        if not _alike(lists) and (place.kind == "always" or not self._lead_alike(place, lists)):
            yield from home.changes(lists, _EDGES)
            yield from self._reordered(home, place, lists, _EDGES)

    def timer_changes(self, home: Home, place: Place, lists: Pair[list[Item]]) -> Iterator[Change]:
        """What changed among timers, whose order matters only to those of one instant."""
        yield from home.changes(lists, _TIMERS)
        yield from self._reordered(home, place, lists, _TIMERS)

    def _reordered(
        self, home: Home, place: Place, lists: Pair[list[Item]], passes: Sequence[tuple[str, ...]]
    ) -> Iterator[Change]:
        return home.reordered(lists, passes, lambda one, other: self._order_matters(place, one, other))

    def _aspects(self, spec: CampaignTypeSpec, place: Place, edge: EdgeSpec) -> dict[str, Aspect]:
        share = NOTHING
        if isinstance(edge, SplitSpec) and edge.share is not None:
            share = Aspect(edge.portion, f"share {edge.share}")
        word = "go" if edge.otherwise is None else "otherwise"
        return {
            "when": self._reader.guard(place, edge.when),
            "share": share,
            "go": Aspect(edge.target, f"{word} {edge.target}"),
            "do": actions_of(edge.do, place, spec, self._reader),
            "at_most": Aspect(edge.at_most, f"at most {edge.at_most}") if edge.at_most else NOTHING,
        }

    def _order_matters(self, place: Place, one: Item, other: Item) -> bool:
        """Whether it makes a difference which of two edges is tried first."""
        if not one.same(other, ["time"]):
            return False
        if one["share"].text or other["share"].text:
            return True
        bounded = one["at_most"].text or other["at_most"].text
        if one.same(other, ["go", "do"]) and not bounded:
            return False
        return self._reader.may_both_hold(place, _guard(one), _guard(other))

    def _lead_alike(self, place: Place, lists: Pair[list[Item]]) -> bool:
        """Whether every conversation is led the same way by both lists, over the domains of either file."""
        before, after = (self._ways(place, each) for each in lists)
        if before is None or after is None or before.keys() != after.keys():
            return False
        return all(are_equal(region, after[way]) for way, region in before.items())

    def _ways(self, place: Place, items: Sequence[Item]) -> dict[tuple[Hashable, ...], Region] | None:
        """Where each way is taken, by the domains too: what its edges' guards take that no earlier edge took.

        None if that is hard to say.
        """
        ways: dict[tuple[Hashable, ...], Region] = {}
        taken: dict[int, Region] = {}
        for item in items:
            regions = self._reader.regions(place, _guard(item))
            if regions is None or item["share"].text or item["at_most"].text:
                return None
            try:
                for side, whole in enumerate(regions):
                    region = whole.minus(taken[side]) if side in taken else whole
                    taken[side] = taken[side].union(region) if side in taken else region
                    way = (side, item["go"].meaning, item["do"].meaning)
                    if not region.is_empty:
                        ways[way] = ways[way].union(region) if way in ways else region
            except TooComplex:
                return None
        return ways


def _alike(lists: Pair[list[Item]]) -> bool:
    """Whether the lists have the same edges in the same order."""
    old, new = lists
    return len(old) == len(new) and all(one.same(other, _WAYS) for one, other in zip(old, new, strict=True))


def _guard(item: Item) -> str | None:
    meaning = item["when"].meaning
    return meaning if isinstance(meaning, str) else None
