"""Simulated people: who answers a message, when, and in what words. Pure.

What a person does about a message follows from the seed, the person's key and the message alone, so a run can be
repeated however the engine orders its work. People answer while it is day where they live; some never do, some come
back when all is over, and now and then a provider delivers an answer twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from engine.channels.protocol import OutgoingMessage
from engine.inbox import Inbound

_WAKES, _SLEEPS = time(7, 30), time(22)
_TWICE = 0.04  # the share of answers that are delivered twice


@dataclass(frozen=True, slots=True)
class Words:
    """Some ways to say one thing. `leads_to` is an event that follows it some hours later, most of the time."""

    weight: float
    texts: tuple[str, ...]
    leads_to: str = ""


@dataclass(frozen=True, slots=True)
class Habit:
    """How people answer a message: what share of them, after how many hours on average, and with which words."""

    share: float
    hours: float
    words: tuple[Words, ...]


STOP = ("stop", "STOP", "Please unsubscribe me.", "Stop writing to me, please")
ACCEPT = ("accept", "We accept!", "Accepted. Can we start on Monday?", "I accept, the 14th would suit us")
REFUSE = ("We cannot accept the second clause.", "I don't accept these terms", "We will not accept that price.")
YES = ("yes", "Yes, thank you", "Yep, all good", "solved, thanks", "YES!", "It is fixed now")
NO = ("no", "No, it happened again", "nope", "It is not solved", "Still unsolved I am afraid")
HIGH = ("5", "4", "five stars 5", "I'd say 4", "5!!", "4, thanks")
LOW = ("1", "2", "3", "3, it took long", "2 at best")
NONSENSE = ("🙂", "asdf", "???", "sent from my phone", "はい", "Wer ist da?", "…")

_CURIOUS = Words(
    8, ("Possibly, tell me more.", "Who are you?", "Later, please.", "We do look at this now.", "Ask my colleague Kim.")
)
_QUESTIONS = Words(
    8, ("What does it cost?", "Does it work with what we have?", "Sales would start.", "Where is the data kept?")
)
_THOUGHTS = Words(4, ("Who signs?", "I will ask my manager.", "The price is too high.", "Can it wait until spring?"))
_ANGRY = Words(1, ("Faster answers would help.", "I had to explain it three times.", "The same error is back."))
_DEAL = (Words(6, ACCEPT), _THOUGHTS, Words(2, REFUSE), Words(1, STOP))
_SOLVED = (Words(14, YES), Words(4, NO, leads_to="ticket_closed"), Words(1, NONSENSE), Words(1, STOP))
_RATING = (Words(10, HIGH), Words(4, LOW), Words(3, NONSENSE), Words(0.5, STOP))

HABITS: Mapping[str, Habit] = {
    "introduction": Habit(0.14, 30, (_CURIOUS, Words(1, NONSENSE), Words(1, STOP))),
    "introduction_question": Habit(0.10, 24, (_CURIOUS, Words(1, STOP))),
    "introduction_last": Habit(0.08, 30, (_CURIOUS, Words(2, STOP))),
    "example": Habit(0.35, 40, (_QUESTIONS, Words(1, NONSENSE), Words(0.5, STOP))),
    "example_questions": Habit(0.20, 40, (_QUESTIONS, Words(0.5, STOP))),
    "example_last": Habit(0.15, 40, (_QUESTIONS, Words(1, STOP))),
    "offer": Habit(0.40, 50, _DEAL),
    "offer_open_points": Habit(0.22, 40, _DEAL),
    "offer_start_date": Habit(0.18, 40, _DEAL),
    "offer_last": Habit(0.18, 60, _DEAL),
    "solved_question": Habit(0.42, 14, _SOLVED),
    "solved_reminder": Habit(0.25, 14, _SOLVED),
    "rating_question": Habit(0.42, 10, _RATING),
    "rating_reminder": Habit(0.25, 10, _RATING),
    "rating_again": Habit(0.50, 4, _RATING),
    "apology_question": Habit(0.40, 20, (_ANGRY,)),
    "thank_you": Habit(0.06, 6, (Words(1, ("You are welcome", "👍", "no problem")),)),
}


class People:
    """Everybody who may get a message. `zones` are their time zones by key; without one it is UTC."""

    def __init__(self, seed: int, zones: Mapping[str, str]) -> None:
        self._seed = seed
        self._zones = zones

    def react(self, message: OutgoingMessage) -> list[Inbound]:
        """What will be received because of `message`, with the times of it; mostly nothing."""
        habit = HABITS.get(message.message)
        if habit is None:
            return []
        key = message.recipient_key
        eagerness = Random(f"{self._seed} {key}").uniform(0.3, 1.7)
        random = Random(f"{self._seed} {key} {message.message} {message.at.isoformat()}")
        if random.random() > habit.share * eagerness:
            return []
        words = random.choices(habit.words, [each.weight for each in habit.words])[0]
        zone = ZoneInfo(self._zones.get(key) or "UTC")
        at = _by_day(message.at + timedelta(hours=0.1 + random.expovariate(1 / habit.hours)), zone, random)
        answer = Inbound(
            key,
            body=random.choice(words.texts),
            message_id=f"{message.channel}-{message.idempotency_key}",
            received_at=at,
            provider=message.channel,
        )
        return [answer, *_repeated(answer, random), *_led_to(words, answer, random)]


def _repeated(answer: Inbound, random: Random) -> list[Inbound]:
    """The same once more, a little later, from a provider that did not trust its first delivery."""
    if random.random() > _TWICE or answer.received_at is None:
        return []
    return [replace(answer, received_at=answer.received_at + timedelta(minutes=random.uniform(1, 600)))]


def _led_to(words: Words, answer: Inbound, random: Random) -> list[Inbound]:
    if not words.leads_to or random.random() > 0.8 or answer.received_at is None:
        return []
    at = answer.received_at + timedelta(hours=random.uniform(8, 60))
    return [replace(answer, body="", name=words.leads_to, message_id=f"{answer.message_id}-event", received_at=at)]


def _by_day(at: datetime, zone: ZoneInfo, random: Random) -> datetime:
    """`at`, or some time in the first hours of the next day when people in `zone` sleep then."""
    local = at.astimezone(zone)
    if _WAKES <= local.time() < _SLEEPS:
        return at
    date = local.date() if local.time() < _WAKES else local.date() + timedelta(days=1)
    return datetime.combine(date, _WAKES, zone).astimezone(at.tzinfo) + timedelta(minutes=random.uniform(0, 180))
