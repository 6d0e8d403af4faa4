"""Texts in other languages than YAML: message templates (E107, E602) and the arguments of matchers (E107)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from engine.core.checks.names import UNSUBSCRIBE_URL
from engine.core.checks.outline import Loc, Outline
from engine.core.matchers import MatcherSpec
from engine.core.problems import Problem, expected_one_of
from engine.core.responses import PatternError, compile_matcher, compile_responses
from engine.core.variables import Use, plain_uses
from engine.core.words import Heard, no_word

if TYPE_CHECKING:
    from engine.core.templates import TemplateError

RECIPIENT = ("key", "email", "phone", "timezone", "locale")
CAMPAIGN = ("id", "name")


def unreadable_matchers(outline: Outline) -> Iterator[Problem]:
    """E107: a matcher whose argument makes no sense, as a `pattern` that is not a regular expression."""
    for name, response in outline.spec.responses.items():
        loc: Loc = ("responses", name)
        if not isinstance(response, MatcherSpec):
            for label, matcher in response.items():
                yield from _matcher(outline, matcher, (*loc, label))
        elif not (found := list(_matcher(outline, response, loc))):
            yield from _captured(outline, response, loc)
        else:
            yield from found


def _matcher(outline: Outline, matcher: MatcherSpec, loc: Loc) -> Iterator[Problem]:
    for index, part in enumerate(matcher.parts):
        key = (*loc, "any_of", index, part.name) if matcher.any_of else (*loc, part.name)
        try:
            compile_matcher(part.as_dict)
        except PatternError as error:
            yield outline.problem("E107", str(error), key, offset=error.position)
        except ValueError as error:
            yield outline.problem("E107", str(error), key)
        else:
            wanted = part.phrase or part.only_phrase  # without a word, which RapidPro allows, it finds all or nothing
            if wanted is not None and not Heard(wanted).folded:
                yield outline.problem("E107", f"{part.name}: {no_word(wanted)}", key)


def _captured(outline: Outline, matcher: MatcherSpec, loc: Loc) -> Iterator[Problem]:
    try:
        compile_responses({"it": matcher})
    except ValueError as error:
        yield outline.problem("E107", str(error), (*loc, "any_of"), key=True)


def unreadable_templates(outline: Outline) -> Iterator[Problem]:
    """E107: a message that is not a Liquid template."""
    for text, loc in texts_of(outline):
        if error := read_template(text).error:
            message = f"not a Liquid template: {error}"
            yield problem_in(outline, "E107", message, text, loc, error.line, error.column)


def unknown_variables(outline: Outline) -> Iterator[Problem]:
    """E602: a variable that no message can ever be given."""
    known = {*outline.spec.facts, *outline.spec.responses, UNSUBSCRIBE_URL}
    known |= {f"recipient.{each}" for each in RECIPIENT} | {f"campaign.{each}" for each in CAMPAIGN}
    for text, loc in texts_of(outline):
        for use in read_template(text).uses:
            if use.name not in known:
                message = f"unknown variable {use.name!r}; {expected_one_of(use.name, known)}"
                yield problem_in(outline, "E602", message, text, loc, use.line, use.column)


def texts_of(outline: Outline) -> Iterator[tuple[str, Loc]]:
    """Every template with its place: a subject, a text, or the `file` the text was read from."""
    for name, message in outline.spec.messages.items():
        loc = ("messages", name)
        if message.subject is not None:
            yield message.subject, (*loc, "subject")
        if message.text is not None:
            yield message.text, (*loc, "file" if outline.document.holds((*loc, "file")) else "text")


class Reading(NamedTuple):
    """The variables of a template, and those it cannot be rendered without; or why it is none."""

    uses: tuple[Use, ...] = ()
    needed: tuple[Use, ...] = ()
    error: TemplateError | None = None


@lru_cache(maxsize=256)
def read_template(text: str) -> Reading:
    """What the checks want to know of a template."""
    if (plain := plain_uses(text)) is not None:
        return Reading(plain, plain)
    from engine.core.templates import TemplateError, compile_template  # takes long to load, so only when it must

    try:
        template = compile_template(text)
    except TemplateError as error:
        return Reading(error=error)
    return Reading(template.uses, template.needed)


def problem_in(outline: Outline, code: str, message: str, text: str, loc: Loc, line: int, column: int) -> Problem:
    """A problem at a line and column of a template, which is at `loc`."""
    if loc[-1] == "file":
        return outline.problem(code, f"{message} (line {line}, column {column} of that file)", loc)
    offset = sum(len(each) + 1 for each in text.split("\n")[: line - 1]) + column - 1
    return outline.problem(code, message, loc, offset=offset)
