"""`campaign types simulate`: what would come of a campaign type, tried on simulated people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import Json
from engine.cli.output import expect_writable, print_json, print_table, progress, say, tell, write_text

if TYPE_CHECKING:
    from engine.authoring.simulation.figures import Simulation
    from engine.authoring.simulation.people import People
    from engine.core.spec import CampaignTypeSpec

_MOST = 1_000_000


def simulate(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A campaign type's YAML file.")],
    recipients: Annotated[int, typer.Option(min=1, max=_MOST, metavar="N", help="How many people.")] = 1_000,
    seed: Annotated[int, typer.Option(metavar="S", help="All chance follows from it.")] = 1,
    people: Annotated[
        Path | None, typer.Option(metavar="FILE.sim.yaml", help="Who they are. Default: NAME.sim.yaml beside PATH.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a report with charts, too.")] = None,
    as_json: Json = False,
) -> None:
    """Try a campaign type on simulated people, with no database and no waiting.

    The same file, people, number and seed give the same figures and the same report. What other campaigns send is
    not simulated, and every message leaves in time.
    """
    from time import perf_counter

    from engine.authoring.files import load_spec
    from engine.authoring.simulation.simulate import simulate
    from engine.core.machine import compile_campaign_type

    spec = load_spec(path).spec
    crowd = _people(people, path, spec)
    if report is not None:
        expect_writable(report)
    began = perf_counter()
    with progress("recipients") as show:
        result = simulate(compile_campaign_type(spec), crowd, recipients, seed, lambda done: show(done, recipients))
    if report is not None:
        from engine.authoring.simulation.report import as_html

        write_text(report, as_html(result, crowd))
    if as_json:
        print_json(result.as_dict())
    else:
        _show(result)
    tell(f"{recipients:,} recipients in {perf_counter() - began:.1f} s" + (f", report in {report}" if report else ""))


def _people(file: Path | None, campaign_type: Path, spec: CampaignTypeSpec) -> People:
    """The people of a file, of the one beside the campaign type, or else people by default."""
    from engine.authoring.simulation.people import People
    from engine.authoring.simulation.people_file import load_people, people_file_beside
    from engine.authoring.simulation.people_spec import PeopleSpec

    file = file or people_file_beside(campaign_type)
    return load_people(file, spec) if file is not None else People(PeopleSpec(), spec, "by default")


def _show(it: Simulation) -> None:
    from engine.authoring.simulation.charts import sparkline
    from engine.authoring.simulation.figures import span_text

    say(f"{it.campaign_type} version {it.version}: {it.recipients:,} recipients, seed {it.seed}, people {it.people}")
    say(f"{it.first:%Y-%m-%d} to {it.last:%Y-%m-%d}: {it.sent:,} messages; {it.answering:,} people answered")
    say("")
    columns = ("stage", "reached", "share", "still there", "messages", "answers", "median stay", "9 of 10 within")
    print_table(columns, _stage_rows(it))
    say("")
    exits = [(each.name, each.outcome, f"{each.count:,}", f"{it.share(each.count):.1%}") for each in it.exits]
    rest = [(name, "-", f"{number:,}", f"{it.share(number):.1%}") for name, number in _without_end(it) if number]
    print_table(("exit", "outcome", "recipients", "share"), exits + rest)
    say("")
    for message in it.failures:
        say(f"failed: {message}")
    if it.days:
        most, number = max(it.days.items(), key=lambda each: (each[1], -each[0].toordinal()))
        say(f"messages per day        {sparkline(_every_day(it))}  most on {most}: {number:,}")
    if it.busiest is not None:
        utc, local = (max(range(24), key=lambda hour: of[hour]) for of in (it.hours, it.local_hours))
        say(f"busiest hour            {it.busiest[0]:%Y-%m-%d %H:00} UTC: {it.busiest[1]:,} messages")
        say(f"busiest time of day     {utc:02}:00 in UTC, {local:02}:00 by the recipients' clocks")
    for name, wait in (("windows", it.windows), ("limits", it.limits)):
        late = f", {span_text(wait.average)} on average" if wait.count else ""
        say(f"{f'held back by {name}':22}  {wait.count:,} messages{late}")
    say(f"cancelled unsent        {it.cancelled:,} messages")
    say(f"messages per recipient  {it.sent / it.recipients:.2f} on average, at most {max(it.per_recipient)}")
    took = it.duration
    say(f"conversations took      {span_text(took.median)} (median), {span_text(took.p90)} (9 of 10), "
        f"{span_text(took.longest)} (longest)")  # fmt: skip
    for note in it.notes:
        tell(f"note: {note}")


def _stage_rows(it: Simulation) -> list[tuple[str, ...]]:
    from engine.authoring.simulation.figures import span_text

    return [
        (
            each.name, f"{each.reached:,}", f"{it.share(each.reached):.1%}", f"{each.entered - each.left:,}",
            f"{each.messages:,}", f"{each.answers:,}", span_text(each.stay.median), span_text(each.stay.p90),
        )
        for each in it.stages
    ]  # fmt: skip


def _without_end(it: Simulation) -> tuple[tuple[str, int], ...]:
    return (("under way", it.under_way), ("failed", it.failed))


def _every_day(it: Simulation) -> list[int]:
    """The messages of each day from the first to the last, days without any too."""
    from datetime import timedelta

    first, last = min(it.days), max(it.days)
    return [it.days.get(first + timedelta(days=step), 0) for step in range((last - first).days + 1)]
