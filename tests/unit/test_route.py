"""A pass goes round the lanes: high first, none starved, and nobody waits behind somebody else's million."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from itertools import takewhile
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.db.buckets import BUCKETS
from engine.db.conversations import LONG_AGO, Edge, Look
from engine.route import BatchSize, Place, Route

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
HIGH, NORMAL, OTHER, LOW = 1, 5, 6, 14


def a_route(*places: tuple[int, int], preferred: tuple[int, ...] = ()) -> Route:
    return Route(Look(NOW, [Edge(*place, NOW) for place in places], None), preferred, Random(1))


def visits(route: Route, more: bool = True) -> list[Place]:
    """The places of a pass in which every place has ever more."""
    seen = []
    while (place := route.next()) is not None:
        seen.append(place)
        route.left(place, more=more)
    return seen


def test_each_round_takes_four_batches_of_a_high_lane_two_of_a_normal_and_one_of_a_low_one() -> None:
    places = [(bucket, lane) for bucket in BUCKETS[:8] for lane in (HIGH, NORMAL, LOW)]
    lanes = [place.lane for place in visits(a_route(*places))]
    assert lanes[:14] == 2 * ([HIGH] * 4 + [NORMAL] * 2 + [LOW])
    assert Counter(lanes) == {HIGH: 32, NORMAL: 16, LOW: 8}


def test_a_few_wait_for_a_batch_or_two_of_each_other_lane_however_many_are_due_there() -> None:
    everywhere = [(bucket, lane) for bucket in BUCKETS for lane in range(4, 12) if lane != OTHER]
    few = {(bucket, OTHER) for bucket in BUCKETS[:10]}
    route, waits, waited = a_route(*everywhere, *few), [], 0
    while few:
        place = route.next()
        assert place is not None
        if place.lane == OTHER:
            few.remove(place)
            waits.append(waited)
            waited = 0
        else:
            waited += 1
        route.left(place, more=place.lane != OTHER)
    assert max(waits) <= 2 * 7


def test_a_place_with_nothing_more_is_not_visited_again() -> None:
    route = a_route((60, HIGH), (8, HIGH), (60, LOW))
    assert len(visits(route, more=False)) == 3
    assert not route.left_some


def test_a_pass_tells_when_more_was_due_than_it_takes() -> None:
    route = a_route((60, LOW))
    assert len(visits(route)) == 1
    assert route.left_some


def test_preferred_buckets_come_first_in_each_lane() -> None:
    places = [(bucket, lane) for bucket in BUCKETS for lane in (NORMAL, OTHER)]
    route = a_route(*places, preferred=BUCKETS[::2])
    first = list(takewhile(lambda place: place.bucket in BUCKETS[::2], iter(route.next, None)))
    assert len(first) == 64


def test_no_two_hands_are_sent_to_one_place() -> None:
    route = a_route((60, HIGH))
    assert route.next() == Place(60, HIGH)
    assert route.next() is None
    route.left(Place(60, HIGH), more=True)
    assert route.next() == Place(60, HIGH)


def test_a_place_given_back_is_visited_next() -> None:
    route = a_route((60, HIGH), (8, HIGH), (82, LOW))
    first = route.next()
    assert first is not None
    route.back(first)
    assert route.next() == first


def test_a_known_edge_is_forgotten_after_a_while() -> None:
    ticking = iter([0.0, 1.9, 2.1])
    route = Route(Look(NOW, [Edge(60, HIGH, NOW)], None), (), Random(1), lambda: next(ticking))
    assert [route.edge(Place(60, HIGH)) for _ in range(2)] == [NOW, LONG_AGO]


def test_batches_grow_while_they_are_quick_and_shrink_when_they_are_slow() -> None:
    size = BatchSize(1_000)
    sizes = [size.value]
    for seconds in (0.02, 0.02, 0.02, 0.02, 0.1, 0.4, 0.4):
        size.learn(seconds)
        sizes.append(size.value)
    assert sizes == [200, 400, 800, 1_000, 1_000, 1_000, 500, 250]
    assert BatchSize(7).value == 7


def test_what_took_too_long_is_taken_in_smaller_batches_down_to_one() -> None:
    size = BatchSize(5)
    for expected in (2, 1, 1):
        size.shrink()
        assert size.value == expected


@given(st.integers(1, 10_000), st.lists(st.floats(0, 100), max_size=30))
def test_a_batch_is_never_larger_than_allowed_nor_empty(most: int, batches: list[float]) -> None:
    size = BatchSize(most)
    for seconds in batches:
        size.learn(seconds)
        assert 1 <= size.value <= most
