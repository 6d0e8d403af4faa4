"""Which channel name goes where, from CAMPAIGN_CHANNELS.

A target is `console` or `file:PATH`. A name without a target writes to a file of its own on the embedded
server. On any other database its messages wait: nothing is marked sent that did not leave. `smtp`, `sms` and
`webhook` targets belong into `_TARGETS` when they come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.channels.console import ConsoleChannel
from engine.channels.file import FileChannel
from engine.channels.protocol import Channel
from engine.settings import Settings, SettingsError


class Channels:
    """The open channels by name; `fallback`, if there is one, opens every other name on demand."""

    def __init__(self, opened: Mapping[str, Channel], fallback: Callable[[str], Channel] | None = None) -> None:
        self._opened = dict(opened)
        self._fallback = fallback

    @property
    def names(self) -> list[str] | None:
        """The names that have a channel; None when every name has one."""
        return sorted(self._opened) if self._fallback is None else None

    def __getitem__(self, name: str) -> Channel:
        """The channel called `name`. Raises KeyError when it is not open."""
        if name not in self._opened and self._fallback is not None:
            self._opened[name] = self._fallback(name)
        return self._opened[name]

    async def close(self) -> None:
        for channel in self._opened.values():
            await channel.close()


def channels_from(settings: Settings, *, embedded: bool, home: Path) -> Channels:
    """The channels that the settings ask for. Raises SettingsError for a target nobody knows.

    `home` is the folder of the embedded server.
    """
    targets = settings.campaign_channels.items()
    opened = {name.strip(): _channel(name, target.strip()) for name, target in targets}
    if not embedded:
        return Channels(opened)
    return Channels(opened, fallback=lambda name: FileChannel(home / "outbox" / f"{name}.jsonl"))


def _channel(name: str, target: str) -> Channel:
    kind, _, detail = target.partition(":")
    make = _TARGETS.get(kind)
    if not name.strip() or make is None or (kind == "console") == bool(detail):
        raise SettingsError(
            f"CAMPAIGN_CHANNELS: expected NAME=console or NAME=file:PATH, got {f'{name}={target}'!r}",
            hint="For example: CAMPAIGN_CHANNELS=email=console,sms=file:/var/tmp/sms.jsonl",
        )
    return make(detail)


_TARGETS: dict[str, Callable[[str], Channel]] = {
    "console": lambda _: ConsoleChannel(),
    "file": lambda path: FileChannel(Path(path).expanduser()),
}
