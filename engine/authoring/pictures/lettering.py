"""How wide a text is drawn, and where it breaks, without asking for a font.

The widths are those of a wide sans-serif face, rounded up by kind of character, so that a text fits its place in
every ordinary face that a reader's machine may have. Nothing here depends on the machine.
"""

from __future__ import annotations

import unicodedata

_EM = 0.64
_WIDTHS = (
    dict.fromkeys("ijl'", 0.3)
    | dict.fromkeys("frtI .,:;!|()[]-/\\", 0.42)
    | dict.fromkeys('"·', 0.48)
    | dict.fromkeys("=<>+~#ABCDGHKNOQRUVXYw&→≥≤×", 0.86)
    | dict.fromkeys("mMW%@…", 1.02)
)
_BOLD = 1.14


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of `text` in pixels at a font size in pixels; never less than what is drawn.

    >>> text_width("ill", 10) < text_width("www", 10) < text_width("日本語", 10)
    True
    """
    return sum(map(_em, text)) * size * (_BOLD if bold else 1)


def _em(character: str) -> float:
    known = _WIDTHS.get(character)
    if known is not None:
        return known
    if character.isascii():
        return 0.72 if character.isupper() else _EM
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 1.1


def wrap(text: str, size: float, width: float, *, bold: bool = False, most: int = 6) -> list[str]:
    """`text` in lines no wider than `width`, at most so many; what does not fit is cut off with "…".

    Lines break at spaces. A word too long for a line breaks after an underscore, else anywhere.

    >>> wrap("plan is free and more", 10, 60)
    ['plan is', 'free and', 'more']
    >>> wrap("a_very_long_name", 10, 60)
    ['a_very_', 'long_name']
    >>> wrap("one two three", 10, 40, most=2)
    ['one', 'two …']
    """
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if text_width(joined, size, bold=bold) <= width:
            lines[-1:] = [joined]
            continue
        *full, last = _pieces(word, size, width, bold)
        lines += [*full, last]
    return lines if len(lines) <= most else [*lines[: most - 1], _cut(lines[most - 1], size, width, bold)]


def _pieces(word: str, size: float, width: float, bold: bool) -> list[str]:
    pieces = []
    while text_width(word, size, bold=bold) > width and len(word) > 1:
        fits = max((end for end in range(1, len(word)) if text_width(word[:end], size, bold=bold) <= width), default=1)
        end = word.rfind("_", 0, fits) + 1 or fits
        pieces.append(word[:end])
        word = word[end:]
    return [*pieces, word]


def _cut(line: str, size: float, width: float, bold: bool) -> str:
    while line and text_width(f"{line} …", size, bold=bold) > width:
        line = line[:-1]
    return f"{line} …".lstrip()
