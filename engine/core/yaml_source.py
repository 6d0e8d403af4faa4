"""Strict YAML with positions: text in, plain data and the place of every key and value out.

Plain scalars follow YAML 1.2's core schema. Duplicate keys, tags, several documents, keys that are not text
and numbers that YAML 1.1 reads otherwise are problems with a place, never silent. Anchors, aliases and merge
keys (`<<`) are allowed. What they expand to is bounded, as are the file's length and depth, so any text at
all is read in bounded time and memory. Nothing here raises: what is wrong stands in `Document.problems`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.core.composer import LINE_BREAK, UNUSABLE, Mark, Node, compose
from engine.core.problems import Problem
from engine.core.scalars import index_in_source

_WIDEST_SNIPPET = 200

Loc = tuple[str | int, ...]


class Document:
    """A YAML text as plain data with places. `data` is None when the text is not, as a whole, one mapping."""

    def __init__(self, source: str, file: str) -> None:
        self.source = source.removeprefix("\ufeff")
        self.file = file
        self.lines = LINE_BREAK.split(self.source)
        self.problems: list[Problem] = []
        self.root: Node | None = None

    @property
    def data(self) -> dict[str, Any] | None:
        return self.root.data if self.root else None

    def holds(self, loc: Loc) -> bool:
        """Whether the file has a value at `loc`."""
        return len(self._path(loc)) == len(loc)

    def value(self, loc: Loc) -> Any:
        """The data at `loc`, or None when the file has none there."""
        path = self._path(loc)
        return path[-1].data if path and len(path) == len(loc) else None

    def is_plain(self, loc: Loc) -> bool:
        """Whether the value at `loc` is a scalar that stands without quotes."""
        path = self._path(loc)
        return bool(path) and len(path) == len(loc) and path[-1].is_scalar and path[-1].plain

    def position(self, loc: Loc, *, key: bool = False, offset: int | None = None) -> tuple[int, int]:
        """The line and column, both from 1, of the value at `loc`, or of its key.

        What is not in the file has the place of the nearest thing around it: the key that leads there, the list
        item or the short form written instead. `offset` counts characters of a text from 0, whatever its
        quotes, folding and indentation.
        """
        mark = self._mark(loc, key, offset)
        return (mark.line, mark.column)

    def problem(self, code: str, message: str, loc: Loc, *, key: bool = False, offset: int | None = None) -> Problem:
        """A problem at `position(loc, …)`, with the line it stands in."""
        return self.problem_at(code, message, *self.position(loc, key=key, offset=offset))

    def problem_at(self, code: str, message: str, line: int, column: int) -> Problem:
        """A problem at a line and column; the snippet is left out where it would be too wide to read."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        snippet = "" if column > _WIDEST_SNIPPET else UNUSABLE.sub("\ufffd", text[:_WIDEST_SNIPPET])
        return Problem(self.file, line, column, code, message, source=snippet)

    def texts(self) -> Iterator[tuple[int, int]]:
        """Where each scalar begins and ends, as indices of characters; an anchor's once."""
        waiting, seen = [self.root] if self.root else [], set[int]()
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.is_scalar:
                yield node.start.at, node.end
            waiting += node.items
            for entry in node.entries.values():
                waiting += entry

    def _mark(self, loc: Loc, key: bool, offset: int | None) -> Mark:
        if self.root is None:
            return Mark(1, 1, 0)
        path = [self.root, *self._path(loc)]
        node, missing = path[-1], len(path) <= len(loc)
        last = loc[len(path) - 2] if len(path) > 1 else None
        if isinstance(last, str) and (key or (missing and not node.is_scalar)):
            return path[-2].entries[last].key.start
        if missing or offset is None or not isinstance(node.data, str):
            return node.start
        written = self.source[node.start.at : node.end]
        return node.start.after(written[: index_in_source(written, node.style, node.data, offset)])

    def _path(self, loc: Iterable[str | int]) -> list[Node]:
        """The nodes that lead along `loc`, as far as it leads."""
        path: list[Node] = []
        node = self.root
        for part in loc:
            node = node.child(part) if node else None
            if node is None:
                break
            path.append(node)
        return path


def read_yaml(source: str, file: str) -> Document:
    """The one mapping that `source` holds, with the problems found in reading it.

    >>> document = read_yaml("start: hello\\nstart: again", "a.yaml")
    >>> document.data
    {'start': 'hello'}
    >>> print(document.problems[0])
    a.yaml:2:1: error: duplicate key 'start'; the first is in line 1 [E102]
      | start: again
      | ^
    """
    document = Document(source, file)
    document.root, findings = compose(document.source)
    document.problems = [document.problem_at(*finding) for finding in findings]
    return document
