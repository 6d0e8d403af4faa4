"""How scenarios went, and what they reached: as text and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """What a scenario expected and what it got, at a place of its file."""

    file: str
    line: int
    column: int
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class ScenarioReport:
    """How one scenario went: the first `difference`, or None, and the `timeline` up to it.

    Of a long timeline only the end is kept; `earlier` entries came before it.
    """

    name: str
    difference: Difference | None
    timeline: tuple[str, ...]
    stages: frozenset[str]
    edges: frozenset[str]
    path: tuple[str, ...] = ()
    seconds: float = 0.0
    earlier: int = 0

    @property
    def passed(self) -> bool:
        return self.difference is None

    def render(self) -> str:
        """The scenario as a person reads it: one line when it passed, the whole story when it did not."""
        if self.difference is None:
            return f"passed  {self.name}"
        it = self.difference
        lines = [f"FAILED  {self.name}", f"  {it.file}:{it.line}:{it.column}"]
        lines += [f"    expected {it.expected}", f"    got      {it.got}", "  what happened until then:"]
        lines += [f"    ({self.earlier} earlier entries left out)"] if self.earlier else []
        return "\n".join(lines + [f"    {line}" for line in self.timeline])


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many of the `total` were reached, and which were not."""

    total: int
    missing: tuple[str, ...]

    @property
    def covered(self) -> int:
        return self.total - len(self.missing)

    def __str__(self) -> str:
        return f"{self.covered} of {self.total}"


@dataclass(frozen=True, slots=True)
class Report:
    """How all scenarios of a file went, and how much of the campaign type they reached."""

    file: str
    campaign_type: str
    results: tuple[ScenarioReport, ...]
    stages: Coverage
    edges: Coverage
    paths: Coverage

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.results)

    @property
    def failed(self) -> int:
        return len(self.results) - self.passed

    def render(self) -> str:
        """The report as text, one scenario after the other, then the figures."""
        lines = [result.render() for result in self.results]
        lines.append(f"{self.file}: {self.passed} passed, {self.failed} failed")
        lines.append(f"coverage of {self.campaign_type}: stages {self.stages}, edges {self.edges}, paths {self.paths}")
        lines += [f"  not reached: {name}" for name in (*self.stages.missing, *self.edges.missing)]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report as the JSON output of `campaign types test` gives it."""
        return {
            "file": self.file,
            "campaign_type": self.campaign_type,
            "passed": self.passed,
            "failed": self.failed,
            "scenarios": [_result_as_dict(result) for result in self.results],
            "coverage": {
                name: {"covered": each.covered, "total": each.total, "missing": list(each.missing)}
                for name, each in (("stages", self.stages), ("edges", self.edges), ("paths", self.paths))
            },
        }


def _result_as_dict(result: ScenarioReport) -> dict[str, Any]:
    it = result.difference
    place = None if it is None else {"file": it.file, "line": it.line, "column": it.column}
    difference = None if it is None else {**(place or {}), "expected": it.expected, "got": it.got}
    return {"name": result.name, "passed": result.passed, "difference": difference, "timeline": list(result.timeline)}
