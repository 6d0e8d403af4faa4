"""Every way between stages and exits, as the pictures of a campaign type tell them.

One reading of the vocabulary for both drawings, the Mermaid diagram and the SVG: what may take a conversation from
where to where, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.core.actions import Action
from engine.core.spec import CampaignTypeSpec, EdgeSpec, StageSpec, TimerSpec


@dataclass(frozen=True, slots=True)
class Way:
    """A way to `target`, which may be `stay`; `rest` tells that it takes what edges before it left."""

    target: str
    cause: str
    guard: str | None = None
    rest: bool = False
    do: tuple[Action, ...] = ()
    at_most: int | None = None
    timed: bool = False
    event: bool = False

    @property
    def label(self) -> str:
        """The cause and the guard in one line."""
        return ", ".join(filter(None, (self.cause, self.guard)))


def ways_of(stage: StageSpec) -> Iterator[Way]:
    """Where each edge of a stage goes, and what takes it, in the order of the vocabulary.

    >>> timer = TimerSpec.model_validate({"after": "3d", "go": "lost"})
    >>> [f"{way.label} -> {way.target}" for way in ways_of(StageSpec(timers=[timer]))]
    ['after 3d -> lost']
    """
    for branch in stage.split:
        cause = branch.share or ("" if branch.when else "otherwise")
        yield Way(branch.target, cause, branch.when, do=tuple(branch.do))
    yield from _edges("response", stage.on_response)
    for event, edges in stage.on_event.items():
        yield from _edges(event, edges, event=True)
    for timer in stage.timers:
        yield Way(timer.target, due(timer), timer.when, do=tuple(timer.do), at_most=timer.at_most, timed=True)
    if stage.visits:
        yield Way(stage.visits.then, f"more than {stage.visits.at_most} visits")


def ways_from_anywhere(spec: CampaignTypeSpec) -> Iterator[Way]:
    """What leads on from every stage alike: `always`, and the end of `ends_within`."""
    yield from _edges("response or event", spec.always)
    if spec.ends_within:
        yield Way(spec.ends_within.then, f"{spec.ends_within.at_most} after the start", timed=True)


def due(timer: TimerSpec) -> str:
    """When a timer fires, as authors write it: `after 3d` or `at renewal_on - 30d 09:00`."""
    return f"after {timer.after}" if timer.at is None else f"at {timer.at}"


def _edges(cause: str, edges: Sequence[EdgeSpec], *, event: bool = False) -> Iterator[Way]:
    for index, edge in enumerate(edges):
        rest = index > 0 and edge.when is None
        yield Way(edge.target, cause, edge.when, rest, tuple(edge.do), edge.at_most, event=event)
