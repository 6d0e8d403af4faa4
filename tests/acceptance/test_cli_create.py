"""Recipients' files as they come: what is good goes in, what is not is told, and nobody goes in twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import CONTEXT, NOW, NURTURE, Program

HEADER = "key,email,timezone,first_name,company_name"


def a_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def creating(path: Path, *more: str, type: str = NURTURE) -> tuple[str | Path, ...]:
    return ("create", "--name", "Spring", "--type", type, "--recipients", path, *CONTEXT, "--now", NOW, *more)


def test_every_bad_row_is_told_with_its_line_and_kept_while_the_good_ones_go_in(
    campaign: Program, tmp_path: Path
) -> None:
    rows = [
        HEADER,
        'a,a@example.org,Europe/Paris,"Anna ""Ann""","Loom,\nand Co"',
        ",b@example.org,,Bea,Loom",
        "a,c@example.org,,Cid,Loom",
        "d,d@example.org,Mars/Phobos,Dan,Loom",
        "e,not an address,,Eve,Loom",
        "f,f@example.org,,Flo",
    ]
    path = a_file(tmp_path, "\n".join(rows))
    done = campaign.run(*creating(path), "--json")
    result = json.loads(done.stdout)
    assert list(result) == ["id", "enrolled", "already", "rejected", "rejects_file", "warnings"]
    assert (result["enrolled"], result["rejected"]) == (1, 5)
    told = done.stderr.splitlines()
    assert [line.split(":")[0] for line in told] == ["line 4", "line 5", "line 6", "line 7", "line 8"]
    assert "seen before" in told[1]
    assert "Mars/Phobos" in told[2]
    with Path(result["rejects_file"]).open(newline="") as rejects:
        kept = list(csv.DictReader(rejects))
    assert [each["line"] for each in kept] == ["4", "5", "6", "7", "8"]
    assert all(each["reason"] for each in kept)


def test_of_many_bad_rows_the_first_twenty_are_printed_and_all_are_kept(campaign: Program, tmp_path: Path) -> None:
    path = a_file(tmp_path, "\n".join([HEADER, *(f"k{number},nowhere,,Kim,Loom" for number in range(30))]))
    told = campaign.refuses(*creating(path, "--rejects", str(tmp_path / "bad.csv"))).splitlines()
    assert "and 10 more" in told
    assert any("nobody was enrolled, 30 rows were rejected" in line for line in told)
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 31


def test_a_file_without_a_column_that_everybody_needs_is_told_once(campaign: Program, tmp_path: Path) -> None:
    rows = ["key,phone,timezone,first_name", *(f"k{number},+12025550100,,Kim" for number in range(30))]
    told = campaign.refuses(*creating(a_file(tmp_path, "\n".join(rows))))
    assert "no column company_name and no column email, which b2b_nurture needs" in told
    assert told.count("company_name") == 1


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(campaign: Program, tmp_path: Path) -> None:
    path = a_file(tmp_path, b"\xef\xbb\xbfkey;email;first_name;company_name\r\na;a@example.org;Ann;Loom\r\n")
    assert campaign.json(*creating(path))["enrolled"] == 1


def test_columns_that_no_fact_declares_are_one_warning(campaign: Program, tmp_path: Path) -> None:
    path = a_file(tmp_path, "key,email,first_name,company_name,shoe\na,a@example.org,Ann,Loom,43\n")
    done = campaign.run(*creating(path), "--json")
    (warning,) = json.loads(done.stdout)["warnings"]
    assert "shoe" in warning
    assert done.stderr.splitlines() == [f"warning: {warning}"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("id,email\n1,a@example.org\n", "no column is called key"),
        ("", "is empty"),
        (f"{HEADER}\n".encode() + b"a,a@example.org,,J\xfcrgen,Loom\n", "line 2: byte 19 of the line, 0xfc"),
    ],
)
def test_a_file_that_cannot_be_trusted_enrols_nobody(
    campaign: Program, tmp_path: Path, content: str | bytes, expected: str
) -> None:
    assert expected in campaign.refuses(*creating(a_file(tmp_path, content)))
    for each in campaign.json("list"):
        assert campaign.json("conversations", "--campaign", each["id"]) == []


def test_a_file_that_breaks_half_way_leaves_a_draft_and_says_how_to_complete_and_start_it(
    campaign: Program, tmp_path: Path
) -> None:
    good = "".join(f"k{number},k{number}@example.org,,Kim,Loom\n" for number in range(500))
    path = a_file(tmp_path, f"{HEADER}\n{good}".encode() + b"a,a@example.org,,J\xfcrgen,Loom\n")
    message = campaign.refuses(*creating(path))
    assert "is not UTF-8" in message
    id = message.splitlines()[-2].partition("campaign enrol ")[2].split()[0]
    assert message.splitlines()[-1].endswith(f"campaign resume {id}")
    assert campaign.json("show", id)["status"] == "draft"
    path.write_text(f"{HEADER}\na,a@example.org,,Jürgen,Loom\n")
    assert campaign.json("enrol", id, "--now", NOW)["enrolled"] == 1
    assert campaign.json("tick", "--drain", "--now", NOW)["advanced"] == 0
    campaign("resume", id, "--now", NOW)
    assert campaign.json("tick", "--drain", "--now", NOW)["advanced"] == 1


def test_a_file_that_is_not_there_makes_no_campaign(campaign: Program, tmp_path: Path) -> None:
    assert "does not exist" in campaign.refuses(*creating(tmp_path / "nowhere.csv"))
    assert campaign.json("list") == []


def test_enrolling_twice_adds_nobody_twice(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--now", NOW)
    again = campaign.json("enrol", id, "--recipients", people)
    assert (again["enrolled"], again["already"], again["rejected"]) == (0, 2, 1)
    assert campaign.json("enrol", id)["already"] == 2
    assert campaign.json("metrics", id)["total_conversations"] == 2


def test_a_type_is_named_with_a_version_without_one_or_by_its_file(campaign: Program, people: Path) -> None:
    assert "campaign types register" in campaign.refuses(*creating(people, type="b2b_nurture"))
    by_file = campaign.json(*creating(people))
    by_name = campaign.json(*creating(people, type="b2b_nurture"))
    assert campaign.json("show", by_name["id"])["version"] == campaign.json("show", by_file["id"])["version"] == 1
    assert "did you mean b2b_nurture?" in campaign.refuses(*creating(people, type="b2b_nurtur"))
    assert "no version 9; expected one of 1" in campaign.refuses(*creating(people, type="b2b_nurture@9"))
    assert "expected NAME or NAME@NUMBER" in campaign.refuses(*creating(people, type="b2b_nurture@x"), code=2)


def test_a_type_file_with_errors_makes_nothing_and_shows_them_all(campaign: Program, people: Path) -> None:
    broken = people.with_name("broken.yaml")
    broken.write_text(Path(NURTURE).read_text().replace("go: no_answer", "go: no_anser"))
    message = campaign.refuses(*creating(people, type=str(broken)))
    assert "did you mean no_answer?" in message
    assert "[E103]" in message
    assert "[E201]" in message or "^" in message
    assert campaign.json("list") == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--priority", "hihg"), "did you mean high?"),
        (("--timezone", "Mars/Phobos"), "unknown time zone 'Mars/Phobos'"),
        (("--context", "seats=5"), "no fact is called seats"),
        (("--ends-at", "2026-03-01"), "has already passed"),
    ],
)
def test_a_campaign_that_makes_no_sense_is_not_made(
    campaign: Program, people: Path, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in campaign.refuses(*creating(people, *arguments))
    assert campaign.json("list") == []


@pytest.mark.parametrize("pair", ["seats", "=5", "product_name=again"])
def test_context_that_is_no_pair_or_comes_twice_is_a_usage_error(offline: Program, people: Path, pair: str) -> None:
    offline.refuses(*creating(people, "--context", pair), code=2)


def test_what_a_campaign_is_called_cannot_steer_the_terminal(campaign: Program, people: Path) -> None:
    id = campaign.create(people, "--name", "\x1b[2JSpring [bold]")
    assert "\ufffd[2JSpring [bold]" in campaign("list")
    assert "\x1b" not in campaign("show", id)
