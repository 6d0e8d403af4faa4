"""Campaign types come from files, whatever the files are like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.authoring.files import check_file, load_campaign_type, load_spec
from engine.core.composer import LONGEST
from engine.core.errors import CampaignError, SpecError

HELLO = """\
campaign_type: hello
version: 1
start: greet
stages:
  greet:
    on_enter: [{send: hi}]
    timers: [{after: 3d, go: silent}]
always: [{when: responses_total > 0, go: answered}]
exits: {answered: stopped, silent: lost}
messages:
  hi: {file: texts/hi.liquid}
"""


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A campaign type with a message file beside it."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/hi.liquid").write_text("Hello, how are you?\n", encoding="utf-8")
    path = tmp_path / "hello.yaml"
    path.write_text(HELLO, encoding="utf-8")
    return path


def refused(path: str | Path) -> str:
    with pytest.raises(CampaignError) as caught:
        load_spec(path)
    assert not isinstance(caught.value, SpecError)
    return str(caught.value)


def test_a_file_becomes_a_compiled_campaign_type(hello: Path) -> None:
    compiled = load_campaign_type(str(hello))
    assert compiled.spec == load_spec(hello).spec
    assert compiled.spec.messages["hi"].text == "Hello, how are you?\n"


@pytest.mark.parametrize("encode", [
    lambda text: text.replace("\n", "\r\n").encode(),
    lambda text: text.replace("\n", "\r").encode(),
    lambda text: b"\xef\xbb\xbf" + text.encode(),
    lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
], ids=["crlf", "cr", "byte order mark", "both"])  # fmt: skip
def test_line_ends_and_a_byte_order_mark_make_no_difference(hello: Path, encode: object) -> None:
    assert callable(encode)
    plain = load_spec(hello).spec
    for path in (hello, hello.parent / "texts/hi.liquid"):
        path.write_bytes(encode(path.read_text(encoding="utf-8")))
    assert load_spec(hello).spec == plain


def test_a_missing_file_a_folder_and_odd_names_are_refused_with_the_next_step(tmp_path: Path) -> None:
    assert "there is no file" in refused(tmp_path / "nowhere.yaml")
    assert "is a folder" in refused("")
    assert "is a folder; expected a file" in refused(tmp_path)
    assert refused("a\0b.yaml")
    assert refused("x" * 5000)
    assert refused(tmp_path / "nowhere.yaml" / "deeper.yaml")


def test_a_device_or_pipe_is_never_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "there is no file" in refused(tmp_path / "pipe.yaml")
    assert refused("/dev/zero")


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    with path.open("wb") as file:
        file.truncate(4 * LONGEST + 1)
    _, (problem,) = check_file(path)
    assert (problem.code, problem.line, problem.column) == ("E100", 1, 1)
    assert f"{LONGEST:,}" in problem.message


@pytest.mark.parametrize(("data", "place", "byte"), [
    (b"a: \xff", (1, 4), "0xFF"),
    (b"a: 1\r\nb: \xc3\xa9\xe9 c", (2, 5), "0xE9"),
    (b"\xef\xbb\xbfa: 1\rb\xf8", (2, 2), "0xF8"),
    ("a: 1".encode("utf-16"), (1, 1), "0xFF"),
])  # fmt: skip
def test_a_byte_that_is_not_utf_8_is_placed(tmp_path: Path, data: bytes, place: tuple[int, int], byte: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(data)
    loaded, (problem,) = check_file(path)
    assert loaded is None
    assert (problem.code, problem.line, problem.column) == ("E100", *place)
    assert byte in problem.message


def test_check_file_gives_problems_and_never_raises_them(hello: Path) -> None:
    loaded, problems = check_file(hello)
    assert loaded is not None
    assert all(problem.severity == "warning" for problem in problems)
    hello.write_text(HELLO.replace("3d", "3 days").replace("silent: lost", "silent: loss"), encoding="utf-8")
    loaded, problems = check_file(hello)
    assert loaded is None
    assert [(each.file, each.line, each.code) for each in problems] == [
        (str(hello), 7, "E105"),
        (str(hello), 9, "E107"),
    ]


@pytest.mark.parametrize("name", ["../outside.liquid", "texts/../../outside.liquid", "link.liquid", "/etc/hostname"])
def test_a_message_file_must_lie_in_the_folder(hello: Path, name: str) -> None:
    outside = hello.parent.parent / "outside.liquid"
    outside.write_text("not yours", encoding="utf-8")
    (hello.parent / "link.liquid").symlink_to(outside)
    hello.write_text(HELLO.replace("texts/hi.liquid", name), encoding="utf-8")
    _, (problem,) = check_file(hello)
    assert (problem.code, problem.line, problem.column) == ("E103", 11, 14)
    assert "outside the campaign type's folder" in problem.message


@pytest.mark.parametrize(("name", "says"), [
    ("texts/bye.liquid", "there is no file 'texts/bye.liquid'"),
    ("texts", "is a folder"),
    ('"x\\ty"', "there is no file"),
    ("odd.liquid", "not UTF-8"),
    ("empty.liquid", "is empty"),
    ("nul.liquid", "NUL"),
    ("x" * 5000, "cannot"),
])  # fmt: skip
def test_a_message_file_that_cannot_be_used_is_a_problem_at_its_name(hello: Path, name: str, says: str) -> None:
    for file, data in (("odd.liquid", b"\xff"), ("empty.liquid", b""), ("nul.liquid", b"a\0b")):
        (hello.parent / file).write_bytes(data)
    hello.write_text(HELLO.replace("texts/hi.liquid", name), encoding="utf-8")
    _, (problem,) = check_file(hello)
    assert (problem.code, problem.line, problem.column) == ("E103", 11, 14)
    assert says in problem.message


@given(st.binary(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_at_all_bring_problems_and_nothing_else(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(data)
    loaded, problems = check_file(path)
    assert loaded is None
    assert problems
