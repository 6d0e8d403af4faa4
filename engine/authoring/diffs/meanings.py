"""What the parts of a campaign type mean, so that two of them can be compared whatever their words.

An `Aspect` is one side of a part (a timer's time, an edge's guard) as a value that is equal when the meaning is,
and as the text that people read. `1w` means what `7d` does, `cooldown: 24h` what `1 per 24h` does; two guards mean
the same when the regions in which they hold are equal, over the domains of either file.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from engine.core.actions import AssignSpec, EmitSpec, SendSpec, SetSpec
from engine.core.checks.guards import Guards
from engine.core.checks.outline import Outline, Place
from engine.core.durations import Duration
from engine.core.fact_types import FactType, parse_range
from engine.core.loader import LoadedType
from engine.core.matchers import MatcherSpec, OneMatcherSpec
from engine.core.regions import Region, TooComplex
from engine.core.schedules import LimitsSpec, WindowSpec
from engine.core.spec import CampaignTypeSpec, TimerSpec


class Aspect(NamedTuple):
    """One side of a part: what it means, and how it is said; an empty text says what goes without saying."""

    meaning: Hashable
    text: str = ""


NOTHING = Aspect(None)


def text_of(value: str | None) -> Aspect:
    """A text that means itself."""
    return NOTHING if value is None else Aspect(value, value)


class Reader:
    """The guards of an old and a new campaign type, so far as comparing them needs."""

    def __init__(self, old: LoadedType, new: LoadedType) -> None:
        self._sides = tuple(Guards(Outline(each.spec, each.document)) for each in (old, new))
        self._known: dict[Place, list[str | None]] = {}
        self._differing: dict[Place, tuple[Guards, ...]] = {}

    def guard(self, place: Place, when: str | None) -> Aspect:
        """A guard; its meaning is the first guard met in that place that holds where it does."""
        known = self._known.setdefault(place, [None])
        same = next((each for each in known if each == when or self._holds_alike(place, each, when)), when)
        if same == when and when not in known:
            known.append(when)
        return Aspect(same, f"when {when}" if when else "")

    def regions(self, place: Place, when: str | None) -> tuple[Region, ...] | None:
        """Where a guard holds, over the old domains and, if they differ, the new; None when that cannot be said."""
        place = Place(place.kind, event=place.event)
        if place not in self._differing:
            old, new = self._sides
            self._differing[place] = (old,) if old.domains(place) == new.domains(place) else (old, new)
        found = [side.region(place, when) for side in self._differing[place]]
        regions = tuple(each for each in found if isinstance(each, Region))
        return regions if len(regions) == len(found) else None

    def _holds_alike(self, place: Place, one: str | None, other: str | None) -> bool:
        mine, theirs = self.regions(place, one), self.regions(place, other)
        return mine is not None and theirs is not None and all(map(are_equal, mine, theirs))

    def may_both_hold(self, place: Place, one: str | None, other: str | None) -> bool:
        mine, theirs = self.regions(place, one), self.regions(place, other)
        if mine is None or theirs is None:
            return True
        return any(a.intersects(b) for a, b in zip(mine, theirs, strict=True))


def are_equal(one: Region, other: Region) -> bool:
    """Whether two regions have the same points; two that are too complex to tell count as different."""
    try:
        return one.covers(other) and other.covers(one)
    except TooComplex:
        return False


def span(duration: Duration | None, word: str = "after", window: WindowSpec | None = None) -> Aspect:
    """A duration; business time means something only together with the window it runs on."""
    if duration is None:
        return NOTHING
    text = f"{word} {duration}".strip()
    if not duration.business:
        return Aspect((duration.elapsed, duration.days), text)
    runs_on = window_of(window)
    return Aspect((duration.elapsed, duration.days, duration.business, runs_on.meaning), f"{text} ({runs_on.text})")


def time_of(timer: TimerSpec, window: WindowSpec | None) -> Aspect:
    """When a timer fires."""
    if (at := timer.at) is None:
        return span(timer.after, window=window)
    offset = at.offset and (at.sign * at.offset.elapsed, at.sign * at.offset.days)
    return Aspect((at.fact, offset or None, at.time_of_day), f"at {at}")


def window_of(window: WindowSpec | None) -> Aspect:
    """A send window; the order of its holidays and of its preferred times does not matter."""
    if window is None:
        return NOTHING
    it = window.window
    meaning = (it.days, it.opens, it.closes, it.zone, frozenset(it.holidays), frozenset(it.at))
    said = window.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return Aspect(meaning, ", ".join(f"{key} {_said(value)}" for key, value in said.items()) or "always open")


def limits_of(limits: LimitsSpec | None) -> Aspect:
    """The limits; a cooldown is one message in that span, and their order does not matter."""
    if limits is None or not limits.rates:
        return NOTHING
    meaning = frozenset((rate.count, rate.per.elapsed, rate.per.days) for rate in limits.rates)
    return Aspect(meaning, ", ".join(map(str, limits.rates)))


def fact_of(fact: FactType) -> Aspect:
    """The type of a fact; the order of choices does not matter."""
    return Aspect((fact.kind, fact.optional, fact.low, fact.high, frozenset(fact.choices)), " ".join(fact.text.split()))


def matcher_of(matcher: MatcherSpec) -> Aspect:
    """A matcher; the order and capitals of words in a list do not matter."""
    parts = tuple(_matcher(each) for each in matcher.parts)
    said = [f"{key} {_said(value)}" for each in matcher.parts for key, value in each.as_dict.items()]
    return Aspect(parts, said[0] if len(said) == 1 else f"any of ({'; '.join(said)})")


def _matcher(matcher: OneMatcherSpec) -> Hashable:
    [(name, wanted)] = matcher.as_dict.items()
    if name in ("any_word", "all_words"):
        return name, frozenset(word.casefold() for word in wanted)
    if name == "number" and isinstance(wanted, str):
        return name, parse_range(wanted)
    return name, tuple(wanted) if isinstance(wanted, list) else wanted


def action_of(action: Any, place: Place, spec: CampaignTypeSpec, reader: Reader) -> Aspect:
    """An action. One of a plug-in means what is written."""
    match action:
        case SendSpec():
            when = reader.guard(place, action.when)
            after, via = span(action.after, window=_window(place, spec)), channel_of(action.channel, spec)
            bold = said_flags(action.ignore_window, action.ignore_limits)
            said = together([Aspect(None, f"send {action.send}"), via, after, when, bold], " ")
            return Aspect(("send", action.send, via.meaning, after.meaning, when.meaning, bold.meaning), said)
        case AssignSpec(assign=to):
            return Aspect(("assign", to.to, to.priority), f"assign to {to.to}, priority {to.priority}")
        case SetSpec():
            values = frozenset((name, isinstance(value, bool), value) for name, value in action.set.items())
            return Aspect(("set", values), "set " + _said(action.set))
        case EmitSpec():
            return Aspect(("emit", action.emit), f"emit {action.emit}")
    written = _said(action.model_dump(mode="json", exclude_unset=True))
    return Aspect(written, written)


def actions_of(actions: Iterable[Any], place: Place, spec: CampaignTypeSpec, reader: Reader) -> Aspect:
    """The actions of an edge, in order."""
    each = [action_of(action, place, spec, reader) for action in actions]
    return Aspect(tuple(it.meaning for it in each), "do " + "; ".join(it.text for it in each) if each else "")


def channel_of(channel: str | None, spec: CampaignTypeSpec) -> Aspect:
    """A message's own channel; to name the campaign type's is to say nothing."""
    return NOTHING if channel in (None, spec.channel) else Aspect(channel, f"by {channel}")


def said_flags(ignore_window: bool, ignore_limits: bool) -> Aspect:
    """Which of window and limits a message ignores."""
    ignored = [name for name, is_so in (("window", ignore_window), ("limits", ignore_limits)) if is_so]
    return Aspect(tuple(ignored), f"ignoring {' and '.join(ignored)}" if ignored else "")


def together(aspects: Iterable[Aspect], between: str = ", ") -> str:
    """What several aspects say, those that go without saying left out.

    >>> together([Aspect(1, "after 3d"), NOTHING, Aspect("won", "go won")])
    'after 3d, go won'
    """
    return between.join(aspect.text for aspect in aspects if aspect.text)


def _window(place: Place, spec: CampaignTypeSpec) -> WindowSpec | None:
    stage = spec.stages.get(place.stage) if place.stage else None
    return (stage and stage.send_window) or spec.send_window


def _said(value: Any) -> str:
    """A value as one line, near to how authors write it."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_said(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
