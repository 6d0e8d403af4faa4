"""Which variables of a Liquid template must have a value for it to be rendered.

A use is safe when `default` is its first filter, when it only decides something (`if`, `unless`, `case`), or when
the branch it stands in is taken only if the value is there: after `{% if x %}`, `{% if x == "a" %}`,
`{% if x != nil %}`, in the `else` of `{% unless x %}`, and so on through `and`, `or`, `not` and `elsif`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from liquid import RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin.expressions import (
    BooleanExpression,
    FilteredExpression,
    Path,
    TernaryFilteredExpression,
)
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalNotExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import FloatLiteral, IntegerLiteral, Nil, StringLiteral, TrueLiteral
from liquid.builtin.tags.case_tag import CaseNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

Names = frozenset[str]
_NONE: Names = frozenset()
_ORDERS = (ContainsExpression, GeExpression, GtExpression, LeExpression, LtExpression)
_VALUES = (StringLiteral, IntegerLiteral, FloatLiteral, TrueLiteral)


def unguarded(nodes: Iterable[Node]) -> Iterator[int]:
    """Where in the text, as indices, a variable stands that must have a value."""
    return _of_nodes(nodes, _NONE)


def _of_nodes(nodes: Iterable[Node], present: Names) -> Iterator[int]:
    for node in nodes:
        yield from _of_node(node, present)


def _of_node(node: Node, present: Names) -> Iterator[int]:
    """The uses below a node, where the variables in `present` are known to have a value."""
    if isinstance(node, IfNode | UnlessNode):
        first = isinstance(node, IfNode)
        yield from _of_node(node.consequence, present | _there_if(node.condition, first))
        otherwise = present | _there_if(node.condition, not first)
        for branch in node.alternatives:
            yield from _of_node(branch.block, otherwise | _there_if(branch.expression, True))
            otherwise |= _there_if(branch.expression, False)
        if node.default is not None:
            yield from _of_node(node.default, otherwise)
    elif isinstance(node, CaseNode):
        for block in node.blocks:
            chosen = _NONE if isinstance(block, BlockNode) else _name(node.expression)
            yield from _of_node(block if isinstance(block, BlockNode) else block.block, present | chosen)
    elif isinstance(node, BlockNode):
        yield from _of_nodes(node.nodes, present)
    else:
        for expression in node.expressions():
            yield from _of_expression(expression, present)
        yield from _of_nodes(node.children(_NO_CONTEXT, include_partials=False), present)


_NO_CONTEXT: RenderContext = None  # type: ignore[assignment]  # only tags that load other templates look at it


def _of_expression(expression: Expression, present: Names) -> Iterator[int]:
    if isinstance(expression, Path):
        if not _name(expression) & present:
            yield expression.token.start_index
        for each in expression.children():
            yield from _of_expression(each, present)
    elif isinstance(expression, TernaryFilteredExpression):
        yield from _of_expression(expression.left, present | _there_if(expression.condition, True))
        if expression.alternative is not None:
            yield from _of_expression(expression.alternative, present | _there_if(expression.condition, False))
    elif isinstance(expression, FilteredExpression):
        filters = expression.filters or []
        if not (filters and filters[0].name == "default"):
            yield from _of_expression(expression.left, present)
        for each in (child for part in filters for child in part.children()):
            yield from _of_expression(each, present)
    elif not isinstance(expression, BooleanExpression):
        for each in expression.children():
            yield from _of_expression(each, present)


def _there_if(condition: Expression, truth: bool) -> Names:
    """The variables that have a value whenever the condition is true or, without `truth`, false."""
    match condition:
        case BooleanExpression():
            return _there_if(condition.expression, truth)
        case LogicalNotExpression():
            return _there_if(condition.right, not truth)
        case LogicalAndExpression() | LogicalOrExpression():
            left, right = _there_if(condition.left, truth), _there_if(condition.right, truth)
            return left | right if isinstance(condition, LogicalAndExpression) == truth else left & right
        case EqExpression() | NeExpression():
            equal = isinstance(condition, EqExpression) == truth
            return _there_if_equal(condition.left, condition.right, equal)
    if isinstance(condition, _ORDERS):
        return _name(condition.left) | _name(condition.right) if truth else _NONE
    return _name(condition) if truth else _NONE


def _there_if_equal(left: Expression, right: Expression, equal: bool) -> Names:
    """A variable is there when it equals a value, and when it differs from nil."""
    names = _name(left) | _name(right)
    if equal:
        return names if isinstance(left, _VALUES) or isinstance(right, _VALUES) else _NONE
    return names if isinstance(left, Nil) or isinstance(right, Nil) else _NONE


def _name(expression: Expression) -> Names:
    """The variable that an expression is, if it is one."""
    if isinstance(expression, FilteredExpression) and not expression.filters:
        return _name(expression.left)
    return frozenset({str(expression)}) if isinstance(expression, Path) else _NONE
