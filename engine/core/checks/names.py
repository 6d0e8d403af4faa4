"""Names that lead nowhere, are taken, or are reserved: E103, E108 and E601."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.core.checks.outline import Loc, Outline
from engine.core.expressions import KEYWORDS
from engine.core.matchers import MatcherSpec
from engine.core.plugins import plugins_in_use
from engine.core.problems import Problem, expected_one_of
from engine.core.spec import CampaignTypeSpec
from engine.core.variables import NAMESPACES
from engine.core.vocabulary import OTHER, STAY

COUNTERS = ("responses", "follow_ups_sent", "responses_total", "visits")
BUILT_INS = frozenset({*COUNTERS, "event"})
UNSUBSCRIBE_URL = "unsubscribe_url"


def unknown_targets(outline: Outline) -> Iterator[Problem]:
    """E103: a target that is no stage or exit, or one that cannot be led to from where it stands.

    `start` is a stage and the `then` of `ends_within` an exit. Only an edge that waits may `stay`: not a
    split, which must move on, and not `start` or the `then` of `visits`.
    """
    spec = outline.spec
    anywhere = {*spec.stages, *spec.exits}
    yield from _target(outline, spec.start, ("start",), spec.stages, "start must be a stage")
    if ends := spec.ends_within:
        yield from _target(outline, ends.then, ("ends_within", "then"), spec.exits, "this must be an exit")
    for name, stage in spec.stages.items():
        if visits := stage.visits:
            loc = ("stages", name, "visits", "then")
            yield from _target(outline, visits.then, loc, anywhere, "visits must lead on")
    for edge in outline.edges:
        splits = edge.place.kind == "split"
        known = anywhere if splits else {*anywhere, STAY}
        yield from _target(outline, edge.spec.target, edge.target_loc, known, "a split must lead on")


def _target(outline: Outline, target: str, loc: Loc, known: Collection[str], rule: str) -> Iterator[Problem]:
    if target in known:
        return
    exists = target == STAY or target in outline.spec.stages or target in outline.spec.exits
    wrong = f"{target!r} is not possible here, {rule}" if exists else f"unknown target {target!r}"
    yield outline.problem("E103", f"{wrong}; {expected_one_of(target, known)}", loc)


def taken_names(outline: Outline) -> Iterator[Problem]:
    """E108: one name for two things that only a name tells apart, or a name that already means something.

    Facts, responses and built-ins share one set of names, since guards and messages read them all; so do
    stages and exits. `stay` and `other` are reserved everywhere, words of the guard language for facts and
    responses.
    """
    spec = outline.spec
    for name in spec.facts:
        yield from _value_name(outline, name, ("facts", name))
    for name, response in spec.responses.items():
        yield from _value_name(outline, name, ("responses", name))
        if name in spec.facts:
            later = outline.later(("facts", name), ("responses", name), key=True)
            yield _taken(outline, f"the name {name!r} is both a fact's and a response's", later)
        for label in () if isinstance(response, MatcherSpec) else response:
            yield from _reserved(outline, label, ("responses", name, label))
    for name in (*spec.stages, *spec.exits):
        yield from _reserved(outline, name, ("stages" if name in spec.stages else "exits", name))
    for name in spec.stages.keys() & spec.exits.keys():
        later = outline.later(("stages", name), ("exits", name), key=True)
        yield _taken(outline, f"the name {name!r} is both a stage's and an exit's", later)


def doubtful_names(spec: CampaignTypeSpec) -> frozenset[str]:
    """The names whose values E108 leaves open: a fact's and a response's, or a response's with a reserved label."""
    reserved = {
        name
        for name, response in spec.responses.items()
        if not isinstance(response, MatcherSpec) and not response.keys().isdisjoint((STAY, OTHER))
    }
    return frozenset(reserved | (spec.facts.keys() & spec.responses.keys()))


def _value_name(outline: Outline, name: str, loc: Loc) -> Iterator[Problem]:
    if name in BUILT_INS or name in NAMESPACES or name == UNSUBSCRIBE_URL:
        yield _taken(outline, f"the name {name!r} is taken by a built-in", loc)
    elif name in plugins_in_use().names:
        yield _taken(outline, f"the name {name!r} is taken by a plug-in", loc)
    elif name in KEYWORDS:
        yield _taken(outline, f"the name {name!r} is a word of the guard language", loc)
    else:
        yield from _reserved(outline, name, loc)


def _reserved(outline: Outline, name: str, loc: Loc) -> Iterator[Problem]:
    if name == STAY:
        yield _taken(outline, "the name 'stay' is reserved for edges that stay in their stage", loc)
    elif name == OTHER:
        yield _taken(outline, "the name 'other' is reserved for responses that match no label", loc)


def _taken(outline: Outline, wrong: str, loc: Loc) -> Problem:
    return outline.problem("E108", f"{wrong}; expected another name", loc, key=True)


def unknown_messages(outline: Outline) -> Iterator[Problem]:
    """E601: a `send` of a message that `messages` does not have."""
    messages = outline.spec.messages
    for name, loc in outline.sends:
        if name not in messages:
            yield outline.problem("E601", f"unknown message {name!r}; {expected_one_of(name, messages)}", loc)
