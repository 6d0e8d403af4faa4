"""A campaign type as a picture: one SVG file, readable by itself in light and in dark, with no script or font.

Stages are boxes, splits have pointed sides, exits are coloured by their outcome and name it. A dashed line is taken
by time alone. What holds in every stage is drawn once, from a box of its own. The same campaign type gives the same
bytes, on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.authoring.pictures import svg
from engine.authoring.pictures.captions import heading
from engine.authoring.pictures.layout import Arrow, Layout, Rectangle, lay_out
from engine.authoring.pictures.lettering import text_width, wrap
from engine.authoring.pictures.sketch import Caption, Link, Node, Sketch, sketch
from engine.core.spec import CampaignTypeSpec

_MARGIN = 24.0
_NAME, _SIZE, _TITLE = 13.5, 12.0, 17.0
_LINE_HEIGHT = 16.0
_WIDEST, _WIDEST_LABEL = 270.0, 150.0
_INDENT = 10.0
_START = (14.0, 14.0)
_LEGEND = 28.0
_NARROWEST = 420.0
_OUTCOMES = ("won", "lost", "stopped")


@dataclass(frozen=True, slots=True)
class Lettered:
    """Lines of text as they are drawn, each with its style and how far it is indented."""

    lines: tuple[tuple[str, str, float], ...]

    @property
    def width(self) -> float:
        return max((_width(text, style) + indent for text, style, indent in self.lines), default=0.0)

    @property
    def height(self) -> float:
        return sum(_height(style) for _, style, _ in self.lines)


@dataclass(frozen=True, slots=True)
class Picture:
    """A campaign type with a place for everything, from which the file is written."""

    sketch: Sketch
    boxes: tuple[Lettered, ...]
    labels: tuple[Lettered, ...]
    layout: Layout


def draw(spec: CampaignTypeSpec) -> str:
    """The picture of a campaign type as the text of an SVG file.

    >>> from engine.core.loader import parse_campaign_type
    >>> picture = draw(parse_campaign_type('''
    ... campaign_type: hello
    ... version: 1
    ... start: greet
    ... stages: {greet: {timers: [{after: 3d, go: no_answer}]}}
    ... exits: {no_answer: lost}
    ... ''', "hello.yaml").spec)
    >>> [name for name in ("greet", "after 3d", "no_answer", "lost") if f">{name}</text>" in picture]
    ['greet', 'after 3d', 'no_answer', 'lost']
    """
    picture = compose(spec)
    title = heading(spec)[0]
    headlines = _headlines(heading(spec), max(picture.layout.width, _NARROWEST))
    width = max(_NARROWEST, picture.layout.width, headlines.width)
    top = _MARGIN + headlines.height + 24
    middle = _MARGIN + (width - picture.layout.width) / 2
    height = top + picture.layout.height + _LEGEND + _MARGIN
    body = [
        *_lines(headlines, Rectangle(_MARGIN, _MARGIN, headlines.width, headlines.height), top=0, middle=False),
        f'<g transform="translate({svg.number(middle)} {svg.number(top)})">',
        *_routes(picture),
        *_boxes(picture),
        "</g>",
        *_legend(height - _MARGIN),
    ]
    return svg.document(width + 2 * _MARGIN, height, title, _description(spec, picture.sketch), body)


def compose(spec: CampaignTypeSpec) -> Picture:
    """Everything that is drawn, and where."""
    drawn = sketch(spec)
    boxes = tuple(map(_letter_box, drawn.nodes))
    labels = tuple(_letter_label(link.captions) for link in drawn.links)
    arrows = [
        Arrow(link.source, link.target, (each.width + 10, each.height + 4) if each.lines else (0.0, 0.0))
        for link, each in zip(drawn.links, labels, strict=True)
    ]
    sizes = [_box_size(*each) for each in zip(drawn.nodes, boxes, strict=True)]
    anywhere = [index for index, node in enumerate(drawn.nodes) if node.kind == "anywhere"]
    return Picture(drawn, boxes, labels, lay_out(sizes, arrows, under=anywhere))


def _headlines(heading: list[str], width: float) -> Lettered:
    title, *rest = heading
    lines = [(line, "title", 0.0) for line in wrap(title, _TITLE, width, bold=True)]
    return Lettered((*lines, *((line, "quiet", 0.0) for each in rest for line in wrap(each, _SIZE, width))))


def _letter_box(node: Node) -> Lettered:
    if node.kind == "start":
        return Lettered(())
    outcome = node.kind if node.kind in _OUTCOMES else ""
    lines = [(line, "name", 0.0) for line in wrap(node.name, _NAME, _WIDEST, bold=True)]
    for each in node.lines:
        style = "strong" if each == outcome else "quiet"
        lines += _indented(wrap(each, _SIZE, _WIDEST - _INDENT), style)
    return Lettered(tuple(lines))


def _letter_label(captions: list[Caption]) -> Lettered:
    lines: list[tuple[str, str, float]] = []
    for each in captions:
        lines += [(line, "strong", 0.0) for line in wrap(each.cause, _SIZE, _WIDEST_LABEL, bold=True, most=4)]
        lines += [(line, "", 0.0) for line in wrap(each.guard, _SIZE, _WIDEST_LABEL)]
        lines += [(line, "quiet done", 0.0) for done in each.done for line in wrap(done, _SIZE, _WIDEST_LABEL)]
    return Lettered(tuple(lines))


def _indented(lines: list[str], style: str) -> list[tuple[str, str, float]]:
    return [(line, style, _INDENT if index else 0.0) for index, line in enumerate(lines)]


def _width(line: str, style: str) -> float:
    size = {"name": _NAME, "title": _TITLE}.get(style, _SIZE)
    return text_width(line, size, bold=style in ("name", "title", "strong"))


def _height(style: str) -> float:
    return 24.0 if style == "title" else _LINE_HEIGHT


def _box_size(node: Node, box: Lettered) -> tuple[float, float]:
    if node.kind == "start":
        return _START
    sides = 44 if node.kind == "split" else 24
    return max(box.width + sides, 96.0), box.height + 14


def _routes(picture: Picture) -> Iterator[str]:
    """The lines, each over a wider one in the colour of the page, so that crossings are clear; then the labels."""
    triples = list(zip(picture.sketch.links, picture.layout.routes, picture.labels, strict=True))
    for link, route, _ in triples:
        way = svg.path(route.points)
        yield f'<path class="under" d="{way}"/>'
        yield f'<path class="line{" timed" if link.timed else ""}" d="{way}" marker-end="url(#ct-tip)"/>'
    for link, route, label in triples:
        if label.lines:
            yield f"<g>{_tip(_told(picture.sketch, link))}{_rectangle(route.label, 6, 'pill')}"
            yield from _lines(label, route.label, top=2, middle=True)
            yield "</g>"


def _boxes(picture: Picture) -> Iterator[str]:
    for node, place, box in zip(picture.sketch.nodes, picture.layout.boxes, picture.boxes, strict=True):
        yield f"<g>{_tip(node.tip)}"
        if node.kind == "split":
            yield svg.pointed(place.x, place.y, place.width, place.height, "split")
        else:
            radius = {"start": 7.0, "stage": 7.0, "anywhere": 7.0}.get(node.kind, 14.0)
            yield _rectangle(place, radius, node.kind)
        yield from _lines(box, place, top=7, middle=node.kind in _OUTCOMES)
        yield "</g>"


def _lines(block: Lettered, place: Rectangle, top: float, *, middle: bool) -> Iterator[str]:
    """The lines of a box or label: in the middle, or, below its name, from the left."""
    left = place.x + (place.width - block.width) / 2
    y = place.y + top
    for line, style, indent in block.lines:
        y += _height(style)
        if style == "name":
            yield svg.written(place.x + place.width / 2, y - 4, line, "name", middle=True)
        elif middle:
            yield svg.written(place.x + place.width / 2, y - 4, line, *style.split(), middle=True)
        else:
            yield svg.written(left + indent, y - (8 if style == "title" else 4), line, *style.split())


def _rectangle(place: Rectangle, radius: float, style: str) -> str:
    return svg.rectangle(place.x, place.y, place.width, place.height, radius, style)


def _tip(told: str) -> str:
    return f"<title>{svg.text(told)}</title>" if told else ""


def _legend(y: float) -> Iterator[str]:
    yield f'<path class="line" d="M{_MARGIN:g} {svg.number(y - 4)}h34"/>'
    yield svg.written(_MARGIN + 42, y, "response, event or share", "quiet")
    yield f'<path class="line timed" d="M{_MARGIN + 220:g} {svg.number(y - 4)}h34"/>'
    yield svg.written(_MARGIN + 262, y, "time alone", "quiet")


def _description(spec: CampaignTypeSpec, drawn: Sketch) -> str:
    """The whole picture in words."""
    counts = f"{len(spec.stages)} stages, {len(spec.exits)} exits, start in {spec.start}."
    return " ".join([counts, *(f"{_told(drawn, link)}." for link in drawn.links if link.captions)])


def _told(drawn: Sketch, link: Link) -> str:
    reasons = "; ".join(", ".join(filter(None, (each.cause, each.guard, *each.done))) for each in link.captions)
    return f"{drawn.nodes[link.source].name} to {drawn.nodes[link.target].name}: {reasons}"
