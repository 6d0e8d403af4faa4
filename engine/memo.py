"""Decisions already made, found again by what they read of a context. Pure.

`decide` is deterministic: two conversations that are alike in all but their facts read the same fact first, and go on
alike as long as they find the same values. So what was read, in its order, makes a tree of questions, and whoever gives
the same answers comes to the same decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Generic, TypeVar

from engine.db.progress import ConversationCodec, Question

Kept = TypeVar("Kept")


class _Fork:
    """A question, and what comes next for each answer."""

    __slots__ = ("next", "question")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.next: dict[Any, Any] = {}


class Memo(Generic[Kept]):
    """What was kept for conversations that are alike in all but their contexts."""

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: Any = None

    def find(self, codec: ConversationCodec, raw_context: str) -> Kept | None:
        """What was kept for whoever gives the answers of this context; None when nobody did yet.

        Raises ValueError for an answer that is not of its declared type.
        """
        node = self._root
        if isinstance(node, _Fork):
            context = codec.context(raw_context)
            while isinstance(node, _Fork):
                node = node.next.get(context.answer(node.question))
        found: Kept | None = node
        return found

    def keep(self, reads: Mapping[Question, Any], value: Kept) -> None:
        """Keep a value for all whose contexts say what `reads` says, in its order."""
        answers = list(reads.items())
        if not answers:
            self._root = value
            return
        node = self._root = self._root or _Fork(answers[0][0])
        for (_, answer), (following, _) in pairwise(answers):
            node = node.next.setdefault(answer, _Fork(following))
        node.next[answers[-1][1]] = value
