"""What every drawing must keep to: boxes, labels and arrows leave each other clear."""

from __future__ import annotations

from itertools import combinations, pairwise

from engine.authoring.pictures.layout import Arrow, Layout, Rectangle

SLACK = 0.01


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return (
        min(one.right, other.right) - max(one.x, other.x) > SLACK
        and min(one.bottom, other.bottom) - max(one.y, other.y) > SLACK
    )


def assert_clear(layout: Layout, arrows: list[Arrow]) -> None:
    """Nothing lies on anything else, and every arrow begins and ends on the edge of its boxes."""
    labels = [route.label for route in layout.routes if route.label.width]
    solid = [*layout.boxes, *labels]
    assert not [pair for pair in combinations(solid, 2) if overlap(*pair)]
    assert all(each.x > -SLACK and each.y > -SLACK for each in solid)
    assert all(each.right < layout.width + SLACK and each.bottom < layout.height + SLACK for each in solid)
    for arrow, route in zip(arrows, layout.routes, strict=True):
        source, target = layout.boxes[arrow.source], layout.boxes[arrow.target]
        assert_on_edge(route.points[0], source, top=route.upward)
        assert_on_edge(route.points[-1], target, top=not route.upward)
        for (x, y), (to_x, to_y) in pairwise(route.points):
            passed = Rectangle(min(x, to_x) - 1, min(y, to_y), abs(x - to_x) + 2, abs(y - to_y))
            assert not [each for each in solid if each is not route.label and overlap(passed, each)]


def assert_on_edge(point: tuple[float, float], box: Rectangle, *, top: bool) -> None:
    assert box.x < point[0] < box.right
    assert point[1] == (box.y if top else box.bottom)
