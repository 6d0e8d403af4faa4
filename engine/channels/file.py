"""A channel that appends messages to a file, one JSON object a line.

`send` keeps the line back; `flush` writes all kept lines and returns when they are on the disk. The file is
locked while it is written to, so the lines of several workers never mix, and a write that fails half-way is
taken back. It is opened anew each time, so it may be moved away while workers run.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import orjson

from engine.channels.protocol import OutgoingMessage
from engine.core.errors import ChannelError


class FileChannel:
    """Appends to `path`; its folder is made when it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: list[bytes] = []

    async def send(self, message: OutgoingMessage) -> None:
        line = {
            "idempotency_key": message.idempotency_key,
            "channel": message.channel,
            "to": message.to,
            "subject": message.subject,
            "text": message.text,
            "sent_at": message.at,
            "message": message.message,
            "recipient_key": message.recipient_key,
            "campaign_id": message.campaign_id,
            "conversation_id": message.conversation_id,
        }
        self._kept.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    async def flush(self) -> None:
        kept, self._kept = b"".join(self._kept), []
        if not kept:
            return
        try:
            await asyncio.to_thread(_append, self.path, kept)
        except OSError as error:
            raise ChannelError(
                f"cannot write to {self.path}: {error.strerror}",
                hint="Make the file writable or correct CAMPAIGN_CHANNELS; its messages are tried again.",
                retryable=True,
            ) from error

    async def close(self) -> None:
        """Nothing stays open between flushes."""


def _append(path: Path, data: bytes) -> None:
    """All of `data` at the end of `path` and on the disk, or nothing of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)
