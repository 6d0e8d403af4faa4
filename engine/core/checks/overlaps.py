"""Guards that promise more than they hold: W304, which of two edges is taken hangs on their order, and W306."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.checks.coverage import hidden_edges
from engine.core.checks.guards import Guards
from engine.core.checks.outline import Edge, EdgeList, Outline
from engine.core.expressions import Expression
from engine.core.problems import Problem
from engine.core.regions import Region, TooComplex


def overlapping_guards(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """W304: two edges of one list over the same names that can both match, and lead to different targets.

    The first in the list is taken. An edge with `at_most` is meant to give way to a later one, and one that is never
    taken is told as E303.
    """
    for each in outline.lists:
        if len(each.edges) < 2:
            continue
        hidden = {edge.loc for edge, _ in hidden_edges(guards, each)}
        judged: list[tuple[Edge, Region, frozenset[str]]] = []
        for edge in each.edges:
            region, names = _read(guards, each, edge)
            if region is None or edge.loc in hidden:
                continue
            rivals = (it for it, its, theirs in judged if _rival(edge, it, names, theirs) and its.intersects(region))
            if (rival := next(rivals, None)) is not None:
                line = outline.document.position((*rival.loc, "when"))[0]
                wrong = f"this guard and that of line {line} can both hold, and line {line} is taken then"
                message = f"{wrong}; expected guards that exclude each other"
                yield outline.problem("W304", message, (*edge.loc, "when"))
            if not edge.spec.at_most:
                judged.append((edge, region, names))


def _read(guards: Guards, each: EdgeList, edge: Edge) -> tuple[Region | None, frozenset[str]]:
    """Where an edge's own guard holds and the names it reads; None without a guard that can be judged."""
    when = edge.spec.when
    region = guards.region(each.place, when) if when is not None else None
    expression = guards.expression(when) if when is not None else None
    if not isinstance(region, Region) or not isinstance(expression, Expression):
        return None, frozenset()
    return region, expression.names


def _rival(edge: Edge, other: Edge, names: frozenset[str], others: frozenset[str]) -> bool:
    return names == others and edge.spec.target != other.spec.target


def settled_guards(outline: Outline, guards: Guards) -> Iterator[Problem]:
    """W306: a guard that holds for every value its names can have, or for none."""
    for guard in outline.guards:
        region = guards.region(guard.place, guard.text)
        if not isinstance(region, Region):
            continue
        if region.is_empty:
            message = "this guard is never true, whatever its names hold; expected a comparison that can be"
            yield outline.problem("W306", message, guard.loc)
        elif _is_certain(region):
            message = "this guard is always true, whatever its names hold; expected one that tells cases apart, or none"
            yield outline.problem("W306", message, guard.loc)


def _is_certain(region: Region) -> bool:
    try:
        return region.is_everything
    except TooComplex:
        return False
