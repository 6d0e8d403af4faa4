"""The words of a text, and the matchers that look for words.

A word is a run of letters, marks, digits, `_` and `'`; every symbol (emoji, currency, mathematics) is a word of its
own; all else separates. Words are compared without regard to case. What is found is the text as it was written, its
words joined by one space. Raises only for matchers: what has no word at all would match everything or nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime

from engine.core.locales import DateOrder, date_order_of
from engine.core.numerals import CharacterTable
from engine.core.plugins import Value


class Heard:
    """An inbound text, with what is known of whoever wrote it; its words are made when first asked for.

    >>> Heard("Yes, for SURE!").words, Heard("Yes, for SURE!").folded
    (['Yes', 'for', 'SURE'], ['yes', 'for', 'sure'])
    """

    __slots__ = ("_date_order", "_folded", "_words", "locale", "now", "raw", "zone")

    def __init__(
        self,
        raw: str,
        locale: str = "en",
        zone: str = "UTC",
        now: datetime | None = None,
        date_order: DateOrder | None = None,
    ) -> None:
        self.raw = raw
        self.locale = locale
        self.zone = zone
        self.now = now
        self._date_order = date_order
        self._words: list[str] | None = None
        self._folded: list[str] | None = None

    @property
    def words(self) -> list[str]:
        if self._words is None:
            self._words = self.raw.translate(_WORDS).split()
        return self._words

    @property
    def folded(self) -> list[str]:
        """The words without case, each in the place of its word."""
        if self._folded is None:
            self._folded = fold(self.raw.translate(_WORDS)).split()
        return self._folded

    @property
    def date_order(self) -> DateOrder:
        return self._date_order or date_order_of(self.locale)


Matcher = Callable[[Heard], Value | None]


def fold(text: str) -> str:
    """`text` without case, one character at a time, so that words keep their places: İ is i, a final ς is σ.

    >>> fold("İPTAL"), fold("ΟΔΟΣ")
    ('iptal', 'οδοσ')
    """
    return text.lower() if text.isascii() else text.replace("İ", "i").lower().replace("ς", "σ")


def any_word(wanted: Iterable[str]) -> Matcher:
    """Matches a text that has one of the words: all of them that it has.

    >>> any_word(["yes", "sure"])(Heard("Yes, for SURE!"))
    'Yes SURE'
    """
    pins = _set_of(wanted)

    def match(heard: Heard) -> str | None:
        folded = heard.folded
        return None if pins.isdisjoint(folded) else _found(heard, pins)

    return match


def all_words(wanted: Iterable[str]) -> Matcher:
    """Matches a text that has all of the words, in any order.

    >>> all_words(["me", "call"])(Heard("Call me, call me!"))
    'Call me call me'
    """
    pins = _set_of(wanted)

    def match(heard: Heard) -> str | None:
        return _found(heard, pins) if pins.issubset(heard.folded) else None

    return match


def phrase(wanted: str) -> Matcher:
    """Matches a text that has the words side by side, in this order; no words are in every text.

    >>> phrase("call me")(Heard("You may CALL me.")), phrase("call me")(Heard("me? call!"))
    ('CALL me', None)
    """
    pins = Heard(wanted).folded
    needle = f" {' '.join(pins)} "

    def match(heard: Heard) -> str | None:
        if not pins:
            return ""
        hay = f" {' '.join(heard.folded)} "
        at = hay.find(needle)
        if at < 0:
            return None
        first = hay.count(" ", 0, at)
        return " ".join(heard.words[first : first + len(pins)])

    return match


def only_phrase(wanted: str) -> Matcher:
    """Matches a text that is the words and nothing else.

    >>> only_phrase("not now")(Heard("Not now!")), only_phrase("not now")(Heard("not right now"))
    ('Not now', None)
    """
    pins = Heard(wanted).folded
    return lambda heard: " ".join(heard.words) if heard.folded == pins else None


def beginning(wanted: str) -> Matcher:
    """Matches a text that starts with these characters, space around both aside.

    >>> beginning("hello")(Heard("  HelloThere"))
    'Hello'
    """
    pin = fold(wanted.strip())
    if not pin:
        raise ValueError(f"expected a text that is not blank, got {wanted!r}")

    def match(heard: Heard) -> str | None:
        start = heard.raw.strip()[: len(pin)]
        return start if fold(start) == pin else None

    return match


def _in_words(char: str) -> str:
    kind = unicodedata.category(char)[0]
    return char if kind in "LMN" or char in "_'" else f" {char} " if kind == "S" else " "


_WORDS = CharacterTable(_in_words)


def _words_of(text: str) -> list[str]:
    if words := Heard(text).folded:
        return words
    raise ValueError(no_word(text))


def no_word(text: str) -> str:
    """What is wrong with a text that has no word, where one is expected."""
    return f"expected a word of letters, digits or symbols, got {text!r}"


def _set_of(entries: Iterable[str]) -> frozenset[str]:
    return frozenset(word for entry in entries for word in _words_of(entry))


def _found(heard: Heard, pins: frozenset[str]) -> str:
    return " ".join(word for word, plain in zip(heard.words, heard.folded, strict=True) if plain in pins)
