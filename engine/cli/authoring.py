"""`campaign types`: what authors do with campaign types, and how the engine comes to know them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.command import Command
from engine.cli.create import is_file, split_version
from engine.cli.diffing import diff
from engine.cli.options import Json, Paths
from engine.cli.output import emit, print_json, print_table, say, tell, write_text
from engine.cli.simulation import simulate

if TYPE_CHECKING:
    from engine.application import Application
    from engine.core.spec import CampaignTypeSpec

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Campaign types: check, test, see, register.")

_TEST = ".test.yaml"
_MOST_PROOFS = 20


class LintFormat(StrEnum):
    TEXT, JSON, GITHUB, SARIF = "text", "json", "github", "sarif"


class Picture(StrEnum):
    JSON, SVG, MERMAID = "json", "svg", "mermaid"


@app.command(cls=Command)
def lint(
    paths: Paths,
    format: Annotated[LintFormat, typer.Option(help="What to print.")] = LintFormat.TEXT,
    watching: Annotated[bool, typer.Option("--watch", help="Check again whenever a file changes.")] = False,
    as_json: Json = False,
) -> None:
    """Check campaign types and the scenario files beside them.

    Exit code 0 means clean or warnings only, 1 errors, 2 a wrong command line; with --watch it is 0 at the end.
    """
    if watching:
        from engine.cli.watching import watch

        watch(lambda: _files(paths), lambda: lint(paths, format, False, as_json))
    from engine.authoring.findings import FORMATS
    from engine.authoring.linting import lint_file

    files = list(_files(paths))
    linted = {file: lint_file(file) for file in files}
    problems = sorted({problem for found in linted.values() for problem in found.problems})
    if text := FORMATS["json" if as_json else format](problems):
        say(text)
    if format is LintFormat.TEXT and not as_json:
        _say_proofs({file: found.spec for file, found in linted.items() if found.spec is not None})
    errors = sum(problem.severity == "error" for problem in problems)
    tell(f"files {len(files)}, errors {errors}, warnings {len(problems) - errors}")
    raise typer.Exit(1 if errors else 0)


@app.command("test", cls=Command)
def run_tests(
    paths: Paths,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML, too.")] = None,
    as_json: Json = False,
) -> None:
    """Run the scenarios of campaign types. Exit code 1 when one fails."""
    from engine.authoring.scenarios.junit import as_junit
    from engine.authoring.scenarios.run import run_scenarios

    reports = [run_scenarios(file) for file in _scenarios(paths)]
    if junit is not None:
        write_text(junit, as_junit(reports))
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        say("\n\n".join(f"{report.file}\n{report.render()}" for report in reports))
    raise typer.Exit(1 if any(report.failed for report in reports) else 0)


@app.command(cls=Command)
def paths(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A campaign type.")],
    write: Annotated[bool, typer.Option("--write", help="Add those that are missing to NAME.test.yaml.")] = False,
    as_json: Json = False,
) -> None:
    """List the shortest scenario for every edge and every exit, timers included."""
    from engine.authoring.files import load_campaign_type
    from engine.authoring.paths import routes_of, write_routes

    routes = routes_of(load_campaign_type(path))
    added = write_routes(path, routes) if write else []
    if as_json:
        print_json(routes.as_dict() | ({"added": added} if write else {}))
    elif not write:
        say(routes.render())
    else:
        say("\n".join([f"added  {name}" for name in added] or ["nothing to add"]))
        for goal, reason in routes.missing.items():
            tell(f"not reached: {goal}: {reason}")


@app.command(cls=Command)
def show(
    type: Annotated[str, typer.Argument(metavar="NAME|PATH", help="NAME[@VERSION] as registered, or a YAML file.")],
    format: Annotated[Picture, typer.Option(help="The whole type as data, or a picture.")] = Picture.JSON,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file.")] = None,
    as_json: Json = False,
) -> None:
    """Show a campaign type: as JSON, as an SVG picture, or as a Mermaid diagram."""
    from engine.authoring.files import load_spec

    spec = load_spec(type).spec if is_file(type) else _registered(type)
    text = _picture(spec, format)
    if output is not None:
        write_text(output, f"{text}\n")
        emit({"file": str(output)}, as_json, lambda it: tell(f"written to {it['file']}"))
    elif format is Picture.JSON:
        print_json(_as_data(spec))
    else:
        emit({str(format): text}, as_json, lambda _: say(text))


def _picture(spec: CampaignTypeSpec, format: Picture) -> str:
    """The type in this format, without a line break at the end."""
    import json

    from engine.authoring.pictures.diagram import mermaid
    from engine.authoring.pictures.picture import draw

    if format is Picture.SVG:
        return draw(spec).rstrip("\n")
    return mermaid(spec) if format is Picture.MERMAID else json.dumps(_as_data(spec), indent=2, ensure_ascii=False)


def _as_data(spec: CampaignTypeSpec) -> dict[str, Any]:
    """The type as its author wrote it, with what is proved of it beside."""
    from engine.core.proofs import prove

    return {**spec.as_json(), "proofs": prove(spec).as_dict()}


app.command(cls=Command)(diff)
app.command(cls=Command)(simulate)


@app.command(cls=Command)
def register(paths: Paths, as_json: Json = False) -> None:
    """Make campaign types known to the engine. All are registered, or, when one has errors, none."""
    from engine.authoring.files import load_spec
    from engine.authoring.linting import is_people_file
    from engine.cli.session import with_engine
    from engine.registry import register

    loaded = [load_spec(file) for file in _files(paths) if not (_is_test(file) or is_people_file(file))]

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
def schema(
    scenarios: Annotated[bool, typer.Option("--scenarios", help="That of scenario files.")] = False,
    people: Annotated[bool, typer.Option("--people", help="That of files of simulated people.")] = False,
    as_json: Json = False,  # noqa: ARG001 - it is JSON either way
) -> None:
    """Print the JSON Schema of campaign types, or of the files beside them, for editors."""
    import json

    from engine.authoring.scenarios.scenario_schema import scenarios_schema
    from engine.authoring.simulation.people_schema import people_schema
    from engine.core.schema import campaign_type_schema
    from engine.plugins import use_installed_plugins

    use_installed_plugins()
    wanted = people_schema() if people else scenarios_schema() if scenarios else campaign_type_schema()
    typer.echo(json.dumps(wanted, indent=2, ensure_ascii=False))


def _files(paths: list[Path]) -> Iterator[Path]:
    """The files of `paths`, each once; of a folder its YAML files."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.suffix in (".yaml", ".yml")) if path.is_dir() else []
        if path.is_dir() and not inside:
            raise typer.BadParameter(f"the folder {path} has no YAML files")
        found |= dict.fromkeys(inside or [path])
    return iter(found)


def _say_proofs(specs: dict[Path, CampaignTypeSpec]) -> None:
    """What is proved of each campaign type that has no errors, unless they are too many to be read."""
    from engine.core.proofs import prove

    if len(specs) > _MOST_PROOFS:
        tell(f"proofs are shown for at most {_MOST_PROOFS} campaign types at a time")
        return
    for file, spec in specs.items():
        typer.echo(f"{file}:\n" + "\n".join(f"  {line}" for line in prove(spec).render().splitlines()))


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
