"""Simulated people: who is enrolled, and what each does about a message. Pure; the simulation and the demo use them.

Everything follows from the given `Random`, so that whoever asks decides what may depend on what. Nobody is told
more than a recipient sees: that a message came, or that time goes by in a stage. People answer while it is day where
they live, some more readily than others; an answer may lead to an event that another system tells of later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate, islice
from random import Random
from typing import Any, NamedTuple

from engine.authoring.replies.sayings import NEUTRAL, values_of, words_for
from engine.authoring.simulation.draws import Draw, draw_of
from engine.authoring.simulation.people_spec import EventSpec, HabitSpec, PeopleSpec, PlaceSpec, SayingSpec
from engine.core.calendar import zone_of
from engine.core.expressions import parse_expression
from engine.core.matchers import MatcherSpec, ResponseSpec
from engine.core.spec import CampaignTypeSpec, StageSpec
from engine.core.vocabulary import OTHER

PLACES = tuple(
    PlaceSpec(timezone=timezone, locale=locale, weight=weight)
    for timezone, locale, weight in (
        ("UTC", "en", 2), ("Europe/London", "en_GB", 2), ("Europe/Berlin", "de_DE", 1), ("Asia/Kolkata", "en_IN", 1),
        ("America/New_York", "en_US", 2), ("America/Los_Angeles", "en_US", 1), ("Australia/Sydney", "en_AU", 1),
    )
)  # fmt: skip
_MOST_TEXTS = 4
_LONGEST_WAIT = 366 * 86_400.0
_WAKING_UP = timedelta(hours=3)  # what came at night is answered within this time of the morning
_UNASKED = EventSpec.model_validate({"share": "50%", "after": "24h"})


class Reaction(NamedTuple):
    """Something a person causes at `at`: an answer of this `text`, or the event `name`."""

    at: datetime
    text: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated recipient, enrolled at `begins_at`. Of 0 to 2, `eagerness` 1 is the average."""

    zone: str
    locale: str
    eagerness: float
    begins_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)


class Saying(NamedTuple):
    """Some ways to say one thing, and the event that follows it."""

    weight: float
    texts: tuple[str, ...]
    then: tuple[str, EventSpec] | None = None


@dataclass(frozen=True)
class Habit:
    """How people answer a message, or a stage that sends none. `sayings` are by locale; the empty one is for all."""

    spec: HabitSpec
    sayings: Mapping[str, tuple[Saying, ...]]

    @cached_property
    def _drawn(self) -> dict[str, tuple[tuple[Saying, ...], list[float]]]:
        return {locale: (said, list(accumulate(each.weight for each in said))) for locale, said in self.sayings.items()}

    def saying(self, locale: str, random: Random) -> Saying:
        said, weights = self._drawn.get(locale) or self._drawn[""]
        return random.choices(said, cum_weights=weights)[0]


class People:
    """The people of one campaign type: as a people file has them, and by default for all that it leaves out.

    `label` says where they come from.

    >>> type_spec = CampaignTypeSpec.model_validate({
    ...     "campaign_type": "hello", "version": 1, "start": "ask", "exits": {"done": "won"},
    ...     "facts": {"plan": "one of [free, team]"}, "stages": {"ask": {"on_response": [{"otherwise": "done"}]}},
    ... })
    >>> person = People(PeopleSpec(), type_spec).person(0, Random("1:0"))
    >>> person.zone, person.facts
    ('America/New_York', {'plan': 'team'})
    """

    def __init__(self, spec: PeopleSpec, campaign_type: CampaignTypeSpec, label: str = "by default") -> None:
        self.label = label
        self.spec = spec
        self.type = campaign_type
        self.places: Sequence[PlaceSpec] = spec.places or PLACES
        self._weights = list(accumulate(place.weight for place in self.places))
        self._draws: dict[str, Draw] = {
            name: draw_of(name, kind, spec.facts.get(name), campaign_type, spec.start)
            for name, kind in campaign_type.facts.items()
        }
        self._sending = {name: _messages_of(stage) for name, stage in campaign_type.stages.items()}
        self._own = {name: messages & spec.messages.keys() for name, messages in self._sending.items()}
        self.stages: dict[str, Habit] = {
            name: _compiled(self._habit_spec(name, stage), stage, self) for name, stage in campaign_type.stages.items()
        }
        self.messages = {name: _compiled(habit, StageSpec(), self) for name, habit in spec.messages.items()}

    def person(self, number: int, random: Random) -> Person:
        """The `number`-th recipient, from 0, drawn from `random`."""
        place = random.choices(self.places, cum_weights=self._weights)[0]
        eagerness = random.uniform(0, 2)
        facts = {name: value for name, draw in self._draws.items() if (value := draw(random)) is not None}
        days = number // self.spec.per_day if self.spec.per_day else 0
        return Person(place.timezone, place.locale, eagerness, self.spec.start + timedelta(days=days), facts)

    def about_message(self, message: str, stage: str | None = None) -> Habit | None:
        """What people do about a message, sent in this stage or, when none is told, in the one that sends it."""
        if message in self.messages:
            return self.messages[message]
        if stage is None:
            senders = [name for name, messages in self._sending.items() if message in messages]
            stage = senders[0] if len(senders) == 1 else None
        return self.stages.get(stage or "")

    def asked_in_stages(self) -> dict[str, Habit]:
        """The habits of stages that come to bear, since not all of their messages have one of their own."""
        return {
            name: habit
            for name, habit in self.stages.items()
            if (habit.spec.answer or habit.spec.events) and not (0 < len(self._sending[name]) <= len(self._own[name]))
        }

    def about_silence(self, stage: str) -> Habit | None:
        """What people do about a stage that they are in without getting a message; None when it sends some."""
        return None if self._sending.get(stage) else self.stages.get(stage)

    def answers(self, habit: Habit | None, person: Person, at: datetime, random: Random) -> list[Reaction]:
        """What a person answers to something that came at `at`, and the event it leads to; mostly nothing."""
        if habit is None:
            return []
        share = habit.spec.answer  # people differ; the share of them all stays the same
        if random.random() >= share + (person.eagerness - 1) * 0.7 * min(share, 1 - share):
            return []
        saying = habit.saying(person.locale, random)
        came = at + _delay(habit.spec.after.nominal, habit.spec.spread, random)
        answered_at = _by_day(came, person.zone, self.spec.awake.from_, self.spec.awake.to, random)
        found = [Reaction(answered_at, text=random.choice(saying.texts))]
        return found + (_happening(*saying.then, answered_at, random) if saying.then else [])

    def events(self, habit: Habit | None, at: datetime, random: Random) -> list[Reaction]:
        """The events that follow a message, or the entry of a stage, at `at`."""
        if habit is None or not habit.spec.events:
            return []
        every = habit.spec.events.items()
        return [each for name, event in every for each in _happening(name, event, at, random)]

    def _habit_spec(self, name: str, stage: StageSpec) -> HabitSpec:
        """The habit of a stage: as written, else the default, by which only what listens is answered."""
        if name in self.spec.stages:
            return self.spec.stages[name]
        listens = stage.on_response or (self.type.always and self._sending[name])
        events = dict.fromkeys(stage.on_event, _UNASKED)
        return HabitSpec(events=events).model_copy(update={} if listens else {"answer": 0.0})


def _happening(name: str, event: EventSpec, at: datetime, random: Random) -> list[Reaction]:
    if random.random() >= event.share:
        return []
    return [Reaction(at + _delay(event.after.nominal, event.spread, random), name=name)]


def _delay(median: timedelta, spread: float, random: Random) -> timedelta:
    """A delay around the median: its logarithm is normal, as those of real answers about are."""
    seconds = median.total_seconds() * math.exp(random.gauss(0, math.log(spread)))
    return timedelta(seconds=round(min(seconds, _LONGEST_WAIT)))


def _by_day(at: datetime, zone: str, wakes: time, sleeps: time, random: Random) -> datetime:
    """`at`, or some time after the next waking when people in `zone` sleep then."""
    local = at.astimezone(zone_of(zone))
    clock = local.time()
    if (wakes <= clock < sleeps) if wakes < sleeps else (clock >= wakes or clock < sleeps):
        return at
    date = local.date() if clock < wakes else local.date() + timedelta(days=1)
    morning = datetime.combine(date, wakes, local.tzinfo).astimezone(UTC)
    return morning + timedelta(seconds=int(random.uniform(0, _WAKING_UP.total_seconds())))


def _messages_of(stage: StageSpec) -> frozenset[str]:
    """The messages that a visit of the stage brings by itself or on the way through it."""
    edges = (*stage.on_response, *stage.timers, *(edge for edges in stage.on_event.values() for edge in edges))
    actions = (*stage.on_enter, *(action for edge in edges for action in edge.do))
    sent = {name for action in actions if (name := getattr(action, "send", None)) is not None}
    return frozenset(sent | {follow_up.send for follow_up in stage.follow_ups})


# --- what they say


def _compiled(spec: HabitSpec, stage: StageSpec, people: People) -> Habit:
    """A habit with the words for every locale in use; words that do not depend on it are kept once."""
    responses = people.type.responses
    if spec.says is not None and all(saying.texts for saying in spec.says):
        return Habit(spec, {"": tuple(_written(saying, responses, "", people) for saying in spec.says)})
    sayings = {}
    for locale in dict.fromkeys(("en", *(place.locale for place in people.places))):
        if spec.says is not None:
            said = [_written(saying, responses, locale, people) for saying in spec.says]
        else:
            said = _default_sayings(stage, people.type, spec.stop, locale, people.spec.start)
        sayings[locale] = tuple(each for each in said if each.texts) or (Saying(1, NEUTRAL[:_MOST_TEXTS]),)
    return Habit(spec, {"": sayings["en"], **sayings})


def _written(saying: SayingSpec, responses: Mapping[str, ResponseSpec], locale: str, people: People) -> Saying:
    then = (saying.then.event, saying.then) if saying.then else None
    texts = tuple(saying.texts or ()) or _some_words(responses, saying.means or {}, locale, people.spec.start)
    return Saying(float(saying.weight), texts, then)


def _some_words(
    responses: Mapping[str, ResponseSpec], means: Mapping[str, Any], locale: str, now: datetime
) -> tuple[str, ...]:
    return tuple(islice(words_for(responses, means, locale, now), _MOST_TEXTS))


def _default_sayings(
    stage: StageSpec, type_: CampaignTypeSpec, stop: float, locale: str, now: datetime
) -> list[Saying]:
    """Each label, or value of a bare matcher, that the stage asks about, alike; something else; and an opt-out."""
    responses = type_.responses
    stops = _opt_outs(type_)
    guards = [parse_expression(edge.when) for edge in stage.on_response if edge.when]
    asked = [name for name in responses if any(name in guard.names for guard in guards)] or list(responses)
    said = []
    for name in asked:
        response = responses[name]
        otherwise = None if isinstance(response, MatcherSpec) else OTHER
        for value in (*values_of(response, locale, now), otherwise):
            if {name: value} not in stops and (texts := _some_words(responses, {name: value}, locale, now)):
                said.append(Saying(1, texts))
    out = tuple(text for means in stops for text in _some_words(responses, means, locale, now))
    if out and 0 < stop < 1:
        said.append(Saying(max(len(said), 1) * stop / (1 - stop), out))
    return said


def _opt_outs(type_: CampaignTypeSpec) -> list[dict[str, Any]]:
    """What a response must be for an `always` edge to lead it to a stopped exit, where the guard says it plainly."""
    found = []
    for edge in type_.always:
        if edge.when and edge.target in type_.exits and type_.exits[edge.target].outcome == "stopped":
            for test in parse_expression(edge.when).comparisons:
                if test.name in type_.responses and test.operator in ("==", "in"):
                    found += [{test.name: constant} for constant in test.constants]
    return found
