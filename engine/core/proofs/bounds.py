"""The longest way through a campaign type, in time and in messages, and when each stage is reached.

Stages that lead to each other form a loop, and loops come one after the other. Within a loop the bounded stages'
visits are counted: a state is a stage with how often each bounded stage of its loop was entered, and since every
circle enters one of them, states never repeat and the longest way is found by going through them in order. A loop
with too many states is bounded as a whole instead: each of its stages as often as it can be entered at all. That
is true as well, but wider, and `exact` says so.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from graphlib import TopologicalSorter
from typing import NamedTuple

from engine.core.checks.ways import landings, loops
from engine.core.proofs.spans import shortest
from engine.core.proofs.ways import (
    Messages,
    Waits,
    Way,
    end_of_all,
    exit_messages,
    messages_of_always,
    stages_of,
    ways_before_the_start,
)
from engine.core.spec import CampaignTypeSpec

MOST_STATES = 1_000
_NO_TIME = timedelta()
Counts = tuple[int, ...]  # how often each bounded stage of a loop was entered, in the loop's order
State = tuple[str, Counts]
# Microseconds at most and nominally, messages in all, then by channel. The greatest of each, not all of one way.
Totals = tuple[int, ...]


class Arrival(NamedTuple):
    """When a stage or exit can be entered, after the start: never before `earliest`, never after `latest`."""

    earliest: timedelta
    latest: timedelta


class Bounds(NamedTuple):
    longest: timedelta
    nominal: timedelta
    messages: int
    by_channel: dict[str, int]
    arrivals: dict[str, Arrival]
    exact: bool


def bounds_of(spec: CampaignTypeSpec) -> Bounds:
    """The bounds of a checked campaign type."""
    return _Longest(spec).bounds()


class _Longest:
    """Goes through the loops in order; `reached` holds the greatest totals with which each name was entered."""

    def __init__(self, spec: CampaignTypeSpec) -> None:
        self.spec = spec
        self.stages = stages_of(spec)
        self.first = list(ways_before_the_start(spec))
        every = [each for waits in self.stages.values() for each in (waits.messages, *(w.messages for w in waits.ways))]
        every += [exit_messages(spec, name) for name in spec.exits] + [messages_of_always(spec)]
        every += [way.messages for way in self.first]
        self.channels = sorted({channel for each in every for channel in each})
        self.ends = end_of_all(spec)
        self.reached: dict[str, Totals] = {}
        self.exact = True

    def bounds(self) -> Bounds:
        nothing = self._totals(_NO_TIME, _NO_TIME, messages_of_always(self.spec))
        for way in self.first:
            self._reach(self._lands(way.target, {}), _plus(nothing, self._of(way)))
        anywhere: Totals = nothing
        for loop in self._loops():
            entries = {name: self.reached[name] for name in loop if name in self.reached}
            if entries:
                anywhere = _max(anywhere, self._through(loop, entries))
        if self.spec.ends_within and self.ends:
            least = [min(span, _micros(end)) for span, end in zip(anywhere[:2], self.ends, strict=True)]
            at_the_end = (least[0], least[1], *anywhere[2:])
            self._reach(self.spec.ends_within.then, at_the_end)
        return self._told()

    def _told(self) -> Bounds:
        over = self._totals(_NO_TIME, _NO_TIME, Messages())
        for name in self.spec.exits:
            if name in self.reached:
                own = self._totals(_NO_TIME, _NO_TIME, exit_messages(self.spec, name))
                over = _max(over, _plus(self.reached[name], own))
        earliest = _earliest(self.spec, self.stages, self.first)
        arrivals = {
            name: Arrival(earliest[name], self._capped(self.reached[name][0], 0))
            for name in (*self.spec.stages, *self.spec.exits)
            if name in self.reached and name in earliest
        }
        longest, nominal, messages, *by_channel = over
        return Bounds(
            self._capped(longest, 0),
            self._capped(nominal, 1),
            messages,
            dict(zip(self.channels, by_channel, strict=True)),
            arrivals,
            self.exact,
        )

    def _capped(self, micros: int, which: int) -> timedelta:
        """The span, at most the truth (0) or the nominal length (1) of `ends_within`."""
        span = timedelta(microseconds=min(micros, _micros(timedelta.max)))
        return min(span, self.ends[which]) if self.ends else span

    # ---- loops -------------------------------------------------------------------------------------------------

    def _loops(self) -> list[list[str]]:
        """The stages in groups that lead to each other, each group after those that lead to it."""
        leads = {name: set(self._next(name)) for name in self.stages}
        home = {name: index for index, loop in enumerate(loops(leads)) for name in loop}
        home |= {name: len(home) + at for at, name in enumerate(self.stages) if name not in home}
        groups: dict[int, list[str]] = {}
        for name in self.stages:
            groups.setdefault(home[name], []).append(name)
        order = TopologicalSorter({group: set[int]() for group in groups})
        for name, nexts in leads.items():
            for each in nexts:
                if each in home and home[each] != home[name]:
                    order.add(home[each], home[name])
        return [groups[group] for group in order.static_order()]

    def _next(self, name: str) -> Iterator[str]:
        for way in self.stages[name].ways:
            if not (way.always and way.target == name):
                yield from (each for each in landings(self.spec, way.target) if not (way.always and each == name))

    def _through(self, loop: list[str], entries: Mapping[str, Totals]) -> Totals:
        """Reach all that a loop leads on to; returns the greatest totals anywhere inside it."""
        bounded = [name for name in loop if self.spec.stages[name].visits]
        states = self._states(loop, bounded, entries)
        if states is None:
            self.exact = False
            return self._around(loop, bounded, entries)
        sums: dict[State, Totals] = {}
        for name, totals in entries.items():
            sums[self._enter(name, (0,) * len(bounded), bounded)] = totals
        inside = next(iter(entries.values()))
        for state in TopologicalSorter(states).static_order():
            name = state[0]
            self._reach(name, sums[state])
            visit = _plus(sums[state], self._totals(_NO_TIME, _NO_TIME, self.stages[name].messages))
            inside = _max(inside, _plus(visit, self._totals(*self.stages[name].longest, Messages())))
            for way, landed, following in self._steps(state, loop, bounded):
                there = _plus(visit, self._of(way))
                if following is None:
                    self._reach(landed, there)
                else:
                    sums[following] = _max(sums[following], there) if following in sums else there
        return inside

    def _states(self, loop: list[str], bounded: list[str], entries: Iterable[str]) -> dict[State, set[State]] | None:
        """Each state of a loop with those that come just before it; None when they are too many."""
        waiting = [self._enter(name, (0,) * len(bounded), bounded) for name in entries]
        before: dict[State, set[State]] = {state: set() for state in waiting}
        while waiting:
            state = waiting.pop()
            for _, _, following in self._steps(state, loop, bounded):
                if following is None:
                    continue
                if following not in before:
                    before[following] = set()
                    waiting.append(following)
                before[following].add(state)
            if len(before) > MOST_STATES:
                return None
        return before

    def _steps(self, state: State, loop: list[str], bounded: list[str]) -> Iterator[tuple[Way, str, State | None]]:
        """Every way on from a state: where it lands, and the state there if that is in the same loop."""
        name, counts = state
        known = dict(zip(bounded, counts, strict=True))
        for way in self.stages[name].ways:
            landed = self._lands(way.target, known)
            if not (way.always and name in (way.target, landed)):
                yield way, landed, self._enter(landed, counts, bounded) if landed in loop else None

    def _around(self, loop: list[str], bounded: list[str], entries: Mapping[str, Totals]) -> Totals:
        """The coarse bound: between two entries of bounded stages every other stage is entered at most once."""
        visits = {name: spec.at_most for name in bounded if (spec := self.spec.stages[name].visits)}
        rounds = 1 + sum(visits.values())
        totals = self._totals(_NO_TIME, _NO_TIME, Messages())
        for each in entries.values():
            totals = _max(totals, each)
        for name in loop:
            ways = [self._of(way) for way in self.stages[name].ways]
            widest = ways[0] if ways else self._totals(_NO_TIME, _NO_TIME, Messages())
            for way in ways[1:]:
                widest = _max(widest, way)
            widest = _max(widest, self._totals(*self.stages[name].longest, Messages()))
            visit = _plus(widest, self._totals(_NO_TIME, _NO_TIME, self.stages[name].messages))
            totals = _plus(totals, tuple(visits.get(name, rounds) * amount for amount in visit))
        for name in loop:
            for reached in (name, *self._next(name)):
                self._reach(reached, totals)
        return totals

    # ---- steps -------------------------------------------------------------------------------------------------

    def _lands(self, target: str, counts: Mapping[str, int]) -> str:
        """Where an edge comes to when the bounded stages were entered so often; those not counted never were."""
        seen = {target}
        while target in self.spec.stages and (visits := self.spec.stages[target].visits) and visits.then not in seen:
            if counts.get(target, 0) < visits.at_most:
                return target
            target = visits.then
            seen.add(target)
        return target

    def _enter(self, name: str, counts: Counts, bounded: list[str]) -> State:
        return name, tuple(count + (each == name) for each, count in zip(bounded, counts, strict=True))

    def _reach(self, name: str, totals: Totals) -> None:
        self.reached[name] = _max(self.reached[name], totals) if name in self.reached else totals

    def _of(self, way: Way) -> Totals:
        return self._totals(way.most, way.nominal, way.messages)

    def _totals(self, most: timedelta, nominal: timedelta, messages: Messages) -> Totals:
        return (_micros(most), _micros(nominal), messages.total(), *(messages[channel] for channel in self.channels))


def _earliest(spec: CampaignTypeSpec, stages: Mapping[str, Waits], first: Iterable[Way]) -> dict[str, timedelta]:
    """When each name can be entered at the earliest: the quickest way there, bounded stages sending on at once."""
    found: dict[str, timedelta] = {}
    waiting: list[tuple[timedelta, list[str]]] = []  # with where an entry may come to, in turn

    if spec.ends_within:
        waiting.append((shortest(spec.ends_within.at_most), [spec.ends_within.then]))
    waiting += [(_NO_TIME, [way.target]) for way in first]  # where nobody has been before
    heapq.heapify(waiting)
    while waiting:
        at, [name, *following] = heapq.heappop(waiting)
        if following:
            heapq.heappush(waiting, (at, following))
        if name in found:
            continue
        found[name] = at
        for way in stages[name].ways if name in stages else ():
            heapq.heappush(waiting, (at + way.least, landings(spec, way.target)))
    return found


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _plus(some: Totals, more: Totals) -> Totals:
    return tuple(map(int.__add__, some, more))


def _max(some: Totals, others: Totals) -> Totals:
    return tuple(map(max, some, others))
