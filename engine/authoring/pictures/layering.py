"""Boxes and arrows in rows: who stands above whom, and what an arrow passes on its way.

The first half of a layered drawing (Sugiyama, Tagawa and Toda 1981). Arrows that close a cycle are turned round;
each box takes a row below all that lead to it; between two rows of boxes lies a row of labels. An arrow over several
rows gets a place in each of them, so that nothing else is put in its way. Deterministic: ties keep the given order.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Pair = tuple[int, int]
Size = tuple[float, float]


@dataclass(slots=True)
class Layered:
    """Places numbered from 0, the boxes first, in rows from the top, each with its neighbours above and below.

    `chains` are the places that each arrow runs through, from its upper box to its lower one, whichever way it
    points; `labels` the place of each arrow's label; `turned` the arrows that point upwards.
    """

    row_of: list[int]
    sizes: list[Size]
    box_count: int
    rows: list[list[int]] = field(default_factory=list)
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    turned: set[int] = field(default_factory=set)

    def add(self, row: int, size: Size) -> int:
        """A new place in this row."""
        self.row_of.append(row)
        self.sizes.append(size)
        return len(self.row_of) - 1


def in_rows(
    boxes: Sequence[Size], arrows: Sequence[Pair], labels: Sequence[Size], under: Container[int] = ()
) -> Layered:
    """Places for boxes and labels of these sizes, and for arrows, each given by its two different boxes.

    The boxes that are `under` stand in the second row of boxes or below.

    >>> layered = in_rows([(9, 9)] * 3, [(0, 1), (1, 2), (2, 0)], [(5, 5)] * 3)
    >>> layered.row_of[:3], layered.turned
    ([0, 2, 4], {2})
    """
    turned = _closing(len(boxes), arrows)
    downward = [(end, start) if index in turned else (start, end) for index, (start, end) in enumerate(arrows)]
    ranks = _ranks([int(box in under) for box in range(len(boxes))], downward)
    layered = Layered([2 * rank for rank in ranks], list(boxes), len(boxes), turned=turned)
    for index, (upper, lower) in enumerate(downward):
        _chain(layered, upper, lower, labels[index], at_lower_end=index in turned)
    _connect(layered)
    return layered


def _closing(count: int, arrows: Sequence[Pair]) -> set[int]:
    """The arrows that lead back to where a walk from the first box on came from."""
    out: list[list[int]] = [[] for _ in range(count)]
    for index, (source, _) in enumerate(arrows):
        out[source].append(index)
    closing: set[int] = set()
    seen, on_way = [False] * count, [False] * count
    for root in range(count):
        if seen[root]:
            continue
        seen[root] = on_way[root] = True
        way = [(root, iter(out[root]))]
        while way:
            here, rest = way[-1]
            index = next(rest, -1)
            if index < 0:
                way.pop()
                on_way[here] = False
            elif on_way[target := arrows[index][1]]:
                closing.add(index)
            elif not seen[target]:
                seen[target] = on_way[target] = True
                way.append((target, iter(out[target])))
    return closing


def _ranks(least: Sequence[int], downward: Sequence[Pair]) -> list[int]:
    """The longest way to each box; then boxes with more arrows out than in move down to what they lead to.

    An end that only one box leads to holds nothing back: it stands right below that box.
    """
    sources: list[list[int]] = [[] for _ in least]
    targets: list[list[int]] = [[] for _ in least]
    for upper, lower in downward:
        targets[upper].append(lower)
        sources[lower].append(upper)
    missing = [len(each) for each in sources]
    order = [box for box, count in enumerate(missing) if not count]
    ranks = list(least)
    for box in order:
        for lower in targets[box]:
            ranks[lower] = max(ranks[lower], ranks[box] + 1)
            missing[lower] -= 1
            if not missing[lower]:
                order.append(lower)
    ends = {box for box in order if len(sources[box]) == 1 and not targets[box]}
    for box in reversed(order):
        onward = [lower for lower in targets[box] if lower not in ends]
        if len(onward) > len(sources[box]):
            ranks[box] = min(ranks[lower] for lower in onward) - 1
    for box in ends:
        ranks[box] = ranks[sources[box][0]] + 1
    return ranks


def _chain(layered: Layered, upper: int, lower: int, label: Size, *, at_lower_end: bool) -> None:
    """A place in every row between two boxes; the label stands next to where the arrow begins."""
    first, last = layered.row_of[upper] + 1, layered.row_of[lower] - 1
    where = last if at_lower_end else first
    places = [layered.add(row, label if row == where else (0, 0)) for row in range(first, last + 1)]
    layered.labels.append(places[where - first])
    layered.chains.append([upper, *places, lower])


def _connect(layered: Layered) -> None:
    count = len(layered.row_of)
    layered.rows = [[] for _ in range(max(layered.row_of, default=-1) + 1)]
    layered.above = [[] for _ in range(count)]
    layered.below = [[] for _ in range(count)]
    for place, row in enumerate(layered.row_of):
        layered.rows[row].append(place)
    for chain in layered.chains:
        for upper, lower in pairwise(chain):
            layered.below[upper].append(lower)
            layered.above[lower].append(upper)
