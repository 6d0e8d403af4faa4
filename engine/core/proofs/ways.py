"""Stages and exits as the proofs see them: each edge with the least and most time it takes and what it sends.

A message counts as sent when it is made: one that dies before it leaves makes the bound wider, never wrong. Guards
are not looked at, so whatever a guard says, the bounds hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import chain
from typing import NamedTuple

from engine.core.actions import Action, SendSpec
from engine.core.proofs.spans import longest, shortest
from engine.core.spec import CampaignTypeSpec, EdgeSpec, StageSpec, TimerSpec
from engine.core.vocabulary import STAY
from engine.core.windows import Window

Messages = Counter[str]  # by channel
_NO_TIME = timedelta()
FOREVER = timedelta(days=36_525)


class Way(NamedTuple):
    """An edge out of a stage: when it can be taken, counted from the entry, and the messages it makes.

    `nominal` is the most time with every day of 24 hours. An `always` edge is passed over in its own target stage.
    """

    target: str
    least: timedelta
    most: timedelta
    nominal: timedelta
    messages: Messages
    always: bool = False


class Waits(NamedTuple):
    """A stage: its ways out, the messages of one visit, whatever way it is left, and the longest time of one.

    The longest time is told twice, in truth and nominally.
    """

    ways: tuple[Way, ...]
    messages: Messages
    longest: tuple[timedelta, timedelta]


def stages_of(spec: CampaignTypeSpec) -> dict[str, Waits]:
    """Every stage of a checked campaign type."""
    return {name: _waits(spec, stage) for name, stage in spec.stages.items()}


def exit_messages(spec: CampaignTypeSpec, name: str) -> Messages:
    return _sends(spec, spec.exits[name].on_enter)


def messages_of_always(spec: CampaignTypeSpec) -> Messages:
    """What the `stay` edges of `always` can send; their bound counts for the whole conversation."""
    return _sum(_times(_sends(spec, edge.do), edge.at_most or 0) for edge in spec.always if edge.target == STAY)


def ways_before_the_start(spec: CampaignTypeSpec) -> Iterator[Way]:
    """The start, and the `always` edges, which run before it too."""
    yield Way(spec.start, _NO_TIME, _NO_TIME, _NO_TIME, Counter())
    yield from (_heard(spec, edge, _NO_TIME, _NO_TIME, _NO_TIME) for edge in spec.always if edge.target != STAY)


def end_of_all(spec: CampaignTypeSpec) -> tuple[timedelta, timedelta] | None:
    """The most time that `ends_within` leaves a conversation, in truth and nominally; None without it."""
    if spec.ends_within is None:
        return None
    after = spec.ends_within.at_most
    most = longest(after, spec.send_window.window if spec.send_window else None)
    return most, most if after.business else after.nominal


def _waits(spec: CampaignTypeSpec, stage: StageSpec) -> Waits:
    window = _window(spec, stage)
    most, nominal = _longest_wait(spec, stage, window)
    held = shortest(stage.min_stay) if stage.min_stay else _NO_TIME
    ways = [_heard(spec, edge, held, most, nominal) for edge in stage.on_response if edge.target != STAY]
    for edges in stage.on_event.values():
        ways += [_heard(spec, edge, _NO_TIME, most, nominal) for edge in edges if edge.target != STAY]
    for timer in stage.timers:
        if timer.target != STAY:
            least, latest, usual = _due(timer, window)
            messages = _sends(spec, timer.do)
            ways.append(Way(timer.target, least, min(latest, most), min(usual, nominal), messages))
    ways += [Way(edge.target, _NO_TIME, _NO_TIME, _NO_TIME, _sends(spec, edge.do)) for edge in stage.split]
    if not stage.split:
        heard = (edge for edge in spec.always if edge.target != STAY)
        ways += [_heard(spec, edge, _NO_TIME, most, nominal)._replace(always=True) for edge in heard]
    return Waits(tuple(way for way in ways if way.least <= most), _messages_of_visit(spec, stage), (most, nominal))


def _window(spec: CampaignTypeSpec, stage: StageSpec) -> Window | None:
    window = stage.send_window or spec.send_window
    return window.window if window else None


def _longest_wait(spec: CampaignTypeSpec, stage: StageSpec, window: Window | None) -> tuple[timedelta, timedelta]:
    """How long the stage can keep a conversation: until its first unconditional timer, or the end of all."""
    if stage.split:
        return _NO_TIME, _NO_TIME
    sure = [_due(timer, window) for timer in stage.timers if timer.after and not timer.when and timer.target != STAY]
    ends = end_of_all(spec) or (FOREVER, FOREVER)
    most = min((latest for _, latest, _ in sure), default=FOREVER)
    return min(most, ends[0]), min(min((usual for *_, usual in sure), default=FOREVER), ends[1])


def _due(timer: TimerSpec, window: Window | None) -> tuple[timedelta, timedelta, timedelta]:
    """The least, most and nominal time after the entry at which a timer is due; an `at` timer is any time."""
    if timer.after is None:
        return _NO_TIME, FOREVER, FOREVER
    most = longest(timer.after, window)
    return shortest(timer.after), most, most if timer.after.business else timer.after.nominal


def _heard(spec: CampaignTypeSpec, edge: EdgeSpec, least: timedelta, most: timedelta, nominal: timedelta) -> Way:
    """An edge taken by a response or event; one into a `stopped` exit opts out, and so sends nothing."""
    exit = spec.exits.get(edge.target)
    opts_out = exit is not None and exit.outcome == "stopped"
    return Way(edge.target, least, most, nominal, Counter() if opts_out else _sends(spec, edge.do))


def _messages_of_visit(spec: CampaignTypeSpec, stage: StageSpec) -> Messages:
    follow_ups: Messages = Counter()
    for each in stage.follow_ups:
        follow_ups[each.channel or spec.channel] += each.times
    heard = chain(stage.on_response, *stage.on_event.values())
    bounded = [_times(_sends(spec, edge.do), edge.at_most or 0) for edge in heard if edge.target == STAY]
    timed = [_sends(spec, timer.do) for timer in stage.timers if timer.target == STAY]
    return _sum([_sends(spec, stage.on_enter), follow_ups, *bounded, *timed])


def _sends(spec: CampaignTypeSpec, actions: Iterable[Action]) -> Messages:
    return Counter(action.channel or spec.channel for action in actions if isinstance(action, SendSpec))


def _times(messages: Messages, times: int) -> Messages:
    return Counter({channel: count * times for channel, count in messages.items()})


def _sum(all_of: Iterable[Messages]) -> Messages:
    total: Messages = Counter()
    for each in all_of:
        total.update(each)
    return total
