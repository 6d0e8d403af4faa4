"""A diff as people read it, grouped by stage with + - ~ lines, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile, zip_longest
from typing import Any

from engine.authoring.diffs.changes import Change
from engine.authoring.diffs.diff import Diff
from engine.authoring.diffs.forecast import fate
from engine.core.loader import LoadedType
from engine.core.problems import Problem

_WIDEST = 80
_BEFORE = 20  # characters shown of what two long texts have in common
NO_CHANGE = "no change in meaning"


@dataclass(frozen=True, slots=True)
class Report:
    """A diff with what is known of live conversations; `standing` is None when no database was asked."""

    diff: Diff
    standing: Mapping[str, int] | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()

    @property
    def failed(self) -> bool:
        """Whether a migration could not be done."""
        return any(problem.severity == "error" for problem in self.problems)

    def render(self) -> str:
        """The diff for people; the problems come last, as lint prints them."""
        blocks = ["\n".join([_title(self.diff), *([] if self.diff.changes else [NO_CHANGE])]), *self._groups()]
        if self.standing is not None:
            blocks.append("\n".join(["live conversations, if migrated", *self._live()]))
        return "\n\n".join([*blocks, *map(str, self.problems)])

    def _groups(self) -> Iterator[str]:
        for group, changes in groupby(self.diff.changes, key=lambda change: change.group):
            yield "\n".join([group, *(f"  {change.sign} {_said(change)}" for change in changes)])

    def _live(self) -> Iterator[str]:
        standing = self.standing or {}
        width = max(map(len, standing), default=0)
        for stage, count in standing.items():
            to = fate(self.diff.new, stage, self.mapping)
            yield f"  {stage:{width}}  {count:,}: " + ("no place for them" if to is None else self._move(stage, to))
        if not standing:
            yield "  none"

    def _move(self, stage: str, to: str) -> str:
        if stage != to:
            return f"they move to {to}"
        changed = any(change.stage == stage for change in self.diff.changes)
        return "they stay, in a changed stage" if changed else "they stay"

    def as_dict(self) -> dict[str, Any]:
        """The diff as data; `live` is null when no database was asked."""
        live = None
        if self.standing is not None:
            live = [
                {"stage": stage, "conversations": count, "to": fate(self.diff.new, stage, self.mapping)}
                for stage, count in self.standing.items()
            ]
        return {
            "old": _type(self.diff.old),
            "new": _type(self.diff.new),
            "changes": [self._change(change) for change in self.diff.changes],
            "live": live,
            "problems": [problem.as_dict() for problem in self.problems],
        }

    def _change(self, change: Change) -> dict[str, Any]:
        place = dict(zip(("file", "line", "column"), self.diff.position(change), strict=True))
        return change.as_dict() | place


def _type(loaded: LoadedType) -> dict[str, Any]:
    spec = loaded.spec
    return {"file": loaded.document.file, "name": spec.campaign_type, "version": spec.version}


def _title(diff: Diff) -> str:
    old, new = diff.old.spec, diff.new.spec
    name = new.campaign_type if old.campaign_type == new.campaign_type else f"{old.campaign_type} → {new.campaign_type}"
    version = f"{old.version}" if old.version == new.version else f"{old.version} → {new.version}"
    return f"{name}, version {version}"


def _said(change: Change) -> str:
    if change.noun == "stage":
        return change.noun
    old, new = change.old or "", change.new or ""
    if change.sign == "~":
        return f"{change.what}: {_short(*_where_they_part(old, new))}"
    return f"{change.what}: {_cut(old or new)}"


def _where_they_part(old: str, new: str) -> tuple[str, str, str]:
    """The number of the first line that differs, if there are several, and that line of either text.

    >>> _where_they_part("Hi\\nyou", "Hi\\nall")
    ('line 2: ', 'you', 'all')
    """
    pairs = list(zip_longest(old.splitlines(), new.splitlines(), fillvalue=""))
    for number, (before, after) in enumerate(pairs, start=1):
        if before != after:
            return (f"line {number}: " if len(pairs) > 1 else ""), before, after
    return "", old, new


def _short(where: str, old: str, new: str) -> str:
    """Both texts; of long ones the part around the first difference."""
    old, new = (" ".join(text.split()) for text in (old, new))
    if max(len(old), len(new)) > _WIDEST:
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
        same = max(alike - _BEFORE, 0)
        start = same if same == 0 else old.rfind(" ", 0, same) + 1
        old, new = (f"…{text[start:]}" if start else text for text in (old, new))
    return f"{where}{_cut(old)} → {_cut(new)}"


def _cut(text: str) -> str:
    """A text on one line, cut where it gets too long to read."""
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
