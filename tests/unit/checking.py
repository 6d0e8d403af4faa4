"""A campaign type around the lines a test of the checks is about, and what the checks say of it."""

from __future__ import annotations

from engine.core.errors import SpecError
from engine.core.loader import parse_campaign_type
from engine.core.problems import Problem

FACTS = "{seats: int 1..1000, plan: 'one of [free, team]?', vip: bool, name: text, renewal_on: date}"
RESPONSES = """
  answer: {"yes": {any_word: [yes, sure]}, "no": {any_word: [no]}, stop: {phrase: stop}}
  rating: {number: 1..5}
  words: {text: true}
"""


def problems(stages: str, *, more: str = "", start: str = "ask") -> list[Problem]:
    """The errors in a type with these stages, the exits `won_it lost_it left` and one message."""
    return [problem for problem in findings(stages, more=more, start=start) if problem.severity == "error"]


def warnings(stages: str, **options: str) -> list[Problem]:
    """The warnings, but for the exits and the message that a short example does not use, and its send window."""
    found = findings(stages, **options)
    dull = ("W206", "W503") if "send_window" not in options.get("more", "") else ("W206",)
    return [it for it in found if it.severity == "warning" and it.code not in dull and "'intro'" not in it.message]


def findings(stages: str, *, more: str = "", start: str = "ask") -> list[Problem]:
    """All that the checks find. A type that sends has a way to opt out, unless `always` is given."""
    if "send:" in stages and "always:" not in more:
        more = f'{more}\nalways: [{{when: event == "unsubscribed", go: left}}]'
    source = f"""
campaign_type: hello
version: 1
facts: {FACTS}
responses: {RESPONSES.rstrip()}
start: {start}
{more}
stages:
{stages}
exits: {{won_it: won, lost_it: lost, left: stopped}}
messages: {{intro: {{text: Hello}}}}
"""
    try:
        return list(parse_campaign_type(source, "hello.yaml").warnings)
    except SpecError as error:
        return list(error.problems)


def codes(stages: str, **options: str) -> list[str]:
    return [problem.code for problem in problems(stages, **options)]


def waiting(*lines: str) -> str:
    """The stage `ask` with these lines in it, which otherwise gives up after three days."""
    return "\n".join(["  ask:", *(f"    {line}" for line in lines), "    timers: [{after: 3d, go: lost_it}]"])


def answering(*edges: str) -> str:
    return waiting("on_response:", *(f"  - {edge}" for edge in edges))


def splitting(*edges: str) -> str:
    return "\n".join(["  ask:", "    split:", *(f"      - {edge}" for edge in edges)])
