"""The processes at work know of each other, and share the buckets out.

Each that loops writes a row every few seconds, takes it away at a clean end, and takes away those of others that have
not been seen for a minute. From the rows follows whose buckets are whose: with n processes that tick, every n-th is
visited first by the same one, so they seldom meet. Only advice, as row locks decide who moves what: a process that
counts wrongly, or knows of nobody, is a little slower and nothing worse.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.buckets import BUCKETS
from engine.db.members import MemberRepository, MemberRow

BEAT_SECONDS = 5.0
UNSEEN = timedelta(minutes=1)


class Membership:
    """This process as a member. Its methods take a connection and commit nothing."""

    def __init__(self, parts: Sequence[str]) -> None:
        self.row = MemberRow(uuid4(), f"{socket.gethostname()}:{os.getpid()}", version("campaign-engine"), parts)

    async def beat(self, connection: AsyncConnection, now: datetime, states: Mapping[str, Any]) -> Sequence[int]:
        """Say that we are there; the buckets to visit first."""
        repository = MemberRepository(connection)
        await repository.upsert_member(self.row, states, now)
        await repository.delete_unseen(now - UNSEEN)
        return share(self.row.id, await repository.find_ids("tick"))

    async def leave(self, connection: AsyncConnection) -> None:
        await MemberRepository(connection).delete_member(self.row.id)


def share(member: UUID, members: Sequence[UUID]) -> Sequence[int]:
    """The buckets that `member` visits first: every n-th, by its place among the n `members`; all if it has none.

    >>> one, two = UUID(int=1), UUID(int=2)
    >>> share(one, [two, one])[:3], share(two, [two, one])[:3], len(share(one, []))
    ((60, 82, 31), (8, 1, 88), 64)
    """
    ordered = sorted(members)
    return BUCKETS[ordered.index(member) :: len(ordered)] if member in ordered else BUCKETS
