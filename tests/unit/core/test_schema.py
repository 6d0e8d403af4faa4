"""The JSON Schema says to an editor what the loader says to the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.authoring.scenarios.scenario_file import read_scenarios
from engine.authoring.scenarios.scenario_schema import KEYS as SCENARIO_KEYS
from engine.authoring.scenarios.scenario_schema import scenarios_schema
from engine.core.errors import SpecError
from engine.core.plugins import FactType, MatcherPlugin, Plugins, using_plugins
from engine.core.schema import campaign_type_schema
from engine.core.schema_keys import KEYS
from engine.core.shape import read_spec
from engine.core.yaml_source import read_yaml

FOLDER = Path(__file__).parents[3] / "campaign_types"
SHIPPED = sorted(path for path in FOLDER.glob("*.yaml") if "." not in path.stem)
VALIDATOR = jsonschema.Draft7Validator(campaign_type_schema())
SCHEMAS = pytest.mark.parametrize(
    ("schema_of", "keys"), [(campaign_type_schema, KEYS), (scenarios_schema, SCENARIO_KEYS)]
)


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


def objects(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of all mappings with keys of their own."""
    return [each for each in (schema, *schema["definitions"].values()) if "properties" in each]


@SCHEMAS
def test_every_key_has_a_description_and_an_example_and_nothing_else_has_one(
    schema_of: Callable[[], dict[str, Any]], keys: dict[str, dict[str, Any]]
) -> None:
    found = objects(schema_of())
    assert all(key.get("description") and key.get("examples") for each in found for key in each["properties"].values())
    known = {name for each in found for name in each["properties"]}
    assert {name for named in keys.values() for name in named} == known


@SCHEMAS
def test_every_example_fits_its_own_part_of_the_schema(
    schema_of: Callable[[], dict[str, Any]], keys: dict[str, dict[str, Any]]
) -> None:
    schema = schema_of()
    for each in objects(schema):
        for part in each["properties"].values():
            validator = jsonschema.Draft7Validator({**part, "definitions": schema["definitions"]})
            for shown in part["examples"]:
                validator.validate(shown)
    assert keys


def of_examples() -> dict[str, Any]:
    """A campaign type of nothing but the examples of all keys."""
    keys = deepcopy(KEYS)
    whole = {name: key.example for name, key in keys["CampaignTypeSpec"].items()}
    matchers = keys["OneMatcherSpec"] | keys["MatcherSpec"]
    whole["responses"] |= {f"by_{name}": {name: key.example} for name, key in matchers.items()}
    examples = {name: key.example for name, key in keys["StageSpec"].items()}
    whole["stages"] |= {"everything": examples}
    send, edge = keys["SendSpec"], keys["EdgeSpec"]
    examples["on_enter"] += [
        {name: key.example for name, key in send.items()},
        {"emit": keys["EmitSpec"]["emit"].example},
    ]
    examples["on_enter"] += [{"set": keys["SetSpec"]["set"].example}, {"assign": keys["AssignSpec"]["assign"].example}]
    examples["on_response"].insert(0, {"go": "stay", "do": edge["do"].example, "at_most": edge["at_most"].example})
    examples["timers"].append({"at": keys["TimerSpec"]["at"].example, "when": edge["when"].example, "go": "human"})
    examples["follow_ups"].append({name: key.example for name, key in keys["FollowUpSpec"].items()})
    examples["escalate"].append({name: key.example for name, key in keys["EscalationSpec"].items()})
    examples["send_window"] = {name: key.example for name, key in keys["WindowSpec"].items()}
    return whole


def shape_fits(data: Any) -> bool:
    """Whether the loader takes the shape of a file with this data."""
    document = read_yaml(json.dumps(data), "mutant.yaml")
    return document.data is not None and not document.problems and read_spec(document)[0] is not None


def test_the_examples_make_a_campaign_type_that_the_loader_takes() -> None:
    whole = of_examples()
    document = read_yaml(json.dumps(whole), "examples.yaml")
    assert read_spec(document)[1] == []
    VALIDATOR.validate(whole)


def places(data: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield at
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        yield from places(data[key], (*at, key))


# How many numbers `number_between` has, and in which order, is the work of a check that comes later.
PLACES = [place for place in places(of_examples()) if place and "by_number_between" not in place]
VALUES = [
    "3d",
    "4 business hours",
    "x",
    "",
    "09:00",
    "1..5",
    "5 per 7d",
    0,
    1,
    2.5,
    True,
    None,
    [],
    ["x"],
    {},
    {"send": "x"},
]


def mutant(place: tuple[str | int, ...], change: Any) -> Any:
    """The type of examples with the value at `place` left out ("leave out") or replaced, or a key added beside it."""
    whole = of_examples()
    home: Any = whole
    for part in place[:-1]:
        home = home[part]
    if change == "leave out":
        del home[place[-1]]
    elif isinstance(change, tuple) and isinstance(home, dict):
        home[change[0]] = change[1]
    else:
        home[place[-1]] = change
    return whole


@settings(max_examples=60, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    change=st.one_of(
        st.just("leave out"),
        st.sampled_from(VALUES),
        st.sampled_from(["when", "go", "otherwise", "after", "at", "at_most", "titel"]).map(lambda key: (key, "3d")),
    ),
)
@example(place=("stages", "everything", "min_stay"), change="1 business day")
@example(place=("stages", "everything", "follow_ups", 0, "after"), change=" 3 d ")
def test_an_editor_underlines_nothing_that_the_loader_takes(place: tuple[str | int, ...], change: Any) -> None:
    changed = mutant(place, change)
    if shape_fits(changed):
        VALIDATOR.validate(changed)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_a_misspelt_key_is_underlined_everywhere(place: tuple[str | int, ...]) -> None:
    key = place[-1]
    if isinstance(key, int) or place[-2:-1] in {("facts",), ("set",), ("on_event",)} or not is_key(place):
        return
    changed = mutant(place, "leave out")
    home: Any = changed
    for part in place[:-1]:
        home = home[part]
    home[f"{key}_"] = True
    assert not shape_fits(changed)
    assert not VALIDATOR.is_valid(changed)


def is_key(place: tuple[str | int, ...]) -> bool:
    """Whether a place ends in a key of the vocabulary, not in a name that the author chose."""
    named = ("facts", "responses", "stages", "exits", "messages", "answer")
    return place[-2:-1] not in {(name,) for name in named}


def test_matchers_of_plugins_are_known_to_the_schema_too() -> None:
    plugin = MatcherPlugin("rhymes_with", "text", FactType("text", "text"), lambda _argument, _text, _locale: None)
    with using_plugins(Plugins(matchers={"rhymes_with": plugin})):
        schema = campaign_type_schema()
    described = schema["definitions"]["MatcherSpec"]["properties"]["rhymes_with"]
    assert described["description"]
    assert described["examples"]
    validator = jsonschema.Draft7Validator(schema)
    assert validator.is_valid(a_type(responses={"verse": {"rhymes_with": "love"}}))
    assert not validator.is_valid(a_type(responses={"verse": {"rhymes_with": 5}}))
    assert not VALIDATOR.is_valid(a_type(responses={"verse": {"rhymes_with": "love"}}))


def test_no_key_of_a_campaign_type_may_be_null() -> None:
    """An optional key is left out; one without a value is an error to the loader."""
    schema = campaign_type_schema()
    for part in (part for each in objects(schema) for part in each["properties"].values()):
        assert not jsonschema.Draft7Validator({**part, "definitions": schema["definitions"]}).is_valid(None)


def test_every_object_refuses_what_it_does_not_know() -> None:
    schema = campaign_type_schema()
    free = [
        each for each in every_schema(schema) if each.get("type") == "object" and "additionalProperties" not in each
    ]
    # The keys of these are names, and what is under them is typed all the same.
    assert free == []


@SCHEMAS
def test_nothing_beside_a_reference_would_be_ignored(
    schema_of: Callable[[], dict[str, Any]], keys: dict[str, dict[str, Any]]
) -> None:
    assert all(set(each) == {"$ref"} for each in every_schema(schema_of()) if "$ref" in each)
    assert keys


SCENARIOS = sorted(FOLDER.glob("*.test.yaml"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenarios_fit_the_schema_of_scenarios(path: Path) -> None:
    jsonschema.Draft7Validator(scenarios_schema()).validate(read_yaml(path.read_text(encoding="utf-8"), path.name).data)


def scenarios(**step: Any) -> dict[str, Any]:
    steps = [{"expect": {"sent": ["intro", {"message": "bump", "at": "2026-03-02T09:00:00Z"}], "next_due": None}}, step]
    return {"campaign_type": "x", "scenarios": [{"name": "n", "start": "2026-03-02T09:00:00Z", "steps": steps}]}


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        ({"after": "2d", "reply": 5}, True),
        ({"at": "2026-03-03T09:00:00", "event": "opened", "expect": {"context": {"plan": None}}}, True),
        ({"after": "2d", "at": "2026-03-03T09:00:00Z"}, False),
        ({"reply": "yes", "event": "opened"}, False),
        ({"after": "2 days"}, False),
        ({"expect": {"snet": []}}, False),
        ({"expect": {"context": {"plan": []}}}, False),
    ],
)
def test_the_schema_of_scenarios_says_what_their_reader_says(step: dict[str, Any], fits: bool) -> None:
    data = scenarios(**step)
    assert jsonschema.Draft7Validator(scenarios_schema()).is_valid(data) is fits
    if fits:
        read_scenarios(json.dumps(data), "x.test.yaml")
    else:
        with pytest.raises(SpecError):
            read_scenarios(json.dumps(data), "x.test.yaml")


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
