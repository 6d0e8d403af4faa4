"""What becomes of an error: one clear message with the next step on standard error, and an exit code.

0 is done, 1 is refused or failed, 2 is a command line that makes no sense, 130 is Ctrl-C. A failed command leaves
standard output empty. A traceback is shown at LOG_LEVEL=DEBUG alone, and only for what nobody foresaw.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand

INTERRUPTED = 130


class Command(TyperCommand):
    """A command that never ends in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        _expect_text(ctx.params)
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.BadParameter, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:  # noqa: BLE001 - this is where every error ends
            typer.echo(explain(error), err=True)
            raise typer.Exit(1) from None


def _expect_text(given: Mapping[str, Any]) -> None:
    """Refuse what the shell passed on in another encoding than UTF-8; no database could keep it."""
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, str) and any("\ud800" <= char <= "\udfff" for char in each):
                raise typer.BadParameter(f"{name} is not text; expected UTF-8")


def explain(error: Exception) -> str:
    """An error as its user reads it."""
    from engine.core.errors import CampaignError, SpecError

    if isinstance(error, SpecError):
        return str(error)
    if isinstance(error, CampaignError):
        return f"error: {error}"
    if os.environ.get("LOG_LEVEL") == "DEBUG":
        return "".join(traceback.format_exception(error)).rstrip()
    return (
        f"internal error: {type(error).__name__}\n"
        "This is a defect of the program, not of your input. LOG_LEVEL=DEBUG shows where it happened."
    )
