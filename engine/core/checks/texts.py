"""Texts in other languages than YAML: message templates (E107, E602) and patterns (E107)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from engine.core.checks.names import UNSUBSCRIBE_URL
from engine.core.checks.outline import Loc, Outline
from engine.core.matchers import MatcherSpec
from engine.core.problems import Problem, expected_one_of
from engine.core.responses import PatternError, compile_matcher
from engine.core.templates import Template, TemplateError, compile_template

RECIPIENT = ("key", "email", "phone", "timezone", "locale")
CAMPAIGN = ("id", "name")


def unreadable_patterns(outline: Outline) -> Iterator[Problem]:
    """E107: a `pattern` that is not a regular expression."""
    for name, response in outline.spec.responses.items():
        if isinstance(response, MatcherSpec):
            yield from _pattern(outline, response, ("responses", name))
        else:
            for label, matcher in response.items():
                yield from _pattern(outline, matcher, ("responses", name, label))


def _pattern(outline: Outline, matcher: MatcherSpec, loc: Loc) -> Iterator[Problem]:
    try:
        compile_matcher(matcher.as_dict)
    except PatternError as error:
        yield outline.problem("E107", str(error), (*loc, "pattern"), offset=error.position)


def unreadable_templates(outline: Outline) -> Iterator[Problem]:
    """E107: a message that is not a Liquid template."""
    for text, loc in _texts(outline):
        if isinstance(template := _compiled(text), TemplateError):
            message = f"not a Liquid template: {template}"
            yield _problem(outline, "E107", message, text, loc, template.line, template.column)


def unknown_variables(outline: Outline) -> Iterator[Problem]:
    """E602: a variable that no message can ever be given."""
    known = {*outline.spec.facts, *outline.spec.responses, UNSUBSCRIBE_URL}
    known |= {f"recipient.{each}" for each in RECIPIENT} | {f"campaign.{each}" for each in CAMPAIGN}
    for text, loc in _texts(outline):
        template = _compiled(text)
        for use in template.uses if isinstance(template, Template) else ():
            if use.name not in known:
                message = f"unknown variable {use.name!r}; {expected_one_of(use.name, known)}"
                yield _problem(outline, "E602", message, text, loc, use.line, use.column)


def _texts(outline: Outline) -> Iterator[tuple[str, Loc]]:
    """Every template with its place: a subject, a text, or the `file` the text was read from."""
    for name, message in outline.spec.messages.items():
        loc = ("messages", name)
        if message.subject is not None:
            yield message.subject, (*loc, "subject")
        if message.text is not None:
            yield message.text, (*loc, "file" if outline.document.holds((*loc, "file")) else "text")


@lru_cache(maxsize=256)
def _compiled(text: str) -> Template | TemplateError:
    try:
        return compile_template(text)
    except TemplateError as error:
        return error


def _problem(outline: Outline, code: str, message: str, text: str, loc: Loc, line: int, column: int) -> Problem:
    if loc[-1] == "file":
        return outline.problem(code, f"{message} (line {line}, column {column} of that file)", loc)
    offset = sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1
    return outline.problem(code, message, loc, offset=offset)
