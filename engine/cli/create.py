"""`create` and `enrol`: a campaign is made, and its recipients come into it.

Making and enrolling are two steps, and the campaign is a draft until the second is done, so that nobody moves before
everybody is in. When enrolling fails the draft is there, and the message says how to go on; enrolling again adds nobody
twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import CampaignId, Json, Now, read_instant, read_pairs
from engine.cli.output import emit, progress, say, tell

if TYPE_CHECKING:
    from engine.application import Application
    from engine.campaigns import NewCampaign
    from engine.enrolment import Enrolment, EnrolmentReport

Rejects = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where rejected rows go; default beside the recipients' file.")
]
_SCHEDULE = {"parser": read_instant, "metavar": "TIME"}


def create(
    name: Annotated[str, typer.Option(help="What people call the campaign.")],
    type: Annotated[str, typer.Option(metavar="T[@VERSION]", help="A registered type, or a YAML file to register.")],
    recipients: Annotated[Path, typer.Option(metavar="FILE", help="A CSV file with a key column.")],
    context: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A fact for all recipients.")] = None,
    starts_at: Annotated[datetime | None, typer.Option(**_SCHEDULE, help="When it starts; default now.")] = None,
    ends_at: Annotated[datetime | None, typer.Option(**_SCHEDULE, help="When whoever is left is stopped.")] = None,
    priority: Annotated[str, typer.Option(metavar="high|normal|low", help="Who goes first.")] = "normal",
    timezone: Annotated[str | None, typer.Option(metavar="ZONE", help="Of recipients without one.")] = None,
    rejects: Rejects = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make a campaign and enrol its recipients.

    Each call makes a new campaign. To enrol more people, or the same file once more, use `campaign enrol`: nobody
    is enrolled twice.
    """
    facts, file = read_pairs(context), Path(type) if is_file(type) else None
    type, version = (type, None) if file else split_version(type)

    async def make(application: Application) -> dict[str, Any]:
        from engine.audience import open_csv
        from engine.campaigns import NewCampaign

        with open_csv(recipients):  # a file that is none makes no campaign
            pass
        audience = {"file": str(recipients.resolve())}
        wanted = NewCampaign(name, type, version, facts, starts_at, ends_at, priority, timezone, audience, draft=True)
        id = await _make(application, wanted, file)
        result = await _enrol(application, id, lambda enrolment: enrolment.enrol_file(id, recipients, rejects))
        await application.manager.resume_campaign(id)
        return result

    emit(_run(make, now), as_json, _show)


def enrol(
    campaign: CampaignId,
    recipients: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A CSV file; default the one it was created with.")
    ] = None,
    rejects: Rejects = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Enrol recipients into a campaign. Doing it again adds nobody twice."""

    async def enter(application: Application) -> dict[str, Any]:
        id = (await application.manager.get_campaign(campaign))["id"]
        if recipients is None:
            return await _enrol(application, id, lambda enrolment: enrolment.enrol_campaign(id))
        return await _enrol(application, id, lambda enrolment: enrolment.enrol_file(id, recipients, rejects))

    emit(_run(enter, now), as_json, _show)


def _run(work: Callable[[Application], Awaitable[dict[str, Any]]], now: datetime | None) -> dict[str, Any]:
    from engine.cli.session import with_engine

    return with_engine(work, now)


async def _make(application: Application, wanted: NewCampaign, file: Path | None) -> str:
    """The id of the new campaign. The type in `file`, if there is one, is registered in the same transaction."""
    from engine.authoring.files import load_spec
    from engine.campaigns import create_campaign
    from engine.registry import register

    loaded = load_spec(file) if file else None
    for warning in loaded.warnings if loaded else ():
        tell(str(warning))
    async with application.database.transaction() as connection:
        if loaded is not None:
            type, version, _ = await register(connection, loaded)
            wanted = replace(wanted, type=type, version=version)
        return str(await create_campaign(connection, application.clock, application.registry, wanted))


async def _enrol(
    application: Application, id: str, enrol: Callable[[Enrolment], Awaitable[EnrolmentReport]]
) -> dict[str, Any]:
    from engine.core.errors import CampaignError, RefusedError
    from engine.enrolment import Enrolment

    try:
        with progress("enrolling") as heard:
            enrolment = Enrolment(application.database, application.clock, application.registry, heard)
            report = await enrol(enrolment)
    except CampaignError as error:
        raise CampaignError(error.message, hint=f"{error.hint}\n{_how_to_go_on(id)}".lstrip()) from error
    for warning in report.warnings:
        tell(f"warning: {warning}")
    for line, reason in report.problems:
        tell(f"line {line}: {reason}")
    if more := report.rejected - len(report.problems):
        tell(f"and {more} more")
    if not report.enrolled + report.already:
        raise RefusedError(f"nobody was enrolled, {report.rejected} rows were rejected", hint=_how_to_go_on(id))
    return {
        "id": id,
        "enrolled": report.enrolled,
        "already": report.already,
        "rejected": report.rejected,
        "rejects_file": report.rejects_file,
        "warnings": report.warnings,
    }


def _how_to_go_on(id: str) -> str:
    return (
        f"Campaign {id} is there; go on with: campaign enrol {id} --recipients FILE\n"
        f"If it is a draft, start it then with: campaign resume {id}"
    )


def _show(result: dict[str, Any]) -> None:
    say(f"campaign {result['id']}")
    say(f"{result['enrolled']} enrolled, {result['already']} there already, {result['rejected']} rejected")
    if result["rejects_file"]:
        say(f"The rejected rows are in {result['rejects_file']}; correct them and enrol that file.")


def is_file(type: str) -> bool:
    """Whether a campaign type is given by its file rather than by its name."""
    return type.endswith((".yaml", ".yml")) or "/" in type


def split_version(type: str) -> tuple[str, int | None]:
    """`nurture@3` as a name and a version; without one, or without @, the version is open.

    >>> split_version("nurture@3"), split_version("nurture")
    (('nurture', 3), ('nurture', None))
    """
    name, at, version = type.partition("@")
    if not at:
        return name, None
    if not (version.isascii() and version.isdigit() and 0 < len(version) < 10):
        raise typer.BadParameter(f"{type!r} has no version; expected NAME or NAME@NUMBER")
    return name, int(version)
