"""Conversations: a page of a campaign's, or everything about one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from engine.cli.options import InCampaign, Json, Now
from engine.cli.output import emit, print_fields, print_table, say, shown, tell

_COLUMNS = ("id", "recipient", "stage", "status", "due_at", "entered_at", "seq", "last_error")


def conversations(
    campaign: InCampaign,
    stage: Annotated[str | None, typer.Option(help="Only those in this stage or exit.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only those that are active, paused, completed, stopped or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Go on after this one, the last shown.")] = None,
    as_json: Json = False,
) -> None:
    """List a campaign's conversations."""
    from engine.cli.session import with_engine

    found = with_engine(
        lambda application: application.manager.list_conversations(
            campaign, stage=stage, status=status, limit=limit, after=after
        )
    )
    emit(found, as_json, lambda page: print_table(_COLUMNS, [[each[name] for name in _COLUMNS] for each in page]))
    if len(found) == limit:
        tell(f"There may be more: --after {found[-1]['id']}")


def explain(
    conversation: Annotated[str, typer.Argument(help="Its id, as `campaign conversations` shows it.")],
    now: Now = None,
    as_json: Json = False,
) -> None:
    """Explain where a conversation stands and why.

    Shows each way on: its guard, what the guard reads, its verdict, and the earliest time it could be taken.
    """
    from engine.cli.session import with_engine

    found = with_engine(lambda application: application.manager.explain_conversation(conversation), now)
    emit(found, as_json, _show)


_ZONES = {
    "recipient": "the recipient's zone",
    "campaign": "the campaign's zone, since the recipient has none",
    "default": "since neither the recipient nor the campaign has a zone",
    None: "the zone chosen at enrolment",
}


def _show(it: dict[str, Any]) -> None:
    zone = ZoneInfo(it["timezone"])

    def time(instant: datetime | None) -> str:
        return "-" if instant is None else instant.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")

    print_fields(
        {
            "conversation": it["id"],
            "recipient": it["recipient"],
            "campaign": it["campaign_id"],
            "campaign type": it["campaign_type"],
            "stage": it["stage"] or "not begun",
            "status": it["status"],
            "now": time(it["now"]),
            "due": time(it["due_at"]),
            "times": f"in {it['timezone']}, {_ZONES[it['timezone_source']]}",
            "facts": it["context"].get("facts", {}),
            "captured": it["context"].get("captured", {}),
        }
    )
    if it["last_error"]:
        say(f"\nfailed {it['attempts']} times: {it['last_error']}")
    for line in (*_waiting(it, time), *_ways(it, time)):
        say(line)
    _show_past(it, time)


def _waiting(it: dict[str, Any], time: Callable[[datetime | None], str]) -> Iterator[str]:
    if it["waiting"]:
        yield "\nwaiting to be taken in"
    for each in it["waiting"]:
        yield f"  {each['kind']} {each['name'] or ''}".rstrip() + f", received {time(each['received_at'])}"


def _ways(it: dict[str, Any], time: Callable[[datetime | None], str]) -> Iterator[str]:
    """Each way on: where to, on what, its guard with inputs and verdict, and the earliest time."""
    yield "\nways on" if it["ways"] else "\nno way on: it is over"
    for way in it["ways"]:
        yield f"  {way['edge']} -> {way['target'] or 'stay'}"
        earliest = f"not before {time(way['earliest'])}" if way["earliest"] else "nobody knows when"
        yield f"    waits for {way['waits_for']}, {earliest}"
        if way["when"]:
            inputs = ", ".join(f"{name} is {_value(value)}" for name, value in way["inputs"].items())
            yield f"    when {way['when']}: {_VERDICTS[way['verdict']]}" + (f" ({inputs})" if inputs else "")
        if not way["passes"] and (way["verdict"] or not way["when"]):
            yield "    used up, or passed over here"


_VERDICTS = {True: "passes", False: "does not pass", None: "unknown, so it does not pass"}


def _value(value: Any) -> str:
    return "missing" if value is None else shown(value)


def _show_past(it: dict[str, Any], time: Callable[[datetime | None], str]) -> None:
    say("\nhistory")
    print_table(
        ("seq", "at", "from", "to", "cause", "edge or reason", "sends"),
        [
            (each["seq"], time(each["at"]), each["from_stage"], each["to_stage"], each["cause"],
             each["reason"] or each["edge"], each["sends"])
            for each in it["history"]
        ],
    )  # fmt: skip
    say("\nmessages")
    print_table(
        ("seq", "message", "channel", "status", "planned", "sent", "tries", "last error"),
        [
            (each["seq"], each["message"], each["channel"], each["status"], time(each["not_before"]),
             time(each["sent_at"]), each["attempts"], each["last_error"])
            for each in it["messages"]
        ],
    )  # fmt: skip
