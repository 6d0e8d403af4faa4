"""The JSON Schema of campaign types, for editors: completion, a description on every key, misfits underlined.

Written from the models the loader itself uses, so the two cannot disagree on keys. Added here is what a schema
can say and the models say in code: what may not stand together. What each key means to an author is in `schema_keys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from engine.core.actions import PluginActionSpec
from engine.core.plugins import ActionPlugin, Argument, plugins_in_use
from engine.core.schema_keys import KEYS, Key
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import Spec

DRAFT = "http://json-schema.org/draft-07/schema#"

_ONE_TARGET = {"oneOf": [{"required": ["go"]}, {"required": ["otherwise"], "not": {"required": ["when"]}}]}
_RULES: dict[str, dict[str, Any]] = {
    "EdgeSpec": _ONE_TARGET,
    "SplitSpec": _ONE_TARGET,
    "TimerSpec": {"allOf": [_ONE_TARGET, {"oneOf": [{"required": ["after"]}, {"required": ["at"]}]}]},
    "OneMatcherSpec": {"minProperties": 1, "maxProperties": 1},
    "MatcherSpec": {"minProperties": 1, "maxProperties": 1},
    "MessageSpec": {"oneOf": [{"required": ["text"]}, {"required": ["file"]}]},
}

Rules = Mapping[str, Mapping[str, Any]]
Keys = Mapping[str, Mapping[str, Key]]

_ARGUMENTS: dict[Argument, tuple[dict[str, Any], Key]] = {
    "true": ({"const": True}, Key("A matcher of a plug-in.", True)),
    "text": ({"type": "string", "minLength": 1}, Key("A matcher of a plug-in; takes a text.", "a text")),
    "words": (
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        Key("A matcher of a plug-in; takes a list of texts.", ["one", "two"]),
    ),
    "number": ({"type": "number"}, Key("A matcher of a plug-in; takes a number.", 10)),
}


def campaign_type_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of a campaign type's file.

    >>> campaign_type_schema()["properties"]["start"]["description"]
    'The stage every conversation begins in.'
    """
    schema = schema_of(CampaignTypeSpec, "Campaign type", KEYS, _RULES)
    arguments = {name: _ARGUMENTS[plugin.argument] for name, plugin in plugins_in_use().matchers.items()}
    for name in ("MatcherSpec", "OneMatcherSpec"):
        schema["definitions"][name]["properties"] |= {each: _described(*it) for each, it in arguments.items()}
    actions = {name: _arguments(plugin) for name, plugin in plugins_in_use().actions.items()}
    schema["definitions"][PluginActionSpec.__name__]["properties"] |= actions
    return schema


def _arguments(plugin: ActionPlugin) -> dict[str, Any]:
    return {
        "description": f"The action {plugin.name} of a plug-in.",
        "type": "object",
        "properties": {name: {"description": f"{kind}."} for name, kind in plugin.arguments.items()},
        "required": [name for name, kind in plugin.arguments.items() if not kind.optional],
        "additionalProperties": False,
    }


def schema_of(model: type[Spec], title: str, keys: Keys, rules: Rules) -> dict[str, Any]:
    """The JSON Schema of the files that `model` reads: its keys explained, and the `rules` of what goes together."""
    schema = model.model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    for name, definition in {**definitions, model.__name__: schema}.items():
        for key, described in definition["properties"].items():
            definition["properties"][key] = _described(_plain(_given(described)), _key(name, key, keys))
        definition.update(rules.get(name, {}))
        definition.pop("title")
    return {"$schema": DRAFT, "title": title, **schema, "definitions": definitions}


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` of a key that is there: without the null of one that is left out."""
    branches = [branch for branch in schema.get("anyOf", []) if branch != {"type": "null"}]
    return branches[0] if len(branches) == 1 else schema | ({"anyOf": branches} if branches else {})


def _plain(schema: Any) -> Any:
    """`schema` as an author sees it: no titles made of names, no other names, no defaults, which descriptions tell."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _plain(value) for key, value in schema.items() if key not in ("title", "default")}
    if "patternProperties" in plain:
        plain["additionalProperties"] = False
    return plain


def _described(schema: dict[str, Any], key: Key) -> dict[str, Any]:
    """`schema` with a description and an example; draft-07 reads nothing beside a `$ref`, so that one is wrapped."""
    if "$ref" in schema:
        schema = {"allOf": [schema]}
    return {**schema, "description": key.description, "examples": [deepcopy(key.example)]}


def _key(model: str, key: str, keys: Keys) -> Key:
    """What `key` means, in the model itself or in the one it extends."""
    names = (base.__name__ for base in _models(Spec)[model].__mro__)
    return next(keys[name][key] for name in names if key in keys.get(name, {}))


def _models(base: type[Spec]) -> dict[str, type[Spec]]:
    """Every model of the vocabulary, by name."""
    found: dict[str, type[Spec]] = {}
    for model in base.__subclasses__():
        found |= {model.__name__: model} | _models(model)
    return found
