"""What moves campaigns: tick, work, poll, each alone, and all three together as `run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import Json, Now
from engine.cli.output import emit, progress, say

if TYPE_CHECKING:
    from engine.application import Application
    from engine.poller import PollCounts
    from engine.processes import Mode
    from engine.runner import Runner
    from engine.tick import TickCounts
    from engine.worker import WorkCounts

Once = Annotated[bool, typer.Option("--once", help="One pass over all that is due.")]
Drain = Annotated[bool, typer.Option("--drain", help="Until nothing is due; what --now means, too.")]


def tick(
    once: Once = False,
    drain: Drain = False,
    workers: Annotated[int, typer.Option(min=1, max=64, help="So many processes.")] = 1,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Move the conversations that are due.

    Without --once or --drain it goes on until SIGTERM.
    """
    from engine.cli.session import with_engine

    if once and drain:
        raise typer.BadParameter("expected either --once or --drain, got both")
    mode: Mode = "once" if once else "drain" if drain or now else "keep"

    async def move(application: Application) -> TickCounts:
        from engine.processes import Order, tick_in_processes

        if workers > 1:
            url = application.database.url.render_as_string(hide_password=False)
            return await tick_in_processes(workers, Order(mode, url, application.settings, now))
        if mode == "keep":
            return (await _keep(application, "tick")).ticked
        if mode == "once":
            return await application.tick.run_once()
        with progress("ticking") as heard, _interruptible(application.tick.stop):
            return await application.tick.drain(lambda counts: heard(counts.claimed, None))

    _emit(with_engine(move, now), as_json)


def work(drain: Drain = False, now: Now = None, as_json: Json = False) -> None:
    """Send the messages that are due.

    Without --drain it goes on until SIGTERM.
    """
    from engine.cli.session import with_engine

    async def send(application: Application) -> WorkCounts:
        if drain or now:
            with progress("sending") as heard, _interruptible(application.worker.stop):
                return await application.worker.drain(lambda counts: heard(counts.sent, None))
        return (await _keep(application, "work")).worked

    _emit(with_engine(send, now, rights="worker"), as_json)


def poll(
    once: Annotated[bool, typer.Option("--once", help="One look; what --now means, too.")] = False,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Take in requests, start and end campaigns.

    Without --once it goes on until SIGTERM.
    """
    from engine.cli.session import with_engine

    async def look(application: Application) -> PollCounts:
        if once or now:
            return await application.poller.poll_once()
        return (await _keep(application, "poll")).polled

    _emit(with_engine(look, now), as_json)


def run(
    metrics: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where to serve metrics and health, or off; METRICS_LISTEN otherwise."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Poll, tick and work in one process, until SIGTERM.

    It finishes the batch in hand then; a second SIGTERM ends it at once. Any number of processes may run.
    """
    from engine.cli.session import with_engine
    from engine.settings import address_of

    try:
        if metrics not in (None, "off"):
            address_of(metrics)
    except ValueError as error:
        raise typer.BadParameter(f"--metrics: {error}, got {metrics!r}") from error

    async def serve(application: Application) -> Runner:
        return await _keep(application, listen=metrics or application.settings.metrics_listen)

    runner = with_engine(serve)
    parts = {"poll": runner.polled, "tick": runner.ticked, "work": runner.worked}
    counts = {name: _rounded(each) for name, each in parts.items()}
    emit(counts, as_json, lambda it: say("\n".join(f"{name}: {_line(each)}" for name, each in it.items())))


async def _keep(application: Application, *names: str, listen: str = "off") -> Runner:
    """The runner, once SIGTERM has stopped it."""
    from engine.runner import Runner
    from engine.stopping import stop_on_signals

    runner = Runner(application)
    with stop_on_signals() as stop, _endpoint(runner, listen):
        await runner.run(stop, *names)
    return runner


def _endpoint(runner: Runner, listen: str) -> AbstractContextManager[object]:
    if listen == "off":
        return nullcontext()
    from engine.endpoint import serve

    return serve(runner.health, listen)


@contextmanager
def _interruptible(stop: Callable[[], object]) -> Iterator[None]:
    """SIGTERM and Ctrl-C end what is inside after the batch in hand, as KeyboardInterrupt."""
    from engine.stopping import stop_on_signals

    with stop_on_signals(stop) as stopped:
        yield
        if stopped.is_set():
            raise KeyboardInterrupt


def _emit(counts: Any, as_json: bool) -> None:
    """Print what was counted."""
    emit(_rounded(counts), as_json, lambda result: say(_line(result)))


def _rounded(counts: Any) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(counts).items()}


def _line(counts: dict[str, Any]) -> str:
    return ", ".join(f"{value} {name}" for name, value in counts.items())
