"""Differences between two lists of parts: what was added, what was removed, and which is another way to say the same.

A part is an `Item`: a noun and its aspects by name. Items are paired by what they mean and not by where they stand,
the closest first, in passes over fewer and fewer aspects; what finds no partner was added or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple, TypeVar

from engine.authoring.diffs.meanings import NOTHING, Aspect, together

Sign = Literal["+", "-", "~"]
Side = Literal["old", "new"]
Loc = tuple[str | int, ...]
Passes = Sequence[tuple[str, ...]]
Given = TypeVar("Given")
Found = TypeVar("Found")
Pair = tuple[Found, Found]  # of the old and of the new


@dataclass(frozen=True, slots=True)
class Change:
    """One difference in meaning: `what` was added (+), removed (-) or changed (~), from `old` to `new`.

    `stage` is the stage it is in, `group` what it is shown under. `loc` is its place in the new file, of what was
    removed in the old one. `noun` is the kind of part; `aspects` name what differs, all of them when it was added or
    removed.
    """

    sign: Sign
    group: str
    what: str
    old: str | None
    new: str | None
    loc: Loc
    noun: str = ""
    aspects: tuple[str, ...] = ()
    stage: str | None = None

    @property
    def side(self) -> Side:
        """Which file has `loc`."""
        return "old" if self.sign == "-" else "new"

    def as_dict(self) -> dict[str, Any]:
        words = {"+": "added", "-": "removed", "~": "changed"}
        return {
            "change": words[self.sign],
            "group": self.group,
            "stage": self.stage,
            "what": self.what,
            "old": self.old,
            "new": self.new,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """One part of a list; `tried` says when, if only the first that matches counts."""

    noun: str
    aspects: Mapping[str, Aspect]
    loc: Loc
    tried: str = ""

    def same(self, other: Item, names: Iterable[str]) -> bool:
        return all(self[name].meaning == other[name].meaning for name in names)

    def __getitem__(self, name: str) -> Aspect:
        return self.aspects.get(name, NOTHING)

    @property
    def text(self) -> str:
        return together(self.aspects.values())


class Home(NamedTuple):
    """Where the changes of a list are shown."""

    group: str
    stage: str | None = None

    def changes(self, lists: Pair[Sequence[Item]], passes: Passes) -> Iterator[Change]:
        """How one list became the other, in the order of the new one; removed parts stand last."""
        old, new = lists
        pairs = paired(old, new, passes)
        partners = {after: before for before, after in pairs}
        for at, item in enumerate(new):
            if at not in partners:
                yield self._alone("+", item)
            elif differing := _differing(old[partners[at]], item):
                yield self._changed(old[partners[at]], item, differing)
        kept = set(partners.values())
        yield from (self._alone("-", item) for at, item in enumerate(old) if at not in kept)

    def reordered(
        self,
        lists: Pair[Sequence[Item]],
        passes: Passes,
        matters: Callable[[Item, Item], bool] = lambda _one, _other: True,
    ) -> Iterator[Change]:
        """At most one change: two parts that are tried in the other order, where that matters."""
        old, new = lists
        places = sorted((after, before) for before, after in paired(old, new, passes))
        for (first, before), (second, earlier) in combinations(places, 2):
            if before > earlier and matters(new[first], new[second]):
                one, other = new[first].text, new[second].text
                said = (f"{other}, then {one}", f"{one}, then {other}")
                yield self._change("~", f"{new[first].noun} order", said, new[first].loc, ("order",))
                return

    def value(self, what: str, aspects: Pair[Aspect], loc: Loc) -> Iterator[Change]:
        """At most one change: of something there is one of."""
        old, new = aspects
        if old.meaning != new.meaning:
            sign: Sign = "+" if old == NOTHING else "-" if new == NOTHING else "~"
            yield self._change(sign, what, both(lambda it: None if it == NOTHING else it.text, aspects), loc, (what,))

    def _alone(self, sign: Sign, item: Item) -> Change:
        said = (None, item.text + item.tried) if sign == "+" else (item.text, None)
        return self._change(sign, item.noun, said, item.loc, tuple(item.aspects))

    def _changed(self, old: Item, new: Item, differing: tuple[str, ...]) -> Change:
        kept = [aspect for name, aspect in new.aspects.items() if name not in differing]
        what = together([Aspect(None, new.noun), *kept])
        said = both(lambda item: together(item[name] for name in differing) or "nothing", (old, new))
        return self._change("~", what, said, new.loc, differing, new.noun)

    def _change(
        self, sign: Sign, what: str, said: Pair[str | None], loc: Loc, aspects: tuple[str, ...], noun: str | None = None
    ) -> Change:
        return Change(sign, self.group, what, *said, loc, noun or what, aspects, self.stage)


def both(do: Callable[[Given], Found], pair: Pair[Given]) -> Pair[Found]:
    """The same done to the old and to the new.

    >>> both(len, ("old", "newer"))
    (3, 5)
    """
    return do(pair[0]), do(pair[1])


def paired(old: Sequence[Item], new: Sequence[Item], passes: Passes) -> list[tuple[int, int]]:
    """Which of `old` became which of `new`, as indices, the closest first.

    >>> def timer(after, go):
    ...     return Item("timer", {"after": Aspect(after), "go": Aspect(go)}, ())
    >>> old = [timer("1d", "lost"), timer("2d", "won")]
    >>> paired(old, [timer("2d", "won"), timer("3d", "lost")], [("after", "go"), ("go",)])
    [(1, 0), (0, 1)]
    """
    pairs: list[tuple[int, int]] = []
    lonely_old, lonely_new = list(range(len(old))), list(range(len(new)))
    for names in passes:
        for at in list(lonely_new):
            partner = next((each for each in lonely_old if old[each].same(new[at], names)), None)
            if partner is not None:
                pairs.append((partner, at))
                lonely_old.remove(partner)
                lonely_new.remove(at)
    return pairs


def _differing(old: Item, new: Item) -> tuple[str, ...]:
    names = dict.fromkeys((*old.aspects, *new.aspects))
    return tuple(name for name in names if not old.same(new, [name]))
