"""Exact algebra of guards: where an expression is true, as a union of boxes over declared domains.

A box maps some names to slices of their domains (`engine.core.domains`), the others being free. A guard is a
`Region` of at most 64 boxes. Emptiness, cover and overlap are decided exactly, or else TooComplex is raised, which
also bounds the work: any question is answered or refused well within half a second.
Regions that meet in one operation must be over the same domains.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from engine.core.domains import Domain, Slice, counter, domain_of_fact, domain_of_response
from engine.core.expressions import And, Comparison, Expression, Not, Or
from engine.core.grammar import Node

__all__ = [
    "Domain",
    "Region",
    "Slice",
    "TooComplex",
    "counter",
    "domain_of_fact",
    "domain_of_response",
    "region_of",
]

MOST_BOXES = 64  # of a guard
MOST_PIECES = 4096  # of what is worked out from guards
MOST_COMPARED = 512  # each with each, to find those that lie inside another
MOST_WORK = 250_000  # spans and boxes looked at for one answer, about a quarter of a second

Domains = Mapping[str, Domain]
Box = tuple[tuple[str, Slice], ...]  # sorted by name, no slice empty and none the whole domain


class TooComplex(ValueError):  # noqa: N818 - the name says what the guard is
    """A guard of more than 64 boxes, or one, or a question about guards, that takes too much work to settle."""

    def __init__(self, most: int) -> None:
        super().__init__(f"falls into more than {most} separate cases; expected fewer")


class _Work:
    """The domains of one question, and how much may still be looked at to answer it."""

    def __init__(self, domains: Domains, most: float = MOST_WORK) -> None:
        self.domains = domains
        self._left = most

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooComplex(MOST_BOXES)


def region_of(expression: Expression, domains: Domains) -> Region:
    """The points at which the expression is true; at the others it is false or unknown.

    Raises: KeyError for a name without a domain, TooComplex.

    >>> from engine.core.expressions import parse_expression
    >>> seats = {"seats": counter(1)}
    >>> few, many = (region_of(parse_expression(text), seats) for text in ("seats <= 3", "seats > 3"))
    >>> few.intersects(many), few.union(many).is_everything, many.witness()
    (False, True, {'seats': 4})
    """
    return Region(domains, _boxes_of(expression.tree, True, _Work(domains)))


@dataclass(frozen=True)
class Region:
    """A set of points, a point being a value (or missing) for every name of `domains`."""

    domains: Domains
    boxes: tuple[Box, ...]

    @classmethod
    def everything(cls, domains: Domains) -> Region:
        return cls(domains, ((),))

    @classmethod
    def nothing(cls, domains: Domains) -> Region:
        return cls(domains, ())

    @property
    def is_empty(self) -> bool:
        return not self.boxes

    @property
    def is_everything(self) -> bool:
        return self.covers(Region.everything(self.domains))

    def covers(self, other: Region) -> bool:
        """Whether every point of `other` is one of this region."""
        return next(_left(other.boxes, self.boxes, _Work(self.domains)), None) is None

    def intersects(self, other: Region) -> bool:
        """Whether some point is in both."""
        work = _Work(self.domains, math.inf)  # the sizes of both regions bound it
        return any(_meet(mine, theirs, work) is not None for mine in self.boxes for theirs in other.boxes)

    def intersection(self, other: Region) -> Region:
        work = _Work(self.domains)
        return Region(self.domains, _simplified(_product(self.boxes, other.boxes, work), work, MOST_PIECES))

    def union(self, other: Region) -> Region:
        return Region(self.domains, _simplified(self.boxes + other.boxes, _Work(self.domains), MOST_PIECES))

    def minus(self, other: Region) -> Region:
        """The points of this region that are not in `other`."""
        work = _Work(self.domains)
        return Region(self.domains, tuple(_joined(_left(self.boxes, other.boxes, work), work)))

    def witness(self) -> dict[str, Any]:
        """One point of the region: only the names that matter, None being missing; any value does for the others.

        Raises: ValueError when the region is empty.
        """
        if self.is_empty:
            raise ValueError("an empty region has no point")
        return {name: self.domains[name].sample(part) for name, part in self.boxes[0]}

    def __contains__(self, point: Mapping[str, Any]) -> bool:
        return any(all(self.domains[name].contains(part, point.get(name)) for name, part in box) for box in self.boxes)


def _boxes_of(node: Node, wanted: bool, work: _Work) -> tuple[Box, ...]:
    """The boxes in which `node` is `wanted`: true or false. What is unknown is in neither."""
    if isinstance(node, Comparison):
        part = work.domains[node.name].split(node)[0 if wanted else 1]
        return () if part.is_empty else (_with((), node.name, part, work),)
    if isinstance(node, Not):
        return _boxes_of(node.part, not wanted, work)
    parts = [_boxes_of(each, wanted, work) for each in node.parts]
    if isinstance(node, Or if wanted else And):
        return _simplified(chain.from_iterable(parts), work, MOST_BOXES)
    found: tuple[Box, ...] = ((),)
    for boxes in parts:
        found = _simplified(_product(found, boxes, work), work, MOST_BOXES)
    return found


def _product(some: Iterable[Box], others: Iterable[Box], work: _Work) -> Iterator[Box]:
    others = tuple(others)
    return (met for one in some for other in others if (met := _meet(one, other, work)) is not None)


def _meet(box: Box, other: Box, work: _Work) -> Box | None:
    """The points in both boxes, or None if there are none."""
    work.spend(1 + len(box) + len(other))
    parts = dict(box)
    for name, part in other:
        mine = parts.setdefault(name, part)
        if mine is not part:
            work.spend(len(mine.spans) + len(part.spans))
            parts[name] = met = mine & part
            if met.is_empty:
                return None
    return tuple(sorted(parts.items(), key=_name))


def _cut_out(box: Box, hole: Box, work: _Work) -> Iterator[Box]:
    """What is left of `box` without `hole`, which meets it, in disjoint boxes."""
    for name, part in hole:
        whole = dict(box).get(name, work.domains[name].everything)
        if not (outside := whole - part).is_empty:
            yield _with(box, name, outside, work)
        box = _with(box, name, whole & part, work)


def _with(box: Box, name: str, part: Slice, work: _Work) -> Box:
    """The box with `name` held to `part`, or free if that is all it can be."""
    others = _without(box, name)
    return others if part == work.domains[name].everything else tuple(sorted((*others, (name, part)), key=_name))


def _left(boxes: Iterable[Box], holes: Iterable[Box], work: _Work) -> Iterator[Box]:
    """What is left of `boxes` without `holes`, piece by piece; pieces of one box are disjoint."""
    waiting = [(box, tuple(holes)) for box in boxes]
    steps = 0
    while waiting:
        if (steps := steps + 1) > MOST_PIECES:
            raise TooComplex(MOST_PIECES)
        box, near = waiting.pop()
        near = tuple(hole for hole in near if _meet(box, hole, work) is not None)
        if near:
            waiting.extend((piece, near[1:]) for piece in _cut_out(box, near[0], work))
        else:
            yield box


def _simplified(boxes: Iterable[Box], work: _Work, most: int) -> tuple[Box, ...]:
    """The same points in fewer boxes: those that differ in one name become one, those inside another go."""
    found = _joined(boxes, work)
    if len(found) <= MOST_COMPARED:
        found = _without_inner(found, work)
    if len(found) > most:
        raise TooComplex(most)
    return tuple(found)


def _joined(boxes: Iterable[Box], work: _Work) -> list[Box]:
    """The boxes, with those that differ in one name only made one, until there are no such left."""
    found = dict.fromkeys(boxes)
    while True:
        work.spend(sum(map(_size, found)))
        times = Counter((name, _without(box, name)) for box in found for name, _ in box)
        names = {name for (name, others), count in times.items() if count > 1 or others in found}
        if not names:
            return list(found)
        for name in sorted(names):
            found = _joined_in(found, name, work)


def _joined_in(boxes: Iterable[Box], name: str, work: _Work) -> dict[Box, None]:
    parts: defaultdict[Box, list[Slice]] = defaultdict(list)
    for box in boxes:
        work.spend(_size(box))
        parts[_without(box, name)].append(dict(box).get(name, work.domains[name].everything))
    return dict.fromkeys(_with(others, name, _union(slices), work) for others, slices in parts.items())


def _union(slices: list[Slice]) -> Slice:
    return Slice.of((span for each in slices for span in each.spans), any(each.missing for each in slices))


def _without_inner(boxes: Iterable[Box], work: _Work) -> list[Box]:
    """The boxes that do not lie inside another."""
    kept: list[Box] = []
    for box in sorted(boxes, key=len):
        if not any(_meet(box, other, work) == box for other in kept):
            kept = [other for other in kept if _meet(other, box, work) != other]
            kept.append(box)
    return kept


def _size(box: Box) -> int:
    return sum(1 + len(part.spans) for _, part in box)


def _without(box: Box, name: str) -> Box:
    return tuple(each for each in box if each[0] != name)


def _name(each: tuple[str, Slice]) -> str:
    return each[0]
