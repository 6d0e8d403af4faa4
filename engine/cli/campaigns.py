"""Campaigns as a whole: see them, hold them, end them, count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from engine.cli.options import CampaignId, Json, Now
from engine.cli.output import emit, print_fields, print_table, say

if TYPE_CHECKING:
    from engine.application import Application

_COLUMNS = ("id", "name", "campaign_type", "version", "status", "priority", "starts_at", "ends_at")


def list_campaigns(as_json: Json = False) -> None:
    """List the campaigns, the newest first."""
    from engine.cli.session import with_engine

    def show(campaigns: list[dict[str, Any]]) -> None:
        if not campaigns:
            say("No campaigns yet. Make one with: campaign create")
            return
        print_table(_COLUMNS, [[each[name] for name in _COLUMNS] for each in campaigns])

    emit(with_engine(lambda application: application.manager.list_campaigns()), as_json, show)


def show(campaign: CampaignId, as_json: Json = False) -> None:
    """Show one campaign."""
    from engine.cli.session import with_engine

    emit(with_engine(lambda application: application.manager.get_campaign(campaign)), as_json, print_fields)


def pause(campaign: CampaignId, now: Now = None, as_json: Json = False) -> None:
    """Hold a campaign; only opt-outs go on working."""
    from engine.cli.session import with_engine

    async def hold(application: Application) -> dict[str, Any]:
        await application.manager.pause_campaign(campaign)
        return await _outcome(application, campaign)

    emit(with_engine(hold, now), as_json, print_fields)


def resume(campaign: CampaignId, now: Now = None, as_json: Json = False) -> None:
    """Let a paused campaign go on."""
    from engine.cli.session import with_engine

    async def go_on(application: Application) -> dict[str, Any]:
        woken = await application.manager.resume_campaign(campaign)
        return await _outcome(application, campaign) | {"woken": woken}

    emit(with_engine(go_on, now), as_json, print_fields)


def cancel(campaign: CampaignId, now: Now = None, as_json: Json = False) -> None:
    """End a campaign; whoever is left is stopped."""
    from engine.cli.session import with_engine

    async def end(application: Application) -> dict[str, Any]:
        await application.manager.cancel_campaign(campaign)
        stopped = await application.tick.end_campaign(UUID(campaign), "cancelled")
        return await _outcome(application, campaign) | {"stopped": stopped}

    emit(with_engine(end, now), as_json, print_fields)


def metrics(campaign: CampaignId, as_json: Json = False) -> None:
    """Show a campaign's exact figures."""
    from engine.cli.session import with_engine

    figures = with_engine(lambda application: application.manager.get_campaign_metrics(campaign))
    emit(figures, as_json, _show_metrics)


async def _outcome(application: Application, campaign: str) -> dict[str, Any]:
    found = await application.manager.get_campaign(campaign)
    return {name: found[name] for name in ("id", "name", "status")}


def _show_metrics(figures: dict[str, Any]) -> None:
    stages = figures["stages"]
    whole = {name: value for name, value in figures.items() if name != "stages"}
    print_fields(whole | {"response_rate": _percent(figures["response_rate"])})
    if not stages:
        return
    say("")
    print_table(
        ("stage", "entered", "completed", "current", "completion", "average time", "sent", "received", "responded"),
        [
            (
                stage,
                it["entered"],
                it["completed"],
                it["current"],
                _percent(it["completion_rate"]),
                _span(it["average_seconds"]),
                it["messages_sent"],
                it["messages_received"],
                _percent(it["response_rate"]),
            )
            for stage, it in stages.items()
        ],
    )


def _percent(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:.1%}"


def _span(seconds: float | None) -> str | None:
    """A span in its two largest units.

    >>> _span(93_600), _span(42.5)
    ('1 d 2 h', '42 s')
    """
    if seconds is None:
        return None
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{value} {unit}" for value, unit in zip((days, hours, minutes, rest), "dhms", strict=True) if value]
    return " ".join(parts[:2]) or "0 s"
