"""What the engine really sends to PostgreSQL, and how the server carried it out, as the server itself tells.

The texts come from the driver, so it does not matter whether a statement went through SQLAlchemy, straight to psycopg
or down a pipeline. The plans come from the server's own `auto_explain`, which reports each statement after it ran with
the values and the plan it really had. Both are joined by the text; a statement that only one of the two knows is told.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

import engine.db

ROOMS = Path(engine.db.__file__).parent
# What a database says to have every statement's plan told to the client that sent it.
TELL_PLANS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_parameter_max_length": "0",
}


@dataclass
class Statement:
    """One text, who sends it, and the plan of each time it ran."""

    name: str
    text: str
    plans: list[dict[str, Any]] = field(default_factory=list)


class Recorder:
    """Statements by their text, in the order they were first sent."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._plans: dict[str, list[dict[str, Any]]] = {}

    @contextmanager
    def listening(self) -> Iterator[Recorder]:
        """Record what any asynchronous connection sends that is opened within."""
        connect, execute = psycopg.AsyncConnection.connect, psycopg.AsyncCursor.execute

        async def connect_and_listen(*given: Any, **more: Any) -> Any:
            connection = await connect(*given, **more)
            connection.add_notice_handler(self._take_plan)
            return connection

        async def execute_and_note(cursor: Any, query: Any, *given: Any, **more: Any) -> Any:
            if sender := _sender():
                text = query if isinstance(query, str | bytes) else query.as_string(cursor)
                self._names.setdefault(shape_of(text), sender)
            return await execute(cursor, query, *given, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.AsyncConnection, "connect", connect_and_listen)
            patch.setattr(psycopg.AsyncCursor, "execute", execute_and_note)
            yield self

    @property
    def statements(self) -> dict[str, Statement]:
        """By name: that of the method that sends it, with a number from its second statement on."""
        found: dict[str, Statement] = {}
        for text, plans in self._plans.items():
            name = base = self._names.get(shape_of(text), "sent from outside engine.db")
            number = 1
            while name in found:
                number += 1
                name = f"{base} {number}"
            found[name] = Statement(name, text, plans)
        return found

    def _take_plan(self, diagnosis: psycopg.errors.Diagnostic) -> None:
        _, found, told = (diagnosis.message_primary or "").partition("plan:\n")
        if found:
            plan = orjson.loads(told)
            self._plans.setdefault(plain(plan["Query Text"]), []).append(plan["Plan"])


@dataclass(frozen=True)
class Scan:
    """How one plan read one row table: its kind, and how many rows it took up, kept or not, in all and each time.

    The server tells the mean of all loops, and rounds it; so a row or two of many may be missing or too many.
    """

    kind: str
    table: str
    rows: int
    rows_at_once: int


def scans_of(plan: dict[str, Any], tables: tuple[str, ...]) -> list[Scan]:
    """The scans that a plan made of these tables or of their partitions, but for those it never came to."""
    found = [scan for below in plan.get("Plans", ()) for scan in scans_of(below, tables)]
    relation = re.sub(r"_(default|\d{6})$", "", plan.get("Relation Name", ""))
    if relation in tables and "Scan" in plan["Node Type"] and plan["Actual Loops"]:
        removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
        rows = plan["Actual Rows"] + sum(plan.get(name, 0) for name in removed)
        found.append(Scan(plan["Node Type"], relation, round(rows * plan["Actual Loops"]), round(rows)))
    return found


def plain(text: str) -> str:
    """The text without its comments and line breaks."""
    return " ".join(re.sub(r"--[^\n]*", "", text).split())


def shape_of(text: str | bytes) -> str:
    """The text with every parameter as `?`, however it is written and cast: the same for sender and server.

    >>> shape_of("a = %(a)s AND b = CAST(:b AS int)") == shape_of("a = $1::INTEGER AND b = CAST($2 AS int)")
    True
    """
    text = text.decode() if isinstance(text, bytes) else text
    parameter = r"(?:%\(\w+\)[sbt]|%[sbt]|\$\d+|(?<![:\w]):[a-z]\w*)(?:::[A-Z][A-Z ]*(?:\[\])?)?"
    return re.sub(parameter, "?", plain(text)).replace("%%", "%")


def _sender() -> str:
    """The public method or function of engine.db that waits for the statement at hand, as `module.name`."""
    frame = sys._getframe(1)
    while frame is not None:
        path, name = Path(frame.f_code.co_filename), frame.f_code.co_name
        if path.parent == ROOMS and not name.startswith(("_", "<")):
            return f"{path.stem}.{name}"
        frame = frame.f_back
    return ""
