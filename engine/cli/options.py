"""What several commands ask for, and how it is read. A value that cannot be read is a usage error, exit code 2."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

_YEARS = range(1970, 2200)  # room for every duration on both sides of a time


def read_instant(text: str) -> datetime:
    """An ISO 8601 time as an instant; without an offset it is one in UTC.

    >>> read_instant("2026-03-02T10:00:00+01:00").isoformat()
    '2026-03-02T09:00:00+00:00'
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.year not in _YEARS:
        raise typer.BadParameter(f"{text!r} is not a time; expected one such as 2026-03-02T09:00:00Z")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_pairs(pairs: list[str] | None) -> dict[str, str]:
    """`["product=Loom", "seats=5"]` as a mapping; a value may hold further equals signs."""
    read: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{pair!r} is not a pair; expected NAME=VALUE")
        if name.strip() in read:
            raise typer.BadParameter(f"{name.strip()} is given twice")
        read[name.strip()] = value
    return read


def _anywhere(context: typer.Context, given: bool) -> bool:
    """Whether the flag stands after the command's name or before it."""
    return given or bool(context.find_root().params.get("as_json"))


_CAMPAIGN = "Its id, as `campaign list` shows it."

Json = Annotated[bool, typer.Option("--json", help="Print the result, and nothing else, as JSON.", callback=_anywhere)]
Now = Annotated[
    datetime | None,
    typer.Option(parser=read_instant, metavar="TIME", help="Stop the clock at this time; for tests and drills."),
]
Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", exists=True, help="Files, or folders of them.")]
CampaignId = Annotated[str, typer.Argument(metavar="CAMPAIGN", help=_CAMPAIGN, show_default=False)]
InCampaign = Annotated[str, typer.Option("--campaign", metavar="ID", help=_CAMPAIGN, show_default=False)]
Recipient = Annotated[str, typer.Option("--recipient", metavar="KEY", help="The key of the recipient's row.")]
At = Annotated[
    datetime | None, typer.Option(parser=read_instant, metavar="TIME", help="When it was received; default now.")
]
MessageId = Annotated[
    str | None, typer.Option("--message-id", metavar="M", help="The provider's id; one seen before is ignored.")
]
