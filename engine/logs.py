"""What the engine says while it works: on standard error, a readable line on a terminal, JSON anywhere else.

Standard output belongs to the result of the command. Log lines hold ids, counts and reasons; never addresses, texts
of messages or SQL. For that last promise a traceback, whose text nobody can vouch for, is shown at DEBUG alone.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_LIBRARIES = ("alembic", "asyncio", "psycopg", "sqlalchemy")


def set_up_logs(level: str = "INFO") -> None:
    """Send log lines of at least `level` to standard error. Call it once, at the start of a program."""
    severity = logging.getLevelNamesMapping()[level]
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper("%H:%M:%S" if terminal else "iso", utc=not terminal),
            structlog.processors.format_exc_info if level == "DEBUG" else _without_traceback,
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        # looked up at each line, since a progress bar puts itself in the place of standard error
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in _LIBRARIES:  # what they log is SQL and parameters
        logging.getLogger(name).setLevel(logging.ERROR)


def _without_traceback(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line.pop("exc_info", None)
    return line
