"""Drawings of boxes and arrows: nothing overlaps, whatever is drawn."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from time import process_time

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.pictures.alignment import centres, distance
from engine.authoring.pictures.layering import in_rows
from engine.authoring.pictures.layout import Arrow, lay_out
from engine.authoring.pictures.ordering import crossing_count, untangle
from tests.unit.clearance import SLACK, assert_clear

BOX = (100.0, 40.0)
LABEL = (60.0, 20.0)


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[tuple[float, float]], list[Arrow]]:
    sizes = st.tuples(st.floats(10, 300), st.floats(10, 200))
    labels = st.one_of(st.just((0.0, 0.0)), st.tuples(st.floats(10, 160), st.floats(10, 120)))
    boxes = draw(st.lists(sizes, min_size=1, max_size=30))
    ends = st.tuples(*[st.integers(0, len(boxes) - 1)] * 2).filter(lambda pair: pair[0] != pair[1])
    pairs = draw(st.lists(ends, max_size=60, unique=True)) if len(boxes) > 1 else []
    return boxes, [Arrow(*pair, draw(labels)) for pair in pairs]


@settings(max_examples=120, deadline=None)
@given(drawings())
def test_nothing_overlaps_and_every_arrow_meets_its_boxes(
    drawing: tuple[list[tuple[float, float]], list[Arrow]],
) -> None:
    boxes, arrows = drawing
    layout = lay_out(boxes, arrows)
    assert_clear(layout, arrows)
    assert layout == lay_out(boxes, arrows)


@settings(max_examples=60, deadline=None)
@given(drawings())
def test_neighbours_keep_their_distance_and_untangling_never_adds_crossings(
    drawing: tuple[list[tuple[float, float]], list[Arrow]],
) -> None:
    boxes, arrows = drawing
    layered = in_rows(boxes, [(each.source, each.target) for each in arrows], [each.label for each in arrows])
    untangle(layered)
    crossings = crossing_count(layered)
    untangle(layered)
    assert crossing_count(layered) <= crossings
    at = centres(layered)
    for row in layered.rows:
        for left, right in pairwise(row):
            assert at[right] - at[left] >= distance(layered, left, right) - SLACK


def test_arrows_lead_down_except_one_that_closes_a_cycle() -> None:
    arrows = [Arrow(0, 1, LABEL), Arrow(1, 2, LABEL), Arrow(2, 0, LABEL)]
    layout = lay_out([BOX] * 3, arrows)
    assert [route.upward for route in layout.routes] == [False, False, True]
    assert layout.boxes[0].y < layout.boxes[1].y < layout.boxes[2].y
    assert_clear(layout, arrows)


def test_a_crossing_that_can_be_avoided_is_avoided() -> None:
    arrows = [Arrow(0, 1), Arrow(0, 2), Arrow(1, 4), Arrow(2, 3), Arrow(1, 5), Arrow(2, 6)]
    layered = in_rows([BOX] * 7, [(each.source, each.target) for each in arrows], [LABEL] * 6)
    assert crossing_count(layered) > 0
    untangle(layered)
    assert crossing_count(layered) == 0


def test_neighbours_that_save_crossings_change_places() -> None:
    """Sorting by neighbours alone ends with 13 crossings here."""
    chance = Random(7)
    pairs = sorted({(a, b) for a, b in ((chance.randrange(25), chance.randrange(25)) for _ in range(50)) if a < b})
    layered = in_rows([BOX] * 25, pairs, [LABEL] * len(pairs))
    untangle(layered)
    assert crossing_count(layered) <= 10


def test_arrows_leave_a_box_in_the_order_in_which_they_go_on() -> None:
    layout = lay_out([BOX] * 5, [Arrow(0, each, LABEL) for each in range(1, 5)])
    leaving = sorted((route.points[0][0], route.points[2][0]) for route in layout.routes)
    assert [onward for _, onward in leaving] == sorted(onward for _, onward in leaving)


def test_a_long_arrow_runs_straight_beside_what_it_passes() -> None:
    arrows = [*(Arrow(each, each + 1, LABEL) for each in range(6)), Arrow(0, 6, LABEL)]
    layout = lay_out([BOX] * 7, arrows)
    middle = {round(x, 3) for x, _ in layout.routes[-1].points[2:-2]}
    assert len(middle) == 1
    assert_clear(layout, arrows)


def test_a_box_kept_under_the_top_row_stands_beside_the_first_target() -> None:
    layout = lay_out([BOX] * 4, [Arrow(0, 1), Arrow(2, 3)], under=[2])
    assert layout.boxes[2].y == layout.boxes[1].y > layout.boxes[0].y


def test_thirty_boxes_and_sixty_arrows_are_laid_out_in_under_a_second() -> None:
    arrows = [Arrow(each, each + 1, LABEL) for each in range(29)]
    arrows += [Arrow(each, each * 7 % 30, LABEL) for each in range(30) if each * 7 % 30 not in (each, each + 1)]
    began = process_time()
    layout = lay_out([BOX] * 30, arrows)
    assert process_time() - began < 1
    assert_clear(layout, arrows)
