"""How scenarios went, as JUnit's XML for build servers."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from engine.authoring.scenarios.report import Report


def as_junit(reports: Sequence[Report]) -> str:
    """The reports as JUnit XML, a suite for each scenario file and a case for each scenario."""
    root = Element("testsuites", name="campaign types test")
    for report in reports:
        seconds = sum(result.seconds for result in report.results)
        suite = SubElement(
            root, "testsuite", name=report.campaign_type, tests=str(len(report.results)), failures=str(report.failed),
            errors="0", skipped="0", time=f"{seconds:.6f}",
        )  # fmt: skip
        for result in report.results:
            case = SubElement(suite, "testcase", classname=report.campaign_type, name=_printable(result.name))
            case.attrib |= {"file": _printable(report.file), "time": f"{result.seconds:.6f}"}
            if (it := result.difference) is not None:
                message = f"{it.file}:{it.line}:{it.column}: expected {it.expected}, got {it.got}"
                SubElement(case, "failure", message=_printable(message)).text = _printable(result.render())
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _printable(text: str) -> str:
    """`text` without the control characters that XML cannot hold."""
    return "".join(char if char in "\t\n" or char.isprintable() else "\ufffd" for char in text)
