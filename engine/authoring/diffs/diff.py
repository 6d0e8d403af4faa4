"""What an edit of a campaign type changes in meaning: stages, edges, times, messages, whatever the layout of the files.

Keys that moved, comments, another way to write the same duration, guard or list are no change. Edges are paired by
what they mean: two lists that lead the same conversations the same way are equal, whatever guards they are made of.
Both types must have passed the checks. Every change names its place in the new file, or, when removed, in the old.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from engine.authoring.diffs.changes import Change, Home, Item, Loc, Pair, both
from engine.authoring.diffs.meanings import (
    NOTHING,
    Aspect,
    Reader,
    action_of,
    fact_of,
    limits_of,
    matcher_of,
    span,
    text_of,
    window_of,
)
from engine.authoring.diffs.stages import Stages, StageSide
from engine.core.actions import Action
from engine.core.checks.outline import Place
from engine.core.loader import LoadedType
from engine.core.matchers import MatcherSpec, ResponseSpec
from engine.core.spec import CampaignTypeSpec, MessageSpec, StageSpec

_WHOLE = Home("campaign type")
_ACTIONS = (("action",), ("about",), ("verb",))


@dataclass(frozen=True, slots=True)
class Diff:
    """Two campaign types and what differs in meaning between them."""

    old: LoadedType
    new: LoadedType
    changes: tuple[Change, ...]

    def position(self, change: Change) -> tuple[str, int, int]:
        """The file, line and column of a change."""
        document = (self.old if change.side == "old" else self.new).document
        return document.file, *document.position(change.loc, key=True)


def compare(old: LoadedType, new: LoadedType) -> Diff:
    """What an edit from `old` to `new` changes, in the order of the vocabulary.

    >>> from engine.core.loader import parse_campaign_type
    >>> text = '''{campaign_type: a, version: 1, start: s,
    ...     stages: {s: {timers: [{after: 3d, go: end}]}}, exits: {end: won}}'''
    >>> old, new = (parse_campaign_type(each, "a.yaml") for each in (text, text.replace("3d", "1w")))
    >>> [(it.sign, it.group, it.what, it.old, it.new) for it in compare(old, new).changes]
    [('~', 'stage s', 'timer, go end', 'after 3d', 'after 1w')]
    """
    return Diff(old, new, tuple(Comparison(old, new).changes()))


class Comparison:
    """The comparing of two campaign types."""

    def __init__(self, old: LoadedType, new: LoadedType) -> None:
        self.specs = (old.spec, new.spec)
        self.reader = Reader(old, new)
        self.stages = Stages(self.reader)

    def changes(self) -> Iterator[Change]:
        yield from self._whole()
        yield from self._facts()
        yield from self._responses()
        yield from self._stages()
        yield from self._exits()
        yield from self._messages()

    def stage(self, old: str, new: str) -> Iterator[Change]:
        """How the stage `old` became the stage `new`, which may have another name."""
        before, after = self.specs
        sides = (StageSide(before, old, before.stages[old]), StageSide(after, new, after.stages[new]))
        return self._stage(sides)

    def renamed(self, name: str) -> str | None:
        """The new stage that is what the removed stage `name` was, but for its name; None if there is none."""
        old, new = both(lambda spec: spec.stages, self.specs)
        added = (each for each in new if each not in old)
        return next((each for each in added if name in old and not list(self.stage(name, each))), None)

    def ends_within(self) -> Iterator[Change]:
        return _WHOLE.value("ends_within", both(_ends_within, self.specs), ("ends_within",))

    # ---- the whole type ----------------------------------------------------------------------------------------

    def _whole(self) -> Iterator[Change]:
        for name in ("campaign_type", "title", "channel", "start"):
            yield from _WHOLE.value(name, both(partial(_text, name), self.specs), (name,))
        yield from _WHOLE.value("send_window", both(lambda it: window_of(it.send_window), self.specs), ("send_window",))
        yield from _WHOLE.value("limits", both(lambda it: limits_of(it.limits), self.specs), ("limits",))
        yield from self.ends_within()
        priorities, passes = both(self._priorities, self.specs), (("when", "is"), ("when",), ("is",))
        yield from _WHOLE.changes(priorities, passes)
        yield from _WHOLE.reordered(priorities, passes, lambda one, other: one["is"] != other["is"])
        always = both(
            lambda spec: self.stages.edges.items("always", spec, Place("always"), ("always",), spec.always), self.specs
        )
        yield from self.stages.edges.changes(_WHOLE, Place("always"), always)

    def _priorities(self, spec: CampaignTypeSpec) -> list[Item]:
        found = []
        for index, rule in enumerate(spec.priority):
            guard = self.reader.guard(Place("priority"), rule.when)
            found.append(
                Item("priority", {"when": guard, "is": Aspect(rule.is_, f"is {rule.is_}")}, ("priority", index))
            )
        return found

    def _facts(self) -> Iterator[Change]:
        old, new = both(lambda spec: {name: fact_of(fact) for name, fact in spec.facts.items()}, self.specs)
        for name in dict.fromkeys((*new, *old)):
            yield from Home("facts").value(name, (old.get(name, NOTHING), new.get(name, NOTHING)), ("facts", name))

    def _responses(self) -> Iterator[Change]:
        home, (old, new) = Home("responses"), both(lambda spec: spec.responses, self.specs)
        for name in dict.fromkeys((*new, *old)):
            labels = both(partial(_labels, name), (old.get(name), new.get(name)))
            yield from home.changes(labels, (("label", "matcher"), ("label",)))
            yield from home.reordered(labels, (("label",),))

    def _messages(self) -> Iterator[Change]:
        home, (old, new) = Home("messages"), both(lambda spec: spec.messages, self.specs)
        for name in dict.fromkeys((*new, *old)):
            messages = (old.get(name), new.get(name))
            if None in messages:
                yield from home.value(name, both(_message, messages), ("messages", name))
                continue
            for part in ("subject", "text"):
                texts = both(partial(_text, part), messages)
                yield from home.value(f"{name}, {part}", texts, ("messages", name))

    # ---- stages and exits --------------------------------------------------------------------------------------

    def _stages(self) -> Iterator[Change]:
        old, new = both(lambda spec: spec.stages, self.specs)
        for name in dict.fromkeys((*new, *old)):
            group, loc = f"stage {name}", ("stages", name)
            if name in new and name in old:
                yield from self.stage(name, name)
            elif name in new:
                yield Change("+", group, "stage", None, name, loc, "stage", (), name)
                sides = (StageSide(self.specs[1], name, StageSpec()), StageSide(self.specs[1], name, new[name]))
                yield from self._stage(sides)
            else:
                yield Change("-", group, "stage", name, None, loc, "stage", (), name)

    def _stage(self, sides: Pair[StageSide]) -> Iterator[Change]:
        home = Home(f"stage {sides[1].name}", sides[1].name)
        yield from self.stages.values(home, sides)
        yield from self._on_enter(home, both(self._entering, sides))
        yield from self.stages.lists(home, sides)

    def _entering(self, side: StageSide) -> list[Item]:
        place, loc = Place("on_enter", side.name), ("stages", side.name, "on_enter")
        return self._actions(side.spec, place, loc, side.stage.on_enter)

    def _exits(self) -> Iterator[Change]:
        old, new = both(lambda spec: spec.exits, self.specs)
        for name in dict.fromkeys((*new, *old)):
            home, loc = Home(f"exit {name}"), ("exits", name)
            outcomes = both(partial(_text, "outcome"), (old.get(name), new.get(name)))
            yield from home.value("outcome", outcomes, loc)
            if name in new:
                yield from self._on_enter(home, both(partial(self._ending, name), self.specs))

    def _ending(self, name: str, spec: CampaignTypeSpec) -> list[Item]:
        actions = spec.exits[name].on_enter if name in spec.exits else []
        return self._actions(spec, Place("on_enter"), ("exits", name, "on_enter"), actions)

    def _actions(self, spec: CampaignTypeSpec, place: Place, loc: Loc, actions: list[Action]) -> list[Item]:
        items = []
        for index, action in enumerate(actions):
            said = action_of(action, place, spec, self.reader)
            about = said.meaning[:2] if isinstance(said.meaning, tuple) else said.meaning
            verb = said.text.partition(" ")[0]
            aspects = {"action": said, "about": Aspect(about), "verb": Aspect(verb)}
            items.append(Item("on_enter", aspects, (*loc, index)))
        return items

    def _on_enter(self, home: Home, lists: Pair[list[Item]]) -> Iterator[Change]:
        yield from home.changes(lists, _ACTIONS)
        yield from home.reordered(lists, _ACTIONS)


def _text(name: str, owner: object) -> Aspect:
    """A text that `owner` may have under this name."""
    return text_of(getattr(owner, name, None))


def _ends_within(spec: CampaignTypeSpec) -> Aspect:
    if (it := spec.ends_within) is None:
        return NOTHING
    at_most = span(it.at_most, "at most", spec.send_window)
    return Aspect((at_most.meaning, it.then), f"{at_most.text}, then {it.then}")


def _labels(name: str, response: ResponseSpec | None) -> list[Item]:
    """A response as a list of labels to try; one of a bare matcher has a single one without a name."""
    loc: Loc = ("responses", name)
    if response is None:
        return []
    if isinstance(response, MatcherSpec):
        return [Item(name, {"label": NOTHING, "matcher": matcher_of(response)}, loc)]
    return [
        Item(name, {"label": Aspect(label, label), "matcher": matcher_of(matcher)}, (*loc, label))
        for label, matcher in response.items()
    ]


def _message(message: MessageSpec | None) -> Aspect:
    if message is None:
        return NOTHING
    body = message.text if message.text is not None else f"file {message.file}"
    return Aspect((message.subject, body), body if message.subject is None else f"{message.subject}\n{body}")
