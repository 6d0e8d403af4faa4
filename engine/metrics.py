"""A campaign's exact figures as one mapping, from the counters the ticks keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from engine.db.campaigns import CampaignRow
from engine.db.metrics import Total


def summarize(campaign: CampaignRow, totals: Iterable[Total]) -> dict[str, Any]:
    """The metrics of a campaign: totals, then each stage in the order it was first listed.

    Rates are fractions of one, or None when there is nothing to divide by. `response_rate` is the share of begun
    conversations that responded at least once; a stage's is the share of its visits.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    durations: Counter[str] = Counter()
    exits: set[str] = set()
    stages: dict[str, None] = {}
    outcomes: Counter[str] = Counter()
    for total in totals:
        counts[total.metric,] += total.count
        if total.metric == "entered":
            counts["begun",] += total.count if not total.stage else 0
            counts["into", total.target] += total.count
            counts["from", total.stage] += total.count
            durations[total.stage] += total.duration_us
            stages[total.target] = None
        elif total.metric == "finished":
            outcomes[total.label] += total.count
            counts["ended", total.stage] += total.count if not total.target else 0
            exits.add(total.target)
        elif total.metric in ("responded", "received", "sent"):
            counts[total.metric, total.stage] += total.count
    finished = counts["finished",]
    return {
        "campaign_id": str(campaign.id),
        "name": campaign.name,
        "campaign_type": campaign.campaign_type,
        "version": campaign.version,
        "status": campaign.status,
        "total_conversations": counts["enrolled",],
        "active": counts["enrolled",] - finished,
        "completed": outcomes["won"] + outcomes["lost"] + outcomes["completed"],
        "stopped": outcomes["stopped"],
        "failed": outcomes["failed"],
        "outcomes": dict(sorted(outcomes.items())),
        "messages_sent": counts["sent",],
        "messages_failed": counts["failed",],
        "messages_cancelled": counts["cancelled",],
        "messages_received": counts["received",],
        "response_rate": _rate(counts["engaged",], counts["begun",]),
        "stages": {stage: _stage(stage, counts, durations) for stage in stages if stage not in exits},
    }


def _stage(stage: str, counts: Counter[tuple[str, ...]], durations: Counter[str]) -> dict[str, Any]:
    entered, completed = counts["into", stage], counts["from", stage]
    return {
        "entered": entered,
        "completed": completed,
        "current": entered - completed - counts["ended", stage],
        "completion_rate": _rate(completed, entered),
        "average_seconds": round(durations[stage] / completed / 1e6, 3) if completed else None,
        "messages_sent": counts["sent", stage],
        "messages_received": counts["received", stage],
        "response_rate": _rate(counts["responded", stage], entered),
    }


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
