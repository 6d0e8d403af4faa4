"""`campaign demo`: the real engine, with a simulated clock and simulated people, in a database of its own.

    run         the server, the database, two campaigns, and what came of them
    world       the days going by
    people      who answers what, and when; the same for the same seed
    view        the funnel while it runs
    report      figures at the end, and how to go on from there

Nothing of the engine is imitated here; what is simulated are time and people.
"""

from __future__ import annotations

from pathlib import Path

from engine.settings import Settings


def run_demo(
    settings: Settings, *, recipients: Path | None = None, days: int = 60, seed: int = 1, as_json: bool = False
) -> int:
    """Run the demo and print its report; 0, or 1 when the engine broke a promise. Raises CampaignError.

    `recipients` is a CSV file, by default the one in examples/. DATABASE_URL is left alone.
    """
    from engine.demo.report import print_report
    from engine.demo.run import run

    report = run(settings, recipients, days, seed)
    print_report(report, as_json)
    return 1 if report.violations else 0
