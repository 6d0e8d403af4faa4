"""Outreach conversations written as YAML state machines, moved exactly once per step on PostgreSQL.

The way of the data:

    campaign_types/*.yaml -> loader -> checks -> machine             authoring, pure: engine.core, engine.authoring
                                                   |
    request -> poller -> enrolment -> conversations -> tick: lock due rows -> decide (pure) -> write
                                                   ^                                            |
                        inbox <- channels <- worker <- outbox <----------------------------------
                                                   |
                              history + metric deltas -> reporting.* views -> command line, psql

`engine.core` knows no clock and no database. SQL lives in `engine.db`, which never commits: transactions are opened
by the parts above it, `tick`, `worker`, `inbox`, `enrolment`, `poller` and the `manager` in front of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.authoring.files import load_campaign_type
    from engine.core.decide import decide
    from engine.core.errors import SpecError
    from engine.core.responses import match_response
    from engine.manager import CampaignManager

__all__ = ["CampaignManager", "SpecError", "decide", "load_campaign_type", "match_response"]

_HOMES = {
    "CampaignManager": "engine.manager",
    "SpecError": "engine.core.errors",
    "decide": "engine.core.decide",
    "load_campaign_type": "engine.authoring.files",
    "match_response": "engine.core.responses",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for: `campaign --help` needs none of what lies behind them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
