"""`campaign types`: what authors do with campaign types, and how the engine comes to know them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.command import Command
from engine.cli.create import is_file, split_version
from engine.cli.options import Json, Paths
from engine.cli.output import emit, print_json, print_table, say, tell

if TYPE_CHECKING:
    from engine.application import Application
    from engine.core.problems import Problem
    from engine.core.spec import CampaignTypeSpec

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Campaign types: check, test, see, register.")

_TEST = ".test.yaml"


class LintFormat(StrEnum):
    TEXT, JSON, GITHUB, SARIF = "text", "json", "github", "sarif"


class Picture(StrEnum):
    JSON, MERMAID = "json", "mermaid"


@app.command(cls=Command)
def lint(
    paths: Paths,
    format: Annotated[LintFormat, typer.Option(help="What to print.")] = LintFormat.TEXT,
    as_json: Json = False,
) -> None:
    """Check campaign types and the scenario files beside them.

    Exit code 0 means clean or warnings only, 1 errors, 2 a wrong command line.
    """
    from engine.authoring.findings import FORMATS

    files = list(_files(paths))
    problems = sorted({problem for file in files for problem in _problems(file)})
    if text := FORMATS["json" if as_json else format](problems):
        typer.echo(text)
    errors = sum(problem.severity == "error" for problem in problems)
    tell(f"files {len(files)}, errors {errors}, warnings {len(problems) - errors}")
    raise typer.Exit(1 if errors else 0)


@app.command("test", cls=Command)
def run_tests(paths: Paths, as_json: Json = False) -> None:
    """Run the scenarios of campaign types. Exit code 1 when one fails."""
    from engine.authoring.scenarios import run_scenarios

    reports = [run_scenarios(file) for file in _scenarios(paths)]
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        say("\n\n".join(f"{report.file}\n{report.render()}" for report in reports))
    raise typer.Exit(1 if any(report.failed for report in reports) else 0)


@app.command(cls=Command)
def show(
    type: Annotated[str, typer.Argument(metavar="NAME|PATH", help="NAME[@VERSION] as registered, or a YAML file.")],
    format: Annotated[Picture, typer.Option(help="The whole type as data, or a state diagram.")] = Picture.JSON,
    as_json: Json = False,
) -> None:
    """Show a campaign type."""
    from engine.authoring.diagram import mermaid
    from engine.authoring.files import load_spec

    spec = load_spec(type).spec if is_file(type) else _registered(type)
    if format is Picture.MERMAID:
        diagram = mermaid(spec)
        emit({"mermaid": diagram}, as_json, lambda it: say(it["mermaid"]))
    else:
        print_json(spec.as_json())


@app.command(cls=Command)
def register(paths: Paths, as_json: Json = False) -> None:
    """Make campaign types known to the engine. All are registered, or, when one has errors, none."""
    from engine.authoring.files import load_spec
    from engine.cli.session import with_engine
    from engine.registry import register

    loaded = [load_spec(file) for file in _files(paths) if not _is_test(file)]

    async def keep(application: Application) -> list[dict[str, Any]]:
        async with application.database.transaction() as connection:
            kept = [await register(connection, each) for each in loaded]
        return [dict(zip(("name", "version", "created"), each, strict=True)) for each in kept]

    kept = with_engine(keep)
    for problem in (problem for each in loaded for problem in each.warnings):
        tell(str(problem))
    columns = ("name", "version", "new")
    result = kept[0] if len(kept) == 1 else kept
    emit(result, as_json, lambda _: print_table(columns, [list(each.values()) for each in kept]))


@app.command(cls=Command)
def schema(as_json: Json = False) -> None:  # noqa: ARG001 - it is JSON either way
    """Print the JSON Schema of campaign types, for editors."""
    import json

    from engine.core.schema import campaign_type_schema

    typer.echo(json.dumps(campaign_type_schema(), indent=2, ensure_ascii=False))


def _files(paths: list[Path]) -> Iterator[Path]:
    """The files of `paths`, each once; of a folder its YAML files."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.suffix in (".yaml", ".yml")) if path.is_dir() else []
        if path.is_dir() and not inside:
            raise typer.BadParameter(f"the folder {path} has no YAML files")
        found |= dict.fromkeys(inside or [path])
    return iter(found)


def _is_test(path: Path) -> bool:
    return path.name.endswith((_TEST, ".test.yml"))


def _scenarios(paths: list[Path]) -> Iterator[Path]:
    """The scenario files of `paths`: of a folder those in it, of a campaign type the one beside it."""
    from engine.core.errors import RefusedError

    found: dict[Path, None] = {}
    for path in paths:
        files = [path] if path.is_file() else filter(_is_test, _files([path]))
        found |= dict.fromkeys(each if _is_test(each) else each.with_name(f"{each.stem}{_TEST}") for each in files)
    for file in found:
        if not file.is_file():
            raise RefusedError(f"there are no scenarios {file}", hint="Write some there, beside the campaign type.")
    if not found:
        names = " and ".join(str(path) for path in paths)
        raise RefusedError(f"there are no scenarios in {names}", hint=f"Write some in files named NAME{_TEST}.")
    return iter(found)


def _problems(path: Path) -> list[Problem]:
    from engine.authoring.files import check_file
    from engine.authoring.scenarios import run_scenarios
    from engine.core.errors import SpecError

    if not _is_test(path):
        return check_file(path)[1]
    try:
        run_scenarios(path)
    except SpecError as error:
        return list(error.problems)
    return []


def _registered(type: str) -> CampaignTypeSpec:
    """The registered version of this name, or the latest."""
    from engine.cli.session import with_engine

    name, version = split_version(type)

    async def find(application: Application) -> CampaignTypeSpec:
        async with application.database.transaction() as connection:
            if version is None:
                return (await application.registry.latest(connection, name)).spec
            return (await application.registry.get(connection, name, version)).spec

    return with_engine(find)
