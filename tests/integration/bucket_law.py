"""The law of buckets, read off a statement's syntax tree: the rules under which one SQL runs on one server and on many.

`breaches` tells everything a statement does that it may not. At each query level every row table is bound to one
bucket, by an equality with a parameter or constant, or with a table of the same level that is. A statement that only
looks, without a lock, may take the bucket from a list, one a row, as the probes do. The parser is PostgreSQL's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pglast import ast, enums, parse_sql

from tests.integration.background import ROW_TABLES

TIMELESS = {"random", "gen_random_uuid", "clock_timestamp", "now", "statement_timestamp", "transaction_timestamp",
            "timeofday", "nextval", "pg_advisory_lock", "pg_advisory_xact_lock", "pg_try_advisory_lock",
            "pg_try_advisory_xact_lock"}  # fmt: skip
_WRITES = (ast.InsertStmt, ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt)
_IN_CONFLICT = (ast.ColumnRef, ast.ParamRef, ast.A_Const, ast.A_Expr, ast.BoolExpr, ast.NullTest, ast.CoalesceExpr,
                ast.MinMaxExpr, ast.CaseExpr, ast.CaseWhen, ast.TypeCast, ast.TypeName, ast.String, ast.Integer,
                ast.Boolean, ast.Float)  # fmt: skip


def row_tables_in(text: str) -> set[str]:
    """The row tables that a statement names."""
    return {node.relname for node in _walk(parse_sql(text)) if _is_row_table(node)}


def tables_written_in(text: str) -> set[str]:
    """The tables and views that a statement inserts into, updates or deletes from."""
    return {node.relation.relname for node in _walk(parse_sql(text)) if isinstance(node, _WRITES)}


def breaches(text: str) -> list[str]:
    """What the statement does against the law, in words; nothing when it keeps it or touches no row table."""
    if not row_tables_in(text):
        return []
    tree = parse_sql(text)
    nodes = list(_walk(tree))
    looks_only = not any(isinstance(node, (*_WRITES, ast.LockingClause)) for node in nodes)
    found = list(_forbidden(nodes))
    for node in nodes:
        if isinstance(node, ast.SelectStmt | ast.UpdateStmt | ast.DeleteStmt):
            found += _unbound(node, looks_only)
        elif isinstance(node, ast.InsertStmt) and _is_row_table(node.relation):
            found += _inserts(node)
    return found


# ---- what no statement on row tables does ----------------------------------------------------------------------------


def _forbidden(nodes: list[Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.MergeStmt):
            yield "MERGE"
        elif isinstance(node, ast.FuncCall) and node.funcname[-1].sval in TIMELESS:
            yield f"calls {node.funcname[-1].sval}()"
        elif isinstance(node, ast.SQLValueFunction):
            yield "asks the server for the time"
        elif isinstance(node, ast.A_Expr) and node.kind != enums.A_Expr_Kind.AEXPR_OP and _is_bucket(node.lexpr):
            yield "compares the bucket otherwise than with ="
        elif isinstance(node, ast.OnConflictClause):
            inside = [each for part in (node.targetList, node.whereClause) for each in _walk(part)]
            strange = {type(each).__name__ for each in inside if not isinstance(each, (*_IN_CONFLICT, ast.ResTarget))}
            yield from (f"ON CONFLICT holds a {each}" for each in sorted(strange))


# ---- one level -------------------------------------------------------------------------------------------------------


def _unbound(level: Any, looks_only: bool) -> Iterator[str]:
    """The row tables of a level that no equality binds to a bucket."""
    sources = [*_sources(getattr(level, "fromClause", None)), *_sources(getattr(level, "usingClause", None))]
    if isinstance(level, ast.UpdateStmt | ast.DeleteStmt):
        sources.insert(0, level.relation)
    tables = {_alias(each): each.relname for each in sources if _is_row_table(each)}
    bound, equal = set(), []
    for left, right in _equalities(level):
        a, b = _bucket_of(left, tables), _bucket_of(right, tables)
        if a and _is_scalar(right):
            bound.add(a)
        elif b and _is_scalar(left):
            bound.add(b)
        elif a and b:
            equal.append((a, b))
            if looks_only:  # from a list or a subquery, one bucket a row
                bound |= {each for each in (a, b) if each not in tables}
    for _ in tables:
        bound |= {other for a, b in equal for one, other in ((a, b), (b, a)) if one in bound}
    for alias, table in tables.items():
        if alias not in bound:
            yield f"{table} as {alias} is bound to no bucket"


def _sources(clause: Any) -> Iterator[Any]:
    """What a FROM names at this level: tables, functions and subqueries, through its joins."""
    for item in clause or ():
        if isinstance(item, ast.JoinExpr):
            yield from _sources((item.larg, item.rarg))
        else:
            yield item


def _equalities(level: Any) -> Iterator[tuple[Any, Any]]:
    """Both sides of each equality that every row of the level meets, in WHERE and in its joins."""
    pending = [level.whereClause]
    joins = [*(getattr(level, "fromClause", None) or ()), *(getattr(level, "usingClause", None) or ())]
    while joins:
        if isinstance(join := joins.pop(), ast.JoinExpr):
            pending.append(join.quals)
            joins += [join.larg, join.rarg]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.BoolExpr) and node.boolop == enums.BoolExprType.AND_EXPR:
            pending += node.args
        elif isinstance(node, ast.A_Expr) and node.kind == enums.A_Expr_Kind.AEXPR_OP and node.name[-1].sval == "=":
            yield node.lexpr, node.rexpr


def _bucket_of(node: Any, tables: dict[str, str]) -> str | None:
    """Whose bucket a column is; one without a name before it is that of the level's only row table."""
    if not _is_bucket(node):
        return None
    if len(node.fields) > 1:
        return str(node.fields[-2].sval)
    return next(iter(tables)) if len(tables) == 1 else None


def _inserts(node: Any) -> Iterator[str]:
    """Whether each row that is inserted gives its bucket as a parameter or constant."""
    table, columns = node.relation.relname, [column.name for column in node.cols or ()]
    if "bucket" not in columns:
        yield f"INSERT into {table} without its bucket"
        return
    place, query = columns.index("bucket"), node.selectStmt
    rows = query.valuesLists or [[target.val for target in query.targetList or ()]]
    if not all(len(row) > place and _is_scalar(row[place]) for row in rows):
        yield f"INSERT into {table} takes its bucket from a row"


# ---- the tree --------------------------------------------------------------------------------------------------------


def _walk(node: Any) -> Iterator[Any]:
    """Every node below and including this one."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from _walk(each)
    elif isinstance(node, ast.Node):
        yield node
        for name in node:
            yield from _walk(getattr(node, name))


def _is_row_table(node: Any) -> bool:
    return isinstance(node, ast.RangeVar) and node.relname in ROW_TABLES


def _is_bucket(node: Any) -> bool:
    return isinstance(node, ast.ColumnRef) and getattr(node.fields[-1], "sval", None) == "bucket"


def _is_scalar(node: Any) -> bool:
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return isinstance(node, ast.ParamRef | ast.A_Const)


def _alias(table: Any) -> str:
    return str(table.alias.aliasname if table.alias else table.relname)
