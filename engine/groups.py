"""Conversations that share a decision, and what each of them counts for. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from engine.db.conversations import Kin

Span = Literal["", "visit", "life"]
"""What a count's duration is, for each of its conversations: nothing, since its stage was entered, since its start."""


class DeltaKey(NamedTuple):
    """What a count is of; the meaning of the dimensions stands above `metric_deltas` in `engine.db.tables`."""

    campaign_id: str
    metric: str
    stage: str = ""
    target: str = ""
    label: str = ""


class Group:
    """Conversations that share a decision: their ids and own instants, and what each of them counts for."""

    __slots__ = ("counts", "entered_at", "finished", "ids", "number", "started_at", "steps", "was")

    def __init__(self, number: int, was: int) -> None:
        self.number = number
        self.was = was  # the seq they were claimed with
        self.ids: list[str] = []
        self.entered_at: list[datetime | None] = []
        self.started_at: list[datetime | None] = []
        self.steps = 0
        self.finished = False
        self.counts: list[tuple[DeltaKey, Span]] = []

    def add(self, kin: Kin, place: int) -> None:
        self.ids.append(kin.ids[place])
        self.entered_at.append(kin.entered_at[place])
        self.started_at.append(kin.started_at[place])

    def lasted(self, span: Span, now: datetime) -> timedelta:
        """The spans of all of them together."""
        since = {"": (), "visit": self.entered_at, "life": self.started_at}[span]
        return sum((now - at for at in since if at is not None), timedelta())
