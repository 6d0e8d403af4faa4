"""A layered drawing of boxes and labelled arrows: where everything stands, in pixels from the upper left corner.

Arrows lead downwards, and upwards only to close a cycle. Boxes and labels overlap nothing, by construction: all of
them lie in rows, and an arrow passes a row upright, on a place of its own; it turns in the gaps between rows, where
nothing else is. The same input gives the same drawing. Names mean nothing here; see `picture` for what is drawn.

No library is used: those in Python alone have no release for years or one release ever, or a licence that does not
fit, and the others are compiled for fewer machines than this engine runs on.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from engine.authoring.pictures.alignment import centres
from engine.authoring.pictures.layering import Layered, in_rows
from engine.authoring.pictures.ordering import untangle

_NEAREST, _FARTHEST = 22.0, 64.0
_PORT = 16.0
Size = tuple[float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Arrow:
    """From one box to another, both by their index, with a label of this size; a label may be (0, 0), none."""

    source: int
    target: int
    label: Size = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow's way: upright from each even point to the next one, turning from there to the even point after it."""

    points: tuple[Point, ...]
    label: Rectangle
    upward: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The boxes and arrows in the order they were given."""

    width: float
    height: float
    boxes: tuple[Rectangle, ...]
    routes: tuple[Route, ...]


def lay_out(boxes: Sequence[Size], arrows: Sequence[Arrow], under: Container[int] = ()) -> Layout:
    """Places for all of this; no arrow may lead to its own box.

    The first boxes come first where there is a choice. Those that are `under` never stand in the top row.

    >>> layout = lay_out([(100, 40), (80, 40)], [Arrow(0, 1, (50, 20))])
    >>> [(box.x, box.y) for box in layout.boxes]
    [(0.0, 0.0), (10.0, 104.0)]
    >>> layout.routes[0].label
    Rectangle(x=25.0, y=62.0, width=50, height=20)
    """
    layered = in_rows(boxes, [(each.source, each.target) for each in arrows], [each.label for each in arrows], under)
    untangle(layered)
    middles = centres(layered)
    ports = _ports(layered, middles)
    tops = _tops(layered, middles, ports)
    places = [_rectangle(layered, middles, tops, place) for place in range(len(layered.row_of))]
    routes = tuple(_route(layered, middles, tops, places, ports, index) for index in range(len(arrows)))
    width = max((each.right for each in places), default=0.0)
    height = max((each.bottom for each in places), default=0.0)
    return Layout(width, height, tuple(places[: len(boxes)]), routes)


Ports = list[tuple[float, float]]


def _ports(layered: Layered, middles: list[float]) -> Ports:
    """Where each arrow meets its upper and its lower box: as near as can be above or below its next place."""
    upper: dict[int, list[tuple[float, int]]] = {}
    lower: dict[int, list[tuple[float, int]]] = {}
    for index, chain in enumerate(layered.chains):
        upper.setdefault(chain[0], []).append((middles[chain[1]], index))
        lower.setdefault(chain[-1], []).append((middles[chain[-2]], index))
    at: list[list[float]] = [[0.0, 0.0] for _ in layered.chains]
    for end, met in enumerate((upper, lower)):
        for box, wanted in met.items():
            wanted.sort()
            half = layered.sizes[box][0] / 2
            room = (middles[box] - half, middles[box] + half)
            for (_, index), x in zip(wanted, _spread([x for x, _ in wanted], *room), strict=True):
                at[index][end] = x
    return [(one, other) for one, other in at]


def _spread(wanted: list[float], left: float, right: float) -> list[float]:
    """Points in the given order, near where they are wanted, inside the room and apart from each other."""
    apart = min(_PORT, (right - left) / (len(wanted) + 1))
    spread: list[float] = []
    for index, x in enumerate(wanted):
        least = spread[-1] + apart if spread else left + apart
        spread.append(min(max(x, least), right - apart * (len(wanted) - index)))
    return spread


def _tops(layered: Layered, middles: list[float], ports: Ports) -> list[float]:
    """The upper edge of each row, and one more for the end; a gap grows with how far arrows must go aside in it."""
    aside = [0.0] * len(layered.rows)
    for index, chain in enumerate(layered.chains):
        xs = _xs(middles, ports, chain, index)
        for place, x, following in zip(chain, xs, xs[1:], strict=False):
            row = layered.row_of[place]
            aside[row] = max(aside[row], abs(following - x))
    tops = [0.0]
    for row, places in enumerate(layered.rows):
        gap = min(max(_NEAREST, aside[row] / 5), _FARTHEST)
        tops.append(tops[-1] + max((layered.sizes[place][1] for place in places), default=0.0) + gap)
    return tops


def _xs(middles: list[float], ports: Ports, chain: list[int], index: int) -> list[float]:
    return [ports[index][0], *(middles[place] for place in chain[1:-1]), ports[index][1]]


def _rectangle(layered: Layered, middles: list[float], tops: list[float], place: int) -> Rectangle:
    """Boxes hang from the top of their row; a label stands as near to the beginning of its arrow."""
    width, height = layered.sizes[place]
    return Rectangle(middles[place] - width / 2, tops[layered.row_of[place]], width, height)


def _route(
    layered: Layered, middles: list[float], tops: list[float], places: list[Rectangle], ports: Ports, index: int
) -> Route:
    chain = layered.chains[index]
    points: list[Point] = []
    for place, x in zip(chain, _xs(middles, ports, chain, index), strict=True):
        row = layered.row_of[place]
        foot = tops[row] + max(layered.sizes[each][1] for each in layered.rows[row])
        head = places[place].bottom if place == chain[0] else tops[row]
        points += [(x, head), (x, tops[row] if place == chain[-1] else foot)]
    upward = index in layered.turned
    return Route(tuple(points[::-1] if upward else points), places[layered.labels[index]], upward)
