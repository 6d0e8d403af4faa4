"""What send windows, limits and `at:` rules say that cannot be: E105, E107, E301 and W402."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.actions import SendSpec
from engine.core.checks.outline import Act, Loc, Outline
from engine.core.durations import Duration
from engine.core.problems import Problem, expected_one_of
from engine.core.schedules import WindowSpec
from engine.core.spec import FollowUpSpec, StageSpec
from engine.core.vocabulary import STAY

_DATES = ("date", "datetime")


def business_time_without_window(outline: Outline) -> Iterator[Problem]:
    """E105: business time where no `send_window` says when it runs, or in `limits`, which never run on one.

    A stage's own window is for that stage; a delay that an edge takes along to the stage it enters, and
    `ends_within`, need the window of the whole campaign type.
    """
    for span, loc, has_window in _spans(outline):
        if span.business and not has_window:
            wrong = f"{span} is business time, and no send_window here says when that runs"
            yield outline.problem("E105", f"{wrong}; expected a send_window, or elapsed time or days", loc)
    limits = outline.spec.limits
    if limits and limits.cooldown and limits.cooldown.business:
        message = f"a cooldown of {limits.cooldown} counts business time; expected elapsed time or days, as in 24h"
        yield outline.problem("E105", message, ("limits", "cooldown"))


def _spans(outline: Outline) -> Iterator[tuple[Duration, Loc, bool]]:
    """Every delay with its place, and whether a send window is in force there."""
    spec = outline.spec
    has_window = spec.send_window is not None
    if spec.ends_within:
        yield spec.ends_within.at_most, ("ends_within", "at_most"), has_window
    for name, stage in spec.stages.items():
        here = has_window or stage.send_window is not None
        for loc, span in _waits(stage):
            yield span, ("stages", name, *loc), here
    for act in outline.acts:
        if isinstance(act.spec, SendSpec | FollowUpSpec) and act.spec.after is not None:
            yield act.spec.after, (*act.loc, "after"), has_window or _has_own_window(outline, act)


def _waits(stage: StageSpec) -> Iterator[tuple[Loc, Duration]]:
    if stage.min_stay is not None:
        yield ("min_stay",), stage.min_stay
    for index, timer in enumerate(stage.timers):
        if timer.after is not None:
            yield ("timers", index, "after"), timer.after
    for index, escalation in enumerate(stage.escalate):
        yield ("escalate", index, "after"), escalation.after


def _has_own_window(outline: Outline, act: Act) -> bool:
    """Whether the stage in which a message waits has a window of its own."""
    stage = outline.spec.stages.get(act.place.stage or "")
    if stage is None or stage.send_window is None or act.loc[0] == "exits":
        return False
    leaves = any(edge.loc == act.loc[: len(edge.loc)] and edge.spec.target != STAY for edge in outline.edges)
    return not leaves


def wrong_at_facts(outline: Outline) -> Iterator[Problem]:
    """E301 or E107: an `at:` timer that names no fact, or one that is no date."""
    facts = outline.spec.facts
    dates = [name for name, fact in facts.items() if fact.kind in _DATES]
    for name, stage in outline.spec.stages.items():
        for index, timer in enumerate(stage.timers):
            if timer.at is None:
                continue
            fact = facts.get(timer.at.fact)
            loc = ("stages", name, "timers", index, "at")
            offset = _first_visible(outline.document.value(loc))
            if fact is None:
                message = f"unknown fact {timer.at.fact!r}; {expected_one_of(timer.at.fact, dates)}"
                yield outline.problem("E301", message, loc, offset=offset)
            elif fact.kind not in _DATES:
                wrong = f"the fact {timer.at.fact!r} is {fact.text}, not a date or datetime"
                message = f"{wrong}; {expected_one_of(timer.at.fact, dates)}"
                yield outline.problem("E107", message, loc, offset=offset)


def _first_visible(text: object) -> int:
    """How many blanks a rule in quotes begins with."""
    return len(text) - len(text.lstrip()) if isinstance(text, str) else 0


def windows_that_never_open(outline: Outline) -> Iterator[Problem]:
    """W402: a preferred time outside its window, at which nothing ever leaves; an error when there is no other.

    Days cannot be empty, and whether holidays leave any open is not looked at.
    """
    windows: list[tuple[Loc, WindowSpec | None]] = [(("send_window",), outline.spec.send_window)]
    windows += [(("stages", name, "send_window"), stage.send_window) for name, stage in outline.spec.stages.items()]
    for loc, written in windows:
        if written is None:
            continue
        window = written.window
        outside = [index for index, at in enumerate(written.at) if not window.has_hour(at)]
        hours = f"{window.opens:%H:%M} to {window.closes:%H:%M}"
        if outside and len(outside) == len(written.at):
            message = f"this send window never opens: no preferred time lies within {hours}; expected one that does"
            yield outline.error("W402", message, (*loc, "at"))
        else:
            for index in outside:
                wrong = f"nothing ever leaves at {written.at[index]:%H:%M}, which is outside {hours}"
                yield outline.problem("W402", f"{wrong}; expected a time within, or none", (*loc, "at", index))
