"""How messages will come out: a variable that may be missing (W603), and SMS that are too long (W604)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from engine.core.actions import SendSpec
from engine.core.checks.names import UNSUBSCRIBE_URL
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
_ROOTS = {"recipient": RECIPIENT, "campaign": CAMPAIGN}


def optional_variables(outline: Outline) -> Iterator[Problem]:
    """W603: a fact with `?` or a captured value where the message cannot be made without it.

    Such a message fails for everybody whose value is missing. `default` as the first filter gives another text, and
    what stands under `if` is left out.
    """
    spec = outline.spec
    optional = {name for name, fact in spec.facts.items() if fact.optional} | spec.responses.keys()
    for text, loc in texts_of(outline):
        for use in read_template(text).needed:
            if use.name in optional:
                wrong = f"{use.name!r} may be missing, and then this message cannot be made"
                message = f'{wrong}; expected {use.name} | default: "…", or {{% if {use.name} %}} around it'
                yield problem_in(outline, "W603", message, text, loc, use.line, use.column)


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
    values = _likely_values(outline) if by_sms else {}
    for text, loc in texts_of(outline):
        if loc[1] in by_sms and loc[-1] != "subject":
            rendered = _rendered(text, values)
            if (count := segment_count(rendered)) > MOST_SEGMENTS:
                yield _too_long(outline, rendered, count, loc)


def _rendered(text: str, values: Mapping[str, Any]) -> str:
    """The message for one likely recipient; empty when it cannot be told, as with filters that want other values."""
    if plain_uses(text) is not None:
        return filled(text, values)
    from engine.core.templates import TemplateError, compile_template  # takes long to load, so only when it must

    nested = {
        root: {name.partition(".")[2]: values[name] for name in values if name.startswith(root)} for root in _ROOTS
    }
    try:
        return compile_template(text).render({**values, **nested})
    except TemplateError:
        return ""


def _too_long(outline: Outline, rendered: str, count: int, loc: Loc) -> Problem:
    foreign = outside_gsm(rendered)
    why = f", {foreign!r} making room for 67 characters in each only" if foreign else ""
    message = f"this text takes about {count} SMS of {len(rendered)} characters in all{why}"
    return outline.problem("W604", f"{message}; expected at most {MOST_SEGMENTS}", loc)


def _likely_values(outline: Outline) -> Mapping[str, Any]:
    """A value for every variable that a message can have, by the name that messages give it."""
    spec = outline.spec
    values = {name: _likely(domain_of_fact(fact)) for name, fact in spec.facts.items()}
    values |= {name: _likely(domain_of_response(response)) for name, response in spec.responses.items()}
    for root, names in _ROOTS.items():
        values |= {f"{root}.{name}": "a" * _WIDTHS.get(name, len(_TEXT)) for name in names}
    return {**values, UNSUBSCRIBE_URL: _URL}


def _likely(domain: Domain) -> Any:
    match domain.kind:
        case "choice":
            return max(domain.choices, key=len)
        case "bool":
            return False
        case "int" | "number":
            bounds = [each for each in (domain.low, domain.high) if each is not None]
            return max(bounds, key=lambda each: len(str(each)), default=Decimal(10_000))
        case "date":
            return _DATE
        case "datetime":
            return datetime(2026, 9, 30, 12, 30, tzinfo=UTC)
    return _TEXT
