"""Tells systemd how this process fares, when it asked to be told: the protocol of sd_notify(3), a datagram a message.

Without NOTIFY_SOCKET nothing happens. What cannot be delivered is not worth an error: systemd draws its own conclusion.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Systemd:
    """The service manager of this process, as its `environment` names it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = int(microseconds) / 1e6 if meant and path and microseconds.isdecimal() else None

    def tell(self, *lines: str) -> None:
        """Say, for example, `READY=1` and `STATUS=at work`."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.setblocking(False)
            datagrams.sendto("\n".join(lines).encode(), self._address)
