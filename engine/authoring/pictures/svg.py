"""SVG as text: the frame of a drawing, its colours, and the few shapes that it is made of.

Nothing is fetched and nothing runs: the file has its own style, plain fonts that every machine has a form of, and
colours for light and dark. Every text is escaped, and what XML cannot hold is shown as a replacement character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LIGHT = {
    "page": "#ffffff", "text": "#1b2330", "quiet": "#566072", "line": "#5d6b82",
    "stage": "#f3f6fb", "stage-edge": "#8593ab", "split": "#f2ecff", "split-edge": "#7a55d6",
    "won": "#daf3e1", "won-edge": "#1a7f37", "lost": "#fbe6e6", "lost-edge": "#b3362c",
    "stopped": "#ffefcf", "stopped-edge": "#a86200",
}  # fmt: skip
_DARK = {
    "page": "#0f141b", "text": "#e8edf4", "quiet": "#a3afc0", "line": "#8896ad",
    "stage": "#1b2430", "stage-edge": "#5f6f88", "split": "#2a2145", "split-edge": "#a48bf0",
    "won": "#12331f", "won-edge": "#3fb65f", "lost": "#3b1b1c", "lost-edge": "#e5736b",
    "stopped": "#3a2a0c", "stopped-edge": "#dd9a33",
}  # fmt: skip
_RULES = """
.ct{font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif;font-size:12px}
.ct text{fill:var(--text);white-space:pre}
.ct .quiet{fill:var(--quiet)}
.ct .strong{font-weight:bold}
.ct .name{font-weight:bold;font-size:13.5px}
.ct .title{font-weight:bold;font-size:17px}
.ct .done{font-style:italic}
.ct .page{fill:var(--page)} .ct .pill{fill:var(--page);stroke:none}
.ct .line{fill:none;stroke:var(--line);stroke-width:1.5} .ct .timed{stroke-dasharray:6 4}
.ct .under{fill:none;stroke:var(--page);stroke-width:6}
.ct .tip,.ct .start{fill:var(--line)}
.ct .stage{fill:var(--stage);stroke:var(--stage-edge)} .ct .split{fill:var(--split);stroke:var(--split-edge)}
.ct .anywhere{fill:var(--page);stroke:var(--stage-edge);stroke-dasharray:3 3}
.ct .won{fill:var(--won);stroke:var(--won-edge)} .ct .lost{fill:var(--lost);stroke:var(--lost-edge)}
.ct .stopped{fill:var(--stopped);stroke:var(--stopped-edge)}
.ct .won,.ct .lost,.ct .stopped{stroke-width:1.8}
""".strip()


def document(width: float, height: float, title: str, description: str, body: Iterable[str]) -> str:
    """A whole SVG file of this size, with its title and description for those who cannot see it."""
    light, dark = (";".join(f"--{name}:{value}" for name, value in each.items()) for each in (_LIGHT, _DARK))
    w, h = number(width), number(height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="ct" width="{w}" height="{h}" viewBox="0 0 {w} {h}"'
            ' role="img" aria-labelledby="ct-title ct-description">',
            f'<title id="ct-title">{text(title)}</title>',
            f'<desc id="ct-description">{text(description)}</desc>',
            f"<style>\n.ct{{{light}}}\n@media (prefers-color-scheme:dark){{.ct{{{dark}}}}}\n{_RULES}\n</style>",
            '<defs><marker id="ct-tip" viewBox="0 0 9 8" refX="9" refY="4" markerWidth="9" markerHeight="8"'
            ' markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0 0 9 4 0 8z"/></marker></defs>',
            f'<rect class="page" width="{w}" height="{h}"/>',
            *body,
            "</svg>\n",
        ]
    )


def text(raw: str) -> str:
    """`raw` as XML holds it.

    >>> text('a < "b" & \\x07')
    'a &lt; &quot;b&quot; &amp; \\ufffd'
    """
    return escape(_NOT_XML.sub("\ufffd", raw), {'"': "&quot;"})


def number(value: float) -> str:
    """A length to a tenth of a pixel, without a needless zero.

    >>> number(12.04), number(0.25)
    ('12', '0.2')
    """
    return f"{value:.1f}".removesuffix(".0")


def written(x: float, y: float, line: str, *classes: str, middle: bool = False) -> str:
    """A line of text that begins, or has its middle, at x, with its letters standing on y."""
    style = f' class="{" ".join(classes)}"' if classes else ""
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text x="{number(x)}" y="{number(y)}"{style}{anchor}>{text(line)}</text>'


def rectangle(x: float, y: float, width: float, height: float, radius: float, style: str) -> str:
    """A rectangle with rounded corners."""
    return (
        f'<rect class="{style}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        f' rx="{number(radius)}"/>'
    )


def pointed(x: float, y: float, width: float, height: float, style: str) -> str:
    """A box with pointed sides, inside the same rectangle."""
    side, right, middle, bottom = 12, x + width, y + height / 2, y + height
    inner = (x + side, right - side)
    corners = [*((each, y) for each in inner), (right, middle), *((each, bottom) for each in inner[::-1]), (x, middle)]
    return f'<polygon class="{style}" points="{" ".join(f"{number(a)},{number(b)}" for a, b in corners)}"/>'


def path(points: Sequence[tuple[float, float]]) -> str:
    """A way through `points`, upright where two are above each other, else turning in a soft curve."""
    x, y = points[0]
    steps = [f"M{number(x)} {number(y)}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        if number(x) == number(to_x):
            steps.append(f"V{number(to_y)}" if number(y) != number(to_y) else "")
        else:
            middle = number((y + to_y) / 2)
            steps.append(f"C{number(x)} {middle} {number(to_x)} {middle} {number(to_x)} {number(to_y)}")
    return "".join(steps)
