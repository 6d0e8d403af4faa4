"""Exact algebra of guards: where an expression is true, as a union of boxes over declared domains.

A box maps some names to slices of their domains (`engine.core.domains`), the others being free. A guard is a
`Region` of at most 64 boxes. Emptiness, cover and overlap are decided exactly, or else TooComplex is raised.
Regions that meet in one operation must be over the same domains.
"""

from __future__ import annotations

from collections import Counter
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

Domains = Mapping[str, Domain]
Box = tuple[tuple[str, Slice], ...]  # sorted by name, no slice empty and none the whole domain


class TooComplex(ValueError):  # noqa: N818 - the name says what the guard is
    """A guard of more than 64 boxes, or a question about guards that falls into too many pieces."""

    def __init__(self, most: int) -> None:
        super().__init__(f"falls into more than {most} separate cases; expected fewer")


def region_of(expression: Expression, domains: Domains) -> Region:
    """The points at which the expression is true; at the others it is false or unknown.

    Raises: KeyError for a name without a domain, TooComplex.

    >>> from engine.core.expressions import parse_expression
    >>> seats = {"seats": counter(1)}
    >>> few, many = (region_of(parse_expression(text), seats) for text in ("seats <= 3", "seats > 3"))
    >>> few.intersects(many), few.union(many).is_everything, many.witness()
    (False, True, {'seats': 4})
    """
    return Region(domains, _boxes_of(expression.tree, True, domains))


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
        return next(_left(other.boxes, self.boxes, self.domains), None) is None

    def intersects(self, other: Region) -> bool:
        """Whether some point is in both."""
        return any(_meet(mine, theirs) is not None for mine in self.boxes for theirs in other.boxes)

    def intersection(self, other: Region) -> Region:
        return Region(self.domains, _simplified(_product(self.boxes, other.boxes), self.domains, MOST_PIECES))

    def union(self, other: Region) -> Region:
        return Region(self.domains, _simplified(self.boxes + other.boxes, self.domains, MOST_PIECES))

    def minus(self, other: Region) -> Region:
        """The points of this region that are not in `other`."""
        return Region(self.domains, tuple(_joined(_left(self.boxes, other.boxes, self.domains), self.domains)))

    def witness(self) -> dict[str, Any]:
        """One point of the region: only the names that matter, None being missing; any value does for the others.

        Raises: ValueError when the region is empty.
        """
        if self.is_empty:
            raise ValueError("an empty region has no point")
        return {name: self.domains[name].sample(part) for name, part in self.boxes[0]}

    def __contains__(self, point: Mapping[str, Any]) -> bool:
        return any(all(self.domains[name].contains(part, point.get(name)) for name, part in box) for box in self.boxes)


def _boxes_of(node: Node, wanted: bool, domains: Domains) -> tuple[Box, ...]:
    """The boxes in which `node` is `wanted`: true or false. What is unknown is in neither."""
    if isinstance(node, Comparison):
        part = domains[node.name].split(node)[0 if wanted else 1]
        return () if part.is_empty else (_with((), node.name, part, domains),)
    if isinstance(node, Not):
        return _boxes_of(node.part, not wanted, domains)
    parts = [_boxes_of(each, wanted, domains) for each in node.parts]
    if isinstance(node, Or if wanted else And):
        return _simplified(chain.from_iterable(parts), domains, MOST_BOXES)
    found: tuple[Box, ...] = ((),)
    for boxes in parts:
        found = _simplified(_product(found, boxes), domains, MOST_BOXES)
    return found


def _product(some: Iterable[Box], others: Iterable[Box]) -> Iterator[Box]:
    others = tuple(others)
    return (met for one in some for other in others if (met := _meet(one, other)) is not None)


def _meet(box: Box, other: Box) -> Box | None:
    """The points in both boxes, or None if there are none."""
    parts = dict(box)
    for name, part in other:
        parts[name] = met = parts[name] & part if name in parts else part
        if met.is_empty:
            return None
    return tuple(sorted(parts.items(), key=_name))


def _cut_out(box: Box, hole: Box, domains: Domains) -> Iterator[Box]:
    """What is left of `box` without `hole`, which meets it, in disjoint boxes."""
    for name, part in hole:
        whole = dict(box).get(name, domains[name].everything)
        if not (outside := whole - part).is_empty:
            yield _with(box, name, outside, domains)
        box = _with(box, name, whole & part, domains)


def _with(box: Box, name: str, part: Slice, domains: Domains) -> Box:
    """The box with `name` held to `part`, or free if that is all it can be."""
    others = _without(box, name)
    return others if part == domains[name].everything else tuple(sorted((*others, (name, part)), key=_name))


def _left(boxes: Iterable[Box], holes: Iterable[Box], domains: Domains) -> Iterator[Box]:
    """What is left of `boxes` without `holes`, piece by piece; pieces of one box are disjoint."""
    waiting = [(box, tuple(holes)) for box in boxes]
    steps = 0
    while waiting:
        if (steps := steps + 1) > MOST_PIECES:
            raise TooComplex(MOST_PIECES)
        box, near = waiting.pop()
        near = tuple(hole for hole in near if _meet(box, hole) is not None)
        if near:
            waiting.extend((piece, near[1:]) for piece in _cut_out(box, near[0], domains))
        else:
            yield box


def _simplified(boxes: Iterable[Box], domains: Domains, most: int) -> tuple[Box, ...]:
    """The same points in fewer boxes: those that differ in one name become one, those inside another go."""
    found = _joined(boxes, domains)
    if len(found) <= MOST_COMPARED:
        found = _without_inner(found)
    if len(found) > most:
        raise TooComplex(most)
    return tuple(found)


def _joined(boxes: Iterable[Box], domains: Domains) -> list[Box]:
    """The boxes, with those that differ in one name only made one, until there are no such left."""
    found = dict.fromkeys(boxes)
    while True:
        times = Counter((name, _without(box, name)) for box in found for name, _ in box)
        names = {name for (name, others), count in times.items() if count > 1 or others in found}
        if not names:
            return list(found)
        for name in sorted(names):
            found = _joined_in(found, name, domains)


def _joined_in(boxes: Iterable[Box], name: str, domains: Domains) -> dict[Box, None]:
    parts: dict[Box, Slice] = {}
    for box in boxes:
        others = _without(box, name)
        part = dict(box).get(name, domains[name].everything)
        parts[others] = parts[others] | part if others in parts else part
    return dict.fromkeys(_with(others, name, part, domains) for others, part in parts.items())


def _without_inner(boxes: Iterable[Box]) -> list[Box]:
    """The boxes that do not lie inside another."""
    kept: list[Box] = []
    for box in sorted(boxes, key=len):
        if not any(_meet(box, other) == box for other in kept):
            kept = [other for other in kept if _meet(other, box) != other]
            kept.append(box)
    return kept


def _without(box: Box, name: str) -> Box:
    return tuple(each for each in box if each[0] != name)


def _name(each: tuple[str, Slice]) -> str:
    return each[0]
