"""Which conversations share a decision though their instants differ. Pure.

`decide` compares the instants a conversation waits for with `now` and with each other, and carries on those that lie
after it. So conversations that agree in everything but these instants, their entry and their start come to the same
decision, each keeping its own instants, if the same things are due for them in the same order. There are three
exceptions, where instants say when something else will be, and only equal ones are alike:

- something is due and an event is heard: what counts from the event may come before or after what is due;
- the stage has timers at a date, whose planned instant is compared with the one that the facts give now;
- a follow-up is due whose guard may pass it over: the next one counts from the instant it was due.

Where the conversation entered its stage is read only when something arrived for it; such conversations are not alike
anybody. `tests/unit/core/test_likeness.py` holds `decide` to all of this with random campaign types.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime

from engine.core.compiled import CompiledType
from engine.core.model import Conversation, Due, Rank


class Likeness:
    """Of conversations like `first` in all but their own instants and facts: which are alike at `now`.

    `heard_count` is how many events each of them hears of, the same for all.
    """

    def __init__(self, compiled: CompiledType, first: Conversation, now: datetime, heard_count: int = 0) -> None:
        stage = compiled.stages.get(first.stage) if first.stage is not None else None
        follow_ups = stage.follow_ups if stage is not None else ()
        self._now = now
        self._agenda = first.agenda
        self._heard = bool(heard_count)
        self._has_dates = stage is not None and stage.has_dates
        self._judged = {
            place
            for place, due in enumerate(first.agenda)
            if due.rank == Rank.FOLLOW_UP and due.number < len(follow_ups) and follow_ups[due.number].edge.when
        }

    def of(self, instants: Sequence[datetime]) -> Hashable:
        """What of a conversation's pending instants a decision can read; who has the same, shares it."""
        now = self._now
        due = [place for place, at in enumerate(instants) if at <= now]
        if self._has_dates or (due and (self._heard or not self._judged.isdisjoint(due))):
            return tuple(instants)
        if len(due) < 2:
            return due[0] if due else None
        due.sort(key=lambda place: self._agenda[place]._replace(at=instants[place]))
        return (*due, sum(instants[place] == now for place in due))


def carried(before: Sequence[Due], after: Sequence[Due]) -> tuple[list[int], list[Due]]:
    """The places in `before` of what `after` still waits for, and what is newly waited for.

    A decision hands on the very values it was given, so what is the same object is carried, and what is not was made.
    """
    places = {id(due): place for place, due in enumerate(before)}
    kept = [places[id(due)] for due in after if id(due) in places]
    return kept, [due for due in after if id(due) not in places]
