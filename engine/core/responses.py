"""How an inbound text is understood: matchers, and the reader that runs all declared responses over one text.

Matchers behave as RapidPro's router tests of the same names (`any_word` is `has_any_word`, and so on). What they
find is captured: text as it was written, a number as a `Decimal`, a date as a `date` in the reader's zone, a time as
`HH:MM`, a phone number in E.164; None is no match. What each looks for is told in `words`, `patterns`, `numerals`,
`dates` and `contacts`.

Nothing here raises on a text, whatever it holds, and the time is linear in its length. A matcher that cannot be is a
ValueError. A plug-in that fails is a DecisionError that names it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from engine.core.contacts import countries, find_email, find_phone
from engine.core.dates import EXPECTED_DAY, find_date, find_time, parse_day, today
from engine.core.fact_types import parse_range
from engine.core.locales import DATE_ORDERS, locale_name
from engine.core.matchers import ARGUMENTS, MATCHERS, MatcherSpec, ResponseSpec, fits_argument, is_number
from engine.core.numerals import numbers_in
from engine.core.patterns import PatternError, pattern
from engine.core.plugins import MatcherPlugin, Value, classified, matched, plugins_in_use
from engine.core.problems import expected_one_of
from engine.core.vocabulary import OTHER
from engine.core.words import Heard, Matcher, all_words, any_word, beginning, only_phrase, phrase

__all__ = ["Matcher", "PatternError", "Reader", "Value", "compile_matcher", "compile_responses", "match_response"]


class Reader(Protocol):
    """Understands a text: a value for every labelled response, and for each bare matcher that matched."""

    def __call__(
        self, text: str, locale: str = "en", zone: str = "UTC", now: datetime | None = None
    ) -> dict[str, Value]: ...


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

    `date_order` is `dmy`, `mdy` or `ymd`; a date relative to today needs `now`.

    >>> match_response({"any_word": ["yes", "sure"]}, "Yes, for SURE!")
    'Yes SURE'
    >>> match_response({"number": "1..5"}, "I'd say 4.5")
    Decimal('4.5')
    >>> match_response({"date_gt": "2026-01-01"}, "on 03/04/2026", date_order="mdy")
    datetime.date(2026, 3, 4)
    """
    if date_order not in DATE_ORDERS:
        raise ValueError(f"date_order: {expected_one_of(str(date_order), DATE_ORDERS)}, got {date_order!r}")
    if not isinstance(text, str):
        raise ValueError(f"text: expected a str, got {type(text).__name__}")
    return compile_matcher(matcher)(Heard(text, locale, zone, now, date_order))


def compile_responses(responses: Mapping[str, ResponseSpec]) -> Reader:
    """The reader of a campaign type's responses; dates are read in the order of each text's locale.

    Raises ValueError, also as PatternError.

    >>> reader = compile_responses({"intent": {"stop": MatcherSpec(any_word=["stop"])}})
    >>> reader("please wait")
    {'intent': 'other'}
    """
    listeners = [(name, _listener(response)) for name, response in responses.items()]

    def read(text: str, locale: str = "en", zone: str = "UTC", now: datetime | None = None) -> dict[str, Value]:
        heard = Heard(text, locale, zone, now)
        return {name: value for name, listen in listeners if (value := listen(heard)) is not None}

    return read


def compile_matcher(matcher: Mapping[str, Any]) -> Matcher:
    """The matcher as a function. Raises ValueError with what was expected."""
    if not isinstance(matcher, Mapping) or len(matcher) != 1:
        raise _unknown(matcher)
    [(name, wanted)] = matcher.items()
    if name in _KINDS:
        try:
            return _compiled(name, tuple(wanted) if isinstance(wanted, list) else wanted)
        except TypeError:  # unhashable, so no list of words, string or number
            raise _wrong(name, wanted) from None
    if name == "any_of":
        return _any_of(wanted)
    if name == "classifier":
        return _classifier(wanted)
    if (plugin := plugins_in_use().matchers.get(name)) is not None:
        return _by_plugin(plugin, wanted)
    raise _unknown(matcher)


def _listener(response: ResponseSpec) -> Matcher:
    if isinstance(response, MatcherSpec):
        kinds = sorted({part.captures for part in response.parts})
        if len(kinds) > 1:
            raise ValueError(f"any_of: expected matchers that capture one kind of value, got {' and '.join(kinds)}")
        return compile_matcher(response.as_dict)
    labels = [(label, compile_matcher(matcher.as_dict)) for label, matcher in response.items()]

    def label_of(heard: Heard) -> str:
        for label, matcher in labels:
            if matcher(heard) is not None:
                return label
        return OTHER

    return label_of


# --- matchers made of others, and those of plug-ins; these may change with the plug-ins, so they are not kept


def _any_of(wanted: object) -> Matcher:
    if not isinstance(wanted, list | tuple) or not wanted:
        raise ValueError(f"any_of: expected a list of matchers, got {wanted!r}")
    if any(isinstance(each, Mapping) and "any_of" in each for each in wanted):
        raise ValueError("any_of: expected all matchers in one list, got an any_of inside")
    parts = [compile_matcher(each) for each in wanted]

    def match(heard: Heard) -> Value | None:
        return next((value for part in parts if (value := part(heard)) is not None), None)

    return match


def _classifier(wanted: object) -> Matcher:
    known = plugins_in_use().classifiers
    if not isinstance(wanted, str) or wanted not in known:
        raise ValueError(f"unknown classifier {wanted!r}; {expected_one_of(str(wanted), known)}")
    plugin = known[wanted]
    return lambda heard: classified(plugin, heard.raw, heard.locale)


def _by_plugin(plugin: MatcherPlugin, wanted: object) -> Matcher:
    if not fits_argument(plugin.argument, wanted):
        raise ValueError(f"{plugin.name}: expected {ARGUMENTS[plugin.argument]}, got {wanted!r}")
    argument: Any = tuple(wanted) if isinstance(wanted, list) else wanted
    if plugin.argument == "number":
        argument = Decimal(str(wanted))
    return lambda heard: matched(plugin, argument, heard.raw, heard.locale)


# --- the built-in ones


@lru_cache(maxsize=4096, typed=True)
def _compiled(name: str, wanted: Any) -> Matcher:
    kind = _KINDS[name]
    try:
        if kind.accepts(wanted):
            return kind.make(wanted)
    except PatternError:
        raise
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    raise _wrong(name, wanted)


def _wrong(name: str, wanted: object) -> ValueError:
    shown = list(wanted) if isinstance(wanted, tuple) else wanted
    return ValueError(f"{name}: expected {_KINDS[name].expected}, got {shown!r}")


def _unknown(matcher: object) -> ValueError:
    given = ", ".join(map(str, matcher)) or "nothing" if isinstance(matcher, Mapping) else repr(matcher)
    names = ", ".join([*MATCHERS, *plugins_in_use().matchers])
    return ValueError(f"expected exactly one of {names}, got {given}")


def _text(_: bool) -> Matcher:
    return lambda heard: heard.raw.strip() or None


def _only_text(wanted: str) -> Matcher:
    return lambda heard: heard.raw if heard.raw == wanted else None


def _first_number(passes: Callable[[Decimal], bool]) -> Matcher:
    return lambda heard: next(filter(passes, numbers_in(heard.raw, heard.locale)), None)


def _number(wanted: bool | str) -> Matcher:
    if wanted is True:
        return lambda heard: next(numbers_in(heard.raw, heard.locale), None)
    return _number_between(parse_range(wanted))


def _number_between(wanted: tuple[Any, Any]) -> Matcher:
    low, high = (Decimal(str(bound)) for bound in wanted)
    if low > high:
        raise ValueError(f"expected the smaller number first, got {list(wanted)!r}")
    return _first_number(lambda number: low <= number <= high)


def _number_that(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Matcher]:
    def make(wanted: float | Decimal) -> Matcher:
        bound = Decimal(str(wanted))
        return _first_number(lambda number: compare(number, bound))

    return make


def _find_date(heard: Heard) -> date | None:
    return find_date(heard.raw, heard.date_order, heard.zone, heard.now)


def _date_that(compare: Callable[[date, date], bool]) -> Callable[[str], Matcher]:
    def make(wanted: str) -> Matcher:
        day = parse_day(wanted)

        def match(heard: Heard) -> date | None:
            found = _find_date(heard)
            return found if found is not None and compare(found, _day_for(day, wanted, heard)) else None

        return match

    return make


def _day_for(day: date | timedelta, wanted: str, heard: Heard) -> date:
    if isinstance(day, date):
        return day
    if heard.now is None:
        raise ValueError(f"{wanted!r} is relative to today; expected `now` as well")
    return today(heard.now, heard.zone) + day


def _phone(wanted: bool | str) -> Matcher:
    if isinstance(wanted, str):
        return lambda heard: find_phone(heard.raw, wanted)
    return lambda heard: find_phone(heard.raw, locale_name(heard.locale).region)


# --- what each of them takes: how it is made, what it accepts, and that in words


class _Kind(NamedTuple):
    make: Callable[[Any], Matcher]
    accepts: Callable[[Any], bool]
    expected: str


def _takes_true(make: Callable[[Any], Matcher]) -> _Kind:
    return _Kind(make, lambda wanted: wanted is True, "true")


def _takes_string(make: Callable[[Any], Matcher], expected: str = "a string") -> _Kind:
    return _Kind(make, lambda wanted: isinstance(wanted, str), expected)


def _takes_words(make: Callable[[Any], Matcher]) -> _Kind:
    return _Kind(make, lambda wanted: fits_argument("words", _listed(wanted)), "a list of words")


def _listed(wanted: object) -> object:
    return list(wanted) if isinstance(wanted, tuple) else wanted


_EXPECTED_DATE = EXPECTED_DAY.removeprefix("expected ")
_KINDS: dict[str, _Kind] = {
    "any_word": _takes_words(any_word),
    "all_words": _takes_words(all_words),
    "phrase": _takes_string(phrase),
    "only_phrase": _takes_string(only_phrase),
    "beginning": _takes_string(beginning),
    "pattern": _takes_string(pattern),
    "text": _takes_true(_text),
    "only_text": _takes_string(_only_text),
    "number": _Kind(_number, lambda wanted: wanted is True or isinstance(wanted, str), "true or a range, as in 1..5"),
    **{
        f"number_{name}": _Kind(_number_that(getattr(operator, how)), is_number, "a number")
        for name, how in {"lt": "lt", "lte": "le", "eq": "eq", "gte": "ge", "gt": "gt"}.items()
    },
    "number_between": _Kind(
        _number_between,
        lambda wanted: isinstance(wanted, tuple) and len(wanted) == 2 and all(map(is_number, wanted)),
        "two numbers, the smaller first, as in [1, 5]",
    ),
    "date": _takes_true(lambda _: _find_date),
    **{
        f"date_{name}": _takes_string(_date_that(getattr(operator, name)), _EXPECTED_DATE)
        for name in ("lt", "eq", "gt")
    },
    "time": _takes_true(lambda _: lambda heard: find_time(heard.raw)),
    "email": _takes_true(lambda _: lambda heard: find_email(heard.raw)),
    "phone": _Kind(_phone, lambda wanted: wanted is True or wanted in countries(), "true or a country, as in GB or US"),
}
