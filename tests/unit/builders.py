"""Campaign types, conversations and stories for tests of the pure core, each valid until a test changes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.durations import parse_duration
from engine.core.machine import compile_campaign_type
from engine.core.model import Conversation, Decision, Effect, Event, Reading, Step, cancels, new_conversation
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import read_yaml

START = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday
SOMEONE = UUID("0192f0c1-0000-7000-8000-00000000000a")

_DEFAULTS = {
    "campaign_type": "hello",
    "version": 1,
    "facts": {
        "name": "text?",
        "plan": "one of [free, team]?",
        "seats": "int 1..1000?",
        "score": "number?",
        "vip": "bool?",
    },
    "responses": """
        answer: {"yes": {any_word: [yes]}, "no": {any_word: [no]}, stop: {any_word: [stop]}}
        rating: {number: 1..5}
    """,
    "start": "ask",
    "stages": "ask: {timers: [{after: 10d, go: gave_up}]}",
    "exits": "{bought: won, gave_up: lost, opted_out: stopped}",
    "messages": "{intro: {text: Hi}, bump: {text: Still there}, tip: {text: A tip}, goodbye: {text: Bye}}",
}


def a_spec(stages: str = "", **changes: object) -> CampaignTypeSpec:
    """A campaign type; texts of more than one word are read as YAML. Only its shape is checked."""
    parts = _DEFAULTS | ({"stages": stages} if stages else {}) | changes
    data = {name: _read(part) if isinstance(part, str) else part for name, part in parts.items()}
    return CampaignTypeSpec.model_validate(data)


def a_type(stages: str = "", delay_factor: float = 1.0, **changes: object) -> CompiledType:
    return compile_campaign_type(a_spec(stages, **changes), delay_factor)


def a_conversation(**fields: Any) -> Conversation:
    """A conversation as it is enrolled, to start at START."""
    return new_conversation(fields.pop("id", SOMEONE), fields.pop("starts_at", START), **fields)


def a_reply(text: str, at: datetime) -> Event:
    return Event("response", at, text=text, key=text)


def instant(text: str) -> datetime:
    """The instant that an ISO text says, in UTC unless it has an offset."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def after(span: str, since: datetime = START) -> datetime:
    """The instant a while after START, days having 24 hours."""
    return since + parse_duration(span).nominal


def _read(text: str) -> object:
    if text.isidentifier():
        return text
    document = read_yaml("value:\n" + "\n".join(f"  {line}" for line in text.splitlines()), "test")
    assert not document.problems, document.problems
    assert document.data is not None
    return document.data["value"]


class Story:
    """One conversation lived through: `decide` is asked when something is due or arrives, and messages leave.

    `sent` are the messages that left, as (name, instant); with `workers` off none leaves. `causes` tells the steps
    as "cause -> stage".
    """

    def __init__(self, compiled: CompiledType, *, workers: bool = True, **fields: Any) -> None:
        self.compiled = compiled
        self.conversation = a_conversation(**fields)
        self.now = START
        self.workers = workers
        self.next_due: datetime | None = None
        self.steps: list[Step] = []
        self.effects: list[Effect] = []
        self.readings: list[Reading] = []
        self.sent: list[tuple[str, datetime]] = []
        self.waiting: list[Effect] = []
        self.decide()
        self.until(START)

    def decide(self, *events: Event, at: datetime | None = None) -> Decision:
        """One evaluation at an instant, now unless told, however late that is."""
        self.now = at or self.now
        decision = decide(self.compiled, self.conversation, events, self.now)
        self.conversation, self.next_due = decision.conversation, decision.next_due
        self.steps += decision.steps
        self.effects += decision.effects
        self.readings += decision.readings
        for effect in decision.effects:
            if effect.kind == "cancel":
                self.waiting = [each for each in self.waiting if not cancels(effect.scope, each.scope)]
            elif effect.kind == "unsubscribe":
                self.waiting = []
        self.waiting += [each for each in decision.effects if each.kind == "send" and not each.cancelled]
        return decision

    def until(self, until: datetime) -> Story:
        """Let time pass: what is due happens in time, messages at an instant before timers."""
        while True:
            dues = [each.at for each in self.waiting if each.at is not None] if self.workers else []
            dues += [self.next_due] if self.next_due is not None else []
            if not dues or min(dues) > until:
                break
            at = max(min(dues), self.now)
            self.decide(*self._leave(at), at=at)
        self.now = until
        return self

    def wait(self, span: str) -> Story:
        return self.until(after(span, self.now))

    def reply(self, text: str, *, after: str = "0s") -> Story:
        self.wait(after).decide(a_reply(text, self.now))
        return self.until(self.now)

    def event(self, name: str, *, after: str = "0s") -> Story:
        self.wait(after).decide(Event("event", self.now, name=name))
        return self.until(self.now)

    def _leave(self, at: datetime) -> list[Event]:
        leaving = [each for each in self.waiting if self.workers and each.at is not None and each.at <= at]
        self.waiting = [each for each in self.waiting if each not in leaving]
        leaving.sort(key=lambda each: (each.at, each.seq, each.ordinal))
        self.sent += [(each.name, at) for each in leaving]
        return [Event("sent", at, message=(each.seq, each.ordinal)) for each in leaving if each.awaited]

    @property
    def stage(self) -> str | None:
        return self.conversation.stage

    @property
    def status(self) -> str:
        return self.conversation.status

    @property
    def names(self) -> list[str]:
        """The messages that left."""
        return [name for name, _ in self.sent]

    @property
    def assigned(self) -> list[tuple[str, str]]:
        return [(each.name, each.priority) for each in self.effects if each.kind == "assign"]

    @property
    def causes(self) -> list[str]:
        return [f"{step.cause} -> {step.to}" for step in self.steps]

    @property
    def opted_out(self) -> bool:
        return any(effect.kind == "unsubscribe" for effect in self.effects)
