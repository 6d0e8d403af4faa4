"""What a new version of a campaign type would do to the conversations that live in the old one, were they migrated.

E801: they stand in a stage where the new version has no place for them. W802: a deadline of theirs moves. Deadlines
are timers, escalations and `ends_within`; when messages leave is another matter. Nothing is read or written here:
`standing` says how many live conversations stand in each stage of the old version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.authoring.diffs.changes import Change
from engine.authoring.diffs.diff import Comparison
from engine.core.loader import LoadedType
from engine.core.problems import Problem, expected_one_of

_NO_MAPPING: Mapping[str, str] = {}


def forecast(
    old: LoadedType, new: LoadedType, standing: Mapping[str, int], mapping: Mapping[str, str] = _NO_MAPPING
) -> list[Problem]:
    """What stands in the way of a migration (E801) or is worth knowing before one (W802), by place in the new file.

    `mapping` gives stages of the old version their successors in the new; the others keep their name.

    >>> from engine.core.loader import parse_campaign_type
    >>> text = "{campaign_type: a, version: 1, start: s, stages: {s: {timers: [{after: 3d, go: x}]}}, exits: {x: won}}"
    >>> renamed = text.replace("start: s", "start: t").replace("{s:", "{t:")
    >>> old, new = (parse_campaign_type(each, "a.yaml") for each in (text, renamed))
    >>> forecast(old, new, {"s": 2})[0].message
    "2 live conversations stand in stage 's', which is removed; expected a successor, with --map s=STAGE, perhaps s=t"
    >>> forecast(old, new, {"s": 2}, {"s": "t"})
    []
    """
    comparison = Comparison(old, new)
    found: list[Problem] = []
    for stage, count in standing.items():
        if count and fate(new, stage, mapping) is None:
            found.append(_obstacle(comparison, new, stage, count, mapping))
        elif stage in old.spec.stages and count:
            changes = comparison.stage(stage, mapping.get(stage, stage))
            found += (_moved(new, change, f"{_live(count)} in stage {stage!r}") for change in _deadlines(changes))
    if total := sum(standing.values()):
        found += (_moved(new, change, _live(total)) for change in comparison.ends_within())
    return sorted(set(found))


def fate(new: LoadedType, stage: str, mapping: Mapping[str, str] = _NO_MAPPING) -> str | None:
    """The stage of the new version in which those who stand in `stage` would wait; None when it has no such stage."""
    name = mapping.get(stage, stage)
    successor = new.spec.stages.get(name)
    return None if successor is None or successor.split else name


def _obstacle(comparison: Comparison, new: LoadedType, stage: str, count: int, mapping: Mapping[str, str]) -> Problem:
    """E801: there are conversations in a stage, and no stage for them to wait in."""
    name, stages = mapping.get(stage, stage), new.spec.stages
    stand = f"{_live(count)} {'stands' if count == 1 else 'stand'} in stage {stage!r}"
    if name in stages:
        what = "which splits at once" if name == stage else f"whose successor {name!r} splits at once"
        expected = f"expected one that waits, with --map {stage}=STAGE"
        return new.document.problem("E801", f"{stand}, {what}; {expected}", ("stages", name), key=True)
    if stage in mapping:
        waiting = [each for each, spec in stages.items() if not spec.split]
        message = f"{stand}, whose successor {name!r} is no stage; {expected_one_of(name, waiting)}"
    else:
        alike = comparison.renamed(stage)
        perhaps = f", perhaps {stage}={alike}" if alike else ""
        message = f"{stand}, which is removed; expected a successor, with --map {stage}=STAGE{perhaps}"
    return new.document.problem("E801", message, ("stages",), key=True)


def _deadlines(changes: Iterator[Change]) -> Iterator[Change]:
    """The changes that move an instant at which something happens by itself."""
    return (it for it in changes if (it.noun, "time") in _of(it) or (it.noun, "after") in _of(it))


def _of(change: Change) -> set[tuple[str, str]]:
    return {(change.noun, aspect) for aspect in change.aspects if change.noun in ("timer", "escalation")}


def _moved(new: LoadedType, change: Change, whose: str) -> Problem:
    """W802, at the deadline, or at its stage when that is where it used to be."""
    match change.sign:
        case "+":
            message = f"a new {change.noun}, {change.new}, sets a deadline for {whose}"
        case "-":
            message = f"{change.noun}, {change.old}, is removed and with it a deadline of {whose}"
        case "~":
            message = f"{change.what}: {change.old} becomes {change.new}, which moves the deadline of {whose}"
    loc = change.loc if change.side == "new" or change.stage is None else ("stages", change.stage)
    return new.document.problem("W802", message, loc, key=True)


def _live(count: int) -> str:
    return f"{count:,} live conversation{'' if count == 1 else 's'}"
