"""How many SMS a text takes, by 3GPP TS 23.038 and 23.040.

A text of the GSM alphabet fits 160 characters into one SMS and 153 into each part of a longer one; those of its
extension table (`{ } [ ] ~ \\ ^ | €` and the form feed) count two and are never cut in half. Any other character
makes the whole text UCS-2: 70 and 67, where an emoji counts two.
"""

from __future__ import annotations

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_GSM = (160, 153)
_UCS2 = (70, 67)


def segment_count(text: str) -> int:
    """The number of SMS that `text` is sent as.

    >>> segment_count("a" * 160), segment_count("a" * 161), segment_count("€" * 81), segment_count("ж" * 71)
    (1, 2, 2, 2)
    """
    foreign = outside_gsm(text)
    single, part = _UCS2 if foreign else _GSM
    widths = [_width(char, ucs2=foreign is not None) for char in text]
    if sum(widths) <= single:
        return 1
    count, room = 1, part
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    return count


def outside_gsm(text: str) -> str | None:
    """The first character that no GSM alphabet has, or None.

    >>> outside_gsm("Grüße"), outside_gsm("naïve")
    (None, 'ï')
    """
    return next((char for char in text if char not in _BASIC and char not in _EXTENSION), None)


def _width(char: str, *, ucs2: bool) -> int:
    if ucs2:
        return 2 if ord(char) > 0xFFFF else 1
    return 2 if char in _EXTENSION else 1
