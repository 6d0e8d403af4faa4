"""Stages and exits as a plain graph: which names lead to which, what is reached, and where it goes round."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from engine.core.checks.outline import Edge, Outline
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import STAY

Ways = Mapping[str, Iterable[str]]


class Way(NamedTuple):
    """An edge seen from one stage it leaves and one stage or exit it enters."""

    source: str
    target: str
    edge: Edge


def landings(spec: CampaignTypeSpec, target: str) -> list[str]:
    """What an edge to `target` may enter: itself, or the `then` of its `visits`, and on along those."""
    chain: list[str] = []
    while target not in chain and target != STAY:
        chain.append(target)
        stage = spec.stages.get(target)
        if stage is None or stage.visits is None:
            break
        target = stage.visits.then
    return chain


def ways_on(outline: Outline) -> Iterator[Way]:
    """Every edge from every stage it leaves. `always` leaves all but its target, and never to where it is."""
    for edge in outline.edges:
        targets = landings(outline.spec, edge.spec.target)
        always = edge.place.kind == "always"
        for source in outline.spec.stages if always else (edge.place.stage or "",):
            if not (always and source == edge.spec.target):
                yield from (Way(source, each, edge) for each in targets if not (always and each == source))


def graph(outline: Outline, ways: Iterable[Way]) -> dict[str, set[str]]:
    """The ways without their edges, from each stage."""
    leads: dict[str, set[str]] = {name: set() for name in outline.spec.stages}
    for way in ways:
        leads[way.source].add(way.target)
    return leads


def reached(starts: Iterable[str], leads: Ways) -> set[str]:
    """`starts` and all that they lead to."""
    seen: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(leads.get(name, ()))
    return seen


def loops(leads: Ways) -> Iterator[set[str]]:
    """The largest sets of names that all lead to each other (and a name alone that leads to itself)."""
    beyond = {name: reached(leads[name], leads) for name in leads}
    told: set[str] = set()
    for name in leads:
        loop = {each for each in beyond[name] if name in beyond.get(each, ())}
        if loop and name not in told:
            told |= loop
            yield loop


def circle(loop: set[str], leads: Ways, over: Mapping[tuple[str, str], str] | None = None) -> str:
    """A shortest way round through a loop's first stage, as `a -> b -> a`, or `a -> c (visits over) -> b -> a`.

    `over` names the stage with used up `visits` between two others.
    """
    first = next(name for name in leads if name in loop)
    paths = [[first]]
    for path in paths:
        for name in sorted(leads[path[-1]]):
            if name == first:
                return first + "".join(_hop(over or {}, *pair) for pair in pairwise([*path, name]))
            if name in loop and not any(name in each for each in paths):
                paths.append([*path, name])
    return first


def _hop(over: Mapping[tuple[str, str], str], source: str, target: str) -> str:
    used_up = over.get((source, target))
    return f" -> {used_up} (visits over) -> {target}" if used_up else f" -> {target}"
