"""`campaign db`: the database that is in use, its schema, and the embedded server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.command import Command
from engine.cli.options import Json, Now
from engine.cli.output import emit, say, tell

if TYPE_CHECKING:
    from engine.application import Application
    from engine.db.embedded import EmbeddedPostgres

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The database: its schema and where it is.")


@app.command(cls=Command)
def upgrade(as_json: Json = False) -> None:
    """Bring the database to this version's schema."""
    from engine.application import database_url
    from engine.cli.session import read_settings
    from engine.db import migrate

    with database_url(read_settings()) as url:
        before = migrate.current(url)
        migrate.upgrade(url)
    result = {"from": before, "to": migrate.head()}
    emit(result, as_json, lambda it: say(f"The database is at revision {it['to']}; it was at {it['from'] or 'none'}."))


@app.command(cls=Command)
def check(as_json: Json = False) -> None:
    """Tell whether the engine can work on the database: server, schema, rights of the user, buckets.

    Exit code 1 when it cannot.
    """
    import asyncio

    from engine.application import database_url
    from engine.cli.session import read_settings
    from engine.core.errors import RepositoryError
    from engine.db import migrate
    from engine.startup import find_misfits

    with database_url(read_settings()) as url:
        misfits = asyncio.run(find_misfits(url))
        if not misfits:
            migrate.check(url)
    if misfits:
        hints = dict.fromkeys(each.hint for each in misfits)
        raise RepositoryError("\n".join(each.message for each in misfits), hint="\n".join(hints))
    emit({"revision": migrate.head()}, as_json, lambda it: say(f"The database fits, at revision {it['revision']}."))


@app.command(cls=Command)
def maintain(
    keep_days: Annotated[
        int | None,
        typer.Option(min=0, max=36_500, metavar="N", help="In place of KEEP_HISTORY_DAYS; 0 keeps everything."),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0.01, max=3_600, metavar="SECONDS", help="How long others may be kept waiting.")
    ] = 1.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Make partitions of history and outbox ahead of time, and drop old ones that nobody needs.

    Any number of times, at any time, by the owner of the tables.
    """
    from engine.cli.session import with_engine
    from engine.upkeep import Upkeep, as_plain

    async def look_after(application: Application) -> dict[str, Any]:
        upkeep = Upkeep(application.database, application.settings, application.clock)
        return as_plain(await upkeep.maintain(keep_days=keep_days, wait=wait, dry_run=dry_run))

    emit(with_engine(look_after, now) | {"dry_run": dry_run}, as_json, _show_upkeep)


def _show_upkeep(result: dict[str, Any]) -> None:
    """A line for each span, with what became of it, or would."""
    would = "would be " if result["dry_run"] else ""
    for name in ("closed", "made", "dropped", "kept"):
        for span in result[name]:
            why = f": {span['why']}" if "why" in span else ""
            told = name if name == "kept" else would + name
            say(f"{told} {span['from'].date()} to {span['to'].date()}{why}")
    for problem in result["problems"]:
        tell(f"not done: {problem}")
    if not any(result[name] for name in ("closed", "made", "dropped", "kept", "problems")):
        say("Nothing to do.")


@app.command(cls=Command)
def url(as_json: Json = False) -> None:
    """Print the URL of the database in use, as psql takes it."""
    from engine.application import EMBEDDED_DATABASE
    from engine.cli.session import read_settings
    from engine.db.database import parse_url
    from engine.db.embedded import EmbeddedPostgres

    settings = read_settings()
    if settings.database_url:
        used = parse_url(settings.database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    else:
        server = EmbeddedPostgres(settings.campaign_home)
        used = server.url(EMBEDDED_DATABASE)
        if not server.running():
            tell("The embedded server does not run at present. Start it with: campaign db start")
    emit({"url": used}, as_json, lambda it: typer.echo(it["url"]))


@app.command(cls=Command)
def start(as_json: Json = False) -> None:
    """Start the embedded server and keep it up until `campaign db stop`."""
    from engine.application import EMBEDDED_DATABASE, database_url
    from engine.cli.session import read_settings

    server = _server()
    server.start(keep=True)
    with database_url(read_settings()):
        server.stop()
    result = {"url": server.url(EMBEDDED_DATABASE)}
    emit(result, as_json, lambda it: typer.echo(it["url"]))


@app.command(cls=Command)
def stop(as_json: Json = False) -> None:
    """Stop the embedded server.

    While others use it, it stops with the last of them.
    """
    stopped = _server().shutdown()
    told = "The embedded server is stopped." if stopped else "Others use the server; it stops with the last of them."
    emit({"stopped": stopped}, as_json, lambda _: say(told))


def _server() -> EmbeddedPostgres:
    """The embedded server. Raises RefusedError when another database is in use."""
    from engine.cli.session import read_settings
    from engine.core.errors import RefusedError
    from engine.db.embedded import EmbeddedPostgres

    settings = read_settings()
    if settings.database_url:
        raise RefusedError(
            "DATABASE_URL is set, so the embedded server is not in use",
            hint="Start and stop that PostgreSQL with its own tools, or unset DATABASE_URL.",
        )
    return EmbeddedPostgres(settings.campaign_home)
