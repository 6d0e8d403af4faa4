"""Scenarios as text in the form of scenario files, and added to one whose text stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.authoring.scenarios.scenario_file import read_scenarios
from engine.core.errors import RefusedError
from engine.core.scalars import resolve
from engine.core.yaml_source import Document

_PLAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_ .'<>=()%/-]*[A-Za-z0-9_.)])?")
_QUOTABLE = re.compile(r"[^'\\\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]+")
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z")


def scenarios_as_yaml(campaign_type: str, scenarios: Iterable[Mapping[str, Any]]) -> str:
    """A whole scenario file.

    >>> steps = [{"after": "2d", "reply": "no: never", "expect": {"stage": "over"}}]
    >>> print(scenarios_as_yaml("hello", [{"name": "a no", "start": "2026-03-02T09:00:00Z", "steps": steps}]))
    campaign_type: hello
    scenarios:
      - name: a no
        start: 2026-03-02T09:00:00Z
        steps:
          - {after: 2d, reply: "no: never", expect: {stage: over}}
    <BLANKLINE>
    """
    parts = ["\n".join(scenario_lines(scenario)) for scenario in scenarios]
    return f"campaign_type: {_scalar(campaign_type)}\nscenarios:\n" + "\n\n".join(parts) + "\n"


def scenario_lines(scenario: Mapping[str, Any], indent: str = "  ") -> Iterator[str]:
    """One scenario as an item of the list, with its keys below each other and its steps one on a line."""
    dash = f"{indent}- "
    for key, value in scenario.items():
        if key == "steps":
            yield f"{dash}steps:"
            yield from (f"{indent}    - {_flow(step)}" for step in value)
        else:
            yield f"{dash}{key}: {_flow(value)}"
        dash = f"{indent}  "


def appended(source: str, file: str, scenarios: Sequence[Mapping[str, Any]]) -> str:
    """The text of a scenario file with more scenarios at the end of its list; all else stays as it is.

    Raises SpecError when the file has problems, RefusedError when its list has no end to add lines to.
    """
    before = read_scenarios(source, file)
    document = before.document
    indent = _indent(document)
    if indent is None:
        raise RefusedError(
            f"the scenarios in {file} are written in brackets",
            hint="Write them as a list of lines that start with a dash, then try again.",
        )
    cut = _end_of_list(document)
    newline = "\r\n" if "\r\n" in source else "\n"
    head, tail = _split_at_line(source, cut)
    added = [line for scenario in scenarios for line in ("", *scenario_lines(scenario, indent))]
    text = head + ("" if head.endswith("\n") else newline) + "".join(f"{line}{newline}" for line in added) + tail
    every = (read_scenarios(text, file).document.data or {})["scenarios"]
    if every != [*(document.data or {})["scenarios"], *scenarios]:
        raise RefusedError(f"cannot add to {file} without changing it", hint="Put `scenarios:` last in the file.")
    return text


def _indent(document: Document) -> str | None:
    """What stands before the dashes of the list; None when it has none."""
    line, column = document.position(("scenarios", 0))
    before = document.lines[line - 1][: column - 1]
    found = re.fullmatch(r"( *)- +(?:&\S+ +)?", before)
    return found[1] if found else None


def _end_of_list(document: Document) -> int:
    """The number of the line, from 1, before which the list ends: that of a key after it, else one past the last."""
    data = document.data or {}
    keys = list(data)
    following = keys[keys.index("scenarios") + 1 :]
    if following:
        return document.position((following[0],), key=True)[0]
    for number, line in enumerate(document.lines, 1):
        if line.rstrip() == "..." and number > document.position(("scenarios", 0))[0]:
            return number
    return len(document.lines) + 1


def _split_at_line(source: str, line: int) -> tuple[str, str]:
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", source)
    return "".join(lines[: line - 1]), "".join(lines[line - 1 :])


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A scalar that reads back as it is, plain where that is safe."""
    if not isinstance(value, str):
        return json.dumps(value)
    if _INSTANT.fullmatch(value):
        return value
    try:
        plain = _PLAIN.fullmatch(value) is not None and resolve(value) == value
    except ValueError:
        plain = False
    if plain:
        return value
    return f"'{value}'" if '"' in value and _QUOTABLE.fullmatch(value) else json.dumps(value, ensure_ascii=False)
