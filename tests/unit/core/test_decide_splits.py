"""Stages that do not wait: guards and shares."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from uuid import UUID

import pytest

from engine.core import machine
from engine.core.decide import decide
from engine.core.errors import DecisionError
from engine.core.model import Step
from tests.unit.builders import START, Story, a_conversation, a_type, after

SHARING = """
ask: {split: [{when: vip, go: bought}, {share: 20%, go: one}, {share: 30%, go: two}, {otherwise: three}]}
one: {timers: [{after: 1d, go: gave_up}]}
two: {timers: [{after: 1d, go: gave_up}]}
three: {timers: [{after: 1d, go: gave_up}]}
"""


def test_a_split_moves_on_in_the_same_evaluation_with_a_step_of_its_own() -> None:
    compiled = a_type("ask: {split: [{when: seats >= 200, go: bought}, {otherwise: gave_up}]}")
    assert Story(compiled, facts={"seats": 200}).steps == [
        Step(1, None, "ask", "start", "start", True, 0, START),
        Step(2, "ask", "bought", "split", "stages.ask.split[0]", True, 0, START),
    ]
    assert Story(compiled, facts={"seats": 199}).stage == "gave_up"
    assert Story(compiled).stage == "gave_up"


def test_split_chains_are_followed_after_each_step() -> None:
    compiled = a_type("""
    ask: {timers: [{after: 1d, go: which}]}
    which: {split: [{when: vip, go: bought}, {otherwise: which_now}]}
    which_now: {split: [{otherwise: wait}]}
    wait: {timers: [{after: 0s, go: which_last}]}
    which_last: {split: [{otherwise: gave_up}]}
    """)
    story = Story(compiled).wait("1d")
    assert story.causes[1:] == [
        "timer -> which",
        "split -> which_now",
        "split -> wait",
        "timer -> which_last",
        "split -> gave_up",
    ]
    assert [step.seq for step in story.steps] == [1, 2, 3, 4, 5, 6]


def test_a_split_runs_its_on_enter_and_the_do_of_its_edges() -> None:
    compiled = a_type("""
    ask:
      on_enter: [{send: intro}, {set: {vip: true}}]
      split: [{when: vip, go: wait, do: [{send: tip}]}, {otherwise: gave_up}]
    wait: {timers: [{after: 1d, go: gave_up}]}
    """)
    story = Story(compiled)
    assert (story.names, [step.sends for step in story.steps]) == (["intro", "tip"], [1, 1])


def test_nobody_waits_in_a_split_so_ends_within_is_not_kept_from_what_follows() -> None:
    story = Story(a_type(SHARING, ends_within="{at_most: 20h, then: gave_up}"))
    assert story.wait("20h").causes[-1] == "ends_within -> gave_up"


def test_shares_are_deterministic_and_near_their_size() -> None:
    compiled = a_type(SHARING)
    people = [UUID(int=number * 0x9E3779B97F4A7C15) for number in range(4_000)]
    landed = [decide(compiled, a_conversation(id=each), [], START).conversation.stage for each in people]
    assert landed == [decide(compiled, a_conversation(id=each), [], after("9d")).conversation.stage for each in people]
    counts = Counter(landed)
    assert 700 < counts["one"] < 900
    assert 1_080 < counts["two"] < 1_320
    assert 1_850 < counts["three"] < 2_150


def test_shares_are_cumulative_intervals_so_a_larger_first_share_keeps_whom_it_had() -> None:
    people = [UUID(int=number * 0x9E3779B97F4A7C15) for number in range(300)]

    def first(share: str) -> set[UUID]:
        compiled = a_type(f"ask: {{split: [{{share: {share}, go: bought}}, {{otherwise: gave_up}}]}}")
        return {
            each
            for each in people
            if decide(compiled, a_conversation(id=each), [], START).conversation.stage == "bought"
        }

    assert first("10%") < first("40%") < first("90%") < first("100%") == set(people)
    assert first("0%") == set()


def test_shares_of_another_stage_or_visit_are_drawn_anew() -> None:
    def drawn(stage: str, visits: int) -> list[str | None]:
        compiled = a_type(f"{stage}: {{split: [{{share: 50%, go: bought}}, {{otherwise: gave_up}}]}}", start=stage)
        people = (a_conversation(id=UUID(int=n), visits={stage: visits}) for n in range(64))
        return [decide(compiled, each, [], START).conversation.stage for each in people]

    assert drawn("ask", 0) == drawn("ask", 0)
    assert drawn("ask", 0) != drawn("ask", 1)
    assert drawn("ask", 0) != drawn("which", 0)


def test_shares_that_fill_the_whole_leave_nobody_out_whatever_their_fractions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times 0.1 is a little less than 1 in binary fractions."""
    compiled = a_type("ask: {split: [" + ", ".join(["{share: 10%, go: bought}"] * 9) + ", {share: 10%, go: gave_up}]}")
    for digest, stage in ((bytes(8), "bought"), (b"\xff" * 8, "gave_up")):
        monkeypatch.setattr(machine, "blake2b", lambda *_, digest=digest, **__: SimpleNamespace(digest=lambda: digest))
        assert decide(compiled, a_conversation(), [], START).conversation.stage == stage


def test_a_scenario_fixes_a_share_and_a_guard_before_it_still_wins() -> None:
    compiled = a_type(SHARING)
    for fixed in ("one", "two", "three"):
        assert Story(compiled, splits={"ask": fixed}).stage == fixed
    assert Story(compiled, splits={"ask": "one"}, facts={"vip": True}).stage == "bought"


def test_a_split_that_takes_nobody_is_an_error_of_this_conversation() -> None:
    compiled = a_type("ask: {split: [{when: vip, go: bought}]}")
    with pytest.raises(DecisionError, match="no edge of the split in stage 'ask'"):
        decide(compiled, a_conversation(), [], START)
