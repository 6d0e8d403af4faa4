"""How an inbound text is understood: matchers, and the reader that runs all declared responses over one text.

Matchers behave as RapidPro's router tests of the same names (`any_word` is `has_any_word`, and so on). A word
is a run of letters, marks, digits, `_` and `'`; every symbol (emoji, currency, mathematics) is a word of its
own; all else separates. Words are compared without regard to case. A value is the text as it was written
(matched words joined by one space), a number is a `Decimal`; None is no match.

Nothing here raises on a text, whatever it holds, and the time is linear in its length: words and digits come
from one table look-up per character, patterns run on RE2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any, Protocol

import re2

from engine.core.fact_types import parse_range
from engine.core.matchers import MATCHERS, MatcherSpec, ResponseSpec
from engine.core.numerals import CharacterTable, numbers_in
from engine.core.vocabulary import OTHER

Value = str | Decimal


class Reader(Protocol):
    """Understands a text: a value for every labelled response, and for each bare matcher that matched."""

    def __call__(
        self, text: str, locale: str = "en", zone: str = "UTC", now: datetime | None = None
    ) -> dict[str, Value]: ...


class PatternError(ValueError):
    """A `pattern` that is not a regular expression; `position` counts characters from 0."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"not a pattern: {reason} at position {position}; expected RE2 syntax")
        self.reason = reason
        self.position = position


def match_response(
    matcher: Mapping[str, Any],
    text: str,
    *,
    locale: str = "en",
    zone: str = "UTC",
    now: datetime | None = None,
    date_order: str = "dmy",
) -> Value | None:
    """The value that one matcher finds in `text`, or None. Raises ValueError for a matcher that cannot be.

    >>> match_response({"any_word": ["yes", "sure"]}, "Yes, for SURE!")
    'Yes SURE'
    >>> match_response({"number": "1..5"}, "I'd say 4.5")
    Decimal('4.5')
    >>> match_response({"phrase": "call me"}, "me? call!") is None
    True
    """
    del zone, now, date_order  # the contract's signature; the date and time matchers to come read them
    return compile_matcher(matcher)(_Text(text, locale))


def compile_responses(responses: Mapping[str, ResponseSpec]) -> Reader:
    """The reader of a campaign type's responses. Raises ValueError, also as PatternError.

    >>> reader = compile_responses({"intent": {"stop": MatcherSpec(any_word=["stop"])}})
    >>> reader("please wait")
    {'intent': 'other'}
    """
    listeners = [(name, _listener(response)) for name, response in responses.items()]

    def read(text: str, locale: str = "en", zone: str = "UTC", now: datetime | None = None) -> dict[str, Value]:
        del zone, now
        heard = _Text(text, locale)
        return {name: value for name, listen in listeners if (value := listen(heard)) is not None}

    return read


def compile_matcher(matcher: Mapping[str, Any]) -> Matcher:
    """The matcher as a function, made once for equal matchers. Raises ValueError with what was expected."""
    if not isinstance(matcher, Mapping) or len(matcher) != 1 or not matcher.keys() <= _MAKERS.keys():
        given = ", ".join(map(str, matcher)) or "nothing" if isinstance(matcher, Mapping) else repr(matcher)
        raise ValueError(f"expected exactly one of {', '.join(MATCHERS)}, got {given}")
    [(name, wanted)] = matcher.items()
    try:
        return _compiled(name, tuple(wanted) if isinstance(wanted, list) else wanted)
    except TypeError:  # unhashable, so no list of words, string or number
        raise _wrong(name, wanted) from None


class _Text:
    """An inbound text with what the matchers read of it, each part made when first asked for."""

    def __init__(self, raw: str, locale: str) -> None:
        self.raw = raw
        self.locale = locale

    @cached_property
    def words(self) -> list[str]:
        return self.raw.translate(_WORDS).split()

    @cached_property
    def folded(self) -> list[str]:
        return _fold(self.raw.translate(_WORDS)).split()


Matcher = Callable[[_Text], Value | None]


def _listener(response: ResponseSpec) -> Matcher:
    if isinstance(response, MatcherSpec):
        return compile_matcher(response.as_dict)
    labels = [(label, compile_matcher(matcher.as_dict)) for label, matcher in response.items()]

    def label_of(heard: _Text) -> str:
        for label, matcher in labels:
            if matcher(heard) is not None:
                return label
        return OTHER

    return label_of


@lru_cache(maxsize=4096, typed=True)
def _compiled(name: str, wanted: Any) -> Matcher:
    make, accepts, _ = _MAKERS[name]
    if not accepts(wanted):
        raise _wrong(name, wanted)
    return make(wanted)


def _wrong(name: str, wanted: object) -> ValueError:
    shown = list(wanted) if isinstance(wanted, tuple) else wanted
    return ValueError(f"{name}: expected {_MAKERS[name][2]}, got {shown!r}")


# --- words


def _in_words(char: str) -> str:
    kind = unicodedata.category(char)[0]
    return char if kind in "LMN" or char in "_'" else f" {char} " if kind == "S" else " "


_WORDS = CharacterTable(_in_words)


def _fold(text: str) -> str:
    # Case is removed one character at a time, so that words keep their places: İ is i, a final ς is σ.
    return text.lower() if text.isascii() else text.replace("İ", "i").lower().replace("ς", "σ")


def _words_of(phrase: str) -> list[str]:
    return _Text(phrase, "en").folded


def _any_word(wanted: tuple[str, ...]) -> Matcher:
    pins = frozenset(word for entry in wanted for word in _words_of(entry))

    def match(heard: _Text) -> str | None:
        folded = heard.folded
        if pins.isdisjoint(folded):
            return None
        return " ".join(word for word, plain in zip(heard.words, folded, strict=True) if plain in pins)

    return match


def _all_words(wanted: tuple[str, ...]) -> Matcher:
    pins = frozenset(word for entry in wanted for word in _words_of(entry))

    def match(heard: _Text) -> str | None:
        folded = heard.folded
        if not pins.issubset(folded):
            return None
        return " ".join(word for word, plain in zip(heard.words, folded, strict=True) if plain in pins)

    return match


def _phrase(wanted: str) -> Matcher:
    pins = _words_of(wanted)
    needle = f" {' '.join(pins)} "

    def match(heard: _Text) -> str | None:
        if not pins:
            return ""
        hay = f" {' '.join(heard.folded)} "
        at = hay.find(needle)
        if at < 0:
            return None
        first = hay.count(" ", 0, at)
        return " ".join(heard.words[first : first + len(pins)])

    return match


def _only_phrase(wanted: str) -> Matcher:
    pins = _words_of(wanted)
    return lambda heard: " ".join(heard.words) if heard.folded == pins else None


# --- characters


def _beginning(wanted: str) -> Matcher:
    pin = _fold(wanted.strip())

    def match(heard: _Text) -> str | None:
        start = heard.raw.strip()[: len(pin)]
        return start if start and _fold(start) == pin else None

    return match


def _text(_: bool) -> Matcher:
    return lambda heard: heard.raw.strip() or None


def _only_text(wanted: str) -> Matcher:
    return lambda heard: heard.raw if heard.raw == wanted else None


_SURROGATE = re.compile("[\ud800-\udfff]")


def _pattern(wanted: str) -> Matcher:
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(f"(?mi){wanted.strip()}", options)
    except re2.error as error:
        raise _pattern_error(wanted, error.args[0].decode(errors="replace")) from None
    except UnicodeEncodeError as error:
        raise PatternError("half a surrogate pair", max(error.start - len("(?mi)"), 0)) from None

    def match(heard: _Text) -> str | None:
        try:
            found = pattern.search(heard.raw)
        except UnicodeEncodeError:
            found = pattern.search(_SURROGATE.sub("\ufffd", heard.raw))
        return None if found is None else heard.raw[found.start() : found.end()]

    return match


def _pattern_error(wanted: str, said: str) -> PatternError:
    """What RE2 said, with the place in `wanted` worked out from the part of the pattern that it quotes."""
    reason, _, part = said.partition(": ")
    if part.startswith("(?mi)"):  # it quotes the whole pattern when brackets do not pair up
        return PatternError(reason, len(wanted) if reason.startswith("missing") else wanted.rfind(")"))
    return PatternError(f"{reason} {part[:40]!r}", max(wanted.find(part), 0))


# --- numbers


def _number(wanted: bool | str) -> Matcher:
    if wanted is True:
        return lambda heard: next(numbers_in(heard.raw, heard.locale), None)
    low, high = parse_range(wanted)

    def match(heard: _Text) -> Decimal | None:
        return next((number for number in numbers_in(heard.raw, heard.locale) if low <= number <= high), None)

    return match


# --- what each matcher takes: how it is made, what it accepts, and that in words


def _is_words(wanted: object) -> bool:
    return isinstance(wanted, tuple) and wanted != () and all(isinstance(word, str) for word in wanted)


def _is_string(wanted: object) -> bool:
    return isinstance(wanted, str)


def _is_true(wanted: object) -> bool:
    return wanted is True


def _is_number(wanted: object) -> bool:
    if isinstance(wanted, str):
        parse_range(wanted)  # raises what is wrong with it
    return wanted is True or isinstance(wanted, str)


_Maker = tuple[Callable[[Any], Matcher], Callable[[object], bool], str]
_MAKERS: dict[str, _Maker] = {
    "any_word": (_any_word, _is_words, "a list of words"),
    "all_words": (_all_words, _is_words, "a list of words"),
    "phrase": (_phrase, _is_string, "a string"),
    "only_phrase": (_only_phrase, _is_string, "a string"),
    "beginning": (_beginning, _is_string, "a string"),
    "pattern": (_pattern, _is_string, "a string"),
    "text": (_text, _is_true, "true"),
    "only_text": (_only_text, _is_string, "a string"),
    "number": (_number, _is_number, "true or a range, as in 1..5"),
}
