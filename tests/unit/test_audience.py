"""What a CSV file says, however it is written, and which of its rows are recipients."""

from __future__ import annotations

import csv
import re
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.audience import AudienceRow, audience_of, open_csv
from engine.core.errors import RefusedError
from engine.core.fact_types import parse_fact_type
from engine.core.facts import fact_from_json, fact_to_json, parse_fact
from engine.core.spec import CampaignTypeSpec
from engine.recipients import _PLAIN_EMAIL, _PLAIN_LENGTH, Admission, Recipient
from engine.rejects import open_rejects

HIGH, NORMAL, LOW = 0, 1, 2


def read(folder: Path, content: str | bytes) -> tuple[list[str], list[AudienceRow]]:
    path = folder / "people.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with open_csv(path) as audience:
        return audience.columns, list(audience.rows)


# ---- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiters_line_ends_and_a_byte_order_mark_are_understood(
    tmp_path: Path, delimiter: str, newline: str, mark: bytes
) -> None:
    lines = [["email", "key"], ["a@b.org", "ann"], ["", "bob"]]
    text = "".join(delimiter.join(line) + newline for line in lines)
    columns, rows = read(tmp_path, mark + text.encode())
    assert columns == ["email", "key"]
    assert rows == [AudienceRow(2, ["a@b.org", "ann"], ""), AudienceRow(3, ["", "bob"], "")]


def test_commas_in_other_columns_do_not_mislead_the_search_for_the_delimiter(tmp_path: Path) -> None:
    columns, rows = read(tmp_path, 'key;"name, first, given";b,c\na;"x;y";z\n')
    assert columns == ["key", "name, first, given", "b,c"]
    assert rows == [AudienceRow(2, ["a", "x;y", "z"], "")]


def test_quotes_and_newlines_in_fields_are_kept_and_lines_still_counted(tmp_path: Path) -> None:
    _, rows = read(tmp_path, 'key,note\na,"one\ntwo\r\n""three"""\n\n\nb,last')
    assert rows == [AudienceRow(2, ["a", 'one\ntwo\r\n"three"'], ""), AudienceRow(7, ["b", "last"], "")]


def test_rows_with_too_many_or_too_few_fields_say_so(tmp_path: Path) -> None:
    _, rows = read(tmp_path, "key,email\na\nb,c,d\ne,f\n")
    assert [(row.line, row.problem) for row in rows] == [
        (2, "expected 2 fields, got 1"), (3, "expected 2 fields, got 3"), (4, "")
    ]  # fmt: skip


def test_a_quote_that_is_never_closed_costs_its_line_and_not_the_file(tmp_path: Path) -> None:
    _, rows = read(tmp_path, 'key,email\na,"oops\nb,x\nc,y\n')
    assert rows == [
        AudienceRow(2, ['a,"oops'], "a quote is opened and never closed"),
        AudienceRow(3, ["b", "x"], ""),
        AudienceRow(4, ["c", "y"], ""),
    ]


def test_a_quote_never_closed_before_a_very_long_rest_costs_its_line_only(tmp_path: Path) -> None:
    _, rows = read(tmp_path, 'key,email\na,"oops\n' + "b,xxxxxxxxxxxxxxxx\n" * 30_000)
    assert [row.line for row in rows] == list(range(2, 30_003))
    assert [row.line for row in rows if row.problem] == [2]


def test_text_after_a_closing_quote_costs_the_row(tmp_path: Path) -> None:
    _, rows = read(tmp_path, 'key,email\na,"x"y\nb,z\n')
    assert [(row.line, bool(row.problem)) for row in rows] == [(2, True), (3, False)]
    assert "expected it doubled" in rows[0].problem


def test_a_field_of_more_than_a_megabyte_costs_the_row(tmp_path: Path) -> None:
    _, rows = read(tmp_path, f"key,email\na,{'x' * 1_100_000}\nb,z\n")
    assert [(row.line, row.problem[:31]) for row in rows] == [(2, "a field is longer than 131,072 "), (3, "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"id,email\n1,a@b.org\n", "line 1: no column is called key; found id, email"),
        (b"Key,email\n", "rename the column to key"),
        (b"key,email,key\n", "more than one column is called key"),
        (b"key,email,email\n", "more than one column is called email"),
        ("key,näme\n".encode("latin-1"), "line 1: byte 6 of the line, 0xe4, is not UTF-8"),
        ("key,name\n".encode("utf-16"), "line 1: byte 1 of the line, 0xff, is not UTF-8"),
        ("key,name\n".encode("utf-16-le"), "line 1: holds NUL"),
        (b"key,name\n" + b"a,b\n" * 9_000 + b"c,\xff\n", "line 9002: byte 3 of the line, 0xff, is not UTF-8"),
        (b'key,"name\n', "cannot read the header: a quote is opened and never closed"),
        (b"key\n" + b"x" * 8_000_001, "line 2: longer than 8,000,000 characters"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        read(tmp_path, content)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="does not exist"), open_csv(tmp_path / "nobody.csv"):
        pass
    with pytest.raises(RefusedError, match="is not a file"), open_csv(tmp_path):
        pass


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_csv_writes_is_read_as_it_was(tmp_path: Path, cells: list[tuple[str, str]]) -> None:
    buffer = StringIO(newline="")
    csv.writer(buffer).writerows([("key", "note"), *cells])
    _, rows = read(tmp_path, buffer.getvalue())
    assert [tuple(row.cells) for row in rows] == cells
    assert not any(row.problem for row in rows)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_at_all_make_the_reader_fail_in_another_way_than_refusing(tmp_path: Path, content: bytes) -> None:
    try:
        _, rows = read(tmp_path, b"key,note\n" + content)
    except RefusedError:
        return
    assert all(row.problem or len(row.cells) == 2 for row in rows)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("key,email,note\n" + "someone,someone@example.org,a note of some length\n" * 200_000)
    tracemalloc.start()
    try:
        with open_csv(path) as audience:
            count = sum(1 for _ in audience.rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 200_000
    assert peak < 1_000_000


def test_given_recipients_are_rows_too() -> None:
    audience = audience_of([{"key": "a", "seats": 5}, {"key": "b", "vip": True, "seats": None}, {"key": ["c"]}])
    assert audience.columns == ["key", "seats", "vip"]
    rows = list(audience.rows)
    assert [row.cells for row in rows[:2]] == [["a", "5", ""], ["b", "", "true"]]
    assert rows[2].problem == "expected a text, number, date or true or false, got a list"
    assert list(audience_of([]).rows) == []
    with pytest.raises(RefusedError, match="no column is called key"):
        audience_of([{"id": 1}])


# ---- rows --------------------------------------------------------------------------------------------------------

FACTS = {
    "first_name": "text", "seats": "int 1..1000?", "price": "number?", "vip": "bool?", "renewal_on": "date?",
    "met_at": "datetime?", "plan": "one of [free, team]?",
}  # fmt: skip


def admission(columns: str, *, context: dict[str, Any] | None = None, **spec: Any) -> Admission:
    given: dict[str, Any] = {
        "campaign_type": "t", "version": 1, "facts": FACTS, "start": "a", "stages": {"a": {}}, "exits": {"b": "won"},
        "priority": [{"when": "vip", "is": "high"}, {"when": "seats < 10", "is": "low"}],
    }  # fmt: skip
    context = {"first_name": "you"} if context is None else context
    return Admission(CampaignTypeSpec.model_validate(given | spec), columns.split(","), context, "normal", "UTC")


def admit(columns: str, *cells: str, **given: Any) -> Recipient:
    return admission(columns, **given).admit(cells)


def test_a_row_becomes_a_recipient_with_typed_facts() -> None:
    recipient = admit(
        "key,email,phone,timezone,locale,first_name,seats,price,vip,renewal_on,met_at,plan",
        " a-1 ", "ann@example.org", "+44 20 7946 0958", "Europe/Berlin", "de_DE", "Ann ", "12", "2.50", "No",
        "2026-05-01", "2026-03-29T02:30:00", "team",
    )  # fmt: skip
    assert recipient[:5] == ("a-1", "ann@example.org", "+44 20 7946 0958", "Europe/Berlin", "de_DE")
    assert recipient.facts == {
        "first_name": "Ann", "seats": 12, "price": 2.5, "vip": False, "renewal_on": "2026-05-01",
        "met_at": "2026-03-29T01:00:00+00:00", "plan": "team",
    }  # fmt: skip
    assert recipient.priority == NORMAL


def test_an_empty_cell_is_missing_and_the_campaigns_fact_stands() -> None:
    assert admit("key,email,first_name,seats", "a", "a@b.org", "", " ").facts == {}


@pytest.mark.parametrize(
    ("columns", "cells", "reason"),
    [
        ("key,email", ["", "a@b.org"], "no key"),
        ("key,email", ["  ", "a@b.org"], "no key"),
        ("key,email", ["x" * 256, "a@b.org"], "the key is longer than 255 characters"),
        ("key,email", ["a", ""], "no email, which the channel email needs"),
        ("key", ["a"], "no email, which the channel email needs"),
        ("key,email", ["a", "a@"], "the email is not possible: "),
        ("key,email", ["a", "a b@c.org"], "the email is not possible: "),
        ("key,email", ["a", "a@b..org"], "the email is not possible: "),
        ("key,email", ["a", "a@localhost"], "the email is not possible: "),
        ("key,email", ["a", "a@b.invalid"], "the email is not possible: "),
        ("key,email", ["a", f"{'x' * 65}@b.org"], "the email is not possible: "),
        ("key,email,phone", ["a", "a@b.org", "12345"], "the phone number is not possible"),
        ("key,email,phone", ["a", "a@b.org", "call me"], "the phone number is not possible"),
        ("key,email,timezone", ["a", "a@b.org", "Mars/Base"], "unknown time zone 'Mars/Base'"),
        ("key,email,timezone", ["a", "a@b.org", "../../etc/passwd"], "unknown time zone"),
        ("key,email,timezone", ["a", "a@b.org", "x" * 999], "unknown time zone"),
        ("key,email,timezone", ["a", "a@b.org", "Europe"], "unknown time zone"),
        ("key,email,locale", ["a", "a@b.org", "English, please"], "'English, please' is no locale"),
        ("key,email,seats", ["a", "a@b.org", "many"], "seats: expected int 1..1000, got 'many'"),
        ("key,email,seats", ["a", "a@b.org", "1001"], "seats: expected int 1..1000, got '1001'"),
        ("key,email,seats", ["a", "a@b.org", "2.0"], "seats: expected int 1..1000, got '2.0'"),
        ("key,email,seats", ["a", "a@b.org", "٣"], "seats: expected int"),
        ("key,email,price", ["a", "a@b.org", "nan"], "price: expected number, got 'nan'"),
        ("key,email,price", ["a", "a@b.org", "1e5"], "price: expected number"),
        ("key,email,price", ["a", "a@b.org", "1,5"], "price: expected number"),
        ("key,email,price", ["a", "a@b.org", "1" * 16], "price: expected number"),
        ("key,email,vip", ["a", "a@b.org", "maybe"], "vip: expected true, false, yes, no, 1 or 0, got 'maybe'"),
        ("key,email,renewal_on", ["a", "a@b.org", "2026-02-30"], "renewal_on: expected a date such as"),
        ("key,email,renewal_on", ["a", "a@b.org", "20260203"], "renewal_on: expected a date such as"),
        ("key,email,met_at", ["a", "a@b.org", "yesterday"], "met_at: expected an instant such as"),
        ("key,email,met_at", ["a", "a@b.org", "0001-01-01T00:00:00+14:00"], "met_at: expected an instant such as"),
        ("key,email,plan", ["a", "a@b.org", "Team"], "plan: expected one of [free, team], got 'Team'"),
        ("key,email", ["a\0b", "a@b.org"], "a field holds a NUL character"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(columns: str, cells: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}"):
        admit(columns, *cells)


def test_a_fact_that_may_not_be_missing_must_come_from_the_row_or_the_campaign() -> None:
    with pytest.raises(ValueError, match="no first_name, a fact that may not be missing"):
        admit("key,email", "a", "a@b.org", context={})
    assert admit("key,email,first_name", "a", "a@b.org", "Ann", context={}).facts == {"first_name": "Ann"}


@pytest.mark.parametrize(("channel", "needed"), [("email", "email"), ("sms", "phone"), ("chat", None)])
def test_only_the_address_of_the_types_channel_is_needed(channel: str, needed: str | None) -> None:
    columns = "key,email,phone"
    if needed is None:
        assert admit(columns, "a", "", "", channel=channel).key == "a"
        return
    with pytest.raises(ValueError, match=f"no {needed}, which the channel {channel} needs"):
        admit(columns, "a", "", "", channel=channel)
    assert admit(columns, "a", "a@b.org", "+12025550100", channel=channel).key == "a"


@pytest.mark.parametrize(
    ("vip", "seats", "priority"), [("yes", "5", HIGH), ("no", "5", LOW), ("", "", NORMAL), ("no", "50", NORMAL)]
)
def test_the_first_priority_guard_that_passes_wins_else_the_campaigns(vip: str, seats: str, priority: int) -> None:
    assert admit("key,email,vip,seats", "a", "a@b.org", vip, seats).priority == priority


def test_a_priority_guard_sees_the_campaigns_facts_with_the_rows_before_them() -> None:
    context = {"first_name": "you", "seats": 5}
    assert admit("key,email", "a", "a@b.org", context=context).priority == LOW
    assert admit("key,email,seats", "a", "a@b.org", "50", context=context).priority == NORMAL


def test_columns_that_no_fact_declares_get_one_warning() -> None:
    (warning,) = admission("key,email,frist_name,colour").warnings
    assert warning.startswith("columns frist_name, colour are not used, since no fact is called so; ")
    assert warning.endswith("did you mean first_name?")
    assert admission("key,email,phone,timezone,locale,seats").warnings == []


EMAILS = st.one_of(
    st.emails(),
    st.from_regex(_PLAIN_EMAIL, fullmatch=True),
    st.from_regex(r"[a-z0-9._+-]{1,8}@[a-z0-9.-]{1,12}\.(com|local|test|invalid|x-y|museum)", fullmatch=True),
)


@given(EMAILS)
def test_the_quick_look_accepts_no_address_that_email_validator_refuses(email: str) -> None:
    if len(email) > _PLAIN_LENGTH or not _PLAIN_EMAIL.fullmatch(email):
        return
    try:
        validate_email(email, check_deliverability=False, test_environment=True, strict=True)
    except EmailNotValidError as error:
        pytest.fail(f"{email}: {error}")


@pytest.mark.parametrize("email", ["a@b.org", "Ann.Lee+x@mail.example.co.uk", "a@b.test", "jörg@müller.de", "a@b-c.io"])
def test_possible_addresses_are_possible(email: str) -> None:
    assert admit("key,email", "a", email).email == email


# ---- facts -------------------------------------------------------------------------------------------------------


@given(
    st.one_of(
        st.tuples(st.just("number"), st.decimals(-(10**9), 10**9, places=4).map(str)),
        st.tuples(st.just("int"), st.integers(-(10**17), 10**17).map(str)),
        st.tuples(st.just("date"), st.dates().map(str)),
        st.tuples(st.just("datetime"), st.datetimes(timezones=st.none()).filter(lambda it: it.year > 1).map(str)),
        st.tuples(st.just("text"), st.text(st.characters(exclude_characters="\0"))),
        st.tuples(st.just("bool"), st.sampled_from(["true", "NO", "1"])),
    )
)
def test_a_fact_read_back_from_json_is_equal(fact: tuple[str, str]) -> None:
    kind, cell = parse_fact_type(fact[0]), fact[1]
    value = parse_fact(kind, cell, "America/New_York")
    back = fact_from_json(kind, fact_to_json(value))
    assert back == value
    assert type(back) is type(value)


def test_a_datetime_without_offset_is_in_the_zone_given() -> None:
    kind = parse_fact_type("datetime")
    assert parse_fact(kind, "2026-07-01T09:00:00", "Asia/Tokyo") == datetime(2026, 7, 1, 0, tzinfo=UTC)
    assert parse_fact(kind, "2026-07-01T09:00:00Z", "Asia/Tokyo") == datetime(2026, 7, 1, 9, tzinfo=UTC)


def test_a_number_is_exact() -> None:
    assert parse_fact(parse_fact_type("number 0..1"), "0.1") == Decimal("0.1")


# ---- rejects -----------------------------------------------------------------------------------------------------


def test_rejected_rows_keep_their_cells_and_get_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "people.rejects.csv"
    with open_rejects(["key", "note"], ";", path) as rejects:
        rejects.add(3, ["a", "x;\ny"], "no email")
        rejects.add(7, ["b", "c", "d"], "expected 2 fields, got 3")
        rejects.add(9, ["e"], "expected 2 fields, got 1")
        assert not path.exists()
        assert rejects.keep() == path
    with path.open(newline="") as file:
        assert list(csv.reader(file, delimiter=";")) == [
            ["key", "note", "line", "reason"],
            ["a", "x;\ny", "3", "no email"],
            ["b", "c;d", "7", "expected 2 fields, got 3"],
            ["e", "", "9", "expected 2 fields, got 1"],
        ]
    assert list(tmp_path.iterdir()) == [path]


def test_no_rejects_leave_no_file_and_neither_do_rejects_that_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "people.rejects.csv"
    with open_rejects(["key"], ",", path) as rejects:
        assert rejects.keep() is None
    with open_rejects(["key"], ",", path) as rejects:
        rejects.add(2, ["a"], "no email")
    assert list(tmp_path.iterdir()) == []


def test_columns_called_line_and_reason_do_not_come_twice(tmp_path: Path) -> None:
    path = tmp_path / "rejects.csv"
    with open_rejects(["key", "line", "reason"], ",", path) as rejects:
        rejects.add(2, ["a", "5", "no email"], "no email")
        rejects.keep()
    assert path.read_text().splitlines()[0] == "key,line,reason,rejected_line,rejected_reason"


def test_only_the_first_twenty_reasons_are_kept_and_all_are_counted() -> None:
    with open_rejects(["key"], ",", None) as rejects:
        for line in range(50):
            rejects.add(line, ["a"], "no email")
    assert (rejects.count, len(rejects.problems)) == (50, 20)


def test_a_folder_that_cannot_be_written_is_told_with_the_way_out(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "rejects.csv"
    with open_rejects(["key"], ",", nowhere) as rejects, pytest.raises(RefusedError, match="Name another file"):
        rejects.add(2, ["a"], "no email")
