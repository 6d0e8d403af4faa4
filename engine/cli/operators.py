"""What operators do by hand: see what is wrong, let parked conversations go on, move one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import Json, Now
from engine.cli.output import emit, print_fields, say

if TYPE_CHECKING:
    from engine.application import Application
    from engine.doctor import Report

_CONVERSATION = "Its id, as `campaign conversations` shows it."
_SHOWN = ("id", "recipient", "stage", "status", "due_at", "seq", "last_error")


def retry(
    conversation: Annotated[str | None, typer.Argument(help=_CONVERSATION, show_default=False)] = None,
    campaign: Annotated[
        str | None, typer.Option(metavar="ID", help="All of this campaign instead.", show_default=False)
    ] = None,
    error: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the campaign, only those whose last error holds this text.")
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Let conversations go on that are parked as failed.

    Remove the cause first: `campaign doctor` tells it.
    """
    from engine.cli.session import with_engine

    if (conversation is None) == (campaign is None):
        raise typer.BadParameter("expected either a CONVERSATION or --campaign ID")
    if error is not None and campaign is None:
        raise typer.BadParameter("--error goes with --campaign ID")

    async def revive(application: Application) -> dict[str, Any]:
        if conversation is not None:
            return _shown(await application.manager.retry_conversation(conversation))
        assert campaign is not None
        return {"campaign": campaign, "retried": await application.manager.retry_campaign(campaign, error)}

    emit(with_engine(revive, now), as_json, print_fields)


def move(
    conversation: Annotated[str, typer.Argument(help=_CONVERSATION, show_default=False)],
    stage: Annotated[str, typer.Argument(help="The stage or exit it is to enter.", show_default=False)],
    reason: Annotated[
        str, typer.Option(metavar="R", help="Why, for those who come after; names nobody.", show_default=False)
    ],
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Move a conversation to another stage, or to an exit, at once.

    It enters as by any edge: what the stage sends is sent, and its timers begin anew. Into a `stopped` exit it opts the
    recipient out.
    """
    from engine.cli.session import with_engine

    async def carry(application: Application) -> dict[str, Any]:
        return _shown(await application.manager.move_conversation(conversation, stage, reason))

    emit(with_engine(carry, now), as_json, print_fields)


def _shown(conversation: dict[str, Any]) -> dict[str, Any]:
    return {name: conversation[name] for name in _SHOWN}


def doctor(as_json: Json = False) -> None:
    """Tell what is wrong with the running system, and what to do next.

    Exit code 0 when nothing needs a person, 1 when something does.
    """
    from engine.cli.session import with_engine
    from engine.doctor import Doctor

    async def examine(application: Application) -> Report:
        return await Doctor(application.database, application.clock).examine()

    report = with_engine(examine, rights=None)
    emit(report.as_dict(), as_json, lambda _: _show(report))
    raise typer.Exit(0 if report.healthy else 1)


def _show(report: Report) -> None:
    for each in report.findings:
        say(f"{each.severity:5}  {each.where}: {each.message}" if each.where else f"{each.severity:5}  {each.message}")
        if each.advice:
            say(f"       {each.advice}")
    needing = sum(each.severity == "wrong" for each in report.findings)
    say(f"Findings that need a person: {needing}." if needing else "Nothing needs a person.")
