"""W207: a way through the stages that takes longer than `ends_within` allows.

A visit lasts until its first certain timer, as `timing.end_of_visit` has it; one without has no end of its own, and
is what `ends_within` is for. Guards are not looked at, times are nominal, `visits` are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from engine.core.checks.outline import Edge, Outline
from engine.core.checks.timing import end_of_visit, shown_span
from engine.core.checks.ways import landings, ways_on
from engine.core.problems import Problem
from engine.core.spec import CampaignTypeSpec, TimerSpec
from engine.core.vocabulary import STAY

_MOST_STEPS = 10_000
_LONGEST_SHOWN = 8


class Walk(NamedTuple):
    """Stages entered one after the other, and how long after the start the last was, at the latest."""

    path: tuple[str, ...]
    at: timedelta


def longer_than_ends_within(outline: Outline) -> Iterator[Problem]:
    """W207: `ends_within` is over before the longest way through the stages is, so it cuts that off.

    Not told when one timer alone is later than that, which W402 tells.
    """
    ends = outline.spec.ends_within
    stays = _stays(outline.spec)
    if ends is None or stays is None or any(stay > ends.at_most.nominal for stay in stays.values()):
        return
    walk = _too_long(outline, stays, ends.at_most.nominal)
    if walk is not None:
        shown = walk.path if len(walk.path) <= _LONGEST_SHOWN else (*walk.path[:3], "…", *walk.path[-3:])
        wrong = f"the way {' -> '.join(shown)} can take {shown_span(walk.at)}"
        message = f"{wrong} and is cut off; expected at least that, or shorter waits"
        yield outline.problem("W207", message, ("ends_within", "at_most"))


def _stays(spec: CampaignTypeSpec) -> Mapping[str, timedelta] | None:
    """The longest visit to each stage, or None when one of them has no end of its own."""
    stays: dict[str, timedelta] = {}
    for name, stage in spec.stages.items():
        end = end_of_visit(stage)
        if end is None and not stage.split:
            return None
        stays[name] = end[2] if end and not stage.split else timedelta()
    return stays


def _too_long(outline: Outline, stays: Mapping[str, timedelta], limit: timedelta) -> Walk | None:
    """Some walk that lasts longer than `limit`; None when there is none, or none was found in so many steps.

    Where a walk stands is its stage and how often it entered those with `visits`; of several walks to one such place
    only the longest goes on.
    """
    spec = outline.spec
    hops = _hops(outline, stays)
    latest: dict[tuple[str, frozenset[tuple[str, int]]], timedelta] = {}
    waiting = [(Walk((), timedelta()), spec.start, frozenset[tuple[str, int]]())]
    for _ in range(_MOST_STEPS):
        if not waiting:
            break
        walk, target, entered = waiting.pop()
        arrived = _enter(spec, target, entered)
        if arrived is None:
            continue
        name, entered = arrived
        if latest.get((name, entered), timedelta(-1)) >= walk.at:
            continue
        latest[name, entered] = walk.at
        path = (*walk.path, name)
        if walk.at + stays[name] > limit:
            return Walk(path, walk.at + stays[name])
        waiting += [(Walk(path, walk.at + after), target, entered) for target, after in hops[name].items()]
    return None


def _enter(
    spec: CampaignTypeSpec, target: str, entered: frozenset[tuple[str, int]]
) -> tuple[str, frozenset[tuple[str, int]]] | None:
    """The stage that an edge to `target` enters, and the entries counted after that; None for an exit."""
    counts = dict(entered)
    for name in landings(spec, target):
        stage = spec.stages.get(name)
        if stage is None:
            return None
        if stage.visits is None:
            return name, entered
        if counts.get(name, 0) < stage.visits.at_most:
            counts[name] = counts.get(name, 0) + 1
            return name, frozenset(counts.items())
    return None


def _hops(outline: Outline, stays: Mapping[str, timedelta]) -> dict[str, dict[str, timedelta]]:
    """From each stage the targets of its edges, and after how long each can be taken at the latest."""
    hops: dict[str, dict[str, timedelta]] = {name: {} for name in stays}
    for way in ways_on(outline):
        target = way.edge.spec.target
        if target == STAY or (after := _latest(way.edge, stays[way.source])) is None:
            continue
        hops[way.source][target] = max(after, hops[way.source].get(target, timedelta()))
    return hops


def _latest(edge: Edge, stay: timedelta) -> timedelta | None:
    """The latest moment of a visit at which an edge can be taken; None if never."""
    if not isinstance(edge.spec, TimerSpec) or edge.spec.after is None:
        return stay
    after = edge.spec.after.nominal
    return after if after <= stay else None
