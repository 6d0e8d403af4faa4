"""The JSON Schema of people files, `NAME.sim.yaml`, for editors: written from the models that read them."""

from __future__ import annotations

from typing import Any

from engine.authoring.simulation.people_spec import PeopleSpec
from engine.core.schema import schema_of
from engine.core.schema_keys import Key

_SAYS = [{"means": {"answer": "yes"}, "weight": 3}, {"texts": ["Who is this?"]}]
_EVENT = {
    "share": Key("How often it happens. Defaults to 100%.", "80%"),
    "after": Key("The delay: half of them are shorter.", "34h"),
    "spread": Key("About two of three delays lie within this factor of `after`. Defaults to 2.", 2),
}

KEYS: dict[str, dict[str, Key]] = {
    "PeopleSpec": {
        "start": Key(
            "When the first are enrolled. Defaults to 2026-03-02T09:00:00Z, a Monday.", "2026-03-02T09:00:00Z"
        ),
        "per_day": Key("How many are enrolled each day. Defaults to all at once.", 200),
        "awake": Key("The hours, by their own clocks, at which people answer.", {"from": "07:30", "to": "22:00"}),
        "places": Key(
            "Where they live. Defaults to a handful of places around the world.",
            [{"timezone": "Europe/London", "locale": "en_GB", "weight": 3}, {"timezone": "Asia/Kolkata"}],
        ),
        "facts": Key(
            "What each fact is drawn from: a value, a list of values, or values with their weights. `a..b` is a range, "
            "`missing` none. Defaults to anything the fact can hold.",
            {"plan": {"free": 70, "team": 30}, "seats": "1..50", "first_name": ["Ann", "Bo"]},
        ),
        "stages": Key(
            "What people do about the messages of a stage, or about being in one that sends none.",
            {"ask": {"answer": "40%", "after": "6h"}},
        ),
        "messages": Key(
            "What people do about a message, wherever it is sent; this wins over its stage.",
            {"reminder": {"answer": "15%"}},
        ),
    },
    "PlaceSpec": {
        "timezone": Key("The time zone. Defaults to UTC.", "Europe/London"),
        "locale": Key("Language and country. Defaults to en.", "en_GB"),
        "weight": Key("How many live there, against the other places. Defaults to 1.", 3),
    },
    "AwakeSpec": {
        "from": Key("When they begin to answer. Defaults to 07:30.", "07:30"),
        "to": Key("When they stop. Defaults to 22:00.", "22:00"),
    },
    "HabitSpec": {
        "answer": Key("The share of messages that are answered. Defaults to 30%.", "30%"),
        "after": Key("The delay of an answer: half of them are shorter. Defaults to 8h.", "8h"),
        "spread": Key("About two of three delays lie within this factor of `after`. Defaults to 3.", 3),
        "says": Key("What they say. Defaults to words for everything that the stage asks about, alike.", _SAYS),
        "stop": Key("Where `says` is left out: the share of answers that opt out. Defaults to 2%.", "2%"),
        "events": Key(
            "Events that follow the message, or the entry of the stage.",
            {"email_opened": {"share": "60%", "after": "5h"}},
        ),
    },
    "SayingSpec": {
        "texts": Key("The words; one of them each time.", ["Yes, please", "yes"]),
        "means": Key("What the campaign type is to read, by response; words are made for it.", {"answer": "yes"}),
        "weight": Key("How often, against the other things they say. Defaults to 1.", 3),
        "then": Key("An event that follows.", {"event": "ticket_closed", "share": "80%", "after": "34h"}),
    },
    "EventSpec": _EVENT,
    "ThenSpec": {"event": Key("The event, by name.", "ticket_closed")},
}
_RULES: dict[str, dict[str, Any]] = {
    "SayingSpec": {"oneOf": [{"required": ["texts"]}, {"required": ["means"]}]},
}


def people_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of a people file.

    >>> people_schema()["properties"]["per_day"]["examples"]
    [200]
    """
    return schema_of(PeopleSpec, "Simulated people", KEYS, _RULES)
