"""What can be wrong with a campaign type whose shape is right, found before anything runs.

One function per finding, by topic: `names`, `texts`, `renderings`, `schedules`, `timing`, `sends`, `guards`,
`coverage`, `overlaps`, `graph`, `longest`. They look at an `Outline`, which lists everything with its place in the
file. Names come first: the graph is judged only when every target is known, lists of edges only when their guards'
names are, and the longest way only when no way is endless, so that one mistake is told once.

`tests/checks` has a broken file with its output for every code, and `docs/checks.md` shows them all. What one file
alone cannot tell is found elsewhere: E100 to E107 in reading it, W701 and E801 beside other files.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from engine.core.checks import (
    coverage,
    graph,
    guards,
    longest,
    names,
    overlaps,
    renderings,
    schedules,
    sends,
    texts,
    timing,
)
from engine.core.checks.guards import Guards
from engine.core.checks.outline import Outline
from engine.core.problems import Problem

if TYPE_CHECKING:
    from engine.core.loader import LoadedType

NAMES = (names.unknown_targets, names.taken_names)
TEXTS = (
    names.unknown_messages,
    texts.unreadable_matchers,
    texts.unreadable_templates,
    renderings.endless_templates,
    texts.unknown_variables,
    renderings.optional_variables,
    renderings.long_sms,
)
VALUES = (guards.unknown_facts, guards.impossible_values, coverage.bad_shares, graph.mixed_stages)
TIMES = (
    schedules.business_time_without_window,
    schedules.wrong_at_facts,
    schedules.windows_that_never_open,
    timing.late_follow_ups,
    timing.late_escalations,
    timing.timers_that_never_land,
    timing.timers_at_one_instant,
)
GUARDS = (
    guards.unreadable_guards,
    guards.unknown_names,
    guards.impossible_comparisons,
    guards.complex_guards,
    coverage.shadowed_edges,
    coverage.uncovered_lists,
    overlaps.overlapping_guards,
    overlaps.settled_guards,
)
GRAPH = (
    graph.unreachable_stages,
    graph.unreached_exits,
    graph.dead_ends,
    graph.endless_stages,
    graph.unbounded_loops,
    graph.unbounded_stays,
    graph.instant_cycles,
    sends.sends_without_opt_out,
)
SENDS = (sends.sends_without_window, sends.limits_exceeded, sends.unsent_messages)


def check(loaded: LoadedType) -> list[Problem]:
    """Every problem of a loaded campaign type, sorted by place. Never raises."""
    outline = Outline(loaded.spec, loaded.document)
    read = Guards(outline)
    found = list(chain.from_iterable(look(outline) for look in (*NAMES, *TEXTS, *VALUES, *TIMES, *SENDS)))
    found += chain.from_iterable(look(outline, read) for look in GUARDS)
    if not any(problem.code in ("E103", "E108") for problem in found):
        ways = list(chain.from_iterable(look(outline) for look in GRAPH))
        if not any(problem.code in ("E204", "E205") for problem in ways):
            ways += longest.longer_than_ends_within(outline)
        found += ways
    return sorted(set(found))
