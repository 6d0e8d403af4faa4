"""Checks of guards against each other and against everything: W304 and W306."""

from __future__ import annotations

import pytest

from tests.unit.checking import answering, splitting, waiting, warnings


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        (["{when: seats > 9, go: won_it}", "{when: seats > 4, go: left}"], True),
        (["{when: seats > 9, go: won_it}", "{when: seats > 4, go: won_it}"], False),
        (["{when: seats > 9, go: won_it}", "{when: seats < 10, go: left}"], False),
        (["{when: seats > 9, go: won_it}", "{when: seats <= 10, go: left}"], True),
        (["{when: seats > 9, go: won_it}", "{when: vip, go: left}"], False),
        (["{when: seats > 9 and vip, go: won_it}", "{when: vip and seats < 99, go: left}"], True),
        (["{when: seats > 9 and vip, go: won_it}", "{when: not vip and seats < 99, go: left}"], False),
        (["{share: 50%, go: won_it}", "{when: seats > 4, go: left}"], False),
    ],
)
def test_two_guards_over_the_same_names_that_can_both_hold_are_told_at_the_later(edges: list[str], told: bool) -> None:
    found = warnings(splitting(*edges, "otherwise: lost_it"))
    assert [problem.code for problem in found] == (["W304"] if told else [])
    assert all(problem.source.strip() == f"- {edges[1]}" for problem in found)


def test_an_edge_that_gives_way_when_used_up_may_overlap_with_what_follows() -> None:
    edges = ('{when: answer == "no", go: stay, at_most: 1}', '{when: answer == "no", go: left}', "otherwise: won_it")
    assert warnings(answering(*edges)) == []


def test_three_that_overlap_are_told_once_for_each_later_one() -> None:
    edges = [
        f"{{when: seats > {least}, go: {target}}}" for least, target in ((9, "won_it"), (6, "left"), (3, "lost_it"))
    ]
    assert [problem.code for problem in warnings(splitting(*edges, "otherwise: left"))] == ["W304", "W304"]


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("seats >= 1", "always true"),
        ("seats > 1000", "never true"),
        ("seats > 3 and seats < 4", "never true"),
        ("vip or not vip", "always true"),
        ("name is missing", "never true"),
        ("name is not missing", "always true"),
        ("visits >= 1", "always true"),
        ('answer == "yes" and answer == "no"', "never true"),
        ("plan is missing", None),
        ('plan == "free" or plan == "team"', None),
        ("rating >= 1", None),
    ],
)
def test_a_guard_that_comes_out_the_same_for_every_value_is_told(when: str, says: str | None) -> None:
    found = warnings(waiting(f"on_enter: [{{send: intro, when: '{when}'}}]"))
    assert [problem.code for problem in found] == (["W306"] if says else [])
    assert all(says in problem.message for problem in found if says)
