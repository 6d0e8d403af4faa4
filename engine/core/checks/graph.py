"""Where a conversation can get to, by its edges alone, guards aside: E201 to E206, and W206.

A stage with `visits` sends entries beyond its bound on to its `then`, so every edge into it may lead there
too. An `always` edge leads on from every stage but its own target, and from before the start.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.checks.outline import Loc, Outline
from engine.core.checks.ways import Way, circle, graph, landings, loops, reached, ways_on
from engine.core.problems import Problem
from engine.core.vocabulary import STAY

WAITING = ("min_stay", "follow_ups", "on_response", "on_event", "timers", "escalate")


def unreachable_stages(outline: Outline) -> Iterator[Problem]:
    """E201: a stage that no way from `start` leads to."""
    spec = outline.spec
    known = _from_start(outline)
    for name in spec.stages:
        if name not in known:
            wrong = f"unreachable stage {name!r}: no way from {spec.start!r} leads here"
            yield outline.problem("E201", f"{wrong}; expected an edge to it", ("stages", name), key=True)


def unreached_exits(outline: Outline) -> Iterator[Problem]:
    """W206: an exit that no way from `start` leads to, nor `ends_within`."""
    spec = outline.spec
    known = _from_start(outline)
    for name in spec.exits:
        if name not in known and not (spec.ends_within and spec.ends_within.then == name):
            wrong = f"no conversation can end in {name!r}: no way from {spec.start!r} leads here"
            yield outline.problem("W206", f"{wrong}; expected an edge to it, or no exit", ("exits", name), key=True)


def _from_start(outline: Outline) -> set[str]:
    """All stages and exits that ways from the start lead to."""
    spec = outline.spec
    entrances = [spec.start, *(edge.target for edge in spec.always)]
    firsts = {each for entrance in entrances for each in landings(spec, entrance)}
    return reached(firsts, graph(outline, ways_on(outline)))


def dead_ends(outline: Outline) -> Iterator[Problem]:
    """E202: a stage that waits and that silence never ends.

    What ends it is an `after:` timer without `when` that leaves the stage, or `ends_within` for the whole
    conversation. `always` does not count, since it needs a response or an event.
    """
    if outline.spec.ends_within:
        return
    for name, stage in outline.spec.stages.items():
        if not stage.split and all(timer.when or timer.target == STAY for timer in stage.timers):
            wrong = f"dead end: nothing ends a silent wait in stage {name!r}"
            expected = "expected a timer without when: that leaves it, or ends_within"
            yield outline.problem("E202", f"{wrong}; {expected}", ("stages", name), key=True)


def endless_stages(outline: Outline) -> Iterator[Problem]:
    """E203: a stage from which no way leads to an exit."""
    spec = outline.spec
    if spec.ends_within:
        return
    leads = graph(outline, ways_on(outline))
    for name in spec.stages:
        if spec.exits.keys().isdisjoint(reached([name], leads)):
            wrong = f"no exit can be reached from stage {name!r}"
            expected = f"expected a way to one of {', '.join(sorted(spec.exits))}"
            yield outline.problem("E203", f"{wrong}; {expected}", ("stages", name), key=True)


def unbounded_loops(outline: Outline) -> Iterator[Problem]:
    """E204: a loop in which no stage has `visits`, so that a conversation could go round for ever."""
    stages = outline.spec.stages
    endless = {name for name, stage in stages.items() if stage.visits is None}
    ways = [way for way in ways_on(outline) if way.source in endless and way.target in endless]
    leads = graph(outline, ways)
    for loop in loops(leads):
        if all(stages[name].split for name in loop):
            continue  # splits alone make an instant cycle
        passed = _passed_over(ways)
        closing = [way.edge.target_loc for way in ways if way.source in loop and way.target in loop]
        message = f"a loop without visits: {circle(loop, leads, passed)}; expected visits: on one of its stages"
        yield outline.problem("E204", message, outline.later(*closing))


def _passed_over(ways: list[Way]) -> dict[tuple[str, str], str]:
    """For each source and target that only used up `visits` connect, the stage that has them."""
    direct = {(way.source, way.target) for way in ways if way.target == way.edge.spec.target}
    return {(way.source, way.target): way.edge.spec.target for way in ways if way[:2] not in direct}


def unbounded_stays(outline: Outline) -> Iterator[Problem]:
    """E204: a `stay` that acts each time it is taken, with no `at_most`. Timers fire once and need none."""
    for edge in outline.edges:
        acts = edge.spec.target == STAY and edge.spec.do and edge.place.kind != "timers"
        if acts and edge.spec.at_most is None:
            message = "a stay with do: but no bound could act for ever; expected at_most: beside it"
            yield outline.problem("E204", message, edge.target_loc)


def instant_cycles(outline: Outline) -> Iterator[Problem]:
    """E205: stages that lead in a circle in which nothing waits.

    Either splits lead to each other, or they do once every `visits` on the way is used up.
    """
    stages = outline.spec.stages
    hops: dict[str, dict[str, Loc]] = {name: {} for name in stages}
    for edge in outline.edges:
        if edge.place.kind == "split" and edge.place.stage:
            hops[edge.place.stage].setdefault(edge.spec.target, edge.target_loc)
    used_up = hops | {
        name: {stage.visits.then: ("stages", name, "visits", "then")} for name, stage in stages.items() if stage.visits
    }
    told: set[str] = set()
    for leads in (hops, used_up):
        for loop in loops(leads):
            if loop.isdisjoint(told):
                told |= loop
                closing = [loc for name in loop for target, loc in leads[name].items() if target in loop]
                wrong = f"an instant cycle: {circle(loop, leads)}"
                expected = "expected a stage that waits on the way"
                yield outline.problem("E205", f"{wrong}; {expected}", outline.later(*closing))


def mixed_stages(outline: Outline) -> Iterator[Problem]:
    """E206: a stage that waits and splits. A split is left the moment it is entered: nothing can wait in it."""
    for name, stage in outline.spec.stages.items():
        waits = [key for key in WAITING if getattr(stage, key)]
        if stage.split and waits:
            places = sorted(outline.document.position(("stages", name, key), key=True) for key in waits)
            split = outline.document.position(("stages", name, "split"), key=True)
            wrong = f"stage {name!r} splits and waits ({', '.join(waits)})"
            message = f"{wrong}; expected one or the other, or two stages"
            yield outline.document.problem_at("E206", message, *max(split, places[0]))
