"""Turns a leased message into the text that leaves, from the campaign type's templates and the conversation's values.

A template sees the facts, the captured response values, `recipient.*` (key, email, phone, timezone, locale),
`campaign.*` (id, name) and `unsubscribe_url`. Everything that makes a message impossible is a `ChannelError`,
as if its channel had refused it, so it touches this message only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.channels.protocol import OutgoingMessage
from engine.core.calendar import zone_of
from engine.core.compiled import CompiledType
from engine.core.errors import ChannelError, DecisionError, UnknownError
from engine.core.templates import Template, TemplateError, compile_template
from engine.db.messages import LeasedMessage

_ADDRESS = {"email": "email", "sms": "phone"}  # any other channel knows recipients by their key


class Types(Protocol):
    """Where campaign types come from, see `engine.registry`."""

    async def get(self, connection: AsyncConnection, name: str, version: int) -> CompiledType: ...


class _Templates(NamedTuple):
    subject: Template | None
    text: Template


class Renderer:
    """Renders with templates that are compiled once per campaign type version and message."""

    def __init__(self, types: Types, unsubscribe_url: str = "") -> None:
        self._types = types
        self._unsubscribe_url = unsubscribe_url
        self._ready: dict[tuple[str, int], CompiledType] = {}
        self._templates: dict[tuple[str, int, str], _Templates] = {}

    async def prepare(self, connection: AsyncConnection, messages: Iterable[LeasedMessage]) -> None:
        """Fetch the campaign types that `messages` need and that are not here yet, as far as they can be had."""
        needed = {(each.campaign_type, each.version) for each in messages if each.version is not None}
        for name, version in needed - self._ready.keys():
            try:
                self._ready[name, version] = await self._types.get(connection, name, version)
            except (DecisionError, UnknownError):
                continue  # `render` says so for each message

    def type_of(self, message: LeasedMessage) -> CompiledType | None:
        """The campaign type that made the message; None when it cannot be had."""
        return self._ready.get((message.campaign_type, message.version or 0))

    def render(self, message: LeasedMessage, at: datetime) -> OutgoingMessage:
        """The message as its channel takes it, leaving at `at`. Raises ChannelError when it cannot be made."""
        to = getattr(message, _ADDRESS.get(message.channel, "recipient_key"))
        if not to:
            raise ChannelError(f"the recipient has no address for {message.channel}", retryable=False)
        templates, values = self._templates_of(message), self._values(message)
        try:
            text = templates.text.render(values)
            subject = templates.subject.render(values) if templates.subject else None
        except TemplateError as error:
            raise _poison(message, error) from error
        key = message.key
        return OutgoingMessage(
            idempotency_key=f"{key.conversation_id}:{key.seq}:{key.ordinal}",
            channel=message.channel,
            to=to,
            subject=None if subject is None else " ".join(subject.split()),  # a line break would end a mail's header
            text=text,
            campaign_id=message.campaign_id,
            conversation_id=key.conversation_id,
            recipient_key=message.recipient_key or "",
            message=message.message,
            at=at,
        )

    def _templates_of(self, message: LeasedMessage) -> _Templates:
        name, version = message.campaign_type, message.version or 0
        found = self._templates.get((name, version, message.message))
        if found is None:
            found = self._compile(name, version, message)
            self._templates[name, version, message.message] = found
        return found

    def _compile(self, name: str, version: int, message: LeasedMessage) -> _Templates:
        compiled = self.type_of(message)
        if compiled is None:
            raise ChannelError(
                f"campaign type {name} version {version} cannot be loaded",
                hint="It may be newer than this worker: update the worker, the message is tried again.",
                retryable=True,
            )
        written = compiled.spec.messages.get(message.message)
        if written is None or written.text is None:
            raise ChannelError(
                f"campaign type {name} version {version} has no text for message {message.message}", retryable=False
            )
        try:
            subject = None if written.subject is None else compile_template(written.subject)
            return _Templates(subject, compile_template(written.text))
        except TemplateError as error:
            raise _poison(message, error) from error

    def _values(self, message: LeasedMessage) -> Mapping[str, Any]:
        context = message.context or {}
        recipient = {
            "key": message.recipient_key,
            "email": message.email,
            "phone": message.phone,
            "timezone": message.timezone,
            "locale": message.locale,
        }
        return {
            **self._facts(message, context.get("facts", {})),
            **context.get("captured", {}),
            "recipient": {name: value for name, value in recipient.items() if value is not None},
            "campaign": {"id": str(message.campaign_id), "name": message.campaign_name},
            "unsubscribe_url": self._unsubscribe_url.replace("{conversation}", str(message.key.conversation_id)),
        }

    def _facts(self, message: LeasedMessage, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        """The facts as messages show them: an instant on the conversation's own clock."""
        compiled, zone = self.type_of(message), message.timezone
        kinds = compiled.spec.facts if compiled is not None and zone else {}
        instants = [name for name, value in facts.items() if value and name in kinds and kinds[name].kind == "datetime"]
        if not instants or zone is None:
            return facts
        return {**facts, **{name: _local(facts[name], zone) for name in instants}}


def _local(instant: str, zone: str) -> str:
    return datetime.fromisoformat(instant).astimezone(zone_of(zone)).isoformat()


def _poison(message: LeasedMessage, error: TemplateError) -> ChannelError:
    return ChannelError(f"template {message.message}, line {error.line}: {error.message}", retryable=False)
