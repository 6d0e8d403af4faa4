"""How many conversations the pure core decides a second, on one core, with no database.

    python -m benchmarks.decide [--conversations 20000] [--repeats 5] [--json]

Each case evaluates different conversations of the shipped types, all at the place where the case begins:

  begin      the start stage is entered, its messages are planned
  timer      a stage's time is up and the next is entered
  follow-up  a reminder is due
  response   a reply is read by every matcher of the type, and takes the conversation on; no text comes twice
  mixed      all four in turn, as in a campaign under way
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import UUID

from benchmarks.server import machine
from engine.authoring.files import load_campaign_type
from engine.collector import relax_collector
from engine.core.compiled import CompiledType
from engine.core.decide import decide
from engine.core.model import Conversation, Event, new_conversation

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TYPES = Path(__file__).parents[1] / "campaign_types"
FACTS = {"first_name": "Ann", "company_name": "Acme", "ticket_id": "T-1", "ticket_subject": "Two charges"}
REPLIES = ("Yes, thank you, it works now", "No, it is still broken", "later please", "Stop", "4 out of 5")
Work = tuple[CompiledType, Conversation, list[Event], datetime]


def cases(count: int) -> dict[str, list[Work]]:
    """What is to be decided in each case: `count` conversations that no two share anything of."""
    sales = load_campaign_type(TYPES / "b2b_nurture.yaml")
    support = load_campaign_type(TYPES / "support_followup.yaml")
    new = [new_conversation(UUID(int=number), START, facts={**FACTS, "n": number}) for number in range(count)]
    begun = [decide(sales, each, [], START).conversation for each in new]
    asked = [decide(support, each, [], START).conversation for each in new]
    later = START + timedelta(days=4)
    sent = [Event("sent", START + timedelta(hours=24), message=each.awaits) for each in asked]
    found = {
        "begin": [(sales, each, [], START) for each in new],
        "timer": [(support, each, [], later) for each in asked],
        "follow-up": [
            (support, each, [event], START + timedelta(days=3)) for each, event in zip(asked, sent, strict=True)
        ],
        "response": [
            (sales, each, [Event("response", later, text=f"{REPLIES[number % len(REPLIES)]}, {number} times")], later)
            for number, each in enumerate(begun)
        ],
    }
    in_turn = chain.from_iterable(zip(*found.values(), strict=True))
    return found | {"mixed": list(islice(in_turn, count))}


def rate(work: Sequence[Work]) -> float:
    """Decisions a second; every one must do something."""
    began = perf_counter()
    steps = sum(len(decide(*each).steps) for each in work)
    seconds = perf_counter() - began
    if steps < len(work) * 0.9:
        raise AssertionError(f"only {steps} steps in {len(work)} decisions: the case measures nothing")
    return len(work) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    relax_collector()
    rates = {
        name: sorted(rate(work) for _ in range(arguments.repeats))
        for name, work in cases(arguments.conversations).items()
    }
    if arguments.json:
        print(json.dumps({"machine": machine(), "per_second": rates}))  # noqa: T201
        return
    for name, found in rates.items():
        print(f"{name:10} {median(found):9,.0f}/s  ({found[0]:,.0f} to {found[-1]:,.0f})")  # noqa: T201


if __name__ == "__main__":
    main()
