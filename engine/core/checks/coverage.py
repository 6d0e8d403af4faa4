"""What the edges of one list take between them, exactly: E303, E305 and E308.

The first edge that matches is taken, so an edge is worth having when its region holds a point that no earlier
edge takes, and a list leaves nothing out when its regions together are everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal

from engine.core.checks.guards import Guards
from engine.core.checks.outline import Edge, EdgeList, Outline, Place
from engine.core.checks.ways import landings
from engine.core.problems import Problem
from engine.core.regions import Region, TooComplex
from engine.core.spec import SplitSpec

_STEPS = 500


def shadowed_edges(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """E303: an edge that can never be taken, because earlier edges of its list take all that it matches.

    An edge with `at_most` is passed over once used up, so it hides nothing; nor do shares below 100 %.
    """
    for each in outline.lists:
        for edge, by in hidden_edges(guards, each):
            taker = f"line {outline.document.position(by.loc)[0]} takes" if by else "those before it take"
            message = f"this edge is never taken: {taker} all it could; expected it earlier, or not at all"
            loc = (*edge.loc, "when") if edge.spec.when is not None else edge.target_loc
            yield outline.problem("E303", message, loc)


def hidden_edges(guards: Guards, each: EdgeList) -> list[tuple[Edge, Edge | None]]:
    """The edges that are never taken, as `_shadowed` has them, found once; none where that is too complex to tell."""
    if each.loc not in guards.hidden:
        found: list[tuple[Edge, Edge | None]] = []
        with suppress(TooComplex):
            found.extend(_shadowed(guards, each))
        guards.hidden[each.loc] = found
    return guards.hidden[each.loc]


def _shadowed(guards: Guards, each: EdgeList) -> Iterator[tuple[Edge, Edge | None]]:
    """The edges that are never taken, with the one earlier edge that hides each, if one alone does."""
    takers: list[tuple[Edge, Region]] = []
    shared = Decimal(0)
    for edge, region in _regions(guards, each):
        portion = _portion(edge)
        taken = not region.is_empty and _untaken(region, [its for _, its in takers]).is_empty
        if shared == 1 or taken:
            yield edge, next((earlier for earlier, its in takers if its.covers(region)), None)
        if portion is not None:
            shared += portion
        elif not edge.spec.at_most:
            takers.append((edge, region))


def uncovered_lists(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """E305: an `on_response` or `split` that leaves something out and has no `otherwise`.

    An edge with `at_most` counts as taking what it matches. What `always` took before never comes to an
    `on_response`.
    """
    for each in outline.lists:
        what = {"on_response": "response", "split": "conversation"}.get(each.place.kind)
        edges = _regions(guards, each)
        if what is None or not edges or sum(_portion(edge) or 0 for edge in each.edges) >= 1:
            continue
        try:
            takers = [*_taken_by_always(outline, guards, each.place), *_own(edges)]
            left = _untaken(Region.everything(guards.domains(each.place)), takers)
            if left.is_empty:
                continue
            wrong = f"no edge takes a {what}{_when(left)}"
        except TooComplex:
            wrong = f"these edges are too complex to tell whether they take every {what}"
        yield outline.problem("E305", f"{wrong}; expected otherwise: as the last edge", each.loc, key=True)


def _regions(guards: Guards, each: EdgeList) -> list[tuple[Edge, Region]]:
    """The edges with what they match; none at all when a guard is wrong, since then the rest says little."""
    found = [(edge, guards.region(each.place, edge.spec.when)) for edge in each.edges]
    right = [(edge, region) for edge, region in found if isinstance(region, Region)]
    return right if len(right) == len(found) else []


def _own(edges: list[tuple[Edge, Region]]) -> Iterator[Region]:
    """What the edges of a list take, the unconditional first, as that settles it at once."""
    taking = (each for each in edges if _portion(each[0]) is None)
    return (region for _, region in sorted(taking, key=lambda each: each[0].spec.when is not None))


def _taken_by_always(outline: Outline, guards: Guards, place: Place) -> Iterator[Region]:
    """What the `always` edges certainly took before the stage is asked."""
    for spec in outline.spec.always if place.kind == "on_response" else ():
        region = guards.region(place, spec.when)
        passed_over = spec.at_most or place.stage in landings(outline.spec, spec.target)
        if isinstance(region, Region) and not passed_over:
            yield region


def _untaken(region: Region, takers: list[Region]) -> Region:
    """Some part of `region` that no taker takes, or nothing when together they take it all.

    Follows one piece at a time, since mostly the first is left over; only when that comes to no end are the
    takers cut out of the whole, which joins pieces again. Raises TooComplex.
    """
    waiting = [(region, 0)]
    for _ in range(_STEPS):
        if not waiting:
            return Region.nothing(region.domains)
        piece, first = waiting.pop()
        taker = next((at for at in range(first, len(takers)) if takers[at].intersects(piece)), None)
        if taker is None:
            return piece
        rest = piece.minus(takers[taker])
        waiting += [(Region(region.domains, (box,)), taker + 1) for box in rest.boxes]
    for each in takers:
        region = region.minus(each)
    return region


def _when(left: Region) -> str:
    """One point that is left out, in words."""
    points = (f"{name} is {_shown(value)}" for name, value in left.witness().items())
    return f" when {words}" if (words := " and ".join(points)) else " for certain"


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return repr(value) if isinstance(value, str) else str(value).lower()


def bad_shares(outline: Outline) -> Iterator[Problem]:
    """E308: shares of one split that come to more than 100 %, or a `share` on an edge that has a `when`."""
    for each in outline.lists:
        total = Decimal(0)
        for edge in each.edges:
            if (portion := _portion(edge)) is None:
                continue
            loc = (*edge.loc, "share")
            if edge.spec.when is not None:
                later = outline.later(loc, (*edge.loc, "when"), key=True)
                yield outline.problem("E308", "share and when on one edge; expected one", later, key=True)
            if total <= 1 < total + portion:
                percent = f"{(total + portion) * 100:f}".rstrip("0").rstrip(".")
                yield outline.problem("E308", f"shares of {percent} % in all; expected at most 100 %", loc)
            total += portion


def _portion(edge: Edge) -> Decimal | None:
    return edge.spec.portion if isinstance(edge.spec, SplitSpec) else None
