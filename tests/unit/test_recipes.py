"""The recipes in `examples/recipes`: clean, covered to the last edge, and sendable to everybody.

The pictures in the docs are those of the recipes. To draw them anew after a wanted change, run these tests with
`UPDATE_EXPECTATIONS=1`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.authoring.files import load_spec
from engine.authoring.linting import lint_file
from engine.authoring.pictures.picture import draw
from engine.authoring.scenarios.run import run_scenarios
from engine.authoring.scenarios.scenario_file import read_scenarios
from engine.core.actions import SendSpec
from engine.core.fact_types import FactType
from engine.core.schema import campaign_type_schema
from engine.core.spec import CampaignTypeSpec, FollowUpSpec
from engine.core.templates import compile_template

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "examples/recipes"
PICTURES = ROOT / "docs/pictures/recipes"
MODELINE = "# yaml-language-server: $schema=../../campaign_types/campaign_type.schema.json\n"
TYPES = sorted(path for path in RECIPES.glob("*.yaml") if ".test." not in path.name)
NAMES = [path.stem for path in TYPES]
PROMISED = {
    "appointment_reminders", "win_back", "nps_survey", "onboarding_drip", "event_registration", "payment_reminders",
    "vaccination_schedule",
}  # fmt: skip


def spec_of(name: str) -> CampaignTypeSpec:
    return load_spec(RECIPES / f"{name}.yaml").spec


def test_every_promised_recipe_is_there_and_has_scenarios() -> None:
    assert set(NAMES) == PROMISED
    assert all((RECIPES / f"{name}.test.yaml").is_file() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_lint_finds_nothing_in_a_recipe_nor_in_its_scenarios(name: str) -> None:
    assert [str(problem) for problem in lint_file(RECIPES / f"{name}.yaml").problems] == []
    assert [str(problem) for problem in lint_file(RECIPES / f"{name}.test.yaml").problems] == []
    assert "campaign: ignore" not in (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_scenarios_of_a_recipe_pass_and_reach_every_stage_and_edge(name: str) -> None:
    report = run_scenarios(RECIPES / f"{name}.test.yaml")
    assert report.campaign_type == name
    assert report.failed == 0, report.render()
    assert report.stages.missing == ()
    assert report.edges.missing == ()


@pytest.mark.parametrize("name", NAMES)
def test_every_message_of_a_recipe_is_expected_by_some_scenario(name: str) -> None:
    """A message that no scenario expects is one whose hour nobody has looked at."""
    path = RECIPES / f"{name}.test.yaml"
    scenarios = read_scenarios(path.read_text(encoding="utf-8"), str(path)).spec.scenarios
    looks = [step.expect for each in scenarios for step in each.steps if step.expect is not None]
    expected = {sent.message for look in looks for sent in look.sent}
    assert spec_of(name).messages.keys() - expected == set()


@pytest.mark.parametrize("name", NAMES)
def test_stop_in_an_answer_opts_out_and_only_opting_out_stops(name: str) -> None:
    """An event that led to a `stopped` exit would end every other campaign for this recipient, too."""
    spec = spec_of(name)
    stopped = {exit for exit, each in spec.exits.items() if each.outcome == "stopped"}
    leading = [edge for edge in spec.always if edge.target in stopped]
    assert len(leading) == len(stopped) == 1
    assert re.fullmatch(r'\w+ == "stop"', leading[0].when or "")
    first = next(iter(next(iter(spec.responses.values()))))
    assert first == "stop", "the label of the opt-out comes first, so that no other takes its words"


@pytest.mark.parametrize("name", NAMES)
def test_the_first_message_of_a_recipe_says_how_to_stop(name: str) -> None:
    spec = spec_of(name)
    texts = [(message.text or "").lower() for message in spec.messages.values()]
    assert any(re.search(r'answer "?stop|"stop" to|answer "stop"|"stop"\.', text) for text in texts), name


@pytest.mark.parametrize("name", NAMES)
def test_every_message_can_be_made_with_all_facts_and_with_as_few_as_may_be(name: str) -> None:
    spec = spec_of(name)
    every = {fact: a_value(kind) for fact, kind in spec.facts.items()}
    least = {fact: value for fact, value in every.items() if not spec.facts[fact].optional}
    for message, written in spec.messages.items():
        for values in (every, least):
            for text in (written.subject, written.text):
                made = compile_template(text or "").render(values)
                assert not re.search(r"\{\{|%\}| ,|  \S", made), f"{message}: {made}"


def a_value(kind: FactType) -> Any:
    """Some value of a fact."""
    match kind.kind:
        case "choice":
            return kind.choices[0]
        case "int" | "number":
            return int(kind.high or 1)
        case "bool":
            return True
        case "date":
            return date(2026, 4, 1)
        case "datetime":
            return datetime.fromisoformat("2026-04-01T18:30:00+00:00")
        case _:
            return "Ada"


@pytest.mark.parametrize("name", NAMES)
def test_letters_have_a_subject_and_text_messages_have_none(name: str) -> None:
    spec = spec_of(name)
    for message, channel in channels(spec):
        assert (spec.messages[message].subject is None) == (channel == "sms"), message


def channels(spec: CampaignTypeSpec) -> Iterator[tuple[str, str]]:
    """Every message with the channel it leaves by."""
    for stage in spec.stages.values():
        edges = list(chain(stage.on_response, stage.split, stage.timers, *stage.on_event.values()))
        for action in [*stage.on_enter, *stage.follow_ups, *(action for edge in edges for action in edge.do)]:
            if isinstance(action, SendSpec | FollowUpSpec):
                yield action.send, action.channel or spec.channel
    for each in spec.exits.values():
        for action in each.on_enter:
            if isinstance(action, SendSpec):
                yield action.send, action.channel or spec.channel


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_names_the_schema_to_editors_and_fits_it(name: str) -> None:
    loaded = load_spec(RECIPES / f"{name}.yaml")
    assert loaded.source.startswith(MODELINE)
    jsonschema.Draft7Validator(json.loads(json.dumps(campaign_type_schema()))).validate(loaded.document.data)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_recipes_shows_each_with_its_picture(name: str) -> None:
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    assert f"(../examples/recipes/{name}.yaml)" in page
    assert f"(../examples/recipes/{name}.test.yaml)" in page
    assert f"(pictures/recipes/{name}.svg)" in page
    drawn, kept = draw(spec_of(name)), PICTURES / f"{name}.svg"
    if os.environ.get("UPDATE_EXPECTATIONS") == "1":
        kept.write_text(drawn, encoding="utf-8")
    assert drawn == kept.read_text(encoding="utf-8")
