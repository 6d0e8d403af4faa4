"""Where the places of each row stand from left to right, so that arrows run straight.

The method of Brandes and Köpf (2001): places are tied to a middle neighbour of the row before in vertical blocks,
blocks are packed, from four corners; each place takes the mean of the two middle answers. Long arrows become
straight lines, and the order and distance of neighbours in a row hold exactly.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from engine.authoring.pictures.layering import Layered

_GAP = {"box": 30.0, "label": 14.0, "line": 16.0}
Segment = tuple[int, int]


def centres(layered: Layered) -> list[float]:
    """The horizontal middle of each place, the leftmost edge being near 0."""
    if not layered.row_of:
        return []
    conflicts = _conflicts(layered)
    answers = [
        _packed(layered, conflicts, downward=downward, side=side) for downward in (True, False) for side in (1, -1)
    ]
    return _middle(layered, answers)


def distance(layered: Layered, left: int, right: int) -> float:
    """How far apart the middles of two neighbours of a row must be at least."""
    widths = layered.sizes[left][0] + layered.sizes[right][0]
    return widths / 2 + max(_GAP[_kind(layered, left)], _GAP[_kind(layered, right)])


def _kind(layered: Layered, place: int) -> Literal["box", "label", "line"]:
    if place < layered.box_count:
        return "box"
    return "label" if layered.sizes[place][0] else "line"


def _conflicts(layered: Layered) -> set[Segment]:
    """Pieces of arrows next to a box that cross a piece inside a long arrow; the long one stays straight."""
    found: set[Segment] = set()
    for upper, lower in pairwise(layered.rows):
        at = {place: index for index, place in enumerate(lower)}
        pieces = [(i, at[end], place, end) for i, place in enumerate(upper) for end in layered.below[place]]
        inner = [piece for piece in pieces if min(piece[2:]) >= layered.box_count]
        found |= {
            (place, end)
            for i, j, place, end in pieces
            if min(place, end) < layered.box_count and any((i - k) * (j - m) < 0 for k, m, *_ in inner)
        }
    return found


def _packed(layered: Layered, conflicts: set[Segment], *, downward: bool, side: int) -> list[float]:
    """One of the four answers: tied from above or from below, and packed to one side."""
    rows = [row[::side] for row in (layered.rows if downward else layered.rows[::-1])]
    root = _blocks(layered, rows, conflicts, downward=downward)
    after: dict[int, dict[int, float]] = {block: {} for block in root}
    before: dict[int, dict[int, float]] = {block: {} for block in root}
    for row in rows:
        for one, other in pairwise(row):
            left, right = root[one], root[other]
            apart = distance(layered, *((one, other) if side == 1 else (other, one)))
            after[left][right] = before[right][left] = max(apart, after[left].get(right, 0))
    at = dict.fromkeys(root, 0.0)
    order = _sorted(after, before, set(root))
    for block in order:
        at[block] = max((at[each] + apart for each, apart in before[block].items()), default=0.0)
    for block in reversed(order):
        at[block] = max(at[block], min((at[each] - apart for each, apart in after[block].items()), default=at[block]))
    return [side * at[root[place]] for place in range(len(root))]


def _blocks(layered: Layered, rows: list[list[int]], conflicts: set[Segment], *, downward: bool) -> list[int]:
    """The block that each place is tied into, named by its first place."""
    root = list(range(len(layered.row_of)))
    tied = [False] * len(root)
    neighbours = layered.above if downward else layered.below
    at: dict[int, int] = {}
    for row in rows:
        last = -1
        for place in row:
            near = sorted(set(neighbours[place]), key=at.__getitem__)
            for each in near[(len(near) - 1) // 2 : len(near) // 2 + 1]:
                piece = (each, place) if downward else (place, each)
                if root[place] == place and not tied[each] and last < at[each] and piece not in conflicts:
                    root[place], tied[each], last = root[each], True, at[each]
        at = {place: index for index, place in enumerate(row)}
    return root


def _sorted(after: dict[int, dict[int, float]], before: dict[int, dict[int, float]], blocks: set[int]) -> list[int]:
    """The blocks, each behind all that must stand left of it."""
    missing = {block: len(before[block]) for block in sorted(blocks)}
    order = [block for block, count in missing.items() if not count]
    for block in order:
        for each in after[block]:
            missing[each] -= 1
            if not missing[each]:
                order.append(each)
    return order


def _middle(layered: Layered, answers: list[list[float]]) -> list[float]:
    """The mean of the two middle answers, after all were moved to the narrowest one."""
    halves = [width / 2 for width, _ in layered.sizes]
    lefts = [min(x - half for x, half in zip(answer, halves, strict=True)) for answer in answers]
    rights = [max(x + half for x, half in zip(answer, halves, strict=True)) for answer in answers]
    narrowest = min(range(len(answers)), key=lambda index: rights[index] - lefts[index])
    for index, answer in enumerate(answers):
        packed_left = index % 2 == 0
        move = lefts[narrowest] - lefts[index] if packed_left else rights[narrowest] - rights[index]
        answer[:] = [x + move for x in answer]
    means = [sum(sorted(xs)[1:3]) / 2 for xs in zip(*answers, strict=True)]
    leftmost = min(x - half for x, half in zip(means, halves, strict=True))
    return [x - leftmost for x in means]
