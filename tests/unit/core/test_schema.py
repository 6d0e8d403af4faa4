"""The JSON Schema says to an editor what the loader says to the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.core.schema import DESCRIPTIONS, campaign_type_schema
from engine.core.yaml_source import read_yaml

SHIPPED = sorted(
    path
    for path in (Path(__file__).parents[3] / "campaign_types").glob("*.yaml")
    if not path.name.endswith(".test.yaml")
)
VALIDATOR = jsonschema.Draft7Validator(campaign_type_schema())


def a_type(**changes: Any) -> dict[str, Any]:
    whole = {
        "campaign_type": "hello",
        "version": 1,
        "start": "greet",
        "stages": {"greet": {"timers": [{"after": "3d", "go": "lost"}]}},
        "exits": {"lost": "lost"},
    }
    return {**whole, **changes}


def a_stage(**keys: Any) -> dict[str, Any]:
    return a_type(stages={"greet": keys})


def every_schema(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from every_schema(inner)


def test_the_schema_is_draft_07_and_plain_json() -> None:
    jsonschema.Draft7Validator.check_schema(campaign_type_schema())
    assert json.loads(json.dumps(campaign_type_schema())) == campaign_type_schema()
    assert campaign_type_schema()["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_campaign_type_fits(path: Path) -> None:
    VALIDATOR.validate(read_yaml(path.read_text(encoding="utf-8"), path.name).data)


def test_both_shipped_campaign_types_are_looked_at() -> None:
    assert {"b2b_nurture", "support_followup"} <= {path.stem for path in SHIPPED}


def test_every_key_has_a_description_and_nothing_else_has_one() -> None:
    schema = campaign_type_schema()
    objects = [schema, *schema["definitions"].values()]
    assert all(described.get("description") for each in objects for described in each["properties"].values())
    known = {key for each in objects for key in each["properties"]}
    assert {key for keys in DESCRIPTIONS.values() for key in keys} == known


def test_every_object_refuses_what_it_does_not_know() -> None:
    schema = campaign_type_schema()
    free = [
        each for each in every_schema(schema) if each.get("type") == "object" and "additionalProperties" not in each
    ]
    # The keys of these are names, and what is under them is typed all the same.
    assert free == []


def test_nothing_beside_a_reference_would_be_ignored() -> None:
    assert all(set(each) == {"$ref"} for each in every_schema(campaign_type_schema()) if "$ref" in each)


@pytest.mark.parametrize(
    "document",
    [
        a_type(),
        a_type(exits={"lost": {"outcome": "lost", "on_enter": [{"send": "bye"}]}}),
        a_type(responses={"a": {"number": "1..5"}, "b": {"x": {"any_word": ["y"]}}, "c": {"text": True}}),
        a_type(priority=[{"when": "vip", "is": "high"}], ends_within={"at_most": "60d", "then": "lost"}),
        a_stage(on_event={"opened": {"go": "lost"}}),
        a_stage(on_event={"opened": [{"go": "stay", "at_most": 1}, {"otherwise": "lost"}]}),
        a_stage(split=[{"share": "50%", "go": "lost"}, {"otherwise": "lost"}]),
        a_stage(on_enter=[{"assign": {"to": "sales"}}, {"set": {"plan": "free", "seats": 3}}]),
    ],
)  # fmt: skip
def test_what_the_vocabulary_allows_fits(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)


@pytest.mark.parametrize(
    "document",
    [
        a_type(titel="x"),
        a_type(title=None),
        a_type(version=0),
        a_type(stages={}),
        a_type(campaign_type="two words"),
        a_type(facts={"two words": "text"}),
        a_type(exits={"lost": "lots"}),
        a_type(exits={"lost": {"outcome": "lost", "x": 1}}),
        a_type(responses={"a": {"phrase": "x", "any_word": ["y"]}}),
        a_type(responses={"a": {"any_wrod": ["y"]}}),
        a_type(messages={"m": {"subject": "x"}}),
        a_type(messages={"m": {"text": "x", "file": "y"}}),
        a_type(priority=[{"when": "vip", "is": "highest"}]),
        a_stage(strat="x"),
        a_stage(on_enter=[{"snd": "x"}]),
        a_stage(timers=[{"go": "lost"}]),
        a_stage(timers=[{"after": "3 days", "go": "lost"}]),
        a_stage(timers=[{"after": "3d", "go": "lost", "otherwise": "lost"}]),
        a_stage(on_response=[{"when": "x"}]),
        a_stage(on_response=[{"when": "x", "otherwise": "lost"}]),
        a_stage(on_event={"opened": "lost"}),
        a_stage(split=[{"share": "500%", "go": "lost"}]),
        {key: value for key, value in a_type().items() if key != "start"},
    ],
)  # fmt: skip
def test_what_the_loader_refuses_does_not_fit(document: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(document)
