"""Texts that are understood as wanted: made from the matchers, and proved by the campaign type's own reader.

For every matcher there are a few texts that ought to match it; those for several responses are put together until
one is read exactly as wanted. A label can be out of reach, when earlier labels take all its texts; then there is
none. Where something that was not asked for cannot be avoided (any text is a comment) it may be understood as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice, product
from typing import Any

from engine.authoring.wording import wording_of
from engine.core.dates import parse_day
from engine.core.fact_types import parse_range
from engine.core.matchers import MatcherSpec, OneMatcherSpec, ResponseSpec
from engine.core.model import Values
from engine.core.plugins import plugins_in_use
from engine.core.responses import Reader
from engine.core.vocabulary import OTHER

_NEUTRAL = ("Hm", "Let me think about it", "Tell me more", "…", "")
_MOST = 300  # texts tried for one reply
_LISTED = 6  # words of one matcher tried


def replier(responses: Mapping[str, ResponseSpec], read: Reader) -> Callable[[Values, datetime], str | None]:
    """A function that gives a text which `read` understands as the wanted values at an instant, or None.

    >>> from engine.core.responses import compile_responses
    >>> responses = {"intent": {"later": MatcherSpec(phrase="not now"), "no": MatcherSpec(any_word=["not", "no"])}}
    >>> reply = replier(responses, compile_responses(responses))
    >>> noon = datetime.fromisoformat("2026-03-02T12:00Z")
    >>> reply({"intent": "later"}, noon), reply({"intent": "no"}, noon), reply({"intent": "other"}, noon)
    ('not now', 'not', 'Hm')
    """
    known: dict[tuple[Any, ...], str | None] = {}

    def reply(values: Values, now: datetime) -> str | None:
        key = (now.date(), *sorted(values.items()))
        if key not in known:
            known[key] = _found(list(_texts(responses, values, now)), values, now)
        return known[key]

    def _found(texts: list[str], values: Values, now: datetime) -> str | None:
        understood = [read(text, "en", "UTC", now) for text in texts]
        exact = (text for text, its in zip(texts, understood, strict=True) if its == values)
        near = (text for text, its in zip(texts, understood, strict=True) if {**its, **values} == its)
        return next(chain(exact, near), None)

    return reply


def _texts(responses: Mapping[str, ResponseSpec], values: Values, now: datetime) -> Iterator[str]:
    """Texts that could be read as the values, the plainest first."""
    parts = []
    for name, response in responses.items():
        wanted = values.get(name)
        if wanted is None or wanted == OTHER:
            continue
        matcher = response if isinstance(response, MatcherSpec) else response.get(str(wanted))
        if matcher is not None:
            captured = wanted if isinstance(response, MatcherSpec) else None
            parts.append(list(dict.fromkeys(_fragments(matcher, captured, now))))
    if not parts:
        yield from _NEUTRAL
        return
    for chosen in islice(product(*parts), _MOST):
        yield " ".join(dict.fromkeys(chosen))
        yield " ".join(dict.fromkeys(reversed(chosen)))
    for neutral, chosen in islice(product(_NEUTRAL, product(*parts)), _MOST):
        yield " ".join((neutral, *dict.fromkeys(chosen)))


def _fragments(matcher: MatcherSpec, captured: Any, now: datetime) -> Iterator[str]:
    """Texts that ought to match, those that are what shall be captured first."""
    if captured is not None:
        yield captured.isoformat() if isinstance(captured, date) else str(captured)
    for part in matcher.parts:
        yield from _of_matcher(part, now)


def _of_matcher(matcher: OneMatcherSpec, now: datetime) -> Iterator[str]:
    if matcher.plugin is not None:
        yield from _of_argument(matcher.as_dict[matcher.name])
        return
    [(name, wanted)] = matcher.as_dict.items()
    if name.startswith("number"):
        yield from (f"{number:f}" for number in _numbers(name, wanted))
    elif name.startswith("date"):
        yield from (day.isoformat() for day in _days(name, wanted, now))
    elif name == "pattern":
        yield from wording_of(wanted)
    elif name == "classifier":
        plugin = plugins_in_use().classifiers.get(wanted)
        yield from plugin.labels or () if plugin is not None else ()
    elif name == "any_word":
        yield from wanted[:_LISTED]
    elif name == "all_words":
        yield " ".join(wanted)
    elif name == "phone":
        yield _phone(wanted)
    else:
        yield from {"text": _NEUTRAL, "time": ("9:30",), "email": ("ann@example.com",)}.get(name) or _of_argument(
            wanted
        )


def _of_argument(wanted: Any) -> Iterator[str]:
    """The argument itself, which is what most matchers look for."""
    yield from map(str, wanted) if isinstance(wanted, list | tuple) else (str(wanted),)


def _numbers(name: str, wanted: Any) -> Iterator[Decimal]:
    """Numbers at the bounds, then beside them."""
    if name == "number" and wanted is True:
        bounds = [Decimal(7)]
    elif name == "number":
        bounds = list(parse_range(wanted))
    else:
        bounds = [Decimal(str(each)) for each in (wanted if isinstance(wanted, list) else [wanted])]
    yield from bounds
    for bound in bounds:
        yield from (bound + 1, bound - 1, bound + Decimal("0.5"), bound - Decimal("0.5"))


def _days(name: str, wanted: Any, now: datetime) -> Iterator[date]:
    """The day itself, then those beside it."""
    day = now.date() if name == "date" else parse_day(wanted)
    day = now.date() + day if isinstance(day, timedelta) else day
    yield from (day, day + timedelta(1), day - timedelta(1))


def _phone(country: str | bool) -> str:
    import phonenumbers

    example = phonenumbers.example_number("US" if country is True else str(country))
    return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164) if example else "+12015550123"
