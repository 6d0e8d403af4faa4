"""An action: adds to the fact `score`, and tells other systems when it passes a hundred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.fact_types import parse_fact_type
from engine.core.plugins import ActionPlugin, ActionResult


def run(arguments: Mapping[str, Any], facts: Mapping[str, Any], captured: Mapping[str, Any]) -> ActionResult:
    del captured
    before = facts.get("score") or 0
    after = before + arguments["points"]
    return ActionResult({"score": after}, ("hundred_points",) if before < 100 <= after else ())


PLUGIN = ActionPlugin("add_points", {"points": parse_fact_type("int 1..100")}, run)
