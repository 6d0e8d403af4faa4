"""What recipients answer and what happens to them, told by hand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.options import At, Json, MessageId, Now, Recipient
from engine.cli.output import emit, say, tell

_TOLD = {
    "recorded": "recorded; the next tick takes it in",
    "repeated": "ignored: this message id was recorded before",
    "unmatched": "kept as unmatched",
}
_UNMATCHED = "warning: no such conversation; kept as unmatched, and nobody will act on it"
_CAMPAIGN = {"metavar": "ID", "show_default": False}


def reply(
    text: Annotated[str, typer.Argument(help="What the recipient wrote.", show_default=False)],
    campaign: Annotated[str, typer.Option(**_CAMPAIGN, help="The campaign it answers.")],
    recipient: Recipient,
    at: At = None,
    message_id: MessageId = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Record a recipient's answer."""
    from engine.cli.session import with_engine

    receipt = with_engine(
        lambda application: application.manager.record_response(
            campaign, recipient, text, message_id=message_id, received_at=at
        ),
        now,
    )
    _emit(receipt, as_json)


def event(
    name: Annotated[str, typer.Argument(help="The event, such as email_opened.", show_default=False)],
    recipient: Recipient,
    campaign: Annotated[
        str | None, typer.Option(**_CAMPAIGN, help="Default all in which the recipient is active.")
    ] = None,
    at: At = None,
    message_id: MessageId = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Record an event of a recipient."""
    from engine.cli.session import with_engine

    receipt = with_engine(
        lambda application: application.manager.record_event(
            campaign, recipient, name, message_id=message_id, received_at=at
        ),
        now,
    )
    _emit(receipt, as_json)


def _emit(receipt: dict[str, Any], as_json: bool) -> None:
    if receipt["status"] == "unmatched":
        tell(_UNMATCHED)
    emit(receipt, as_json, lambda it: say(" ".join([_TOLD[it["status"]], *it["conversations"]])))
