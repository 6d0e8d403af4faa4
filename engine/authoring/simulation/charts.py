"""Charts as inline SVG for a page that styles them: bars beside names, columns over an axis, ranges of spans.

Only shapes and texts with classes; colours are the page's, so that light and dark need no second drawing. Every
mark has a `<title>`, which browsers show on hovering and screen readers read. Numbers are rounded, so that the same
figures give the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 760
_ROW, _BAR = 30, 18
_NAME = 190
_HEIGHT, _TOP, _BOTTOM, _LEFT = 220, 18, 30, 46


class Bar(NamedTuple):
    """A horizontal bar: its name, its length, the text beside it, and the class that colours it."""

    name: str
    value: float
    text: str
    style: str = "stage"


class Series(NamedTuple):
    """Columns of one kind: the class that colours them and a value for each place on the axis."""

    name: str
    style: str
    values: Sequence[float]


class Range(NamedTuple):
    """A span from 0 to `end` with a mark at `middle`."""

    name: str
    middle: float
    end: float
    text: str


def bars(rows: Sequence[Bar], title: str) -> str:
    """A horizontal bar for each row, the longest as wide as the chart lets it be.

    >>> bars([Bar("ask", 10, "10 (100.0%)")], "Funnel").count("<rect")
    1
    """
    widest = max([row.value for row in rows], default=0) or 1
    room = WIDTH - _NAME - 130
    drawn = []
    for index, row in enumerate(rows):
        y, width = index * _ROW + 6, _fine(max(room * row.value / widest, 1.5 if row.value else 0))
        drawn += [
            _text(_NAME - 10, y + 13, row.name, "name", "end"),
            f'<rect class="{row.style}" x="{_NAME}" y="{y}" width="{width}" height="{_BAR}" rx="3">'
            f"{_title(f'{row.name}: {row.text}')}</rect>",
            _text(_NAME + float(width) + 8, y + 13, row.text, "value"),
        ]
    return _svg(len(rows) * _ROW + 6, title, drawn)


def columns(series: Sequence[Series], labels: Sequence[str], title: str, *, every: int = 1) -> str:
    """Columns side by side over `labels`, of which each `every`-th is written.

    >>> columns([Series("sent", "sent", [1, 2])], ["a", "b"], "Days").count("<rect")
    2
    """
    highest = _ceiling(max([value for each in series for value in each.values], default=0))
    floor, room = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    step = (WIDTH - _LEFT - 8) / max(len(labels), 1)
    width = min(max(step * 0.8 / len(series), 0.8), 38)
    drawn = []
    for share in (0, 0.5, 1):
        y = _fine(floor - share * room)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}"/>')
        drawn.append(_text(_LEFT - 6, float(y) + 4, _short(highest * share), "axis", "end"))
    for index, label in enumerate(labels):
        middle = _LEFT + step * (index + 0.5)
        for place, each in enumerate(series):
            value = each.values[index]
            height = room * value / highest
            x = middle + (place - len(series) / 2) * width
            if value:
                drawn.append(
                    f'<rect class="{each.style}" x="{_fine(x)}" y="{_fine(floor - height)}" width="{_fine(width)}" '
                    f'height="{_fine(height)}">{_title(f"{label}: {value:,} {each.name}")}</rect>'
                )
        if index % every == 0:
            drawn.append(_text(middle, floor + 18, label, "axis", "middle"))
    return _svg(_HEIGHT, title, drawn)


def ranges(rows: Sequence[Range], title: str) -> str:
    """A line from 0 for each row, with a dot at its middle.

    >>> ranges([Range("ask", 1, 2, "1 d, 2 d")], "Stays").count("<circle")
    1
    """
    longest = max([row.end for row in rows], default=0) or 1
    room = WIDTH - _NAME - 170
    drawn = []
    for index, row in enumerate(rows):
        y, end, middle = index * _ROW + 15, _NAME + room * row.end / longest, _NAME + room * row.middle / longest
        drawn += [
            _text(_NAME - 10, y + 4, row.name, "name", "end"),
            f'<line class="range" x1="{_NAME}" x2="{_fine(end)}" y1="{y}" y2="{y}">{_title(row.text)}</line>',
            f'<circle class="middle" cx="{_fine(middle)}" cy="{y}" r="5.5">{_title(row.text)}</circle>',
            _text(end + 12, y + 4, row.text, "value"),
        ]
    return _svg(len(rows) * _ROW + 6, title, drawn)


def sparkline(values: Sequence[float], width: int = 60) -> str:
    """The values as a line of blocks, in at most `width` columns that each show the sum of their part.

    >>> sparkline([0, 1, 2, 4])
    ' ▂▄█'
    """
    columns = min(len(values), width)
    sums = [0.0] * columns
    for index, value in enumerate(values):
        sums[index * columns // len(values)] += value
    highest = max(sums, default=0) or 1
    return "".join(" " if not value else "▁▂▃▄▅▆▇█"[min(int(value / highest * 8 - 0.01), 7)] for value in sums)


def _ceiling(value: float) -> float:
    """The next round number that is at least `value`."""
    size = 1.0
    while size * 10 < value:
        size *= 10
    return next((step * size for step in (1, 2, 4, 5, 8, 10) if step * size >= value), 10 * size) if value > 1 else 1


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def _fine(value: float) -> str:
    return f"{value:.1f}"


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{_fine(x)}" y="{_fine(y)}" text-anchor="{anchor}">{escape(text)}</text>'


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _svg(height: float, title: str, drawn: Iterable[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, *drawn, "</svg>"])
