"""The laws of the house that an import contract cannot see: where SQL is, and who opens and ends transactions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "engine"

# The parts of the engine, the manager in front of them, and the two programs that put parts together.
OPEN_TRANSACTIONS = {
    "cli/authoring.py", "cli/create.py", "cli/diffing.py", "demo/run.py", "doctor.py", "enrolment.py", "hand.py",
    "inbox.py", "interventions.py", "manager.py", "poller.py", "runner.py", "single.py", "startup.py", "tick.py",
    "upkeep.py", "worker.py",
}  # fmt: skip
# The one place where transactions end, and the two that speak to a server outside the engine's work.
END_TRANSACTIONS = {"db/database.py", "db/embedded.py", "db/migrate.py"}


def calls(path: Path) -> Iterator[str]:
    """The names of everything the module calls as a method."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def modules_that_call(*names: str) -> set[str]:
    return {
        path.relative_to(ENGINE).as_posix() for path in ENGINE.rglob("*.py") if not set(names).isdisjoint(calls(path))
    }


def test_only_the_parts_of_the_engine_open_transactions() -> None:
    assert modules_that_call("transaction") == OPEN_TRANSACTIONS


def test_nothing_but_the_database_itself_commits_or_rolls_back() -> None:
    assert modules_that_call("commit", "rollback") <= END_TRANSACTIONS


def test_statements_are_executed_in_the_database_rooms_only() -> None:
    outside = {each for each in modules_that_call("execute", "scalars", "scalar") if not each.startswith("db/")}
    assert outside - {"core/machine.py"} == set()  # its `execute` is that of a transition


def test_no_module_is_over_400_lines() -> None:
    long = {path.name for path in ENGINE.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 400}
    assert long == set()
