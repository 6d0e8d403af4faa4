"""The order of places in each row, so that few arrows cross.

Each row is sorted by where its neighbours stand, downwards and upwards in turn, and neighbours change places where
that saves crossings (barycentre and transposition, as in Gansner and others 1993). The best order seen is kept.
"""

from __future__ import annotations

from bisect import bisect_right, insort

from engine.authoring.pictures.layering import Layered

_SWEEPS = 16


def untangle(layered: Layered) -> None:
    """Sort `layered.rows` in place; the same input always gives the same order."""
    _begin(layered)
    best, fewest = [list(row) for row in layered.rows], crossing_count(layered)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        _sweep(layered, downward=sweep % 2 == 0)
        _transpose(layered)
        found = crossing_count(layered)
        if found < fewest:
            best, fewest = [list(row) for row in layered.rows], found
    layered.rows[:] = best


def crossing_count(layered: Layered) -> int:
    """How often two arrows cross between neighbouring rows."""
    return sum(_between(layered, row) for row in range(len(layered.rows) - 1))


def _between(layered: Layered, row: int) -> int:
    at = _positions(layered.rows[row + 1])
    passed: list[int] = []
    count = 0
    for place in layered.rows[row]:
        ends = sorted(at[lower] for lower in layered.below[place])
        count += sum(len(passed) - bisect_right(passed, end) for end in ends)
        for end in ends:
            insort(passed, end)
    return count


def _begin(layered: Layered) -> None:
    """A first order: as a walk downwards meets the places."""
    rows: list[list[int]] = [[] for _ in layered.rows]
    seen = [False] * len(layered.row_of)
    for root in (place for row in layered.rows for place in row):
        waiting = [root]
        while waiting:
            place = waiting.pop()
            if not seen[place]:
                seen[place] = True
                rows[layered.row_of[place]].append(place)
                waiting += reversed(layered.below[place])
    layered.rows[:] = rows


def _sweep(layered: Layered, *, downward: bool) -> None:
    order = range(1, len(layered.rows)) if downward else range(len(layered.rows) - 2, -1, -1)
    for index in order:
        row, fixed = layered.rows[index], layered.rows[index - 1 if downward else index + 1]
        neighbours = layered.above if downward else layered.below
        at, own = _positions(fixed), _positions(row)
        scale = len(fixed) / max(len(row), 1)
        wanted = {
            place: sum(at[each] for each in near) / len(near) if (near := neighbours[place]) else own[place] * scale
            for place in row
        }
        row.sort(key=wanted.__getitem__)


def _transpose(layered: Layered) -> None:
    """Change neighbours round while that saves crossings; each pass saves one at least, so this ends."""
    improved = True
    while improved:
        improved = False
        for index, row in enumerate(layered.rows):
            above = _positions(layered.rows[index - 1]) if index else {}
            below = _positions(layered.rows[index + 1]) if index + 1 < len(layered.rows) else {}
            ups = {place: sorted(above[each] for each in layered.above[place]) for place in row}
            downs = {place: sorted(below[each] for each in layered.below[place]) for place in row}
            for left in range(len(row) - 1):
                one, other = row[left], row[left + 1]
                now = _inversions(ups[one], ups[other]) + _inversions(downs[one], downs[other])
                then = _inversions(ups[other], ups[one]) + _inversions(downs[other], downs[one])
                if then < now:
                    row[left], row[left + 1] = other, one
                    improved = True


def _inversions(left: list[int], right: list[int]) -> int:
    return sum(len(left) - bisect_right(left, end) for end in right)


def _positions(row: list[int]) -> dict[int, int]:
    return {place: index for index, place in enumerate(row)}
