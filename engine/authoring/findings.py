"""What lint found, in the words of whoever reads it: a person, a program, GitHub, or a tool that speaks SARIF."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import PurePath

from engine.core.problems import Problem

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(problems: Sequence[Problem]) -> str:
    """Each problem with its line and a caret."""
    return "\n".join(map(str, problems))


def as_json(problems: Sequence[Problem]) -> str:
    return json.dumps([problem.as_dict() for problem in problems], ensure_ascii=False)


def as_github(problems: Sequence[Problem]) -> str:
    """Workflow commands, which GitHub shows beside the lines they are about.

    >>> print(as_github([Problem("a.yaml", 3, 5, "E103", "unknown stage 'hello'")]))
    ::error file=a.yaml,line=3,col=5,title=E103::unknown stage 'hello'
    """
    return "\n".join(
        f"::{it.severity} file={_property(it.file)},line={it.line},col={it.column},title={it.code}::{_data(it.message)}"
        for it in problems
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(problems: Sequence[Problem]) -> str:
    """A SARIF 2.1.0 log with one run."""
    results = [
        {
            "ruleId": it.code,
            "level": it.severity,
            "message": {"text": it.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": PurePath(it.file).as_posix()},
                        "region": {"startLine": it.line, "startColumn": it.column},
                    }
                }
            ],
        }
        for it in problems
    ]
    rules = [{"id": code} for code in sorted({it.code for it in problems})]
    driver = {"name": "campaign types lint", "rules": rules}
    log = {"$schema": _SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}
    return json.dumps(log, ensure_ascii=False)


FORMATS: dict[str, Callable[[Sequence[Problem]], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}
