"""How messages will come out: never at all (E107), with a variable missing (W603), or as too long an SMS (W604)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from engine.core.actions import SendSpec
from engine.core.checks.names import UNSUBSCRIBE_URL, doubtful_names
from engine.core.checks.outline import Loc, Outline
from engine.core.checks.texts import CAMPAIGN, RECIPIENT, problem_in, read_template, texts_of
from engine.core.domains import Domain, domain_of_fact, domain_of_response
from engine.core.problems import Problem
from engine.core.sms import outside_gsm, segment_count
from engine.core.spec import FollowUpSpec
from engine.core.variables import filled, plain_uses

MOST_SEGMENTS = 3
_TEXT = "a" * 20  # stands for a text of unknown length
_WIDTHS = {"email": 25, "phone": 13, "timezone": 16, "locale": 5, "id": 36}
_URL = "https://example.com/u/" + "a" * 40
_DATE = date(2026, 9, 30)
Number = Callable[[list[Decimal]], Decimal]  # the one to take, by the bounds there are
_ROOTS = {"recipient": RECIPIENT, "campaign": CAMPAIGN}


def optional_variables(outline: Outline) -> Iterator[Problem]:
    """W603: a fact with `?` or a captured value where the message cannot be made without it.

    Such a message fails for everybody whose value is missing. `default` as the first filter gives another text, and
    what stands under `if` is left out.
    """
    spec = outline.spec
    optional = {name for name, fact in spec.facts.items() if fact.optional} | spec.responses.keys()
    optional -= doubtful_names(spec)
    for text, loc in texts_of(outline):
        for use in read_template(text).needed:
            if use.name in optional:
                wrong = f"{use.name!r} may be missing, and then this message cannot be made"
                message = f'{wrong}; expected {use.name} | default: "…", or {{% if {use.name} %}} around it'
                yield problem_in(outline, "W603", message, text, loc, use.line, use.column)


def endless_templates(outline: Outline) -> Iterator[Problem]:
    """E107: a message that runs into a limit of templates even when the numbers it is given are small."""
    texts = [(text, loc) for text, loc in texts_of(outline) if "{%" in text and read_template(text).error is None]
    if not texts:
        return
    from engine.core.templates import LimitError, TemplateError  # takes long to load, so only when it must

    values = _sample_values(outline, _small)
    for text, loc in texts:
        try:
            _render(text, values)
        except LimitError as error:
            message = f"this message can never be made: {error}; expected fewer rounds or a shorter text"
            yield problem_in(outline, "E107", message, text, loc, error.line, error.column)
        except TemplateError:
            continue  # other values may well do


def long_sms(outline: Outline) -> Iterator[Problem]:
    """W604: a message sent by the channel `sms` that takes more than three segments, judged by likely values.

    Texts of unknown length count as 20 characters, choices as their longest, numbers as their widest.
    """
    spec = outline.spec
    by_sms = {
        act.spec.send
        for act in outline.acts
        if isinstance(act.spec, SendSpec | FollowUpSpec) and (act.spec.channel or spec.channel) == "sms"
    }
    values = _sample_values(outline, _wide) if by_sms else {}
    for text, loc in texts_of(outline):
        if loc[1] in by_sms and loc[-1] != "subject":
            rendered = _rendered(text, values)
            if (count := segment_count(rendered)) > MOST_SEGMENTS:
                yield _too_long(outline, rendered, count, loc)


def _rendered(text: str, values: Mapping[str, Any]) -> str:
    """The message for one likely recipient; empty when it cannot be told, as with filters that want other values."""
    if plain_uses(text) is not None:
        return filled(text, values)
    from engine.core.templates import TemplateError

    try:
        return _render(text, values)
    except TemplateError:
        return ""


def _render(text: str, values: Mapping[str, Any]) -> str:
    from engine.core.templates import compile_template

    nested = {
        root: {name.partition(".")[2]: values[name] for name in values if name.startswith(root)} for root in _ROOTS
    }
    return compile_template(text).render({**values, **nested})


def _too_long(outline: Outline, rendered: str, count: int, loc: Loc) -> Problem:
    foreign = outside_gsm(rendered)
    why = f", {foreign!r} making room for 67 characters in each only" if foreign else ""
    message = f"this text takes about {count} SMS of {len(rendered)} characters in all{why}"
    return outline.problem("W604", f"{message}; expected at most {MOST_SEGMENTS}", loc)


def _sample_values(outline: Outline, number: Number) -> Mapping[str, Any]:
    """A value for every variable that a message can have, by the name that messages give it."""
    spec = outline.spec
    values = {name: _likely(domain_of_fact(fact), number) for name, fact in spec.facts.items()}
    values |= {name: _likely(domain_of_response(response), number) for name, response in spec.responses.items()}
    for root, names in _ROOTS.items():
        values |= {f"{root}.{name}": "a" * _WIDTHS.get(name, len(_TEXT)) for name in names}
    return {**values, UNSUBSCRIBE_URL: _URL}


def _likely(domain: Domain, number: Number) -> Any:
    match domain.kind:
        case "choice":
            return max(domain.choices, key=len)
        case "bool":
            return False
        case "int" | "number":
            return number([each for each in (domain.low, domain.high) if each is not None])
        case "date":
            return _DATE
        case "datetime":
            return datetime(2026, 9, 30, 12, 30, tzinfo=UTC)
    return _TEXT


def _wide(bounds: list[Decimal]) -> Decimal:
    return max(bounds, key=lambda each: len(str(each)), default=Decimal(10_000))


def _small(bounds: list[Decimal]) -> Decimal:
    return min(bounds, key=abs, default=Decimal(0))
