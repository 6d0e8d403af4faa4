"""Messages as Liquid templates: compiled once, rendered from plain values, with nothing else in reach.

A template sees only the values it is given. It cannot load other templates, read the clock (`now`, `today`)
or run without end: loops, output and variables are bounded. A missing value is false in `if`, gives way to
`default` and is an error where it would be written out, so nobody is greeted with "Hi ,". The output is plain
text, not escaped for HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from liquid import Environment, RenderContext
from liquid.exceptions import (
    FilterArgumentError,
    LiquidError,
    LiquidSyntaxError,
    ResourceLimitError,
    UndefinedError,
)
from liquid.static_analysis import TemplateAnalysis, Variable
from liquid.template import BoundTemplate
from liquid.undefined import FalsyStrictUndefined, Undefined
from liquid.utils import ReadOnlyChainMap

from engine.core.presence import unguarded
from engine.core.variables import NAMESPACES, Use, line_and_column

# Errors whose own text quotes the template only, never a value of the recipient.
_NAMELESS = (LiquidSyntaxError, ResourceLimitError, UndefinedError)
_MARKUP = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)
_FAILURES = (LiquidError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class TemplateError(ValueError):
    """A template that cannot be read or rendered; `line` and `column` count from 1 within its text."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


class LimitError(TemplateError):
    """A template that runs, writes or keeps more than any message may."""


class Template:
    """A compiled message text: `uses` lists what it needs from outside, in order, `variables` their names.

    A name is the variable's root, or `recipient.email` and the like under one of NAMESPACES. `needed` are the uses
    that fail when the value is missing, see `engine.core.presence`.
    """

    def __init__(self, text: str, bound: BoundTemplate, analysis: TemplateAnalysis) -> None:
        self.text = text
        self._bound = bound
        self.uses = tuple(sorted(_uses(text, analysis), key=lambda use: (use.line, use.column)))
        bare = {line_and_column(text, index) for index in unguarded(bound.nodes)}
        self.needed = tuple(use for use in self.uses if (use.line, use.column) in bare)
        self.variables = frozenset(use.name for use in self.uses)

    def render(self, values: Mapping[str, Any]) -> str:
        """The text with `values` filled in; a None counts as missing.

        Raises: TemplateError, which never quotes a value.

        >>> compile_template("Hi {{ first_name }}").render({"first_name": "Ann"})
        'Hi Ann'
        """
        known = {name: value for name, value in values.items() if value is not None}
        try:
            return self._bound.render(known)
        except _FAILURES as error:
            raise _template_error(self.text, error) from error


def compile_template(text: str) -> Template:
    """The template that `text` is. Raises TemplateError for bad syntax and for unknown tags and filters.

    >>> sorted(compile_template("{{ name }} {% for each in items %}{{ each }}{% endfor %}").variables)
    ['items', 'name']
    """
    try:
        bound = _ENVIRONMENT.from_string(text)
        analysis = bound.analyze(include_partials=False)
    except _FAILURES as error:
        raise _template_error(text, error) from error
    for name, spans in analysis.filters.items():
        if name not in _ENVIRONMENT.filters:
            raise TemplateError(f"unknown filter {name!r}", *line_and_column(text, spans[0].index))
    return Template(text, bound, analysis)


class _Missing(FalsyStrictUndefined):
    """A value that was not given: nil and false, replaced by `default`, an error when written out."""

    force_liquid_default = True

    def __eq__(self, other: object) -> bool:
        return other is None or other is False or isinstance(other, Undefined)

    __hash__ = FalsyStrictUndefined.__hash__


class _Context(RenderContext):
    """The usual scope without the library's `now` and `today`."""

    def __init__(self, template: BoundTemplate, **options: Any) -> None:
        super().__init__(template, **options)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)


class _Template(BoundTemplate):
    context_class = _Context


class _Environment(Environment):
    template_class = _Template
    block_nesting_limit = 20
    context_depth_limit = 30
    loop_iteration_limit = 10_000
    local_namespace_limit = 1_000_000
    output_stream_limit = 250_000


def _date(value: object, form: str) -> str:
    """The library's own `date` filter reads the clock and the machine's zone; this one only formats."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, date):
        raise FilterArgumentError("expected a date, or a text like 2026-03-02", token=None)
    return value.strftime(form)


def _environment() -> Environment:
    environment = _Environment(undefined=_Missing)
    for tag in ("include", "render"):
        del environment.tags[tag]
    environment.add_filter("date", _date)
    return environment


_ENVIRONMENT = _environment()


def _uses(text: str, analysis: TemplateAnalysis) -> Iterator[Use]:
    for variables in analysis.globals.values():
        for variable in variables:
            yield Use(_name(variable), *line_and_column(text, variable.span.index))


def _name(variable: Variable) -> str:
    root, *rest = variable.segments
    if root in NAMESPACES and rest and isinstance(rest[0], str):
        return f"{root}.{rest[0]}"
    return str(root)


def _template_error(text: str, error: Exception) -> TemplateError:
    if not isinstance(error, LiquidError):
        return TemplateError(f"cannot be rendered ({type(error).__name__})")
    index = error.token.start_index if error.token else 0
    place = line_and_column(text, index if index >= 0 else _unfinished(text))
    if isinstance(error, _NAMELESS):
        kind = LimitError if isinstance(error, ResourceLimitError) else TemplateError
        return kind(str(error.message).splitlines()[0], *place)
    what = error.token.value if error.token else "a filter"
    return TemplateError(f"{what} cannot take the value it is given", *place)


def _unfinished(text: str) -> int:
    """Where the tag that ends too early begins, or the block never closed; the library does not tell."""
    opened: int | None = None
    for markup in _MARKUP.finditer(text):
        try:
            _ENVIRONMENT.from_string(text[: markup.end()])
            opened = None
        except LiquidError as error:
            if "expected tag" not in str(error.message):
                return markup.start()
            opened = markup.start() if opened is None else opened
    return opened or 0
