"""The JSON Schema of scenario files, `NAME.test.yaml`, for editors: written from the models that read them."""

from __future__ import annotations

from typing import Any

from engine.authoring.scenarios.scenario_file import ScenarioFileSpec
from engine.core.schema import schema_of
from engine.core.schema_keys import Key

_AT = Key("The instant; a time without an offset is one in the recipient's zone.", "2026-03-02T09:00:00Z")

KEYS: dict[str, dict[str, Key]] = {
    "ScenarioFileSpec": {
        "campaign_type": Key("The campaign type's name, beside this file, or a relative path to it.", "b2b_nurture"),
        "scenarios": Key(
            "Conversations from enrolment on, each with what must be so.",
            [
                {
                    "name": "silence ends it",
                    "start": "2026-03-02T09:00:00Z",
                    "steps": [{"after": "10d", "expect": {"exit": "lost"}}],
                }
            ],
        ),
    },
    "ScenarioSpec": {
        "name": Key("A sentence that says what is shown; each is used once.", "an interested reply goes to sales"),
        "facts": Key("What is known of the recipient.", {"first_name": "Ann", "seats": 10}),
        "splits": Key("Which share a stage's split takes, since that is chance elsewhere.", {"route": "self_serve"}),
        "recipient": Key("Where the recipient is.", {"timezone": "Europe/London", "locale": "en_GB"}),
        "start": Key(
            "The instant of enrolment; a time without an offset is one in the recipient's zone.", "2026-03-02T09:00:00Z"
        ),
        "steps": Key(
            "What happens, in order, and what is expected then.",
            [{"expect": {"sent": ["intro"]}}, {"after": "2d", "reply": "yes please"}],
        ),
    },
    "RecipientSpec": {
        "timezone": Key("A time zone by name. Defaults to UTC.", "Europe/London"),
        "locale": Key("Language and country. Defaults to en.", "en_GB"),
    },
    "StepSpec": {
        "after": Key("Move time by this much since the step before.", "2d"),
        "at": Key("Move time to this instant; one without an offset is in the recipient's zone.", _AT.example),
        "reply": Key("Then the recipient writes this.", "yes please"),
        "event": Key("Then this event is reported.", "email_opened"),
        "expect": Key("Then this must be so, after everything planned for the instant.", {"stage": "introduce"}),
    },
    "ExpectSpec": {
        "stage": Key("The stage or exit the conversation stands in.", "introduce"),
        "exit": Key("The exit it ended in, by name or outcome; null when it goes on.", "won"),
        "sent": Key("The messages that left since the last `sent`, in order.", ["intro", "bump"]),
        "not_sent": Key("Messages that did not leave in the same span.", ["bump"]),
        "assigned": Key("Whom it was handed or escalated to since the last `assigned`, in order.", ["sales_inbox"]),
        "emitted": Key("The events for other systems since the last `emitted`, in order.", ["lead_qualified"]),
        "context": Key("Facts and captured values; null is missing.", {"plan": "team"}),
        "next_due": Key("When the conversation is due next; null is never.", "2026-03-04T09:00:00Z"),
        "nothing_until": Key("No progression and no message before this instant.", "2026-03-04T09:00:00Z"),
    },
    "SentSpec": {"message": Key("The message, by name.", "intro"), "at": _AT},
    "AssignedSpec": {"to": Key("The person or queue.", "sales_inbox"), "at": _AT},
    "EmittedSpec": {"event": Key("The event, by name.", "lead_qualified"), "at": _AT},
}

_RULES: dict[str, dict[str, Any]] = {
    "StepSpec": {"not": {"anyOf": [{"required": ["after", "at"]}, {"required": ["reply", "event"]}]}},
}
_NULLABLE = ("stage", "exit", "next_due", "nothing_until")  # in `expect`, null is a value like others


def scenarios_schema() -> dict[str, Any]:
    """The JSON Schema (draft-07) of a scenario file.

    >>> scenarios_schema()["definitions"]["StepSpec"]["properties"]["reply"]["examples"]
    ['yes please']
    """
    schema = schema_of(ScenarioFileSpec, "Scenarios of a campaign type", KEYS, _RULES)
    expected = schema["definitions"]["ExpectSpec"]["properties"]
    for name in _NULLABLE:
        expected[name]["type"] = [expected[name]["type"], "null"]
    return schema
