"""What can happen to a recipient of a campaign type, when, and how often: proved from the file alone.

The bounds are true of every conversation, whatever is said and wherever it is, as long as ticks come in time (a
late tick makes waits longer) and delays are not scaled (`STAGE_DELAY_FACTOR` 1). They do not look at guards, so
they may be wider than need be; `exact` is false where they are wider still, because a loop has too many states to
follow. Messages count when they are made: some may die before they leave, none is missed. Campaigns that are
paused, and people who are moved by hand, are not bound by them.

That an exit is reachable is shown by a way there that `decide` itself has gone. One without such a way is
unreachable when no edges lead there, and unknown otherwise: guards may contradict each other on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.core.facts import fact_to_json
from engine.core.machine import compile_campaign_type
from engine.core.model import Values
from engine.core.proofs.bounds import Arrival, bounds_of
from engine.core.proofs.causes import causes_of
from engine.core.proofs.search import PASSING, START, Path, Search
from engine.core.spec import CampaignTypeSpec

__all__ = ["Arrival", "Exit", "Proofs", "Step", "Witness", "prove"]


@dataclass(frozen=True, slots=True)
class Step:
    """One edge of a way: the stage it leaves, its key, what makes it taken, and how long after the start."""

    stage: str
    edge: str
    cause: str
    after: timedelta


@dataclass(frozen=True, slots=True)
class Witness:
    """Who comes to an exit, and how: facts, shares fixed by `splits`, and the edges taken."""

    facts: Values
    splits: Mapping[str, str]
    steps: tuple[Step, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Exit:
    """Whether an exit can be reached, None for unknown, and the shortest way there that was found."""

    outcome: str
    reachable: bool | None
    witness: Witness | None


@dataclass(frozen=True, slots=True)
class Proofs:
    """What is proved of one campaign type.

    No conversation lasts longer than `longest`; `nominal` is that with days of 24 hours. Nobody gets more than
    `messages` in all, nor more than `by_channel` says. `arrivals` has every stage and exit that edges lead to.
    """

    longest: timedelta
    nominal: timedelta
    messages: int
    by_channel: Mapping[str, int]
    arrivals: Mapping[str, Arrival]
    exits: Mapping[str, Exit]
    exact: bool

    def as_dict(self) -> dict[str, Any]:
        """The proofs as JSON data; spans are seconds."""
        return {
            "longest_seconds": self.longest.total_seconds(),
            "nominal_seconds": self.nominal.total_seconds(),
            "messages": self.messages,
            "messages_by_channel": dict(self.by_channel),
            "exact": self.exact,
            "arrivals": {
                name: {"earliest_seconds": at.earliest.total_seconds(), "latest_seconds": at.latest.total_seconds()}
                for name, at in self.arrivals.items()
            },
            "exits": {name: _exit_as_dict(each) for name, each in self.exits.items()},
        }

    def render(self) -> str:
        """The proofs as lines of text."""
        more = self.longest - self.nominal
        change = f" ({shown_span(more)} more where clocks change)" if more else ""
        channels = ", ".join(f"{count} by {channel}" for channel, count in self.by_channel.items())
        lines = [
            f"longest conversation: {shown_span(self.nominal)}{change}",
            f"most messages to one recipient: {self.messages}" + (f" ({channels})" if len(self.by_channel) > 1 else ""),
        ]
        lines += [
            f"{name}: entered {_shown_arrival(at)}" for name, at in self.arrivals.items() if name not in self.exits
        ]
        lines += [f"exit {name}: {_shown_exit(each)}" for name, each in self.exits.items()]
        return "\n".join(
            lines if self.exact else [*lines, "these bounds are wide: a loop has too many ways through it"]
        )


def prove(spec: CampaignTypeSpec) -> Proofs:
    """The proofs of a checked campaign type, under the assumptions of the module. Never raises for such a spec.

    >>> from engine.core.spec import CampaignTypeSpec
    >>> stages = {"ask": {"on_enter": [{"send": "hi"}], "timers": [{"after": "36h", "go": "over"}]}}
    >>> source = {"campaign_type": "hello", "version": 1, "start": "ask", "stages": stages, "exits": {"over": "lost"}}
    >>> print(prove(CampaignTypeSpec.model_validate({**source, "messages": {"hi": {"text": "Hi"}}})).render())
    longest conversation: 1d 12h
    most messages to one recipient: 1
    ask: entered at the start
    exit over: ask after 36h
    """
    bounds = bounds_of(spec)
    paths = _shortest_paths(spec)
    causes = causes_of(spec)
    exits = {
        name: Exit(
            exit.outcome,
            True if name in paths else None if name in bounds.arrivals else False,
            _witness(paths[name], causes) if name in paths else None,
        )
        for name, exit in spec.exits.items()
    }
    return Proofs(
        bounds.longest, bounds.nominal, bounds.messages, bounds.by_channel, bounds.arrivals, exits, bounds.exact
    )  # fmt: skip


def _shortest_paths(spec: CampaignTypeSpec) -> Mapping[str, Path]:
    """The shortest path to each exit, for people who can say anything: values are understood as they are meant."""
    said: dict[str, Values] = {}

    def say(values: Values, _: datetime) -> str:
        text = repr(sorted(values.items()))
        said[text] = values
        return text

    compiled = compile_campaign_type(spec)._replace(read=lambda text, *_: said[text])
    exits = frozenset(spec.exits)
    found = Search(compiled, say, frozenset(), exits).run().exits
    if exits - found.keys() and spec.ends_within:
        found = Search(compiled, say, frozenset(), exits - found.keys(), late=True).run().exits | found
    return found


def _witness(path: Path, causes: Mapping[str, str]) -> Witness:
    steps = tuple(
        Step(taken.source, taken.edge, causes[taken.edge], taken.at - START)
        for taken in path.taken
        if taken.edge in causes and not any(f".{kind}[" in taken.edge for kind in PASSING)
    )
    return Witness(path.facts, path.splits, steps, path)


def _exit_as_dict(exit: Exit) -> dict[str, Any]:
    it = exit.witness
    witness = None
    if it is not None:
        steps = [
            {"stage": step.stage, "edge": step.edge, "cause": step.cause, "after_seconds": step.after.total_seconds()}
            for step in it.steps
        ]
        facts = {name: fact_to_json(value) for name, value in it.facts.items() if value is not None}
        witness = {"facts": facts, "splits": dict(it.splits), "steps": steps}
    return {"outcome": exit.outcome, "reachable": exit.reachable, "witness": witness}


def _shown_arrival(at: Arrival) -> str:
    if not at.latest:
        return "at the start"
    if at.earliest == at.latest:
        return f"{shown_span(at.latest)} after the start"
    return f"{shown_span(at.earliest)} to {shown_span(at.latest)} after the start"


def _shown_exit(exit: Exit) -> str:
    if exit.witness is not None:
        return ", then ".join(f"{step.stage} {step.cause}" for step in exit.witness.steps)
    return "cannot be reached" if exit.reachable is False else "no way there was found"


def shown_span(span: timedelta) -> str:
    """A span in days, hours, minutes and seconds, as far as it has them.

    >>> shown_span(timedelta(hours=36)), shown_span(timedelta())
    ('1d 12h', '0s')
    """
    minutes, seconds = divmod(span // timedelta(seconds=1), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return " ".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
