"""YAML into nodes: every value with its data and its place, or the reason why not.

Works on PyYAML's events, which come lazily: a text too deep or too heavy is left where it becomes so. Aliases
share nodes; what they would weigh written out is counted, and bounded, as the nodes grow.

A text is first read with libyaml, ten times as fast. That is kept only if nothing at all is wrong and nothing in the
text is of the few things that libyaml takes otherwise; PyYAML's own reading always decides, and words every problem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

from engine.core import scalars
from engine.core.problems import shown
from engine.core.syntax_errors import explain

LONGEST = 200_000
DEEPEST = 40
HEAVIEST = 2 * LONGEST

_MERGE = "<<"
_EMPTY = "the file is empty; expected a mapping of keys and values"

LINE_BREAK = re.compile(r"\r\n|\r|\n")
# U+0085, U+2028 and U+2029 are left out too: YAML 1.1 breaks lines at them, editors do not.
UNUSABLE = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# Tabs, keys marked by ?, documents marked by ---: libyaml allows more of them, or says otherwise where they stand.
_READ_OTHERWISE = re.compile(r"\t|(?:^|[\s\[{,:-])\?|^---", re.MULTILINE)
_LIBYAML: Any = getattr(yaml, "CSafeLoader", None)
_ANCHOR = re.compile(r"&\S+(?:\s|#.*)*")


class Mark(NamedTuple):
    """A place in the text: the line and column, both from 1, and the character's index, from 0."""

    line: int
    column: int
    at: int

    def after(self, passed: str) -> Mark:
        """The place reached from here by the text `passed`."""
        lines = LINE_BREAK.split(passed)
        column = len(lines[-1]) + (self.column if len(lines) == 1 else 1)
        return Mark(self.line + len(lines) - 1, column, self.at + len(passed))


@dataclass(slots=True)
class Node:
    """A value in the file: its data, where it starts and ends, its size with aliases written out."""

    start: Mark
    end: int = 0
    style: str = ""
    plain: bool = False
    data: Any = None
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    weight: int = 1
    height: int = 0

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.data, dict | list)

    def child(self, part: str | int) -> Node | None:
        """The value under a key or index. What is not a list is its own first item, as the vocabulary allows."""
        if isinstance(part, int):
            items = self.items if isinstance(self.data, list) else [self]
            return items[part] if 0 <= part < len(items) else None
        entry = self.entries.get(part)
        return entry.value if entry else None


class Entry(NamedTuple):
    """A key of a mapping and its value."""

    key: Node
    value: Node


class Finding(NamedTuple):
    """What is wrong at a line and column, both from 1."""

    code: str
    message: str
    line: int
    column: int


def compose(source: str) -> tuple[Node | None, list[Finding]]:
    """The node of the one mapping in `source`, or None, and what was found on the way."""
    if (root := _read_quickly(source)) is not None:
        return root, []
    composer = _Composer(source, yaml.SafeLoader)
    return composer.compose_document(), composer.findings


def _read_quickly(source: str) -> Node | None:
    """The node as libyaml reads it, or None when that is not certainly how PyYAML does."""
    if _LIBYAML is None or _READ_OTHERWISE.search(source):
        return None
    composer = _Composer(source, _LIBYAML)
    try:
        root = composer.read()
    except (yaml.YAMLError, ValueError, OverflowError, _UnreadableError):
        return None
    return None if composer.findings else root


_FIRST = Mark(1, 1, 0)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1, mark.index)


class _UnreadableError(Exception):
    """Reading cannot go on; the reason is the last problem."""


class _Composer:
    """One pass over the events of `source`."""

    def __init__(self, source: str, reader: Any) -> None:
        self.source = source
        self.findings: list[Finding] = []
        self.reader = reader
        self.loader: Any = None
        self.in_braces = 0
        self.anchors: dict[str, Node | None] = {}
        self._found_at: set[Mark] = set()

    def compose_document(self) -> Node | None:
        try:
            return self.read()
        except yaml.MarkedYAMLError as error:
            message, mark = explain(error)
            self._report("E100", message, _mark(mark or self.loader.get_mark()))
        except (ValueError, OverflowError):
            self._report("E100", "a number or escape is out of range here", _mark(self.loader.get_mark()))
        except _UnreadableError:
            pass
        return None

    def read(self) -> Node | None:
        """The root; raises what stops the reading."""
        self._refuse_unusable()
        self.loader = self.reader(self.source)
        return self._root()

    def _refuse_unusable(self) -> None:
        if len(self.source) > LONGEST:
            self._stop(f"the file has {len(self.source):,} characters; expected at most {LONGEST:,}", _FIRST)
        if found := UNUSABLE.search(self.source):
            remedy = "remove it, or write it as an escape in double quotes"
            message = f"the character U+{ord(found[0]):04X} cannot stand in YAML; {remedy}"
            self._stop(message, _FIRST.after(self.source[: found.start()]))

    def _root(self) -> Node | None:
        self._next()  # the stream's start
        if isinstance(self._next(), yaml.StreamEndEvent):
            self._stop(_EMPTY, _FIRST)
        root = self._compose(self._next(), DEEPEST)
        self._next()  # the document's end
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._stop("a second document begins here; expected one", _mark(event.start_mark))
        if isinstance(root.data, dict):
            return root
        if root.plain and root.data is None:
            self._stop(_EMPTY, _FIRST)
        message = f"expected a mapping of keys and values, got {shown(root.data)}"
        self._report("E107", message, root.start)
        return None

    def _next(self) -> Any:
        return self.loader.get_event()

    def _compose(self, event: Any, depth: int) -> Node:
        """The node that begins with `event`, read to its end; at most `depth` levels deep."""
        if depth < 0:
            self._stop(f"nested too deep; expected at most {DEEPEST} levels", _mark(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, depth)
        if event.tag is not None:
            self._report("E100", "tags are not allowed; write the value without it", _mark(event.start_mark))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else self._collection(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _collection(self, event: Any, depth: int) -> Node:
        self.in_braces += bool(event.flow_style)
        read = self._sequence if isinstance(event, yaml.SequenceStartEvent) else self._mapping
        node = read(event, depth)
        self.in_braces -= bool(event.flow_style)
        return node

    def _aliased(self, event: Any, depth: int) -> Node:
        name, where = event.anchor, _mark(event.start_mark)
        node = self.anchors.get(name)
        if node is None:
            what = "holds itself" if name in self.anchors else "has no anchor before it"
            self._stop(f"the alias {name[:40]!r} {what}; expected the anchor of an earlier value", where)
        if node.height > depth:
            self._stop(f"nested too deep by this alias; expected at most {DEEPEST} levels", where)
        return node

    def _scalar(self, event: Any) -> Node:
        node = Node(_mark(event.start_mark), event.end_mark.index, event.style or "", plain=event.implicit[0])
        if event.anchor is not None:
            node.start = self._after_anchor(event)
        node.weight = 1 + len(event.value)
        node.data = scalars.joined(event.value) if _UNSTORABLE.search(event.value) else event.value
        if found := _UNSTORABLE.search(node.data):
            message = f"the escaped character U+{ord(found[0]):04X} cannot be stored; remove it"
            self._report("E100", message, node.start)
        if node.plain and self.reader is _LIBYAML and self.in_braces and (not event.value or "?" in event.value):
            raise _UnreadableError  # in braces libyaml reads and places these otherwise
        if node.plain:
            if reading := scalars.other_reading(event.value):
                self._report("E104", f"to YAML 1.1 {event.value[:40]!r} is {reading}", node.start)
            try:
                node.data = scalars.resolve(event.value)
            except ValueError as error:
                self._report("E107", str(error), node.start)
        return node

    def _after_anchor(self, event: Any) -> Mark:
        """Where the scalar itself begins; PyYAML counts its anchor in."""
        start = _mark(event.start_mark)
        found = _ANCHOR.match(self.source, start.at, event.end_mark.index)
        return start.after(found[0]) if found else start

    def _sequence(self, event: Any, depth: int) -> Node:
        node = Node(_mark(event.start_mark))
        while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
            item = self._compose(inner, depth - 1)
            self._grow(node, item)
            node.items.append(item)
        node.data = [item.data for item in node.items]
        return node

    def _mapping(self, event: Any, depth: int) -> Node:
        node = Node(_mark(event.start_mark))
        merges: dict[str, Entry] = {}
        while not isinstance(inner := self._next(), yaml.MappingEndEvent):
            key = self._compose(inner, depth - 1)
            value = self._compose(self._next(), depth - 1)
            is_merge = key.plain and key.data == _MERGE
            if self._is_new_key(merges if is_merge else node.entries, key):
                if is_merge:
                    merges[_MERGE] = Entry(key, value)
                else:
                    self._put(node, Entry(key, value))
        if merges:
            self._merge(node, merges[_MERGE].value)
        node.data = {name: entry.value.data for name, entry in node.entries.items()}
        return node

    def _is_new_key(self, entries: Mapping[str, Entry], key: Node) -> bool:
        if not isinstance(key.data, str):
            hint = "quote a text that holds {{ … }}" if isinstance(key.data, dict) else "quote it"
            message = f"expected a text as the key, got {shown(key.data)}; {hint}"
            self._report("E107", message, key.start)
        elif key.data in entries:
            first = entries[key.data].key.start.line
            message = f"duplicate key {key.data[:40]!r}; the first is in line {first}"
            self._report("E102", message, key.start)
        else:
            return True
        return False

    def _merge(self, node: Node, value: Node) -> None:
        """Add what `<<` brings; the mapping's own keys win, then the earlier of several mappings."""
        for merged in value.items or [value]:
            if not isinstance(merged.data, dict):
                message = f"expected a mapping, or a list of them, after <<, got {shown(merged.data)}"
                self._report("E107", message, merged.start)
                continue
            for name, entry in merged.entries.items():
                if name not in node.entries:
                    self._put(node, entry)

    def _put(self, node: Node, entry: Entry) -> None:
        self._grow(node, entry.key)
        self._grow(node, entry.value)
        node.entries[entry.key.data] = entry

    def _grow(self, node: Node, inner: Node) -> None:
        node.weight += inner.weight
        node.height = max(node.height, inner.height + 1)
        if node.weight > HEAVIEST:
            message = f"this has over {HEAVIEST:,} characters once its aliases are written out; expected less"
            self._stop(message, node.start)

    def _report(self, code: str, message: str, mark: Mark) -> None:
        """Keep a problem; of several at one place the first says most."""
        if mark not in self._found_at:
            self._found_at.add(mark)
            self.findings.append(Finding(code, message, mark.line, mark.column))

    def _stop(self, message: str, mark: Mark) -> NoReturn:
        self._report("E100", message, mark)
        raise _UnreadableError
