"""How long to wait before trying again."""

from __future__ import annotations

from datetime import timedelta
from random import Random

LONGEST = timedelta(hours=24)
_SPREAD = 0.2
_DOUBLINGS = 40  # far beyond the longest wait, and still a finite float


def retry_delay(failures: int, first_seconds: float, source: Random) -> timedelta:
    """The wait after `failures` failed tries (1, 2, …): `first_seconds`, doubled each time, never over 24 h.

    Up to a fifth more or less comes from `source`, so that what failed together does not come back together.

    >>> [retry_delay(n, 300, Random(7)) // timedelta(minutes=1) for n in (1, 2, 3)]
    [4, 9, 18]
    """
    doubled = first_seconds * 2.0 ** min(failures - 1, _DOUBLINGS)
    spread = source.uniform(1 - _SPREAD, 1 + _SPREAD)
    return timedelta(seconds=min(doubled * spread, LONGEST.total_seconds()))
