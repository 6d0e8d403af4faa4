"""What is sent, how often, and whether people can have it stop: E501, W502, W503 and W605.

W502 looks at the messages of one visit, at their nominal times: those of `on_enter` and the follow-ups after them,
as if every `when` held and nobody answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import NamedTuple

from engine.core.actions import SendSpec
from engine.core.checks.outline import Act, Loc, Outline
from engine.core.checks.timing import end_of_visit, follow_ups_due
from engine.core.checks.ways import landings
from engine.core.problems import Problem
from engine.core.schedules import Rate
from engine.core.spec import FollowUpSpec, StageSpec


def sends_without_opt_out(outline: Outline) -> Iterator[Problem]:
    """E501: a campaign type that sends messages, and in which no `always` edge leads to a `stopped` exit.

    The edge may lead through stages that split.
    """
    if not outline.sends:
        return
    spec = outline.spec
    waiting = [edge.target for edge in spec.always]
    seen: set[str] = set()
    while waiting:
        for name in landings(spec, waiting.pop()):
            if name in spec.exits and spec.exits[name].outcome == "stopped":
                return
            if name not in seen and name in spec.stages:
                seen.add(name)
                waiting += [edge.target for edge in spec.stages[name].split]
    wrong = "messages are sent, and no always: edge leads to a stopped exit"
    key = "always" if outline.document.holds(("always",)) else "stages"
    message = f'{wrong}; expected one, as in always: [{{when: intent == "stop", go: opted_out}}]'
    yield outline.problem("E501", message, (key,), key=True)


def sends_without_window(outline: Outline) -> Iterator[Problem]:
    """W503: messages that may leave at any hour, since neither campaign type nor stage has a `send_window`.

    Told once. A send that ignores windows wants none.
    """
    if outline.spec.send_window is not None:
        return
    if any(_at_any_hour(outline, act) for act in outline.acts):
        key = "channel" if outline.document.holds(("channel",)) else "campaign_type"
        message = "messages may leave at any hour, nights and Sundays too; expected a send_window"
        yield outline.problem("W503", message, (key,), key=True)


def _at_any_hour(outline: Outline, act: Act) -> bool:
    if not isinstance(act.spec, SendSpec | FollowUpSpec) or act.spec.ignore_window:
        return False
    stage = outline.spec.stages.get(act.place.stage or "")
    return stage is None or act.loc[0] == "exits" or stage.send_window is None


class Planned(NamedTuple):
    """A message of a visit: when it is due after the entry, whether limits can hold it back, where it stands."""

    at: timedelta
    held_back: bool
    loc: Loc


def limits_exceeded(outline: Outline) -> Iterator[Problem]:
    """W502: messages of one visit to a stage that are more in a period than `limits` let through."""
    limits = outline.spec.limits
    for name, stage in outline.spec.stages.items() if limits else ():
        planned = sorted(_messages(name, stage), key=lambda each: each.at)
        for rate in limits.rates if limits else ():
            if (late := _too_many(planned, rate)) is not None:
                wrong = f"limits hold this message back: {rate} lets through fewer than this stage plans"
                message = f"{wrong}; expected a longer delay, wider limits or ignore_limits: true"
                yield outline.problem("W502", message, late.loc)


def _messages(name: str, stage: StageSpec) -> Iterator[Planned]:
    """The messages that one silent visit plans."""
    loc: Loc = ("stages", name)
    for index, action in enumerate(stage.on_enter):
        if isinstance(action, SendSpec):
            at = action.after.nominal if action.after else timedelta()
            yield Planned(at, not action.ignore_limits, (*loc, "on_enter", index, "send"))
    end = end_of_visit(stage)
    for index, due in enumerate(follow_ups_due(stage)):
        for at in due:
            if end is None or at < end[2]:
                held_back = not stage.follow_ups[index].ignore_limits
                yield Planned(at, held_back, (*loc, "follow_ups", index, "send"))


def _too_many(planned: list[Planned], rate: Rate) -> Planned | None:
    """The first message that leaves less than the rate's period after as many others as it allows."""
    for earlier, late in zip(planned, planned[rate.count :], strict=False):
        if late.held_back and late.at - earlier.at < rate.per.nominal:
            return late
    return None


def unsent_messages(outline: Outline) -> Iterator[Problem]:
    """W605: a message that nothing sends. Not told while a name is unknown, which may be meant for it."""
    names = {name for name, _ in outline.sends}
    if names <= outline.spec.messages.keys():
        for name in outline.spec.messages.keys() - names:
            message = f"the message {name!r} is never sent; expected a send of it, or no message"
            yield outline.problem("W605", message, ("messages", name), key=True)
