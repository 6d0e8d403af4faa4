"""The demo's people: those of the simulation, at the other end of real channels. Pure.

Who answers what, when and in which words is told by the people files beside the campaign types, `NAME.sim.yaml`, as
for `campaign types simulate`. What a person does about a message follows from the seed, the person's key and the
message alone, so a run can be repeated however the engine orders its work. Only messages reach a person here, so what
people do about silence in a stage is left out; and now and then a provider delivers an answer twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import NamedTuple

from engine.authoring.simulation.people import People, Person, Reaction
from engine.channels.protocol import OutgoingMessage
from engine.inbox import Inbound

_TWICE = 0.04  # the share of answers that are delivered twice


class Home(NamedTuple):
    """Where somebody lives."""

    zone: str = "UTC"
    locale: str = "en"


class Crowd:
    """Everybody who may get a message: what people do about each campaign type's messages, and homes by key.

    The message's name tells which campaign type it is of.
    """

    def __init__(self, seed: int, people: Sequence[People], homes: Mapping[str, Home]) -> None:
        self._seed = seed
        self._people = {message: each for each in people for message in each.type.messages}
        self._homes = homes

    def react(self, message: OutgoingMessage) -> list[Inbound]:
        """What will be received because of `message`, with the times of it; mostly nothing."""
        people = self._people.get(message.message)
        if people is None:
            return []
        key = message.recipient_key
        home = self._homes.get(key, Home())
        eagerness = Random(f"{self._seed} {key}").uniform(0, 2)
        person = Person(home.zone, home.locale, eagerness, message.at)
        random = Random(f"{self._seed} {key} {message.message} {message.at.isoformat()}")
        habit = people.about_message(message.message)
        answers = [_inbound(message, each) for each in people.answers(habit, person, message.at, random)]
        repeated = _repeated(answers[0], random) if answers else []
        events = people.events(people.messages.get(message.message), message.at, random)
        return [*answers[:1], *repeated, *answers[1:], *(_inbound(message, each) for each in events)]


def _inbound(message: OutgoingMessage, reaction: Reaction) -> Inbound:
    """A reaction as a provider delivers it."""
    id = f"{message.channel}-{message.idempotency_key}"
    return Inbound(
        message.recipient_key,
        body=reaction.text,
        name=reaction.name,
        message_id=f"{id}-{reaction.name}" if reaction.name else id,
        received_at=reaction.at,
        provider=message.channel,
    )


def _repeated(answer: Inbound, random: Random) -> list[Inbound]:
    """The same once more, a little later, from a provider that did not trust its first delivery."""
    if random.random() > _TWICE or answer.received_at is None:
        return []
    return [replace(answer, received_at=answer.received_at + timedelta(minutes=random.uniform(1, 600)))]
