"""Python's cycle collector, told what this program is like.

A start and a batch make very many values and hardly a cycle, so that looking for cycles after every 700 new values,
as Python does, finds nothing and costs a third of a decision.
"""

from __future__ import annotations

import gc


def relax_collector() -> None:
    """Let the collector of this process look seldom. Each process says so when it starts."""
    gc.set_threshold(50_000, 20, 20)


def spare_the_end() -> None:
    """Keep the collector from what there is now. Python looks through all of it, several times, before it ends: most
    of the time that an end takes, and for nothing."""
    gc.freeze()
