"""How many texts a second matchers and readers understand, on one core.

    python -m benchmarks.responses [--texts 20000] [--repeats 5] [--json]

Texts have about 60 characters and are all different. Each matcher of `MATCHERS` is asked through `match_response`,
as a program would; then the responses of each shipped campaign type are read as a tick reads them. What is printed
is the median of the repeats, in texts a second, with the slowest and the fastest.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from engine.authoring.files import load_campaign_type
from engine.core.responses import match_response

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TYPES = Path(__file__).parents[1] / "campaign_types"
MATCHERS: dict[str, dict[str, Any]] = {
    "any_word": {"any_word": ["stop", "unsubscribe", "quit"]},
    "all_words": {"all_words": ["call", "me"]},
    "phrase": {"phrase": "call me"},
    "only_phrase": {"only_phrase": "not now"},
    "beginning": {"beginning": "yes"},
    "pattern": {"pattern": r"\b(not|never)\s+accept"},
    "number": {"number": "1..5"},
    "date": {"date_gt": "today"},
    "time": {"time": True},
    "email": {"email": True},
    "phone": {"phone": "GB"},
}
TEXT = (
    "please call me tomorrow about the new contract we signed in March, thanks! Could you not accept 4 seats for "
    "£1,000.50 instead? I would rather write to ann@example.org or phone 020 7946 0958 at 9:30 on 03/04/2026. "
    "Ja, gerne; wir möchten später sprechen. 👍 はい STOP"
)


def texts(count: int) -> list[str]:
    """So many different texts of about 60 characters, the same in every run."""
    random = Random(7)
    spoken, made = TEXT.split(), []
    for number in range(count):
        words = [str(number)]
        while sum(map(len, words)) + len(words) < 58:
            words.append(random.choice(spoken))
        made.append(" ".join(words))
    return made


def per_second(work: Callable[[str], object], given: list[str], repeats: int) -> list[float]:
    """Texts a second in each repeat, in rising order."""
    rates = []
    for _ in range(repeats):
        started = perf_counter()
        for text in given:
            work(text)
        rates.append(len(given) / (perf_counter() - started))
    return sorted(rates)


def measure(count: int, repeats: int) -> dict[str, list[float]]:
    given = texts(count)
    rates = {}
    for name, matcher in MATCHERS.items():
        rates[name] = per_second(lambda text, matcher=matcher: match_response(matcher, text, now=NOW), given, repeats)
    for path in sorted(TYPES.glob("*.yaml")):
        if path.name.count(".") == 1:
            read = load_campaign_type(path).read
            rates[path.name] = per_second(lambda text, read=read: read(text, "en_GB", "UTC", NOW), given, repeats)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description="Texts a second that matchers understand.")
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rates = measure(options.texts, options.repeats)
    if options.json:
        print(json.dumps({"python": platform.python_version(), "texts_per_second": rates}))  # noqa: T201
        return
    for name, found in rates.items():
        print(f"{name:24} {statistics.median(found):>10,.0f}   {found[0]:,.0f} to {found[-1]:,.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
