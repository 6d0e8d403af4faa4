"""What can be wrong with a campaign type whose shape is right, found before anything runs.

One function per finding, by topic: `names`, `texts`, `guards`, `coverage`, `graph`. They look at an `Outline`,
which lists everything with its place in the file. Names come first: the graph is judged only when every target
is known, lists of edges only when their guards' names are, so that one mistake is told once.

`tests/checks` has a broken file with its output for every code, and `docs/checks.md` shows them all.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from engine.core.checks import coverage, graph, guards, names, texts
from engine.core.checks.guards import Guards
from engine.core.checks.outline import Outline
from engine.core.problems import Problem

if TYPE_CHECKING:
    from engine.core.loader import LoadedType

NAMES = (names.unknown_targets, names.taken_names)
TEXTS = (
    names.unknown_messages,
    texts.unreadable_patterns,
    texts.unreadable_templates,
    texts.unknown_variables,
)
VALUES = (guards.unknown_facts, guards.impossible_values, coverage.bad_shares, graph.mixed_stages)
GUARDS = (
    guards.unreadable_guards,
    guards.unknown_names,
    guards.impossible_comparisons,
    guards.complex_guards,
    coverage.shadowed_edges,
    coverage.uncovered_lists,
)
GRAPH = (
    graph.unreachable_stages,
    graph.dead_ends,
    graph.endless_stages,
    graph.unbounded_loops,
    graph.unbounded_stays,
    graph.instant_cycles,
)


def check(loaded: LoadedType) -> list[Problem]:
    """Every problem of a loaded campaign type, sorted by place. Never raises."""
    outline = Outline(loaded.spec, loaded.document)
    read = Guards(outline)
    found = list(chain.from_iterable(look(outline) for look in (*NAMES, *TEXTS, *VALUES)))
    found += chain.from_iterable(look(outline, read) for look in GUARDS)
    if not any(problem.code in ("E103", "E108") for problem in found):
        found += chain.from_iterable(look(outline) for look in GRAPH)
    return sorted(set(found))
