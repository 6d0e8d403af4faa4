"""Moving a conversation by hand: what may be moved where, and how `decide` hears of it. Pure.

A move is one progression with the cause `moved`: the conversation leaves where it stands, even a stage that its
campaign type no longer has, and enters the stage or exit as by any edge. It comes before all that still waits to be
taken in or is due, which then meets the stage it was moved to. A person who moves into a `stopped` exit passes on that
the recipient wants no more: that opts out and sends nothing, as if the recipient had said so.

What `visits` bounds stays bounded. Beyond that, what is proved of a campaign type is proved of those nobody moves.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.compiled import CompiledType
from engine.core.errors import DecisionError, RefusedError
from engine.core.model import Conversation, Event
from engine.core.problems import expected_one_of

MOVED = "moved"
_ORDER = f"{MOVED}:"


def order(compiled: CompiledType, conversation: Conversation, target: str) -> str:
    """The name of the `end` event that moves the conversation to `target`, at an instant before all others.

    Raises RefusedError when it may not go there.
    """
    if target not in compiled.stages:
        raise RefusedError(f"unknown stage {target!r}; {expected_one_of(target, compiled.stages)}")
    if conversation.status in ("completed", "stopped"):
        raise RefusedError(
            f"conversation {conversation.id} is {conversation.status}", hint="What has ended stays as it ended."
        )
    stage = compiled.spec.stages.get(target)
    if stage is not None and stage.visits and conversation.visits.get(target, 0) >= stage.visits.at_most:
        raise RefusedError(
            f"conversation {conversation.id} has visited stage {target!r} as often as its campaign type allows, "
            f"{stage.visits.at_most} times",
            hint=f"Move it to {stage.visits.then}, where the campaign type sends such conversations.",
        )
    return _ORDER + target


def target_of(event: Event) -> str | None:
    """Where the event moves the conversation to; None when it is no move."""
    return event.name.removeprefix(_ORDER) if event.kind == "end" and event.name.startswith(_ORDER) else None


def expect_known_stage(compiled: CompiledType, conversation: Conversation, events: Iterable[Event]) -> None:
    """Raises DecisionError for a conversation that cannot stand where it stands, unless one of `events` moves it."""
    if conversation.stage is None or conversation.stage in compiled.stages or any(map(target_of, events)):
        return
    raise DecisionError(
        f"conversation {conversation.id} stands in stage {conversation.stage!r}, "
        f"which {compiled.name} version {compiled.version} does not have",
        hint="Move it to a stage that exists: campaign move CONVERSATION STAGE --reason R.",
    )
