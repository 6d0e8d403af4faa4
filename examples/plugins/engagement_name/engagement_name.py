"""A name for guards: `engagement == "hot"`, worked out from the fact `score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.core.fact_types import parse_fact_type
from engine.core.plugins import NamePlugin


def read(facts: Mapping[str, Any], captured: Mapping[str, Any]) -> str:
    del captured
    score = facts.get("score") or 0
    return "hot" if score >= 10 else "warm" if score >= 5 else "cold"


PLUGIN = NamePlugin("engagement", parse_fact_type("one of [cold, warm, hot]"), read)
