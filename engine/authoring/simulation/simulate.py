"""Simulation: many conversations played through the pure core with simulated people, and the figures of them all.

Each recipient is played alone, from enrolment to the last thing that happens, on a clock that jumps from one instant
to the next; what comes of it is counted and forgotten. Chance is one `Random` for each recipient, made of the seed and
the recipient's number: the same seed gives the same figures, and more recipients change nothing for the first ones.

What is not simulated: other campaigns, which count towards the same recipient's limits; failures of channels; and
late workers, for every step and message happens at its planned instant.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from itertools import count
from random import Random
from typing import NamedTuple

from engine.authoring.scenarios.playback import Planned, Playback
from engine.authoring.simulation.figures import ExitFigures, Simulation, Spans, StageFigures, Wait
from engine.authoring.simulation.people import People, Person, Reaction
from engine.core.calendar import EARLIEST, LATEST, zone_of
from engine.core.compiled import CompiledType
from engine.core.errors import DecisionError
from engine.core.model import Event, Step, new_conversation

MOST_RECIPIENTS = 1_000_000
_MOST_INSTANTS = 10_000  # in one conversation; one that goes on is counted as still under way
Progress = Callable[[int], None]


def simulate(
    compiled: CompiledType, people: People, recipients: int, seed: int, progress: Progress | None = None
) -> Simulation:
    """What comes of `recipients` conversations of a campaign type with these people."""
    figures = _Figures(compiled, people)
    for number in range(recipients):
        figures.add(play(compiled, people, seed, number))
        if progress is not None and number % 100 == 99:
            progress(number + 1)
    return figures.result(recipients, seed)


class Lived(NamedTuple):
    """One conversation to its end: its person, all steps and messages, what the person did, why it failed."""

    person: Person
    playback: Playback | None
    reactions: tuple[tuple[str | None, Reaction], ...]
    failure: str = ""


def play(compiled: CompiledType, people: People, seed: int, number: int) -> Lived:
    """The conversation with the `number`-th recipient, from 0."""
    random = Random(f"{seed}:{number}")
    person = people.person(number, random)
    life = _Life(compiled, people, person, random)
    try:
        life.live(f"{seed}:{number}")
    except DecisionError as error:  # the engine would put the conversation aside as failed, with this message
        return Lived(person, life.playback, tuple(life.happened), error.message)
    return Lived(person, life.playback, tuple(life.happened))


class _Life:
    """One conversation under way, and what is still to come from its person."""

    def __init__(self, compiled: CompiledType, people: People, person: Person, random: Random) -> None:
        self.compiled, self.people, self.person, self.random = compiled, people, person, random
        self.playback: Playback | None = None
        self.happened: list[tuple[str | None, Reaction]] = []
        self._coming: list[tuple[datetime, int, Reaction]] = []
        self._numbers = count()
        self._steps_seen = self._left_seen = 0

    def live(self, id: str) -> None:
        start, it = self.person.begins_at, self.person
        conversation = new_conversation(id, start, zone=it.zone, locale=it.locale, facts=it.facts)
        play = self.playback = Playback(self.compiled, conversation, start)
        self._react(play)
        for _ in range(_MOST_INSTANTS):
            at = play.next_at
            if self._coming and (at is None or self._coming[0][0] <= at):
                self._arrive(play)
            elif at is None:
                return
            else:
                play.advance(at)
            self._react(play)

    def _arrive(self, play: Playback) -> None:
        at, _, reaction = heapq.heappop(self._coming)
        play.run(at, through=False)
        self.happened.append((play.conversation.stage, reaction))
        if reaction.name:
            play.receive(Event("event", at, name=reaction.name), self.compiled)
        else:
            play.receive(Event("response", at, text=reaction.text), self.compiled)

    def _react(self, play: Playback) -> None:
        """Let the person hear of what happened since the last time."""
        people, person, random = self.people, self.person, self.random
        while self._steps_seen < len(play.steps):
            step = play.steps[self._steps_seen]
            self._steps_seen += 1
            if step.entered and step.to in people.stages:
                self._expect(people.events(people.stages[step.to], step.at, random))
                self._expect(people.answers(people.about_silence(step.to), person, step.at, random))
        while self._left_seen < len(play.left):
            message = play.left[self._left_seen]
            self._left_seen += 1
            habit = people.about_message(message.name, message.stage)
            if message.name in people.messages:
                self._expect(people.events(habit, message.at, random))
            self._expect(people.answers(habit, person, message.at, random))

    def _expect(self, reactions: list[Reaction]) -> None:
        for each in reactions:
            heapq.heappush(self._coming, (each.at, next(self._numbers), each))


class _Figures:
    """Counts conversations, one after the other."""

    def __init__(self, compiled: CompiledType, people: People) -> None:
        self.compiled, self.people = compiled, people
        self.reached: Counter[str] = Counter()
        self.entered: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.stays = {name: Spans() for name in compiled.spec.stages}
        self.messages: Counter[str] = Counter()
        self.messages_of: Counter[str | None] = Counter()
        self.answers_in: Counter[str | None] = Counter()
        self.events: Counter[str] = Counter()
        self.assigned: Counter[str] = Counter()
        self.emitted: Counter[str] = Counter()
        self.hours: Counter[datetime] = Counter()  # every hour with messages
        self.local_hours: Counter[int] = Counter()
        self.answer_days: Counter[date] = Counter()
        self.per_recipient: Counter[int] = Counter()
        self.windows, self.limits, self.durations = Wait(), Wait(), Spans()
        self.under_way = self.made = self.waiting = self.answering = 0
        self.first, self.last = LATEST, EARLIEST

    def add(self, lived: Lived) -> None:
        """Count one conversation."""
        play = lived.playback
        self.first = min(self.first, lived.person.begins_at)
        self.last = max(self.last, lived.person.begins_at)
        self._count_reactions(lived)
        if play is not None:
            self._count_steps(play.steps)
            self._count_messages(play.left, lived.person.zone)
            self.made += sum(step.sends for step in play.steps)
            self.waiting += play.waiting
            self.assigned.update(done.name for done in play.assigned)
            self.emitted.update(done.name for done in play.emitted)
            self.last = max(self.last, *(done.at for done in play.log[-1:]))
        self.per_recipient[len(play.left) if play is not None else 0] += 1
        if lived.failure:
            self.failures[lived.failure] += 1
        elif play is None or play.conversation.status == "active":
            self.under_way += 1

    def _count_reactions(self, lived: Lived) -> None:
        answers = [(stage, each) for stage, each in lived.reactions if not each.name]
        self.answering += bool(answers)
        for stage, each in answers:
            self.answers_in[stage] += 1
            self.answer_days[each.at.date()] += 1
        self.events.update(each.name for _, each in lived.reactions if each.name)

    def _count_steps(self, steps: list[Step]) -> None:
        entries = [step for step in steps if step.entered and step.to is not None]
        names = [step.to or "" for step in entries]
        self.entered.update(names)
        self.reached.update(set(names))
        for name, entry, following in zip(names, entries, entries[1:], strict=False):
            self.stays[name].add((following.at - entry.at).total_seconds())
        if names and names[-1] in self.compiled.spec.exits:
            self.ended[names[-1]] += 1
            self.durations.add((entries[-1].at - entries[0].at).total_seconds())

    def _count_messages(self, left: list[Planned], zone: str) -> None:
        clock = zone_of(zone)
        for message in left:
            at = message.at
            self.messages[message.name] += 1
            self.messages_of[message.stage] += 1
            self.hours[at.replace(minute=0, second=0, microsecond=0)] += 1
            self.local_hours[at.astimezone(clock).hour] += 1
            self.windows.add((message.opens_at - message.wanted_at).total_seconds())
            self.limits.add((at - message.opens_at).total_seconds())

    def result(self, recipients: int, seed: int) -> Simulation:
        spec = self.compiled.spec
        days, by_hour = Counter[date](), Counter[int]()
        for hour, number in sorted(self.hours.items()):
            days[hour.date()] += number
            by_hour[hour.hour] += number
        busiest = max(self.hours.items(), key=lambda each: (each[1], -each[0].timestamp()), default=None)
        return Simulation(
            campaign_type=spec.campaign_type,
            version=spec.version,
            recipients=recipients,
            seed=seed,
            people=self.people.label,
            stages=tuple(self._stage(name) for name in spec.stages),
            exits=tuple(ExitFigures(name, exit.outcome, self.ended[name]) for name, exit in spec.exits.items()),
            under_way=self.under_way,
            failed=self.failures.total(),
            failures=dict(self.failures.most_common()),
            messages={name: self.messages[name] for name in spec.messages},
            cancelled=self.made - self.messages.total() - self.waiting,
            days=dict(days),
            answer_days=dict(sorted(self.answer_days.items())),
            hours=tuple(by_hour[hour] for hour in range(24)),
            local_hours=tuple(self.local_hours[hour] for hour in range(24)),
            busiest=busiest,
            windows=self.windows,
            limits=self.limits,
            per_recipient=dict(sorted(self.per_recipient.items())),
            answers=self.answers_in.total(),
            answering=self.answering,
            events=dict(sorted(self.events.items())),
            assigned=dict(sorted(self.assigned.items())),
            emitted=dict(sorted(self.emitted.items())),
            duration=self.durations.spread(),
            first=self.first,
            last=self.last,
        )

    def _stage(self, name: str) -> StageFigures:
        stay = self.stays[name].spread()
        messages, answers = self.messages_of[name], self.answers_in[name]
        return StageFigures(name, self.reached[name], self.entered[name], stay.number, messages, answers, stay)
