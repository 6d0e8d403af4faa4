"""The commands, gathered in the order in which people meet them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from engine.cli import authoring, campaigns, conversations, create, database, inbox, operators, work
from engine.cli.command import Command
from engine.cli.options import Json

# Without rich, which would double the time that --help takes.
app = typer.Typer(
    name="campaign",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Outreach conversations written as YAML state machines, moved exactly once per step on PostgreSQL.",
    epilog="Without DATABASE_URL everything happens on an embedded PostgreSQL, which starts by itself.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("campaign-engine"))
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print it.")]


@app.callback()
def root(as_json: Json = False, version: Version = False) -> None:  # the commands look here for --json
    """Every command takes --json, before or after its name."""


@app.command(cls=Command)
def demo(
    recipients: Annotated[Path | None, typer.Option(help="A CSV file; default examples/recipients.csv.")] = None,
    days: Annotated[int, typer.Option(min=1, max=1000, help="Simulated days.")] = 60,
    seed: Annotated[int, typer.Option(help="What the simulated people do follows from it.")] = 1,
    as_json: Json = False,
) -> None:
    """Watch the real engine at work, in simulated time.

    It runs on a database of its own on the embedded server, with simulated people, and reports at the end.
    """
    from engine.cli.session import read_settings
    from engine.demo import run_demo

    raise typer.Exit(run_demo(read_settings(), recipients=recipients, days=days, seed=seed, as_json=as_json))


COMMANDS: dict[str, Callable[..., None]] = {
    "create": create.create,
    "enrol": create.enrol,
    "list": campaigns.list_campaigns,
    "show": campaigns.show,
    "pause": campaigns.pause,
    "resume": campaigns.resume,
    "cancel": campaigns.cancel,
    "metrics": campaigns.metrics,
    "conversations": conversations.conversations,
    "explain": conversations.explain,
    "retry": operators.retry,
    "move": operators.move,
    "reply": inbox.reply,
    "event": inbox.event,
    "tick": work.tick,
    "work": work.work,
    "poll": work.poll,
    "run": work.run,
    "doctor": operators.doctor,
}
app.add_typer(authoring.app, name="types")
for name, function in COMMANDS.items():
    app.command(name, cls=Command)(function)
app.add_typer(database.app, name="db")
