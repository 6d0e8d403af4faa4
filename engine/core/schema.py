"""The JSON Schema of campaign types, for editors: completion, a description on every key, misfits underlined.

Written from the models the loader itself uses, so the two cannot disagree on keys. Added here is what a schema
can say and the models say in code: what may not stand together, and what each key means to an author.
"""

from __future__ import annotations

from typing import Any

from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import Spec

DRAFT = "http://json-schema.org/draft-07/schema#"

DESCRIPTIONS: dict[str, dict[str, str]] = {
    "CampaignTypeSpec": {
        "campaign_type": "The name campaigns refer to; letters, digits and underscores.",
        "version": "A whole number from 1. A registered version never changes; a change is a new version.",
        "title": "One line for people.",
        "facts": "What is known of a recipient or set by the campaign: a name and a type each.",
        "responses": "How an inbound message is understood: a name for each thing to look for in it.",
        "channel": "The channel messages leave by, unless they say otherwise. Defaults to email.",
        "ends_within": "A bound on the whole conversation.",
        "priority": "Which conversations go first, judged at enrolment; the first guard that passes wins.",
        "start": "The stage every conversation begins in.",
        "always": "Edges tried first on every response and event, in every stage.",
        "stages": "The places where a conversation waits or splits, by name.",
        "exits": "The ends of a conversation, by name: an outcome, or more about it.",
        "messages": "What is sent, by name.",
    },
    "MatcherSpec": {
        "any_word": "Matches when the text has any of these words.",
        "all_words": "Matches when the text has all of these words.",
        "phrase": "Matches when the text has these words in this order, side by side.",
        "only_phrase": "Matches when the text is these words and nothing else.",
        "beginning": "Matches when the text begins with this.",
        "pattern": "Matches when the text matches this regular expression.",
        "text": "Matches any text that is not blank.",
        "only_text": "Matches when the text is exactly this, capitals included.",
        "number": "Matches the first number in the text: any (true) or one within a range, as in 1..5.",
    },
    "SendSpec": {
        "send": "The message to send, by name.",
        "after": "How long to wait before it is sent. Defaults to at once.",
        "when": "Send only if this guard passes when the action runs.",
    },
    "AssignSpec": {"assign": "The person or queue the conversation is handed to."},
    "AssigneeSpec": {
        "to": "The name of a person or queue.",
        "priority": "How urgent it is for them. Defaults to normal.",
    },
    "SetSpec": {"set": "Facts to set, each to a constant, or to a captured value by the name of its response."},
    "EdgeSpec": {
        "when": "The guard: taken only if it passes. Defaults to always.",
        "go": "Where to go: a stage, an exit, or stay.",
        "otherwise": "Where to go when no edge before it was taken; always the last.",
        "do": "Actions to carry out on the way, before the next stage's on_enter.",
        "at_most": "How often a stay may be taken in one visit of the stage; then it is passed over.",
    },
    "SplitSpec": {"share": "The part of the conversations that take this edge, as in 50%."},
    "TimerSpec": {"after": "How long after the stage was entered."},
    "FollowUpSpec": {
        "after": "How long after the message before it.",
        "send": "The message to send, by name.",
        "times": "How many times in a row. Defaults to 1.",
        "when": "Send only if this guard passes at that time; else it is skipped.",
    },
    "EscalationSpec": {
        "after": "How long after the stage was entered.",
        "to": "The person or queue to tell.",
        "priority": "How urgent it is for them. Defaults to high.",
    },
    "VisitsSpec": {
        "at_most": "How many times the stage may be entered.",
        "then": "Where one more entry goes instead.",
    },
    "StageSpec": {
        "guidance": "What whoever writes or answers in this stage should know.",
        "min_stay": "How long responses wait before the stage takes them up; `always` does not wait.",
        "on_enter": "Actions on entering.",
        "follow_ups": "Messages while nobody responds, each counted from the one before.",
        "on_response": "Edges tried on a response, in order.",
        "on_event": "An edge, or a list of them, for each event by its name.",
        "split": "Edges tried at once on entering; such a stage does not wait.",
        "timers": "Edges taken after a time in the stage.",
        "escalate": "Whom to tell when the conversation stays here long.",
        "visits": "A bound on how often the stage is entered.",
    },
    "ExitSpec": {
        "outcome": "What analysts count: won, lost or stopped. A response that leads to stopped opts out.",
        "on_enter": "Actions on entering.",
    },
    "MessageSpec": {
        "subject": "The subject line, a Liquid template.",
        "text": "The body, a Liquid template.",
        "file": "A file beside the campaign type that holds the body.",
    },
    "EndsWithinSpec": {
        "at_most": "How long, counted from entering the start stage.",
        "then": "The exit for a conversation that lasts longer.",
    },
    "PrioritySpec": {
        "when": "The guard, over facts.",
        "is": "The priority of conversations that pass it.",
    },
}

_ONE_TARGET = {"oneOf": [{"required": ["go"]}, {"required": ["otherwise"], "not": {"required": ["when"]}}]}
_RULES: dict[str, dict[str, Any]] = {
    "EdgeSpec": _ONE_TARGET,
    "SplitSpec": _ONE_TARGET,
    "TimerSpec": _ONE_TARGET,
    "MatcherSpec": {"minProperties": 1, "maxProperties": 1},
    "MessageSpec": {"oneOf": [{"required": ["text"]}, {"required": ["file"]}]},
}


def campaign_type_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of a campaign type's file.

    >>> campaign_type_schema()["properties"]["start"]["description"]
    'The stage every conversation begins in.'
    """
    schema = CampaignTypeSpec.model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    for name, definition in {**definitions, CampaignTypeSpec.__name__: schema}.items():
        for key, described in definition["properties"].items():
            definition["properties"][key] = _described(_plain(described), _description(name, key))
        definition.update(_RULES.get(name, {}))
        definition.pop("title")
    return {"$schema": DRAFT, "title": "Campaign type", **schema, "definitions": definitions}


def _plain(schema: Any) -> Any:
    """`schema` as an author sees it: no null for what is left out, no titles made of names, no other names."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    if len(branches) == 1:
        return _plain(branches[0])
    plain = {key: _plain(value) for key, value in schema.items() if key != "title"}
    if "patternProperties" in plain:
        plain["additionalProperties"] = False
    return plain


def _described(schema: dict[str, Any], description: str) -> dict[str, Any]:
    """`schema` with a description; draft-07 reads nothing beside a `$ref`, so that one is wrapped."""
    if "$ref" in schema:
        schema = {"allOf": [schema]}
    return {**schema, "description": description}


def _description(model: str, key: str) -> str:
    """What `key` means, in the model itself or in the one it extends."""
    names = (base.__name__ for base in _models(Spec)[model].__mro__)
    return next(DESCRIPTIONS[name][key] for name in names if key in DESCRIPTIONS.get(name, {}))


def _models(base: type[Spec]) -> dict[str, type[Spec]]:
    """Every model of the vocabulary, by name."""
    found: dict[str, type[Spec]] = {}
    for model in base.__subclasses__():
        found |= {model.__name__: model} | _models(model)
    return found
