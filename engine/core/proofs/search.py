"""The shortest ways through a campaign type: for every edge and exit, who, saying what and when, comes to it.

A search by fewest steps, which are edges taken, then least time. A move lets time pass to the next timer, gives a
response or brings an event; each is played with `decide` itself, so what is found has happened. Facts are not
guessed: a walk stands for the region of facts that its guards have let through so far, and where a guard parts that
region, both parts are followed. Only what the search leaves out can be wrong, never what it finds: it tries one
value for each case that guards tell apart, and makes `budget` moves at most, the second half of them in a hurry: what
is found then may not be the shortest.

Conversations start on a Monday at nine o'clock, in UTC, where a day has 24 hours.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from engine.core.compiled import CompiledType, Stage
from engine.core.model import Event, Rank, Values
from engine.core.proofs.choices import COUNTERS, Choices, settable
from engine.core.proofs.goals import Goals
from engine.core.proofs.people import People, covers, dates_for, only, usual
from engine.core.proofs.walk import Taken, Walk
from engine.core.regions import Region, TooComplex

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
PASSING = ("follow_ups", "escalate")
_MOST_FORKS = 12  # parts into which guards over facts divide one move
_NO_TIME = timedelta()


class Move(NamedTuple):
    """What happens at `at`: time came, a response was given, or an event came. `text` is the words or the name."""

    kind: Literal["wait", "reply", "event"]
    at: datetime
    text: str = ""
    values: Values = MappingProxyType({})


class Path(NamedTuple):
    """A conversation from its start: who it is with, what happens, the edges that takes, and where it then stands."""

    facts: Values
    splits: Mapping[str, str]
    moves: tuple[Move, ...]
    taken: tuple[Taken, ...]
    stage: str
    cost: int

    @property
    def length(self) -> tuple[int, datetime, int]:
        return self.cost, self.moves[-1].at if self.moves else START, len(self.moves)


def steps_of(taken: Iterable[Taken]) -> int:
    """How many steps a path has: follow-ups and escalations go on in passing."""
    return sum(not any(f".{kind}[" in each.edge for kind in PASSING) for each in taken)


class Found(NamedTuple):
    """The shortest path found to each edge, by its key, and to each exit."""

    edges: dict[str, Path]
    exits: dict[str, Path]


@dataclass(slots=True)
class _Node:
    walk: Walk
    facts: Values
    region: Region
    splits: Mapping[str, str]
    decided: frozenset[str]  # the stages whose shares mattered so far
    moves: tuple[Move, ...] = ()
    taken: tuple[Taken, ...] = ()

    cost: int = 0


Say = Callable[[Values, datetime], str | None]


@dataclass
class Search:
    """Looks for paths to `edges` and `exits`; None means all of them.

    `say` gives a text that the campaign type understands as the wanted values at an instant, or None. Responses and
    events come a `pause` after the stage was entered, if it lets them; with `late`, just before its next timer.
    """

    compiled: CompiledType
    say: Say
    edges: frozenset[str]
    exits: frozenset[str]
    pause: timedelta = _NO_TIME
    budget: int = 800
    late: bool = False
    found: Found = field(default_factory=lambda: Found({}, {}))

    def __post_init__(self) -> None:
        spec = self.compiled.spec
        self.choices = Choices(spec)
        self.settable = settable(spec)
        self._people = People(self.compiled, self.choices, self.settable)
        self._shares = {
            name: tuple(dict.fromkeys(edge.target for edge in stage.split if edge.when is None))[::-1]
            for name, stage in spec.stages.items()
            if any(edge.share for edge in stage.split)
        }
        self._caps = {name: self.choices.cap(name) for name in COUNTERS}
        self._dated = any(stage.has_dates for stage in self.compiled.stages.values())
        self._timed = bool(spec.ends_within) or self._dated
        self._seen: dict[tuple[Any, ...], list[tuple[Region, timedelta]]] = {}
        self._queue: list[tuple[tuple[int, int], timedelta, int, _Node]] = []
        self._hurried = False
        self._goals = Goals(self.compiled, self.edges | self.exits)
        self._number = count()

    def run(self) -> Found:
        everybody = Region.everything(self.choices.facts)
        facts = {name: usual(name, domain) for name, domain in self.choices.facts.items() if not domain.optional}
        splits = {name: targets[0] for name, targets in self._shares.items()}
        self._start(_Node(self._walk(facts, splits), facts, everybody, splits, frozenset()))
        half = self.budget // 2
        while self._queue and self.budget > 0 and self._goals.open:
            if not self._hurried and self.budget < half:
                self._hurried = True
                self._sort()
            (_, length), _, _, node = heapq.heappop(self._queue)
            self._settle(length)
            for move in self._moves(node):
                for child in self._make(node, move):
                    self._add(child)
        return self.found

    def _settle(self, length: int) -> None:
        """Every path that leads on has `length` steps or more: those found that have no more are the shortest."""
        settled = {
            goal
            for paths in (self.found.edges, self.found.exits)
            for goal, path in paths.items()
            if (path.cost <= length or self._hurried) and goal in self._goals.open
        }
        if settled:
            self._goals.close(settled)
            self._sort()

    def _sort(self) -> None:
        self._queue = [(self._rank(node), at, number, node) for _, at, number, node in self._queue]
        heapq.heapify(self._queue)

    def _rank(self, node: _Node) -> tuple[int, int]:
        """What to go on from first: the fewest steps that a path through the node can have; in a hurry, the nearest."""
        distance = self._goals.distance(node.walk.conversation.stage or "")
        return distance if self._hurried else 0, node.cost + distance

    def _walk(self, facts: Values, splits: Mapping[str, str]) -> Walk:
        self.budget -= 1
        return Walk(self.compiled, START, dict(facts), dict(splits))

    # ---- nodes -------------------------------------------------------------------------------------------------

    def _start(self, node: _Node) -> None:
        """The start, for every part into which facts and shares divide it at once."""
        for child in self._parts(node, None, node.walk):
            self._add(child)

    def _add(self, node: _Node) -> None:
        """Note what the node reached, and wait to go on from it unless as much is known from another."""
        it = node.walk.conversation
        self._note(node)
        counted = self._caps["responses"] or self._caps["responses_total"]
        if it.status != "active" or (it.held and not counted) or self._is_known(node):
            return
        elapsed = node.walk.now - START
        entry = (self._rank(node), -elapsed if self.late else elapsed, next(self._number), node)
        heapq.heappush(self._queue, entry)
        for dated in self._with_dates(node):
            self._add(dated)

    def _note(self, node: _Node) -> None:
        fresh = node.walk.taken
        for at, taken in enumerate(fresh):
            if taken.edge in self.edges and taken.edge in self._goals.open:
                moves = node.moves
                if moves and moves[-1].kind == "wait" and taken.at < moves[-1].at:
                    moves = (*moves[:-1], Move("wait", taken.at))
                ways = node.taken[: len(node.taken) - len(fresh) + at + 1]
                path = Path(node.facts, self._splits(node), moves, ways, taken.source, steps_of(ways))
                self._keep(self.found.edges, taken.edge, path)
        stage = node.walk.conversation.stage or ""
        if stage in self.exits and stage in self._goals.open:
            path = Path(node.facts, self._splits(node), node.moves, node.taken, stage, node.cost)
            self._keep(self.found.exits, stage, path)

    @staticmethod
    def _keep(paths: dict[str, Path], key: str, path: Path) -> None:
        if key not in paths or path.length < paths[key].length:
            paths[key] = path

    def _splits(self, node: _Node) -> dict[str, str]:
        return {name: target for name, target in node.splits.items() if name in node.decided}

    def _is_known(self, node: _Node) -> bool:
        elapsed = node.walk.now - START if self._timed else _NO_TIME
        if self.late:
            elapsed = -elapsed
        known = self._seen.setdefault(self._key(node), [])
        for region, earlier in known:
            if earlier <= elapsed and (region.boxes == ((),) or covers(region, node.region)):
                return True
        known.append((node.region, elapsed))
        return False

    def _key(self, node: _Node) -> tuple[Any, ...]:
        """All that makes a difference to what can follow, time and the facts given at the start aside."""
        it, caps, spec = node.walk.conversation, self._caps, self.compiled.spec
        visits = {
            name: min(number, max(caps["visits"], bound.at_most if (bound := spec.stages[name].visits) else 0))
            for name, number in it.visits.items()
            if name in spec.stages
        }
        captured = {name: value for name, value in it.captured.items() if name in self.choices.later}
        facts = {name: value for name, value in it.facts.items() if name in self.settable}
        sent = (it.follow_up, it.awaits is None) if caps["follow_ups_sent"] else ()
        ranks = tuple(Rank) if sent else (Rank.TIMER, Rank.STAY_END, Rank.ENDS_WITHIN)
        return (
            it.stage,
            tuple(sorted((name, number) for name, number in visits.items() if number)),
            tuple(sorted(it.used.items())),
            tuple(sorted(captured.items())),
            tuple(sorted(facts.items())),
            min(it.responses, caps["responses"]),
            min(it.responses_total, caps["responses_total"]),
            min(it.follow_ups_sent, caps["follow_ups_sent"]),
            sent,
            len(it.held),
            tuple(sorted((due.rank, due.number) for due in it.agenda if due.rank in ranks)),
            tuple(sorted(self._splits(node).items())),
        )

    # ---- moves -------------------------------------------------------------------------------------------------

    def _moves(self, node: _Node) -> Iterator[Move]:
        walk, it = node.walk, node.walk.conversation
        stage = it.stage or ""
        until = self._next(node)
        if until is None:
            return
        stay = walk.end_of_stay()
        patient = until if self.late else walk.now + self.pause if walk.now + self.pause < until else walk.now
        for name in self.choices.events(stage):
            yield Move("event", patient, name)
        times = [patient] if stay is None or (self.compiled.spec.always and not self.late) else []
        times += [max(stay, patient)] if stay is not None and stay <= until else []
        for at in dict.fromkeys(times):
            for values in self.choices.replies(stage):
                if (text := self.say(values, at)) is not None:
                    yield Move("reply", at, text, values)
        yield Move("wait", until)

    def _next(self, node: _Node) -> datetime | None:
        """The next instant at which time alone can make a difference."""
        walk, it = node.walk, node.walk.conversation
        if self._caps["follow_ups_sent"]:
            dues = [due.at for due in it.agenda if due.rank != Rank.STAY_END]
        else:
            dues = [due.at for due in it.agenda if due.rank in (Rank.TIMER, Rank.ENDS_WITHIN)]
        return max(min(dues), walk.now) if dues else None

    def _make(self, node: _Node, move: Move) -> Iterator[_Node]:
        """The nodes that a move leads to: one for each part into which facts and shares divide it."""
        walk = node.walk.fork()
        if self._play(walk, move):
            yield from self._parts(node, move, walk)

    def _play(self, walk: Walk, move: Move) -> bool:
        """Make a move; False when the conversation went elsewhere before it could be made."""
        self.budget -= 1
        it = walk.conversation
        if move.kind == "wait":
            walk.run(move.at)
            return True
        walk.run(move.at, through=False)
        if walk.conversation.entered_at != it.entered_at or walk.conversation.stage != it.stage:
            return False
        if move.kind == "reply":
            walk.hear(Event("response", move.at, text=move.text, key=move.text))
        else:
            walk.hear(Event("event", move.at, name=move.text))
        return True

    def _parts(self, node: _Node, move: Move | None, walk: Walk | None) -> Iterator[_Node]:
        """A move as it goes for the facts and shares of `node`, then for those that it would go otherwise for."""
        moves = (*node.moves, move) if move is not None else node.moves
        waiting: list[tuple[Values, Region, Mapping[str, str], frozenset[str], Walk | None]] = [
            (node.facts, node.region, node.splits, node.decided, walk)
        ]
        for _ in range(_MOST_FORKS):
            if not waiting:
                return
            facts, region, splits, decided, walk = waiting.pop(0)
            walk = walk or self._otherwise(node, facts, splits, move)
            if walk is None:
                continue
            here = self._people.let_through(walk.trace, facts)
            rest = None
            if here is not None:
                try:
                    rest, region = region.minus(here), region.intersection(here)
                except TooComplex:
                    rest = None
            drawn = {taken.source for taken in walk.taken if taken.source in self._shares} - decided
            for name in drawn:
                others = (target for target in self._shares[name] if target != splits[name])
                waiting += [(facts, region, {**splits, name: each}, decided | {name}, None) for each in others]
            taken, cost = (*node.taken, *walk.taken), node.cost + steps_of(walk.taken)
            yield _Node(walk, facts, region, splits, decided | drawn, moves, taken, cost)
            if rest is not None and not rest.is_empty:
                waiting.append(({**facts, **rest.witness()}, rest, splits, decided, None))

    def _otherwise(self, node: _Node, facts: Values, splits: Mapping[str, str], move: Move | None) -> Walk | None:
        """A move as it goes for somebody else who came to the same node."""
        changed = {name: value for name, value in facts.items() if value != node.facts.get(name)}
        if move is None:
            return self._replayed(facts, splits, ())
        if self._dated or not self.settable.isdisjoint(changed):
            return self._replayed(facts, splits, (*node.moves, move))
        walk = node.walk.fork()
        walk.put_on(changed, splits)
        return walk if self._play(walk, move) else None

    def _replayed(self, facts: Values, splits: Mapping[str, str], moves: Iterable[Move]) -> Walk | None:
        """The same moves from the start for somebody else; of what happened only that of the last is kept."""
        given = {name: value for name, value in facts.items() if value is not None}
        walk = self._walk(given, splits)
        for move in moves:
            walk = walk.fork()
            if not self._play(walk, move):
                return None
        return walk

    # ---- facts -------------------------------------------------------------------------------------------------

    def _with_dates(self, node: _Node) -> Iterator[_Node]:
        """The same node for somebody whose date makes a timer of the stage fire soon."""
        it = node.walk.conversation
        stage: Stage = self.compiled.stages[it.stage or ""]
        if not stage.has_dates or it.entered_at != node.walk.now:
            return
        planned = {due.number for due in it.agenda if due.rank == Rank.TIMER}
        for index, timer in enumerate(stage.timers):
            if timer.at is None or index in planned or timer.at.fact in self.settable:
                continue
            for value in dates_for(timer, self.choices.facts[timer.at.fact], node.walk.now):
                region = node.region.intersection(only(self.choices.facts, timer.at.fact, value))
                walk = self._replayed({**node.facts, timer.at.fact: value}, node.splits, node.moves)
                if walk is None or region.is_empty or walk.conversation.stage != it.stage:
                    continue
                if any(due.rank == Rank.TIMER and due.number == index for due in walk.conversation.agenda):
                    facts = {**node.facts, timer.at.fact: value}
                    yield _Node(walk, facts, region, node.splits, node.decided, node.moves, node.taken, node.cost)
                    break
