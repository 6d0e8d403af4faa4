"""What comes too late, or at one instant with something else, in one visit to a stage: E401, W402, W404 and E405.

Times are nominal: a day is 24 hours, business time runs all day, and send windows move nothing. What ends a visit
for certain is its first `after:` timer without `when` that leaves the stage; `at:` timers depend on a fact and end
nothing for certain.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from engine.core.actions import SendSpec
from engine.core.checks.outline import Loc, Outline
from engine.core.problems import Problem
from engine.core.spec import StageSpec, TimerSpec
from engine.core.vocabulary import STAY

_AT_ONCE = timedelta()


def end_of_visit(stage: StageSpec) -> tuple[int, TimerSpec, timedelta] | None:
    """The timer that ends a silent visit: its place in the list, itself, and after how long. The first of equals."""
    ends = [
        (timer.after.nominal, index, timer)
        for index, timer in enumerate(stage.timers)
        if timer.after is not None and timer.when is None and timer.target != STAY
    ]
    if not ends:
        return None
    after, index, timer = min(ends, key=lambda each: each[:2])
    return index, timer, after


def late_follow_ups(outline: Outline) -> Iterator[Problem]:
    """E401: a follow-up that is due only when the stage's timer has ended the visit."""
    for name, stage in outline.spec.stages.items():
        if (end := end_of_visit(stage)) is None:
            continue
        for index, due in enumerate(follow_ups_due(stage)):
            if due[-1] >= end[2]:
                which = "this follow-up" if len(due) == 1 else f"time {len(due)} of this follow-up"
                wrong = f"{which} is due {shown_span(due[-1])} after the entry, and {_timer(outline, name, end)}"
                message = f"{wrong}; expected it earlier, or a later timer"
                yield outline.problem("E401", message, ("stages", name, "follow_ups", index, "after"))


def follow_ups_due(stage: StageSpec) -> list[list[timedelta]]:
    """When each follow-up is due after the entry, once for each of its `times`, at the earliest.

    They count from the last message of `on_enter`; one with a `when` may not be made, then from that before it.
    """
    counting = []
    for action in reversed([action for action in stage.on_enter if isinstance(action, SendSpec)]):
        counting.append(action.after.nominal if action.after else _AT_ONCE)
        if action.when is None:
            break
    else:
        counting.append(_AT_ONCE)
    at = min(counting)
    found: list[list[timedelta]] = []
    for follow_up in stage.follow_ups:
        found.append([at + times * follow_up.after.nominal for times in range(1, follow_up.times + 1)])
        at = found[-1][-1]
    return found


def late_escalations(outline: Outline) -> Iterator[Problem]:
    """W404: an escalation that is due only when the stage's timer has ended the visit."""
    for name, stage in outline.spec.stages.items():
        if (end := end_of_visit(stage)) is None:
            continue
        for index, escalation in enumerate(stage.escalate):
            if escalation.after.nominal >= end[2]:
                wrong = f"nobody is told: this is due after {escalation.after}, and {_timer(outline, name, end)}"
                message = f"{wrong}; expected it earlier, or a later timer"
                yield outline.problem("W404", message, ("stages", name, "escalate", index, "after"))


def timers_that_never_land(outline: Outline) -> Iterator[Problem]:
    """W402: an `after:` timer that is due when another timer or `ends_within` has ended the visit for certain."""
    ends = outline.spec.ends_within
    for name, stage in outline.spec.stages.items():
        end = end_of_visit(stage)
        for index, timer in enumerate(stage.timers):
            if timer.after is None:
                continue
            loc = ("stages", name, "timers", index, "after")
            after = timer.after.nominal
            if end is not None and _is_cut_off(index, timer, after, end):
                wrong = f"this timer is never due: {_timer(outline, name, end)}"
                yield outline.problem("W402", f"{wrong}; expected it earlier, or not at all", loc)
            elif ends is not None and after > ends.at_most.nominal:
                wrong = f"this timer is never due: ends_within ends the conversation after {ends.at_most}"
                yield outline.problem("W402", f"{wrong}; expected it earlier, or not at all", loc)


def _is_cut_off(index: int, timer: TimerSpec, after: timedelta, end: tuple[int, TimerSpec, timedelta]) -> bool:
    """Whether the end comes first, as it does before those further down that are due at the same instant."""
    return after > end[2] or (after == end[2] and index > end[0] and timer.when is not None)


def timers_at_one_instant(outline: Outline) -> Iterator[Problem]:
    """E405: two `after:` timers of one stage without `when` that are due at the same instant."""
    for name, stage in outline.spec.stages.items():
        earlier: dict[timedelta, Loc] = {}
        for index, timer in enumerate(stage.timers):
            if timer.after is None or timer.when is not None:
                continue
            loc = ("stages", name, "timers", index, "after")
            if (first := earlier.setdefault(timer.after.nominal, loc)) != loc:
                line = outline.document.position(first)[0]
                message = f"this timer and that of line {line} are due at the same instant; expected different times"
                yield outline.problem("E405", message, outline.later(first, loc))


def _timer(outline: Outline, stage: str, end: tuple[int, TimerSpec, timedelta]) -> str:
    line = outline.document.position(("stages", stage, "timers", end[0]))[0]
    return f"the timer of line {line} leaves the stage after {end[1].after}"


def shown_span(span: timedelta) -> str:
    """A span in its largest even units, as authors write durations.

    >>> shown_span(timedelta(days=3)), shown_span(timedelta(hours=30)), shown_span(timedelta(minutes=90))
    ('3d', '30h', '90m')
    """
    seconds = round(span.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
