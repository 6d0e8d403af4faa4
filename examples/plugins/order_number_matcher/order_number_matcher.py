"""A matcher with a key of its own: `order_number: GB` finds `GB-12345` in a text, however it is spaced."""

from __future__ import annotations

import re

from engine.core.fact_types import parse_fact_type
from engine.core.plugins import MatcherPlugin


def match(country: str, text: str, locale: str) -> str | None:
    del locale
    found = re.search(rf"\b{re.escape(country)}[- ]?([0-9]{{5}})\b", text, re.IGNORECASE)
    return f"{country}-{found[1]}" if found else None


PLUGIN = MatcherPlugin("order_number", "text", parse_fact_type("text"), match)
