"""How a conversation lies in its row: `context` for what guards and messages read, `progress` for the engine's own.

`context` is `{"facts": {…}, "captured": {…}}`. `progress` holds the counters and pending instants of
`engine.core.model.Conversation`, each key left out while it has its default, so that a fresh conversation is short.
Instants are ISO 8601 in UTC; a due thing is `[instant, rank, index]`. Numbers keep their exact value. A date is its
ISO text; what a fact or response holds is told by the campaign type, so a text that looks like a date stays a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import orjson

from engine.core.compiled import CompiledType
from engine.core.facts import fact_from_json, fact_to_json
from engine.core.matchers import MatcherSpec
from engine.core.model import Conversation, Due, Held, Rank

Json = dict[str, Any]
Conversion = Callable[[Any], Any]

_PARTS = ("facts", "captured")
_PLAIN = {"responses", "responses_total", "follow_ups_sent", "follow_up", "visits", "used", "unsent"}
_DUMPED = (*sorted(_PLAIN), "awaits", "started_at")


def progress_of_new(starts_at: datetime) -> Json:
    """The progress of a conversation that waits for its start."""
    return {"agenda": [[starts_at.isoformat(), int(Rank.BEGIN), 0]]}


class Context:
    """The `context` column of one row, parsed when somebody reads it; `was_read` tells whether anybody has."""

    __slots__ = ("_conversions", "_parsed", "_raw")

    def __init__(self, raw: str, conversions: Mapping[str, Mapping[str, Conversion]]) -> None:
        self._raw = raw
        self._conversions = conversions
        self._parsed: dict[str, Json] | None = None

    @property
    def was_read(self) -> bool:
        return self._parsed is not None

    def part(self, name: str) -> Json:
        """`facts` or `captured`, as values."""
        if self._parsed is None:
            found = orjson.loads(self._raw)
            self._parsed = {part: _convert(found.get(part, {}), self._conversions[part]) for part in _PARTS}
        return self._parsed[name]


class ContextPart(Mapping[str, Any]):
    """One part of a context, as the mapping that guards and messages read."""

    __slots__ = ("_context", "_name")

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self._name = name

    def __getitem__(self, key: str) -> Any:
        return self._context.part(self._name)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._context.part(self._name))

    def __len__(self) -> int:
        return len(self._context.part(self._name))

    def get(self, key: str, default: Any = None) -> Any:
        return self._context.part(self._name).get(key, default)


class ConversationCodec:
    """Reads the two JSON columns for one campaign type version."""

    def __init__(self, compiled: CompiledType) -> None:
        facts: dict[str, Conversion] = {
            name: partial(fact_from_json, kind)
            for name, kind in compiled.spec.facts.items()
            if kind.kind in ("int", "number", "date", "datetime")
        }
        captured: dict[str, Conversion] = {
            name: _CAPTURED[spec.captures]
            for name, spec in compiled.spec.responses.items()
            if isinstance(spec, MatcherSpec) and spec.captures in _CAPTURED
        }
        self._conversions = {"facts": facts, "captured": captured}

    def load(self, conversation: Conversation, raw_context: str, raw_progress: str) -> Context:
        """Fill a conversation that has its plain columns from its JSON columns; returns what it reads facts from."""
        context = Context(raw_context, self._conversions)
        conversation.facts = ContextPart(context, "facts")
        conversation.captured = ContextPart(context, "captured")
        progress = orjson.loads(raw_progress)
        get = progress.get
        instant = datetime.fromisoformat
        conversation.agenda = tuple([Due(instant(at), rank, number) for at, rank, number in get("agenda", ())])
        for name in _PLAIN & progress.keys():
            setattr(conversation, name, progress[name])
        if awaits := get("awaits"):
            conversation.awaits = (awaits[0], awaits[1])
        if started_at := get("started_at"):
            conversation.started_at = datetime.fromisoformat(started_at)
        if held := get("held"):
            numbers = self._conversions["captured"]
            conversation.held = tuple(Held(each[0], _convert(each[1], numbers), *each[2:]) for each in held)
        return context


def find_awaited(raw_progress: str) -> tuple[int, int] | None:
    """The (seq, ordinal) of the message a conversation counts from, without parsing where there is none.

    Of a progress that makes no sense nothing is asked here; loading it will tell.
    """
    if '"awaits"' not in raw_progress:
        return None
    try:
        awaits = orjson.loads(raw_progress).get("awaits")  # the word may be somebody's answer
        return (int(awaits[0]), int(awaits[1])) if awaits else None
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def find_start(raw_progress: str) -> datetime | None:
    """When the start stage was entered, as far as the progress tells."""
    try:
        return datetime.fromisoformat(orjson.loads(raw_progress)["started_at"])
    except (TypeError, ValueError, LookupError):
        return None


def dump_context(conversation: Conversation) -> Json:
    """The `context` column."""
    return {"facts": dump_values(conversation.facts), "captured": dump_values(conversation.captured)}


def dump_progress(it: Conversation) -> Json:
    """The `progress` column."""
    progress: Json = {}
    if it.agenda:
        progress["agenda"] = [[due.at, due.rank, due.number] for due in it.agenda]
    for name in _DUMPED:
        if value := getattr(it, name):
            progress[name] = value
    if it.held:
        progress["held"] = [[each.key, dump_values(each.values), *each[2:]] for each in it.held]
    return progress


def _convert(values: Json, conversions: Mapping[str, Conversion]) -> Json:
    if not conversions:
        return values
    return {name: conversions[name](value) if name in conversions else value for name, value in values.items()}


def dump_values(values: Mapping[str, Any]) -> Json:
    """Facts or captured values as plain JSON data."""
    return {name: value if type(value) is str else fact_to_json(value) for name, value in values.items()}


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value))


_CAPTURED: dict[str, Conversion] = {"number": _decimal, "date": date.fromisoformat}
