"""Comments that silence warnings: one finding on the next line, with a reason, and never in vain."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import SpecError
from engine.core.ignores import ignores_of, silence
from engine.core.loader import parse_campaign_type
from engine.core.yaml_source import read_yaml

TYPE = """\
campaign_type: hello
version: 1
facts: {{seats: int 1..1000}}
start: size
stages:
  size:
    split:
      - {{when: seats > 99, go: large}}
{above}
      - {{when: seats > 9, go: middle}}
      - otherwise: small
exits: {{large: won, middle: won, small: lost}}
"""


def found(above: str) -> list[str]:
    try:
        problems = parse_campaign_type(TYPE.format(above=above), "hello.yaml").warnings
    except SpecError as error:
        problems = error.problems
    return [problem.code for problem in problems]


def test_a_comment_with_a_reason_silences_the_warning_of_the_next_line() -> None:
    assert found("") == ["W304"]
    assert found("      # campaign: ignore[W304] the large come first") == []
    assert found("# campaign:ignore[ W304 ]   the large come first") == []


@pytest.mark.parametrize(
    ("above", "codes"),
    [
        ("      # campaign: ignore[W304]", ["E107", "W304"]),
        ("      # campaign: ignore", ["E107", "W304"]),
        ("      # campaign: ignore[E303] because", ["E107", "W304"]),
        ("      # campaign: ignore[W999] because", ["E107", "W304"]),
        ("      # campaign: ignore[W306] because", ["E107", "W304"]),
        ("      # campaign: ignore[W304] because\n\n", ["E107", "W304"]),
        ("      # campaign: ignore[W304] because\n      # campaign: ignore[W306] because", ["E107"]),
        ("      # campaign: ignore[W304] once\n      # campaign: ignore[W304] twice", ["E107"]),
        ("      # campaign: notes, nothing else", ["W304"]),
    ],
)
def test_a_comment_that_silences_nothing_is_itself_told(above: str, codes: list[str]) -> None:
    assert found(above) == codes


def test_a_comment_works_between_the_lines_of_a_flow_mapping() -> None:
    source = TYPE.format(above="").replace(
        "small: lost}", "# campaign: ignore[W206] soon there will be one\n  later: lost, small: lost}"
    )
    source = source.replace("seats > 9,", "seats > 9 and seats < 100,")
    assert parse_campaign_type(source, "hello.yaml").warnings == ()


@pytest.mark.parametrize(
    "text",
    ['a: "# campaign: ignore[W304] no"', "a: |\n  # campaign: ignore[W304] no", "a: it#campaign: ignore[W304]",
     "a: '\n  # campaign: ignore[W304] no'"],
)  # fmt: skip
def test_what_looks_like_a_comment_inside_a_text_is_none(text: str) -> None:
    assert ignores_of(read_yaml(text, "a.yaml")) == []


def test_codes_found_elsewhere_are_left_to_those_who_find_them() -> None:
    document = read_yaml("# campaign: ignore[W701] tried by hand\na: 1", "a.yaml")
    assert silence(document, []) == []
    assert [it.code for it in silence(document, [], codes=frozenset({"W701"}))] == ["E107"]
    untested = document.problem("W701", "no scenario", ("a",), key=True)
    assert silence(document, [untested], codes=frozenset({"W701"})) == []


def test_while_there_are_errors_a_comment_may_silence_nothing() -> None:
    document = read_yaml("# campaign: ignore[W304] on purpose\na: 1", "a.yaml")
    error = document.problem("E103", "unknown target", ("a",))
    assert silence(document, [error]) == [error]


@given(st.lists(st.sampled_from(["# campaign: ignore[W304] x", "#campaign: ignore", "'", "\n", "a: ", "|", "{", " "])))
def test_any_text_with_such_comments_is_read_without_an_exception(parts: list[str]) -> None:
    document = read_yaml("".join(parts), "a.yaml")
    assert all(each.target > each.line for each in ignores_of(document))


def test_very_many_comments_are_read_in_little_time() -> None:
    document = read_yaml("a: 1\n" + "# campaign: ignore[W304] x\n" * 7_000, "a.yaml")
    began = time.process_time()
    assert len(ignores_of(document)) == 7_000
    assert time.process_time() - began < 1
