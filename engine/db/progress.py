"""How a conversation lies in its row: `context` for what guards and messages read, `progress` for the engine's own.

`context` is `{"facts": {…}, "captured": {…}}`. `progress` holds the counters and pending instants of
`engine.core.model.Conversation`, each key left out while it has its default, so that a fresh conversation is short.
Instants are ISO 8601 in UTC; a due thing is `[instant, rank, index]`. Numbers keep their exact value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from engine.core.compiled import CompiledType
from engine.core.facts import fact_from_json, fact_to_json
from engine.core.model import Conversation, Due, Held, Rank
from engine.core.spec import MatcherSpec

Json = dict[str, Any]


def progress_of_new(starts_at: datetime) -> Json:
    """The progress of a conversation that waits for its start."""
    return {"agenda": [[starts_at.isoformat(), int(Rank.BEGIN), 0]]}


class ConversationCodec:
    """Reads and writes the two JSON columns for one campaign type version."""

    def __init__(self, compiled: CompiledType) -> None:
        facts = compiled.spec.facts.items()
        self._loads: dict[str, Callable[[Any], Any]] = {
            name: partial(fact_from_json, kind) for name, kind in facts if kind.kind in ("number", "date", "datetime")
        }
        self._captured: dict[str, Callable[[Any], Any]] = {
            name: _decimal
            for name, spec in compiled.spec.responses.items()
            if isinstance(spec, MatcherSpec) and spec.number is not None
        }

    def load(self, conversation: Conversation, context: Json, progress: Json) -> Conversation:
        """Fill a conversation that has its plain columns from its JSON columns."""
        conversation.facts = _convert(context.get("facts", {}), self._loads)
        conversation.captured = _convert(context.get("captured", {}), self._captured)
        get = progress.get
        conversation.agenda = tuple(
            [Due(datetime.fromisoformat(at), rank, index) for at, rank, index in get("agenda", ())]
        )
        conversation.responses = get("responses", 0)
        conversation.responses_total = get("responses_total", 0)
        conversation.follow_ups_sent = get("follow_ups_sent", 0)
        conversation.follow_up = get("follow_up", 0)
        conversation.visits = get("visits", {})
        conversation.used = get("used", {})
        conversation.unsent = get("unsent", False)
        if awaits := get("awaits"):
            conversation.awaits = (awaits[0], awaits[1])
        if started_at := get("started_at"):
            conversation.started_at = datetime.fromisoformat(started_at)
        if held := get("held"):
            conversation.held = tuple(Held(each[0], _convert(each[1], self._captured), *each[2:]) for each in held)
        return conversation


def dump_context(conversation: Conversation) -> Json:
    """The `context` column."""
    return {"facts": dump_values(conversation.facts), "captured": dump_values(conversation.captured)}


def dump_progress(it: Conversation) -> Json:
    """The `progress` column."""
    progress: Json = {}
    if it.agenda:
        progress["agenda"] = [[due.at, due.rank, due.number] for due in it.agenda]
    for name in ("responses", "responses_total", "follow_ups_sent", "follow_up", "visits", "used", "unsent", "awaits", "started_at"):  # fmt: skip
        if value := getattr(it, name):
            progress[name] = value
    if it.held:
        progress["held"] = [[each.key, dump_values(each.values), *each[2:]] for each in it.held]
    return progress


def _convert(values: Json, conversions: Mapping[str, Callable[[Any], Any]]) -> Json:
    if not conversions:
        return values
    return {name: conversions[name](value) if name in conversions else value for name, value in values.items()}


def dump_values(values: Mapping[str, Any]) -> Json:
    """Facts or captured values as plain JSON data."""
    return {name: value if type(value) is str else fact_to_json(value) for name, value in values.items()}


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value))
