"""Texts that are understood as wanted: made from the matchers, and proved by the campaign type's own reader.

For every matcher there are a few texts that ought to match it; those for several responses are put together until
one is read as wanted: labels as they are, and of what is captured any value that every guard judges like the wanted
one. A label can be out of reach, when earlier labels take all its texts; then there is
none. Where something that was not asked for cannot be avoided (any text is a comment) it may be understood as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import chain, islice, product
from typing import Any

from engine.authoring.replies.wording import wording_of
from engine.core.checks.outline import Outline
from engine.core.dates import parse_day
from engine.core.expressions import Comparison, Expression, Guard, compile_guard, parse_expression
from engine.core.fact_types import parse_range
from engine.core.matchers import MatcherSpec, OneMatcherSpec, ResponseSpec
from engine.core.model import Values
from engine.core.plugins import plugins_in_use
from engine.core.responses import Reader
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import OTHER
from engine.core.yaml_source import Document

_NEUTRAL = ("Hm", "Let me think about it", "Tell me more", "…", "")
_MOST = 300  # texts tried for one reply
_LISTED = 6  # words of one matcher tried


def replier(spec: CampaignTypeSpec, read: Reader) -> Callable[[Values, datetime], str | None]:
    """A function that gives a text which `read` understands as the wanted values at an instant, or None.

    >>> from engine.core.responses import compile_responses
    >>> intent = {"later": {"phrase": "not now"}, "no": {"any_word": ["not", "no"]}}
    >>> spec = CampaignTypeSpec.model_validate(
    ...     {"campaign_type": "a", "version": 1, "responses": {"intent": intent}, "start": "ask", "stages": {"ask": {}},
    ...      "exits": {"over": "won"}})
    >>> reply = replier(spec, compile_responses(spec.responses))
    >>> noon = datetime.fromisoformat("2026-03-02T12:00Z")
    >>> reply({"intent": "later"}, noon), reply({"intent": "no"}, noon), reply({"intent": "other"}, noon)
    ('not now', 'not', 'Hm')
    """
    known: dict[tuple[Any, ...], str | None] = {}
    guards = _guards(spec)

    def reply(values: Values, now: datetime) -> str | None:
        key = (now.date(), *sorted(values.items()))
        if key not in known:
            known[key] = _found(values, now)
        return known[key]

    def _found(values: Values, now: datetime) -> str | None:
        near = None
        for text in _texts(spec.responses, values, now):
            its = read(text, "en", "UTC", now)
            if all(name in its and _alike(guards.get(name), its[name], wanted) for name, wanted in values.items()):
                if len(its) == len(values):
                    return text
                near = text if near is None else near
        return near

    return reply


def _guards(spec: CampaignTypeSpec) -> dict[str, tuple[Guard, ...]]:
    """For each response without labels every test of a guard that its value is held against, also as a fact."""
    outline = Outline(spec, Document("", "replies"))
    tests = [test for guard in outline.guards for test in parse_expression(guard.text).comparisons]
    held = {name: {name} for name, each in spec.responses.items() if isinstance(each, MatcherSpec)}
    for action, _ in outline.sets:
        for fact, value in action.set.items():
            if isinstance(value, str) and value in held:
                held[value].add(fact)
    return {name: tuple(_guard(test) for test in tests if test.name in names) for name, names in held.items()}


def _guard(test: Comparison) -> Guard:
    """A test as a function of the value itself."""
    return compile_guard(Expression("", test), lambda _: lambda value: value)


def _alike(guards: tuple[Guard, ...] | None, value: Any, wanted: Any) -> bool:
    """Whether no guard tells two values apart; labels, which have no `guards`, must be the same."""
    if guards is None or value == wanted:
        return bool(value == wanted)
    return all(guard(value) == guard(wanted) for guard in guards)


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
    """Texts that ought to match, those that are what shall be captured first, but for days far from `now`."""
    own = () if captured is None else (captured.isoformat() if isinstance(captured, date) else str(captured),)
    others = chain.from_iterable(_of_matcher(part, now) for part in matcher.parts)
    yield from chain(others, own) if isinstance(captured, date) else chain(own, others)


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
