"""How an expression is written: its grammar, the tree it is read into, and errors with exact places.

    or       = and {"or" and}
    and      = not {"and" not}
    not      = "not" not | "(" or ")" | test
    test     = name | name sign constant | constant sign name | name "in" list | name "is" ["not"] "missing"
    sign     = "==" | "!=" | "<" | "<=" | ">" | ">="
    list     = "[" constant {"," constant} "]", or the same in round brackets
    constant = number | text in single or double quotes | true | false

`not a == b` is `not (a == b)`. A text runs to its closing quote; nothing is escaped. Length and depth are
bounded, so that any text whatever is read or refused with an ExpressionError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple, cast

Constant = Decimal | str | bool
Operator = Literal["==", "!=", "<", "<=", ">", ">=", "in", "bare", "missing", "not missing"]

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "true", "false", "True", "False"})
LONGEST = 10_000  # characters
DEEPEST = 50  # brackets and `not` inside each other


class ExpressionError(ValueError):
    """An expression that cannot be read; `offset` counts characters of it from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test of one name. `bare` is the name alone; `3 < seats` is kept as `seats > 3`.

    `constants` holds one for `== != < <= > >=`, at least one for `in`, none for the others. `offset` is where
    the test starts in the text, `name_offset` where its name stands.
    """

    name: str
    operator: Operator
    constants: tuple[Constant, ...]
    offset: int
    name_offset: int


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Node, ...]


Node = Comparison | Not | And | Or


def parse_tree(text: str) -> Node:
    """The tree of an expression. Raises ExpressionError and nothing else.

    >>> parse_tree("3 < seats")
    Comparison(name='seats', operator='>', constants=(Decimal('3'),), offset=0, name_offset=4)
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"{len(text)} characters are too long; expected at most {LONGEST}", LONGEST)
    return _Parser(text).whole()


class _Token(NamedTuple):
    kind: str  # "number", "text", "name", "end", or the very sign or keyword
    text: str
    offset: int


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T:.+Z-][0-9:.+Z-]*)?)
    | (?P<number>[+-]?[0-9]+(?:\.[0-9]+)?(?![\w.]))
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*(?![\w.]))
    | (?P<sign>[=!<>]=|[<>()\[\],])
    )""",
    re.VERBOSE,
)
_MIRRORED: dict[str, Operator] = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_HINTS = {
    "=": "a comparison is written ==, got =",
    "!": "expected not, or != between two sides, got !",
    "&": "expected and, got &",
    "|": "expected or, got |",
    "'": "this text has no closing quote",
    '"': "this text has no closing quote",
}
_TEST = "expected a name to test, as in seats >= 3"
_CONSTANT = "expected a constant: a number, a text in quotes, true or false"
_CONSTANTS = ("number", "text", "true", "false")


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _unreadable(text, at)
        kind, word = found.lastgroup, found[found.lastgroup]
        if kind == "date":
            raise ExpressionError(f'a date needs quotes, as in "{word}"', found.start(kind))
        if kind == "sign" or word in KEYWORDS:
            kind = word.lower()
        yield _Token(kind, word, found.start(found.lastgroup))
        at = found.end()
    yield _Token("end", "", end)


def _unreadable(text: str, at: int) -> ExpressionError:
    rest = text[at:].lstrip()
    at = len(text) - len(rest)
    word = re.match(r"[\w.+-]{1,40}|.", rest, re.DOTALL)
    return ExpressionError(_HINTS.get(rest[0]) or f"{_TEST}, got {word[0] if word else ''}", at)


class _Parser:
    """Recursive descent over the tokens; `_depth` bounds the recursion."""

    def __init__(self, text: str) -> None:
        self._tokens = tuple(_tokens(text))
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._or()
        if self._here.kind != "end":
            raise self._error("expected and, or, or the end")
        return node

    @property
    def _here(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *kinds: str) -> _Token | None:
        """The token that stands here, passed, if it is of one of `kinds`."""
        token = self._here
        if token.kind not in kinds:
            return None
        self._next += 1
        return token

    def _error(self, expected: str) -> ExpressionError:
        got = f"got {self._here.text[:40]}" if self._here.text else "but the expression ends"
        return ExpressionError(f"{expected}, {got}", self._here.offset)

    def _or(self) -> Node:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Node:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self) -> Node:
        opening = self._take("not", "(")
        if opening is None:
            return self._test()
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"too deep; expected at most {DEEPEST} levels", opening.offset)
        node = Not(self._not()) if opening.kind == "not" else self._or()
        if opening.kind == "(" and not self._take(")"):
            raise self._error("expected ), and, or or")
        self._depth -= 1
        return node

    def _test(self) -> Comparison:
        start = self._here.offset
        if name := self._take("name"):
            test = Comparison(name.text, *self._rest(), start, start)
        else:
            test = self._mirrored(start)
        if self._here.kind in _MIRRORED or self._here.kind in ("in", "is"):
            raise self._error("comparisons do not chain; expected and between two of them")
        return test

    def _mirrored(self, start: int) -> Comparison:
        constant = self._constant(_TEST)
        sign = self._take(*_MIRRORED)
        if sign is None:
            raise self._error("expected == != < <= > or >= and a name after a constant")
        name = self._take("name")
        if name is None:
            raise self._error("expected a name: one side is a name, the other a constant")
        return Comparison(name.text, _MIRRORED[sign.kind], (constant,), start, name.offset)

    def _rest(self) -> tuple[Operator, tuple[Constant, ...]]:
        """What follows a name: the operator and its constants."""
        if sign := self._take(*_MIRRORED):
            return cast("Operator", sign.kind), (self._constant(_CONSTANT),)
        if self._take("in"):
            return "in", self._list()
        if self._take("is"):
            negated = self._take("not")
            if self._here.text != "missing":
                raise self._error("expected is missing or is not missing")
            self._next += 1
            return "not missing" if negated else "missing", ()
        if self._here.kind == "not":
            raise self._error("expected and, or, or the end (not x in [...] is the order)")
        if self._here.kind in ("name", *_CONSTANTS):
            raise self._error("expected == != < <= > >= in or is after a name")
        return "bare", ()

    def _list(self) -> tuple[Constant, ...]:
        opening = self._take("[", "(")
        if opening is None:
            raise self._error("expected a list of constants after in, as in [1, 2]")
        closing = "]" if opening.kind == "[" else ")"
        constants = [self._constant(_CONSTANT)]
        while self._take(",") and self._here.kind != closing:
            constants.append(self._constant(_CONSTANT))
        if not self._take(closing):
            raise self._error(f"expected , or {closing}")
        return tuple(constants)

    def _constant(self, expected: str) -> Constant:
        if self._here.kind == "name":
            raise self._error(f"{expected} (a text needs quotes)")
        token = self._take(*_CONSTANTS)
        if token is None:
            raise self._error(expected)
        if token.kind == "number":
            return Decimal(token.text)
        return token.text[1:-1] if token.kind == "text" else token.kind == "true"
