"""Random campaign types that pass every check, and random things that happen to a conversation.

The types are small but use the whole vocabulary: guards over facts, responses and counters, timers, dates, business
time, splits and shares, visits, `min_stay`, follow-ups, escalations, `always`, `ends_within`, windows and limits. Only
targets are steered: a split leads forward, and whatever is led back to has bounded visits. The few types that a check
still refuses (a guard that takes all that a later one would) are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from engine.core.checks import check
from engine.core.compiled import CompiledType
from engine.core.loader import LoadedType
from engine.core.machine import compile_campaign_type
from engine.core.schedules import WindowSpec
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import Document

Draw = Callable[[st.SearchStrategy[Any]], Any]

EXITS = {"bought": "won", "gave_up": "lost", "opted_out": "stopped"}
TEXTS = ["", "hm", "yes", "no", "stop", "yes 5", "no, 1", "3", "🙂"]
EVENTS = ["opened", "closed", "unheard_of"]
BUSINESS = ["4 business hours", "2 business days"]
SPANS = ["30m", "1h", "5h", "1d", "36h", "3d", "1w"]
_HARMLESS = {"E401", "E405"}  # a reminder or timer that comes too late is a slip, and nothing that decide minds
_EVERYWHERE = [
    "vip",
    "not vip",
    "seats > 10",
    "seats is missing",
    'plan == "team"',
    "visits == 2",
    "responses_total >= 2",
]
_HEARD = ['answer == "yes"', 'answer == "no"', "rating >= 3", "responses >= 2", "rating is missing", "not rating < 3"]
_TIMED = [*_HEARD, "follow_ups_sent >= 1", "responses == 0"]


@st.composite
def sources(draw: Draw) -> dict[str, Any]:
    """A campaign type as plain data, not checked."""
    names = [f"s{index}" for index in range(draw(st.integers(1, 4)))]
    stages = {
        name: draw(_split(names[at + 1 :]) if at and draw(_rarely) else _waiting(names))
        for at, name in enumerate(names)
    }
    for at, stage in enumerate(stages.values()):
        if at == 0 or draw(st.booleans()) or "split" in stage:
            then = st.sampled_from([*names[at + 1 :], *EXITS])
            stage["visits"] = {"at_most": draw(st.integers(1, 3)), "then": draw(then)}
    source: dict[str, Any] = {
        "campaign_type": "random",
        "version": 1,
        "facts": {
            "vip": "bool?",
            "seats": "int 1..100?",
            "plan": "one of [free, team]?",
            "score": "int 1..4?",
            "renewal_on": "date?",
        },
        "responses": {
            "answer": {"yes": {"any_word": ["yes"]}, "no": {"any_word": ["no"]}, "stop": {"any_word": ["stop"]}},
            "rating": {"number": "1..5"},
        },
        "start": "s0",
        "always": draw(st.lists(_edge([*names, *EXITS], [*_EVERYWHERE, *_HEARD]), max_size=2)),
        "stages": stages,
        "exits": {name: {"outcome": outcome, "on_enter": draw(_actions)} for name, outcome in EXITS.items()},
        "messages": {"intro": {"text": "Hi"}, "tip": {"text": "A tip"}},
    }
    source["always"].append({"when": 'answer == "stop"', "go": "opted_out"})
    if draw(st.booleans()):
        source["send_window"] = draw(_windows)
        first = stages["s0"]
        if draw(st.booleans()):
            first["timers"].insert(0, {"after": draw(st.sampled_from(BUSINESS)), "go": "gave_up", "when": "vip"})
        if draw(st.booleans()):
            first["send_window"] = draw(_windows)
    if draw(st.booleans()):
        source["limits"] = draw(st.sampled_from([{"cooldown": "6h"}, {"per_recipient": "2 per 7d"}]))
    if draw(st.booleans()):
        source["ends_within"] = {"at_most": draw(st.sampled_from(["2d", "3w"])), "then": "gave_up"}
    return source


@st.composite
def campaign_types(draw: Draw) -> CompiledType:
    """A checked campaign type, ready to run."""
    spec = CampaignTypeSpec.model_validate(draw(sources()))
    found = check(LoadedType(spec, Document("", "random"), ""))
    codes = {problem.code for problem in found if problem.severity == "error"} - _HARMLESS
    assert codes <= {"E201", "E203", "E204", "E303"}  # any other would be a mistake of this strategy
    assume(not codes)
    return compile_campaign_type(spec)


_windows = st.fixed_dictionaries(
    {},
    optional={
        "days": st.sampled_from(["mon-fri", "sat", "fri-mon", "all"]),
        "from": st.sampled_from(["09:00", "22:00"]),
        "to": st.sampled_from(["17:00", "06:00"]),
        "at": st.sampled_from(["10:00", ["23:30", "16:00"]]),
        "zone": st.sampled_from(["recipient", "Asia/Tokyo"]),
        "holidays": st.just("US"),
    },
).filter(lambda window: WindowSpec.model_validate(window).window.next_open(_SOMETIME, "UTC") is not None)
_SOMETIME = datetime(2026, 3, 2, tzinfo=UTC)
_rarely = st.sampled_from([False, False, True])
_spans = st.sampled_from(SPANS)
_messages = st.sampled_from(["intro", "tip"])
_actions = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"send": _messages},
            optional={
                "after": _spans,
                "when": st.sampled_from(_EVERYWHERE[:5]),
                "ignore_window": st.booleans(),
                "ignore_limits": st.booleans(),
            },
        ),
        st.sampled_from([{"assign": {"to": "inbox"}}, {"emit": "told"}]),
        st.sampled_from(
            [
                {"set": {"vip": True}},
                {"set": {"seats": 50}},
                {"set": {"score": "rating"}},
                {"set": {"renewal_on": "2026-03-20"}},
            ]
        ),
    ),
    max_size=3,
)


@st.composite
def _edge(draw: Draw, targets: list[str], guards: list[str]) -> dict[str, Any]:
    """An edge with a guard."""
    first, second = draw(st.sampled_from(guards)), draw(st.sampled_from(guards))
    joined = draw(st.sampled_from([first, f"{first} and {second}", f"{first} or not ({second})"]))
    edge: dict[str, Any] = {"when": joined, "go": draw(st.sampled_from([*targets, "stay"])), "do": draw(_actions)}
    return edge | ({"at_most": draw(st.integers(1, 2))} if edge["go"] == "stay" else {})


@st.composite
def _split(draw: Draw, later: list[str]) -> dict[str, Any]:
    """A stage that leads forward at once."""
    targets = [*later, *EXITS]
    guarded = st.fixed_dictionaries(
        {"when": st.sampled_from(_EVERYWHERE), "go": st.sampled_from(targets), "do": _actions}
    )
    shared = st.fixed_dictionaries({"share": st.sampled_from(["10%", "33.3%"]), "go": st.sampled_from(targets)})
    edges = draw(st.lists(st.one_of(guarded, shared), max_size=3))
    return {"on_enter": draw(_actions), "split": [*edges, {"otherwise": draw(st.sampled_from(targets))}]}


@st.composite
def _waiting(draw: Draw, names: list[str]) -> dict[str, Any]:
    """A stage that waits, and not for ever."""
    targets = [*names, *EXITS]
    timer = _edge(targets, [*_EVERYWHERE, *_TIMED]).map(lambda edge: {key: edge[key] for key in ("when", "go", "do")})
    timers = draw(st.lists(st.tuples(_spans, timer), max_size=2))
    stage: dict[str, Any] = {
        "on_enter": draw(_actions),
        "timers": [{"after": after, **edge} for after, edge in timers],
        "on_response": draw(st.lists(_edge(targets, [*_EVERYWHERE, *_HEARD]), max_size=2)),
    }
    if draw(st.booleans()):
        at = draw(st.sampled_from(["renewal_on", "renewal_on - 3d 09:00", "renewal_on + 2h"]))
        stage["timers"].append({"at": at, "go": draw(st.sampled_from([*targets, "stay"])), "do": draw(_actions)})
    stage["timers"].append({"after": draw(_spans), "go": draw(st.sampled_from(targets)), "do": draw(_actions)})
    stage["on_response"].append({"otherwise": draw(st.sampled_from([*targets, "stay"]))})
    if draw(st.booleans()):
        stage["min_stay"] = draw(_spans)
    if draw(st.booleans()):
        stage["on_event"] = {"opened": draw(_edge(targets, [*_EVERYWHERE, *_TIMED])), "closed": {"go": "gave_up"}}
    if draw(st.booleans()):
        follow_up = st.fixed_dictionaries(
            {"after": _spans, "send": _messages, "times": st.integers(1, 2)},
            optional={"when": st.sampled_from(_EVERYWHERE)},
        )
        stage["follow_ups"] = draw(st.lists(follow_up, min_size=1, max_size=2))
    if draw(_rarely):
        stage["escalate"] = [{"after": draw(_spans), "to": "lead"}]
    return stage
