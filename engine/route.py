"""Where a pass of the tick goes next, and how much it takes there. Pure.

Conversations that are due stand in lanes: four of high priority, eight normal, four low, in every bucket. A pass goes
round the lanes, high ones first, and takes up to four batches from a high lane in each round, two from a normal one,
one from a low one, from one bucket after the other. So whoever has ten conversations due waits for a batch or two of
each other lane, also if a million are due there; high goes first, and low is served in every round. In one pass a
bucket's lane is visited as often as its lane in a round. A process goes to its preferred buckets first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from random import Random
from time import monotonic
from typing import NamedTuple

from engine.db.conversations import LONG_AGO, Look

_TURNS = (*[4] * 4, *[2] * 8, *[1] * 4)  # of each lane in a round
_EDGE_SECONDS = 2.0
_SHORTEST, _AIM, _LONGEST = 0.05, 0.1, 0.15  # seconds of a batch
_FIRST = 200


class Place(NamedTuple):
    """One queue of due conversations."""

    bucket: int
    lane: int


class Route:
    """The way of one pass, shared by the hands of a process: nobody else is sent to where one is.

    `now` is the latest instant that is known to have come. `left_some` tells that more was due than a pass takes.
    """

    def __init__(
        self,
        look: Look,
        preferred: Collection[int],
        random: Random,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        self.now = look.now
        self.left_some = False
        self._edges = {Place(edge.bucket, edge.lane): edge.due_at for edge in look.due}
        self._timer = timer
        self._edges_until = timer() + _EDGE_SECONDS
        places = list(self._edges)
        random.shuffle(places)  # so that processes seldom meet
        places.sort(key=lambda place: place.bucket not in preferred)
        self._visits = {place: _TURNS[place.lane] for place in places}
        self._queues: dict[int, deque[Place]] = {lane: deque() for lane in range(len(_TURNS))}
        for place in places:
            self._queues[place.lane].append(place)
        self._rounds = self._go_round()

    def __len__(self) -> int:
        return len(self._visits)

    def next(self) -> Place | None:
        """Where to go now; None when there is nowhere left."""
        return next(self._rounds)

    def left(self, place: Place, *, more: bool) -> None:
        """Say that a place was visited, and whether more is due there."""
        self._visits[place] -= 1
        if more and self._visits[place]:
            self._queues[place.lane].append(place)
        elif more:
            self.left_some = True

    def back(self, place: Place) -> None:
        """Give back a place that was to be visited and was not."""
        self._queues[place.lane].appendleft(place)

    def edge(self, place: Place) -> datetime:
        """An instant before which nothing was due there a moment ago.

        Only the pass's own look tells, which took no locks, and only for a while: what comes in late lies before it.
        """
        return self._edges[place] if self._timer() < self._edges_until else LONG_AGO

    def _go_round(self) -> Iterator[Place | None]:
        """The next place, for ever; None while all places are in somebody's hands or done with."""
        while True:
            for lane, turns in enumerate(_TURNS):
                for _ in range(turns):
                    if self._queues[lane]:
                        yield self._queues[lane].popleft()
            if not any(self._queues.values()):
                yield None


class BatchSize:
    """How many conversations to claim at once: what takes 50 to 150 ms, and never more than `most`."""

    def __init__(self, most: int) -> None:
        self.value = min(most, _FIRST)
        self._most = most

    def shrink(self) -> None:
        """Take less after a batch that the database broke off for the time it took."""
        self.value = max(1, self.value // 2)

    def learn(self, seconds: float) -> None:
        """Take into account that a full batch held its locks for so long; at most twice or half as many are next."""
        if not _SHORTEST <= seconds <= _LONGEST:
            factor = min(2.0, max(0.5, _AIM / max(seconds, 0.001)))
            self.value = max(1, min(self._most, round(self.value * factor)))
