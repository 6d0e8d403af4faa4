"""The campaign types, schema and recipients that come with the engine: clean, covered, up to date."""

from __future__ import annotations

import csv
import json
import re
import runpy
import unicodedata
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.authoring.files import check_file, load_spec
from engine.authoring.scenarios.run import run_scenarios
from engine.authoring.simulation.people_file import check_people_file, read_people
from engine.authoring.simulation.people_schema import people_schema
from engine.core.durations import zone_of
from engine.core.facts import parse_fact
from engine.core.schema import campaign_type_schema
from engine.core.templates import compile_template

ROOT = Path(__file__).parents[2]
TYPES = ROOT / "campaign_types"
SHIPPED = ("b2b_nurture", "support_followup")
SCHEMA = TYPES / "campaign_type.schema.json"
FROM_CAMPAIGN = {"product_name": "Ledgerline", "value_proposition": "the month closes in two days"}
FICTIONAL = re.compile(
    r"\+1[2-9][0-9]{2}55501[0-9]{2}|\+447700900[0-9]{3}|\+33639980[0-9]{3}|\+493023125[0-9]{3}|\+467017406[0-9]{2}"
)


@pytest.fixture(scope="module")
def recipients() -> list[dict[str, str]]:
    with (ROOT / "examples/recipients.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_campaign_type_in_the_folder_is_known_to_these_tests() -> None:
    assert sorted(path.stem for path in TYPES.glob("*.yaml") if path.suffixes == [".yaml"]) == sorted(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_type_has_neither_errors_nor_warnings(name: str) -> None:
    loaded, problems = check_file(TYPES / f"{name}.yaml")
    assert problems == []
    assert loaded is not None
    assert loaded.spec.campaign_type == name


@pytest.mark.parametrize("name", SHIPPED)
def test_the_scenarios_of_a_shipped_type_pass_and_reach_every_stage_and_edge(name: str) -> None:
    report = run_scenarios(TYPES / f"{name}.test.yaml")
    assert report.failed == 0, report.render()
    assert report.stages.missing == ()
    assert report.edges.missing == ()


@pytest.mark.parametrize("name", SHIPPED)
def test_stop_leads_to_a_stopped_exit_from_everywhere(name: str) -> None:
    spec = load_spec(TYPES / f"{name}.yaml").spec
    assert [spec.exits[edge.target].outcome for edge in spec.always] == ["stopped"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_type_names_the_schema_to_editors_and_fits_it(name: str) -> None:
    loaded = load_spec(TYPES / f"{name}.yaml")
    assert loaded.source.startswith("# yaml-language-server: $schema=./campaign_type.schema.json\n")
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(loaded.document.data)


def test_the_shipped_schema_is_the_one_the_engine_writes() -> None:
    written = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert written == campaign_type_schema(), "run: campaign types schema > campaign_types/campaign_type.schema.json"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_people_of_a_shipped_type_fit_it_and_their_schema(name: str) -> None:
    path = TYPES / f"{name}.sim.yaml"
    assert check_people_file(path) == []
    source = path.read_text(encoding="utf-8")
    assert source.startswith("# yaml-language-server: $schema=./people.schema.json\n")
    jsonschema.Draft7Validator(people_schema()).validate(read_people(source, path.name).document.data)


def test_the_shipped_schema_of_people_is_the_one_the_engine_writes() -> None:
    written = json.loads((TYPES / "people.schema.json").read_text(encoding="utf-8"))
    assert written == people_schema(), "run: campaign types schema --people > campaign_types/people.schema.json"


def test_every_message_renders_for_every_kind_of_recipient(recipients: list[dict[str, str]]) -> None:
    for name in SHIPPED:
        spec = load_spec(TYPES / f"{name}.yaml").spec
        for row in islice(recipients, 50):
            values = {fact: row.get(fact) or FROM_CAMPAIGN[fact] for fact in spec.facts}
            for message in spec.messages.values():
                assert "{{" not in compile_template(message.text or "").render(values)
                compile_template(message.subject or "").render(values)


def test_a_text_message_is_at_most_four_segments_long(recipients: list[dict[str, str]]) -> None:
    """A character outside the GSM alphabet, in a name, leaves 67 characters to a segment."""
    spec = load_spec(TYPES / "support_followup.yaml").spec
    longest = {fact: max((row[fact] for row in recipients), key=len) for fact in spec.facts}
    for name, message in spec.messages.items():
        text = compile_template(message.text or "").render(longest)
        assert len(text.encode("utf-16-be")) // 2 <= 4 * 67, name


def test_the_recipients_are_what_their_script_writes() -> None:
    made: dict[str, Any] = runpy.run_path(str(ROOT / "examples/make_recipients.py"))
    assert (ROOT / "examples/recipients.csv").read_bytes() == made["as_csv"]().encode()


def test_the_recipients_are_many_distinct_and_from_many_places(recipients: list[dict[str, str]]) -> None:
    assert len(recipients) >= 1_000
    for column in ("key", "email", "phone", "ticket_id"):
        assert len({row[column] for row in recipients}) == len(recipients), column
    zones = {row["timezone"] for row in recipients}
    assert {"Asia/Kolkata", "America/New_York", "Europe/London", "Pacific/Auckland"} <= zones
    assert all(zone_of(zone) for zone in zones)
    scripts = {unicodedata.name(row["first_name"][0]).split()[0] for row in recipients}
    assert {"LATIN", "DEVANAGARI", "CYRILLIC", "ARABIC", "GREEK", "HANGUL"} <= scripts


def test_nobody_in_the_recipients_can_be_reached(recipients: list[dict[str, str]]) -> None:
    for row in recipients:
        assert re.fullmatch(r"[a-z]+\.[0-9]+@example\.(com|org)", row["email"]), row
        assert FICTIONAL.fullmatch(row["phone"]), row


@pytest.mark.parametrize("name", SHIPPED)
def test_the_recipients_have_every_fact_that_the_campaign_does_not_give(
    name: str, recipients: list[dict[str, str]]
) -> None:
    facts = load_spec(TYPES / f"{name}.yaml").spec.facts
    for row in recipients:
        for fact, kind in facts.items():
            if fact not in FROM_CAMPAIGN:
                assert row[fact]
                assert parse_fact(kind, row[fact]) == row[fact]
