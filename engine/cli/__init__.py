"""The command line: parse, call, print. `campaign --help` lists what there is.

Thin on purpose: what a command does is done by the engine, and could be asked of it in Python as well. The modules
here load in a blink, because everything behind them is imported only when a command runs.

    app             the commands, gathered
    options         what several commands ask for, and how it is read
    output          results on standard output, everything else on standard error
    command         what becomes of an error
    session         an engine to work with: settings, logs, database
    authoring create campaigns conversations inbox operators work database      the commands, by topic
"""

from __future__ import annotations

import os
import signal
import sys

from engine.collector import relax_collector


def main() -> None:
    """The program `campaign`. SIGTERM ends it as Ctrl-C does, so that an embedded server is left in good order."""
    relax_collector()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # it would read what every installed package says of itself
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        from engine.cli.app import app

        app(prog_name="campaign")
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt(*_: object) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so it is for what a shell runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
