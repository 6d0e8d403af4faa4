"""What each key of the vocabulary means to an author, with one example: the words of the JSON Schema.

By the model that has the key; a model that extends another has its keys too. A test fails for a key that is not
here, and for an example that its own part of the schema refuses.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Key(NamedTuple):
    """A key's description and an example of its value."""

    description: str
    example: Any


_OPENING_EDGE = {"when": 'answer == "yes"', "go": "offer"}
_CHANNEL = Key("The channel it leaves by. Defaults to the campaign type's.", "sms")
_IGNORE_WINDOW = Key("Send it outside the send window too. Defaults to false.", True)
_IGNORE_LIMITS = Key("Send it beyond the limits too; it counts towards them. Defaults to false.", True)
_SEND = Key("The message to send, by name.", "intro")
_ON_ENTER = Key("Actions on entering.", [{"send": "intro"}])

KEYS: dict[str, dict[str, Key]] = {
    "CampaignTypeSpec": {
        "campaign_type": Key("The name campaigns refer to; letters, digits and underscores.", "b2b_nurture"),
        "version": Key("A whole number from 1. A registered version never changes; a change is a new version.", 1),
        "title": Key("One line for people.", "B2B lead nurture"),
        "facts": Key(
            "What is known of a recipient or set by the campaign: a name and a type each.",
            {"first_name": "text", "seats": "int 1..1000", "plan": "one of [free, team]?"},
        ),
        "responses": Key(
            "How an inbound message is understood: a name for each thing to look for in it.",
            {"answer": {"yes": {"any_word": ["yes", "sure"]}}, "rating": {"number": "1..5"}},
        ),
        "channel": Key("The channel messages leave by, unless they say otherwise. Defaults to email.", "sms"),
        "send_window": Key(
            "When messages may leave; those planned for another time wait. Deadlines do not move.",
            {"days": "mon-fri", "from": "09:00", "to": "17:00", "zone": "recipient", "holidays": "US"},
        ),
        "limits": Key(
            "How often one recipient is written to, all campaigns together; answers are never held back.",
            {"cooldown": "24h", "per_recipient": "5 per 7d"},
        ),
        "ends_within": Key("A bound on the whole conversation.", {"at_most": "60d", "then": "gave_up"}),
        "priority": Key(
            "Which conversations go first, judged at enrolment; the first guard that passes wins.",
            [{"when": 'plan == "team"', "is": "high"}],
        ),
        "start": Key("The stage every conversation begins in.", "introduce"),
        "always": Key(
            "Edges tried first on every response and event, in every stage.",
            [{"when": 'answer == "stop"', "go": "opted_out"}],
        ),
        "stages": Key(
            "The places where a conversation waits or splits, by name.",
            {"introduce": {"on_enter": [{"send": "intro"}], "timers": [{"after": "10d", "go": "gave_up"}]}},
        ),
        "exits": Key(
            "The ends of a conversation, by name: an outcome, or more about it.",
            {"sold": {"outcome": "won", "on_enter": [{"send": "thanks"}]}, "gave_up": "lost", "opted_out": "stopped"},
        ),
        "messages": Key(
            "What is sent, by name.", {"intro": {"subject": "A question", "text": "Hello {{ first_name }}, …"}}
        ),
    },
    "OneMatcherSpec": {
        "any_word": Key("Matches when the text has any of these words.", ["yes", "sure"]),
        "all_words": Key("Matches when the text has all of these words.", ["call", "back"]),
        "phrase": Key("Matches when the text has these words in this order, side by side.", "not now"),
        "only_phrase": Key("Matches when the text is these words and nothing else.", "yes please"),
        "beginning": Key("Matches when the text begins with this.", "order"),
        "pattern": Key("Matches when the text matches this regular expression.", r"\bT-[0-9]+\b"),
        "text": Key("Matches any text that is not blank.", True),
        "only_text": Key("Matches when the text is exactly this, capitals included.", "STOP"),
        "number": Key("Matches the first number in the text: any (true) or one within a range, as in 1..5.", "1..5"),
        "number_lt": Key("Matches the first number in the text that is below this.", 10),
        "number_lte": Key("Matches the first number in the text that is at most this.", 10),
        "number_eq": Key("Matches the first number in the text that is this.", 10),
        "number_gte": Key("Matches the first number in the text that is at least this.", 10),
        "number_gt": Key("Matches the first number in the text that is above this.", 10),
        "number_between": Key("Matches the first number in the text that is one of these or between them.", [1, 5]),
        "date": Key("Matches the first date in the text, day and month in the order of the recipient's locale.", True),
        "date_lt": Key("Matches when the first date in the text is before this: a date, or today + 3d.", "2026-12-31"),
        "date_eq": Key("Matches when the first date in the text is this: a date, or today + 3d.", "today + 1d"),
        "date_gt": Key("Matches when the first date in the text is after this: a date, or today + 3d.", "today"),
        "time": Key("Matches the first time of day in the text.", True),
        "email": Key("Matches the first email address in the text.", True),
        "phone": Key(
            "Matches the first phone number in the text: of the recipient's country (true) or of this one.", "GB"
        ),
        "classifier": Key("Matches when this plug-in puts the text under a label.", "sentiment"),
    },
    "MatcherSpec": {
        "any_of": Key(
            "Matches when one of these matchers does; the first that does counts.",
            [{"any_word": ["yes", "sure"]}, {"phrase": "call me"}],
        )
    },
    "SendSpec": {
        "send": _SEND,
        "channel": _CHANNEL,
        "after": Key("How long to wait before it is sent. Defaults to at once.", "4h"),
        "when": Key("Send only if this guard passes when the action runs.", "seats >= 10"),
        "ignore_window": _IGNORE_WINDOW,
        "ignore_limits": _IGNORE_LIMITS,
    },
    "EmitSpec": {"emit": Key("The name of an event for other systems.", "lead_qualified")},
    "AssignSpec": {
        "assign": Key("The person or queue the conversation is handed to.", {"to": "sales_inbox", "priority": "high"})
    },
    "AssigneeSpec": {
        "to": Key("The name of a person or queue.", "sales_inbox"),
        "priority": Key("How urgent it is for them. Defaults to normal.", "high"),
    },
    "SetSpec": {
        "set": Key(
            "Facts to set, each to a constant, or to a captured value by the name of its response.", {"plan": "team"}
        )
    },
    "EdgeSpec": {
        "when": Key("The guard: taken only if it passes. Defaults to always.", 'answer == "yes" and seats >= 10'),
        "go": Key("Where to go: a stage, an exit, or stay.", "offer"),
        "otherwise": Key("Where to go when no edge before it was taken; always the last.", "human"),
        "do": Key("Actions to carry out on the way, before the next stage's on_enter.", [{"send": "tip"}]),
        "at_most": Key("How often a stay may be taken in one visit of the stage; then it is passed over.", 1),
    },
    "SplitSpec": {"share": Key("The part of the conversations that take this edge, as in 50%.", "50%")},
    "TimerSpec": {
        "after": Key("How long after the stage was entered.", "10d"),
        "at": Key(
            "The instant, from a date of the recipient: the fact, an offset and a time of day.",
            "renewal_on - 30d 09:00",
        ),
    },
    "FollowUpSpec": {
        "after": Key("How long after the message before it.", "3d"),
        "send": _SEND,
        "channel": _CHANNEL,
        "times": Key("How many times in a row. Defaults to 1.", 2),
        "when": Key("Send only if this guard passes at that time; else it is skipped.", "seats >= 10"),
        "ignore_window": _IGNORE_WINDOW,
        "ignore_limits": _IGNORE_LIMITS,
    },
    "EscalationSpec": {
        "after": Key("How long after the stage was entered.", "4 business hours"),
        "to": Key("The person or queue to tell.", "team_lead"),
        "priority": Key("How urgent it is for them. Defaults to high.", "normal"),
    },
    "VisitsSpec": {
        "at_most": Key("How many times the stage may be entered.", 2),
        "then": Key("Where one more entry goes instead.", "gave_up"),
    },
    "StageSpec": {
        "guidance": Key("What whoever writes or answers in this stage should know.", "Be brief; quote no prices."),
        "send_window": Key("A send window of this stage's own.", {"days": "mon-sat", "from": "10:00", "to": "20:00"}),
        "min_stay": Key("How long responses wait before the stage takes them up; `always` does not wait.", "24h"),
        "on_enter": _ON_ENTER,
        "follow_ups": Key(
            "Messages while nobody responds, each counted from the one before.",
            [{"after": "3d", "send": "bump", "times": 2}],
        ),
        "on_response": Key("Edges tried on a response, in order.", [_OPENING_EDGE, {"otherwise": "human"}]),
        "on_event": Key(
            "An edge, or a list of them, for each event by its name.",
            {"email_opened": {"go": "stay", "do": [{"send": "tip", "after": "4h"}], "at_most": 1}},
        ),
        "split": Key(
            "Edges tried at once on entering; such a stage does not wait.",
            [{"when": "seats >= 200", "go": "sales"}, {"share": "50%", "go": "self_serve"}, {"otherwise": "partner"}],
        ),
        "timers": Key("Edges taken after a time in the stage.", [{"after": "10d", "go": "gave_up"}]),
        "escalate": Key(
            "Whom to tell when the conversation stays here long.", [{"after": "4 business hours", "to": "team_lead"}]
        ),
        "visits": Key("A bound on how often the stage is entered.", {"at_most": 2, "then": "gave_up"}),
    },
    "ExitSpec": {
        "outcome": Key("What analysts count: won, lost or stopped. A response that leads to stopped opts out.", "won"),
        "on_enter": _ON_ENTER,
    },
    "MessageSpec": {
        "subject": Key("The subject line, a Liquid template.", "{{ first_name }}, a question"),
        "text": Key("The body, a Liquid template.", "Hello {{ first_name }}, …"),
        "file": Key("A file beside the campaign type that holds the body.", "messages/intro.liquid"),
    },
    "WindowSpec": {
        "days": Key("The days on which a window opens. Defaults to all.", "mon-fri"),
        "from": Key("When it opens, inside. Defaults to midnight.", "09:00"),
        "to": Key("When it closes, outside; not later than `from` means the next day. Defaults to midnight.", "17:00"),
        "at": Key("Preferred times of day: messages leave at the next of them.", ["10:00", "15:00"]),
        "zone": Key("Whose clock counts: recipient, or a time zone. Defaults to recipient.", "Europe/London"),
        "holidays": Key("Countries, with or without a region, on whose public holidays it stays closed.", "DE-BY"),
    },
    "LimitsSpec": {
        "cooldown": Key("The least time between two messages to one recipient.", "24h"),
        "per_recipient": Key(
            "The most messages in any span of time, as in 5 per 7d; or a list of such.", ["2 per 1d", "5 per 7d"]
        ),
    },
    "EndsWithinSpec": {
        "at_most": Key("How long, counted from entering the start stage.", "60d"),
        "then": Key("The exit for a conversation that lasts longer.", "gave_up"),
    },
    "PrioritySpec": {
        "when": Key("The guard, over facts.", 'plan == "team"'),
        "is": Key("The priority of conversations that pass it.", "high"),
    },
}
