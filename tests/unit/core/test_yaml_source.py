"""YAML is read strictly: plain data, a place for everything, and a problem for whatever could surprise."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core.composer import HEAVIEST, LONGEST
from engine.core.yaml_source import Document, read_yaml

YAMLISH = st.text(alphabet="ab01:9 \n\t\r-?[]{},&*!|>'\"#%@`<.~\\x\u2028\0\ufeff", max_size=60)


def read(source: str) -> Any:
    document = read_yaml(source, "a.yaml")
    assert document.problems == []
    return document.data


def found(source: str) -> list[tuple[str, int, int]]:
    return [(each.code, each.line, each.column) for each in read_yaml(source, "a.yaml").problems]


def message(source: str) -> str:
    problem, *others = read_yaml(source, "a.yaml").problems
    assert others == []
    return problem.message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", "yes"), ("on", "on"), ("off", "off"), ("No", "No"), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), ("12", 12), ("-3", -3), ("+4", 4), ("08", 8), ("0o17", 15),
        ("0x1F", 31), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1_000", "1_000"), ("0b11", "0b11"),
        ("2026-03-02", "2026-03-02"), ("09:00", "09:00"), ("3d", "3d"), ("1..5", "1..5"), ("=", "="),
        ("'12'", "12"), ('"true"', "true"), ('"\\u00e9"', "é"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema(written: str, meant: object) -> None:
    value = read(f"a: {written}")["a"]
    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize("written", ["9:30", "010", "-010", "1:20:30", "1:20:30.5", "190:20", "0_7", "00"])
def test_a_number_that_yaml_1_1_reads_otherwise_is_named(written: str) -> None:
    assert found(f"a: {written}") == [("E104", 1, 4)]
    assert found(f"a: '{written}'") == []


@given(st.from_regex(r"[-+]?[0-9_:.]{1,8}[0-9_.]", fullmatch=True))
def test_what_yaml_1_1_calls_octal_or_sexagesimal_is_always_named(written: str) -> None:
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, written, (True, False))
    digits = written.lstrip("+-")
    is_octal = tag.endswith(":int") and digits[0] == "0" and len(digits) > 1 and ":" not in digits
    is_sexagesimal = tag.endswith((":int", ":float")) and ":" in digits
    assert (("E104", 1, 4) in found(f"a: {written}")) == (is_octal or is_sexagesimal)


@pytest.mark.parametrize("written", [".inf", "-.INF", ".nan", "1e999", f"{2**63}", "1" * 5000, "0x" + "f" * 16])
def test_a_number_that_cannot_be_stored_is_a_problem(written: str) -> None:
    assert found(f"a: {written}") == [("E107", 1, 4)]


@pytest.mark.parametrize(
    ("source", "place", "says"),
    [
        ("", (1, 1), "empty"),
        ("# only a comment\n", (1, 1), "empty"),
        ("---\n", (1, 1), "empty"),
        ("a: 1\n---\nb: 2", (2, 1), "second document"),
        ("a: !!python/name:os.system", (1, 4), "tags"),
        ("a: !mine x", (1, 4), "tags"),
        ("a: *b", (1, 4), "no anchor"),
        ("a: &a [*a]", (1, 8), "holds itself"),
        ("a:\n\tb: 1", (2, 1), "tab"),
        ("a: 1\nb: x\x00y", (2, 5), "U+0000"),
        ("a: 1\r\nb: \x1b[31m", (2, 4), "U+001B"),
        ("a: x\u2028y", (1, 5), "U+2028"),
        ("a: \ud800", (1, 4), "U+D800"),
        ('a: "\\0"', (1, 4), "U+0000"),
        ('a: "\\ud800"', (1, 4), "U+D800"),
        ('a: "\\UFFFFFFFF"', (1, 7), "out of range"),
        ('a: "\\q"', (1, 6), "escape"),
        ("a: 'x\nb: 1", (1, 4), "never closed"),
        ("a: [1, 2", (1, 4), "never closed"),
        ("a: {b: one of [x]}", (1, 15), "quote the text"),
        ("a: {b: date?}", (1, 12), "quote the text"),
        ("a: {b: c\nd: e", (2, 2), "open since line 1"),
        ("a: @b", (1, 4), "quote it"),
        ("a: %b", (1, 4), "quote it"),
        ("a: b: c", (1, 5), "unexpected ':'"),
        ("a:\n  b: 1\n c: 2", (3, 2), "indentation"),
        ("a\nb: 1", (2, 2), "unexpected ':'"),
        ("a: |x\n  b", (1, 5), "line break"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: 1", (1, 9), "out of range"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why_and_where(source: str, place: tuple[int, int], says: str) -> None:
    assert found(source) == [("E100", *place)]
    assert says in message(source)


@pytest.mark.parametrize(("source", "says"), [("- a", "a list"), ("hi", "the text 'hi'"), ("12", "the number 12")])
def test_anything_but_a_mapping_is_named(source: str, says: str) -> None:
    assert found(source) == [("E107", 1, 1)]
    assert says in message(source)


def test_the_second_of_two_equal_keys_is_the_problem_and_the_first_counts() -> None:
    document = read_yaml("a: 1\nb: {c: 2, c: 3}\na: 4", "a.yaml")
    assert document.data == {"a": 1, "b": {"c": 2}}
    assert found("a: 1\nb: {c: 2, c: 3}\na: 4") == [("E102", 2, 11), ("E102", 3, 1)]


def test_a_key_that_is_no_text_is_a_problem() -> None:
    assert found("1: a\ntrue: b\n? [c]\n: d\n~: e") == [("E107", 1, 1), ("E107", 2, 1), ("E107", 3, 3), ("E107", 5, 1)]
    assert "{{ … }}" in message("text: {{ first_name }}")


def test_anchors_aliases_and_merges_give_plain_data() -> None:
    source = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 9}, *a]}\nd: *a\ne: &t 3d\nf: *t"
    data = read(source)
    assert data["b"] == {"x": 1, "y": 3}
    assert data["c"] == {"x": 9, "y": 2}
    assert data["d"] == {"x": 1, "y": 2}
    assert data["f"] == "3d"


def test_a_merge_takes_mappings_only_and_once() -> None:
    assert found("a: {<<: 3}") == [("E107", 1, 9)]
    assert found("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a") == [("E102", 4, 3)]
    assert read("a: {'<<': 3}") == {"a": {"<<": 3}}


def test_aliases_that_multiply_are_stopped_before_they_are_written_out() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairwise("abcdefghij")]
    assert f"{HEAVIEST:,}" in message("\n".join(lines))
    merges = ["a0: &a0 {k: 1}", *(f"a{i}: &a{i} {{<<: *a{i - 1}, k{i}: 1}}" for i in range(1, 4000))]
    assert f"{HEAVIEST:,}" in message("\n".join(merges))
    chain = ["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60))]
    assert "too deep" in message("\n".join(chain))


@pytest.mark.parametrize(
    "source",
    [
        "[" * 99_000, "{a: " * 49_000, "- " * 99_000, "? " * 99_000, "&a " * 60_000, "a: '" + "\n" * 190_000,
        " " * LONGEST, "\t" * LONGEST, "a: " + "x " * 90_000, "a:" * 90_000, "!" * LONGEST, "'" * LONGEST,
        "a: |\n" + " x\n" * 60_000, "a: " + "9" * 190_000, "a: " + "1:" * 90_000 + "1", "a: " + "x" * LONGEST,
    ],
    ids=lambda source: repr(source[:8]),
)  # fmt: skip
def test_no_text_within_the_limit_takes_long(source: str) -> None:
    begin = time.process_time()
    read_yaml(source, "a.yaml")
    assert time.process_time() - begin < 10


def test_a_text_beyond_the_limit_is_not_read_at_all() -> None:
    assert f"{LONGEST:,}" in message("a: " + "x" * LONGEST)


def test_a_byte_order_mark_and_any_line_end_are_fine() -> None:
    assert read("\ufeffa: 1\r\nb: |\r\n  x\r\n  y\r\nc: 3\r") == {"a": 1, "b": "x\ny\n", "c": 3}
    assert found("\ufeffa: 1\r\nb: 9:30\rc: 9:31") == [("E104", 2, 4), ("E104", 3, 4)]


PLACED = """\
# a comment
stages:
  one:
    timers:
      - after: 3d
        go: two
    on_event: {opened: {go: stay, "do": []}}
"""


@pytest.mark.parametrize(
    ("loc", "key", "place"),
    [
        ((), False, (2, 1)),
        (("stages",), True, (2, 1)),
        (("stages", "one"), True, (3, 3)),
        (("stages", "one", "timers", 0), False, (5, 9)),
        (("stages", "one", "timers", 0), True, (5, 9)),
        (("stages", "one", "timers", 0, "go"), False, (6, 13)),
        (("stages", "one", "timers", 0, "go"), True, (6, 9)),
        (("stages", "one", "on_event", "opened", "do"), True, (7, 35)),
        (("stages", "one", "on_event", "opened", 0, "go"), False, (7, 29)),
        (("stages", "one", "visits", "then"), False, (3, 3)),
        (("stages", "one", "timers", 7), False, (4, 5)),
        (("stages", "one", "timers", 0, "go", "deeper"), False, (6, 13)),
        (("nowhere",), False, (2, 1)),
    ],
)
def test_every_key_and_value_has_a_place_and_what_is_missing_that_of_its_parent(
    loc: tuple[str | int, ...], key: bool, place: tuple[int, int]
) -> None:
    assert read_yaml(PLACED, "a.yaml").position(loc, key=key) == place


@pytest.mark.parametrize(
    ("source", "sought", "place"),
    [
        ("a: one HERE", "HERE", (1, 8)),
        ("a: {b: x, c: one HERE}", "HERE", (1, 18)),
        ("a: 'it''s HERE'", "HERE", (1, 11)),
        (r'a: "caf\u00e9\n\t\"q\" \x20 HERE"', "HERE", (1, 29)),
        ("a: one\n  two\n\n  HERE", "HERE", (4, 3)),
        ("a: 'one\n  two HERE'", "HERE", (2, 7)),
        ('a: "one \\\n    two HERE"', "HERE", (2, 9)),
        ("a: |\n  one\n\n    two\n  HERE", "HERE", (5, 3)),
        ("a: |2- # comment\n     one HERE\n", "HERE", (2, 10)),
        ("a: >\n  one\n  two\n\n    more\n  HERE\n", "HERE", (6, 3)),
        ("a: &anchor one HERE", "HERE", (1, 16)),
        ("a: &anchor # comment\n   one HERE", "HERE", (2, 8)),
        ("a: |\r\n  one\r\n  HERE\r\n", "HERE", (3, 3)),
        ("a: one two", " two", (1, 7)),
        ("a: 'one  '", "  ", (1, 8)),
    ],
)
def test_a_place_inside_a_text_survives_quotes_folding_and_indentation(
    source: str, sought: str, place: tuple[int, int]
) -> None:
    document = read_yaml(source, "a.yaml")
    value = document.data and document.data["a"]
    loc: tuple[str, ...] = ("a", "c") if isinstance(value, dict) else ("a",)
    text = value["c"] if isinstance(value, dict) else value
    assert isinstance(text, str)
    assert document.position(loc, offset=text.index(sought)) == place


@given(st.text("ab '\"\\\n\té", min_size=1, max_size=20), st.sampled_from(["'", '"', "|", ">"]))
def test_the_place_of_a_visible_character_shows_that_character(text: str, style: str) -> None:
    source = yaml.safe_dump({"a": text}, default_style=style, allow_unicode=True, width=10)
    document = read_yaml(source, "a.yaml")
    assert document.data == {"a": text}
    for offset, char in enumerate(text):
        if not char.isspace():
            line, column = document.position(("a",), offset=offset)
            written = document.lines[line - 1][column - 1 :]
            assert written.startswith(char) or written[:2] in ('\\"', "\\x")


def test_a_problem_shows_its_line_unless_it_is_too_wide() -> None:
    document = read_yaml("a: x\nb: " + "y" * 500, "a.yaml")
    assert document.problem("E103", "unknown", ("a",)).source == "a: x"
    assert len(document.problem("E103", "unknown", ("b",)).source) == 200
    assert document.problem("E103", "unknown", ("b",), offset=400).source == ""


def test_a_snippet_never_carries_control_characters() -> None:
    problem, *_ = read_yaml("a: \x1b[2J", "a.yaml").problems
    assert "\x1b" not in str(problem)


def _places_are_in_the_file(document: Document) -> bool:
    return all(1 <= each.line <= len(document.lines) + 1 and each.column >= 1 for each in document.problems)


@given(st.one_of(YAMLISH, st.text(max_size=60)))
@example("? ? ?\n- : -")
@settings(max_examples=400)
def test_any_text_is_data_or_problems_with_places(source: str) -> None:
    document = read_yaml(source, "a.yaml")
    assert (document.data is not None) or document.problems
    assert _places_are_in_the_file(document)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cn"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<", max_size=4), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text("abc<", min_size=1), JSONISH, max_size=3), st.booleans())
def test_json_reads_as_itself(data: dict[str, Any], ascii_only: bool) -> None:
    assert read(json.dumps(data, ensure_ascii=ascii_only)) == data
