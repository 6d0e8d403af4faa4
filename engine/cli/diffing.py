"""`campaign types diff`: what an edit changes in meaning, and what it would do to live conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.create import is_file, split_version
from engine.cli.options import Json, read_pairs
from engine.cli.output import emit, say

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from engine.application import Application
    from engine.core.loader import LoadedType

_Old = Annotated[str, typer.Argument(metavar="OLD", help="A YAML file, or NAME[@VERSION] as registered.")]
_New = Annotated[str, typer.Argument(metavar="NEW", help="Likewise.")]
_Live = Annotated[
    bool | None,
    typer.Option(
        "--live/--no-live",
        help="Count live conversations of OLD's version in the database. Default: only if OLD is a registered one.",
        show_default=False,
    ),
]
_Map = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="A=B", help="Those in stage A of OLD would move to stage B of NEW. Repeatable."),
]


def diff(old: _Old, new: _New, live: _Live = None, map: _Map = None, as_json: Json = False) -> None:
    """Show what changed in meaning from OLD to NEW, whatever the layout of the files.

    Exit code 0, with or without differences; 1 if a type has errors or live conversations would have no place; 2 a
    wrong command line.
    """
    from engine.authoring.diffs.diff import compare
    from engine.authoring.diffs.forecast import forecast
    from engine.authoring.diffs.report import Report

    mapping = read_pairs(map)
    before, after, standing = _read(old, new, not is_file(old) if live is None else live)
    _expect_stages(before, mapping)
    problems = forecast(before, after, standing or {}, mapping)
    report = Report(compare(before, after), standing, mapping, problems)
    emit(report.as_dict(), as_json, lambda _: say(report.render()))
    raise typer.Exit(1 if report.failed else 0)


def _read(old: str, new: str, live: bool) -> tuple[LoadedType, LoadedType, Mapping[str, int] | None]:
    """Both types, and with `live` where the conversations of the old version stand; a database only if needed."""
    from engine.authoring.files import load_spec

    files = {name: load_spec(name) for name in (old, new) if is_file(name)}
    if not live and len(files) == len({old, new}):
        return files[old], files[new], None
    from engine.cli.session import with_engine
    from engine.db.standing import StandingRepository

    async def find(application: Application) -> tuple[LoadedType, LoadedType, Mapping[str, int] | None]:
        async with application.database.transaction() as connection:
            loaded = [files.get(name) or await _registered(application, connection, name) for name in (old, new)]
            spec, standing = loaded[0].spec, StandingRepository(connection)
            found = await standing.count_standing(spec.campaign_type, spec.version) if live else None
        return loaded[0], loaded[1], found

    return with_engine(find)


async def _registered(application: Application, connection: AsyncConnection, type: str) -> LoadedType:
    """A registered version, or the latest, with the places of its parts in the source as registered."""
    from engine.core.loader import LoadedType
    from engine.core.yaml_source import read_yaml
    from engine.db.campaigns import CampaignRepository

    name, version = split_version(type)
    registry = application.registry
    compiled = await (registry.latest(connection, name) if version is None else registry.get(connection, name, version))
    spec = compiled.spec
    row = await CampaignRepository(connection).find_type(spec.campaign_type, spec.version)
    source = row.source if row else ""
    return LoadedType(spec, read_yaml(source, f"{spec.campaign_type}@{spec.version}"), source)


def _expect_stages(old: LoadedType, mapping: Mapping[str, str]) -> None:
    from engine.core.problems import expected_one_of

    for stage in mapping:
        if stage not in old.spec.stages:
            raise typer.BadParameter(f"--map {stage}: no stage of OLD; {expected_one_of(stage, old.spec.stages)}")
