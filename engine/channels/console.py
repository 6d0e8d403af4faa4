"""A channel that shows messages on the terminal.

It writes to standard error, since standard output belongs to the result of the command.
"""

from __future__ import annotations

import sys
from textwrap import indent
from typing import TextIO

from engine.channels.protocol import OutgoingMessage

# Texts hold what recipients wrote; control characters could steer the terminal.
_VISIBLE = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


class ConsoleChannel:
    """Writes each message as a few readable lines to `stream`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    async def send(self, message: OutgoingMessage) -> None:
        head = f"{message.at:%Y-%m-%d %H:%M} {message.channel} to {message.to}: {message.message}"
        body = f"Subject: {message.subject}\n\n{message.text}" if message.subject else message.text
        shown = f"{head.translate(_VISIBLE)}\n{indent(body.translate(_VISIBLE), '    ')}"
        (self._stream or sys.stderr).write(f"{shown.rstrip()}\n")

    async def flush(self) -> None:
        (self._stream or sys.stderr).flush()

    async def close(self) -> None:
        """Nothing to let go of: the stream belongs to the process."""
