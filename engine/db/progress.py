"""How a conversation lies in its row: `context` for what guards and messages read, `progress` for the engine's own.

`context` is `{"facts": {…}, "captured": {…}}`. `progress` holds the counters and the agenda of
`engine.core.model.Conversation`, each key left out while it has its default, so that a fresh conversation is short. A
due thing is `[rank, index]`; its instant lies at the same place of the array `pending`, so that `progress` is the very
same for all conversations that stand alike. Numbers keep their exact value. A date is its ISO text; what a fact or
response holds is told by the campaign type, so a text that looks like a date stays a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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

_PLAIN = {"responses", "responses_total", "follow_ups_sent", "follow_up", "visits", "used", "unsent"}
_DUMPED = (*sorted(_PLAIN), "awaits")

Question = tuple[str, str]
"""What can be read of a context: a part of it and a name."""

EVERYTHING: Question = ("", "")
_NOTHING = object()


def progress_of_new() -> Json:
    """The progress of a conversation that waits for its start, its one pending instant."""
    return {"agenda": [[int(Rank.BEGIN), 0]]}


class ContextUnreadError(Exception):
    """Somebody reads a context that was not asked of the database."""


class Context:
    """The `context` column of one row, parsed when somebody reads it; None when the database was not asked for it.

    `reads` is what was read, in order: a (part, name), or EVERYTHING, with the value found.
    """

    __slots__ = ("_conversions", "_parts", "_raw", "is_unread", "reads")

    def __init__(self, raw: str | None, conversions: Mapping[str, Mapping[str, Conversion]]) -> None:
        self._raw = raw
        self._conversions = conversions
        self._parts: Json | None = None
        self.is_unread = False  # whether it was asked for in vain; who asked may have made something of that
        self.reads: dict[Question, Any] = {}

    def answer(self, question: Question) -> Any:
        """What reading it would find, apart for what only looks equal, such as 1 and 1.0, or null and nothing."""
        found = self._text if question == EVERYTHING else self.find(question, _NOTHING)
        return type(found), str(found)

    @property
    def _text(self) -> str:
        if self._raw is None:
            self.is_unread = True
            raise ContextUnreadError
        return self._raw

    def note(self, question: Question) -> None:
        """Remember that this is read."""
        if question not in self.reads:
            self.reads[question] = self.answer(question)

    def find(self, question: Question, default: Any) -> Any:
        """The value of a name in a part. Raises ValueError for one that is not of its declared type."""
        part, name = question
        found = self.names(part)
        if name not in found:
            return default
        convert = self._conversions[part].get(name)
        return found[name] if convert is None else convert(found[name])

    def names(self, part: str) -> Json:
        """A part as it lies in the row."""
        if self._parts is None:
            self._parts = orjson.loads(self._text)
        names: Json = self._parts.get(part, {})
        return names


class ContextPart(Mapping[str, Any]):
    """One part of a context, `facts` or `captured`, as the mapping that guards and messages read."""

    __slots__ = ("_context", "_part")

    def __init__(self, context: Context, part: str) -> None:
        self._context = context
        self._part = part

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return self._context.find((self._part, key), None)

    def __contains__(self, key: object) -> bool:
        self._context.note((self._part, str(key)))
        return key in self._context.names(self._part)

    def __iter__(self) -> Iterator[str]:
        self._context.note(EVERYTHING)
        return iter(self._context.names(self._part))

    def __len__(self) -> int:
        self._context.note(EVERYTHING)
        return len(self._context.names(self._part))

    def get(self, key: str, default: Any = None) -> Any:
        question = (self._part, key)
        self._context.note(question)
        return self._context.find(question, default)


class ConversationCodec:
    """Reads the JSON columns for one campaign type version."""

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

    def context(self, raw: str | None) -> Context:
        """A context, not parsed yet."""
        return Context(raw, self._conversions)

    def load(self, it: Conversation, context: Context, raw_progress: str, pending: Sequence[datetime]) -> None:
        """Fill a conversation that has its plain columns from its JSON columns and its pending instants.

        Raises ValueError, or whatever senseless JSON leads to, when they do not fit each other.
        """
        it.facts = ContextPart(context, "facts")
        it.captured = ContextPart(context, "captured")
        progress = orjson.loads(raw_progress)
        places = progress.get("agenda", ())
        it.agenda = tuple([Due(at, *place) for at, place in zip(pending, places, strict=True)])
        for name in _PLAIN & progress.keys():
            setattr(it, name, progress[name])
        if awaits := progress.get("awaits"):
            it.awaits = (awaits[0], awaits[1])
        if held := progress.get("held"):
            numbers = self._conversions["captured"]
            it.held = tuple(Held(each[0], _convert(each[1], numbers), *each[2:]) for each in held)


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


def dump_context(conversation: Conversation) -> Json:
    """The `context` column."""
    return {"facts": dump_values(conversation.facts), "captured": dump_values(conversation.captured)}


def dump_progress(it: Conversation, agenda: Sequence[Due] | None = None) -> Json:
    """The `progress` column, its agenda in the order given: that of the instants in `pending`."""
    progress: Json = {}
    if it.agenda:
        progress["agenda"] = [[due.rank, due.number] for due in (it.agenda if agenda is None else agenda)]
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
