"""What simulated people say: texts made from the matchers, in which the engine reads what they mean.

A person knows what an answer should mean and needs words for it, several, so that not everybody says the same. Each
matcher suggests some; a suggestion counts only when the campaign type's own reader finds exactly the wanted values
in it, so that labels tried earlier cannot take it for something else. Where no suggestion passes there are no words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice, product
from typing import Any

import phonenumbers

from engine.authoring.replies.wording import wording_of
from engine.core.dates import parse_day
from engine.core.fact_types import parse_range
from engine.core.locales import locale_name
from engine.core.matchers import MatcherSpec, OneMatcherSpec, ResponseSpec
from engine.core.plugins import Value, plugins_in_use
from engine.core.responses import Reader, compile_responses
from engine.core.vocabulary import OTHER

NEUTRAL = ("Hello", "Who is this?", "Let me think about it.", "👍", "…", "One moment", "Kim will know", "qwertz")
_MOST_TRIES = 400
_MOST_NUMBERS = 11
_ADDRESS, _TIME = "kim@example.org", "14:30"


def words_for(
    responses: Mapping[str, ResponseSpec], means: Mapping[str, Value | int | None], locale: str, now: datetime
) -> Iterator[str]:
    """Texts in which each response of `means` is read with its value at `now`, the plainest first; maybe none.

    A value is a label, `other`, what a bare matcher is to capture, or None for one that is to find nothing. Responses
    that are not named may have any value.

    >>> intent = {"stop": MatcherSpec(any_word=["stop"]), "yes": MatcherSpec(any_word=["yes", "sure"])}
    >>> responses = {"intent": intent, "rating": MatcherSpec(number="1..5")}
    >>> noon = datetime.fromisoformat("2026-03-02T12:00Z")
    >>> list(words_for(responses, {"intent": "yes", "rating": 4}, "en", noon))
    ['yes 4', 'sure 4']
    >>> list(words_for(responses, {"intent": "maybe"}, "en", noon))
    []
    """
    read = compile_responses(responses)
    parts = [tuple(_suggestions(responses[name], value, locale, now)) for name, value in means.items()]
    given: set[str] = set()
    for chosen in islice(product(*parts), _MOST_TRIES):
        text = " ".join(dict.fromkeys(part for part in chosen if part))
        if text and text not in given and _says(read, text, means, locale, now):
            given.add(text)
            yield text


def values_of(response: ResponseSpec, locale: str, now: datetime) -> tuple[Value, ...]:
    """What a person may want to say to a response: its labels, or some values that its matcher can find.

    >>> noon = datetime.fromisoformat("2026-03-02T12:00Z")
    >>> values_of({"no": MatcherSpec(any_word=["no"])}, "en", noon), values_of(MatcherSpec(number="1..2"), "en", noon)
    (('no',), (Decimal('1'), Decimal('2')))
    """
    if not isinstance(response, MatcherSpec):
        return tuple(response)
    read = compile_responses({"it": response})
    texts = (text for part in response.parts for text in _for_matcher(part, None, locale, now))
    found = (read(text, locale, "UTC", now).get("it") for text in texts)
    return tuple(dict.fromkeys(value for value in found if value is not None))


def _says(read: Reader, text: str, means: Mapping[str, Any], locale: str, now: datetime) -> bool:
    found = read(text, locale, "UTC", now)
    return all(_same(found.get(name), value) for name, value in means.items())


def _same(found: Value | None, wanted: Any) -> bool:
    if isinstance(wanted, int | float):
        wanted = Decimal(str(wanted))
    return type(found) is type(wanted) and found == wanted


def _suggestions(response: ResponseSpec, value: Any, locale: str, now: datetime) -> Iterator[str]:
    """Texts worth trying for one response; "" when anything that is said for another one may do."""
    if value is None or (value == OTHER and not isinstance(response, MatcherSpec)):
        yield from ("", *NEUTRAL)
        return
    matcher = response if isinstance(response, MatcherSpec) else response.get(str(value))
    wanted = value if matcher is response else None
    for part in matcher.parts if matcher is not None else ():
        yield from _for_matcher(part, wanted, locale, now)


def _for_matcher(matcher: OneMatcherSpec, wanted: Any, locale: str, now: datetime) -> Iterable[str]:
    """Texts that one matcher should match, capturing `wanted` unless that is None."""
    argument: Any = matcher.as_dict[matcher.name]
    own = [] if wanted is None else [str(wanted)]
    if matcher.plugin is None and matcher.captures == "number":
        numbers = [wanted] if wanted is not None else _numbers(matcher.name, argument)
        return [text for number in numbers for text in _as_written(number)]
    if matcher.plugin is None and matcher.captures == "date":
        return _as_dates([wanted] if wanted is not None else _days(matcher.name, argument, now))
    match matcher.name:
        case "all_words":
            return [" ".join(argument)]
        case "phrase" | "only_phrase" | "only_text" | "beginning":
            return [argument, f"{argument} please"]
        case "pattern":
            return [*own, *wording_of(argument)]
        case "time":
            return own or [_TIME]
        case "email":
            return own or [_ADDRESS]
        case "phone":
            return [*own, *_phone_numbers(argument, locale)]
        case "classifier":
            plugin = plugins_in_use().classifiers.get(argument)
            return [*own, *((plugin.labels or ()) if plugin else ()), *NEUTRAL]
    words = argument if isinstance(argument, list) else [] if argument is True else [argument]
    return [*own, *map(str, words), *NEUTRAL]


def _numbers(name: str, argument: Any) -> list[Decimal]:
    """Numbers that a matcher finds, spread over what it takes."""
    if argument is True:
        return [Decimal(each) for each in (1, 2, 3, 5, 10, 25, 100)]
    if isinstance(argument, str):
        return _between(*parse_range(argument))
    if isinstance(argument, list):
        return _between(*(Decimal(str(each)) for each in argument))
    bound = Decimal(str(argument))
    steps = {"number_lt": (-1, -5), "number_lte": (0, -4), "number_gte": (0, 4), "number_gt": (1, 5)}.get(name, (0,))
    return [bound + step for step in steps]


def _between(low: Decimal, high: Decimal) -> list[Decimal]:
    """Whole numbers from `low` to `high`, spread alike; the bounds where there is none."""
    first = low.to_integral_value(rounding="ROUND_CEILING")
    width = int(high.to_integral_value(rounding="ROUND_FLOOR") - first)
    if width < 0:
        return [low, high]
    steps = min(width, _MOST_NUMBERS - 1)
    return [first + (width * step) // steps for step in range(steps + 1)] if steps else [first]


def _as_written(number: Any) -> list[str]:
    plain = f"{Decimal(str(number)).normalize():f}"
    return [plain, plain.replace(".", ",")] if "." in plain else [plain]


def _days(name: str, argument: Any, now: datetime) -> list[date]:
    today = now.date()
    if argument is True:
        return [today + timedelta(days) for days in (1, 7, 30)]
    day = parse_day(argument)
    far = (2, 30) if isinstance(day, date) else (400, 800)  # so that what is relative to today stays true for a while
    sign = {"date_lt": -1, "date_eq": 0}.get(name, 1)
    return [(day if isinstance(day, date) else today + day) + timedelta(sign * days) for days in far]


def _as_dates(days: Iterable[Any]) -> list[str]:
    return [text for day in days for text in (day.isoformat(), f"{day:%d/%m/%Y}", f"{day:%m/%d/%Y}")]


def _phone_numbers(country: Any, locale: str) -> list[str]:
    region = country if isinstance(country, str) else locale_name(locale).region
    example = phonenumbers.example_number(region or "GB")
    return [phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)] if example else []
