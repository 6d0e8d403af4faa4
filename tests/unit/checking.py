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
    """What the checks find in a type with these stages, the exits `won_it lost_it left` and one message."""
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
        parse_campaign_type(source, "hello.yaml")
    except SpecError as error:
        return list(error.problems)
    return []


def codes(stages: str, **options: str) -> list[str]:
    return [problem.code for problem in problems(stages, **options)]


def waiting(*lines: str) -> str:
    """The stage `ask` with these lines in it, which otherwise gives up after three days."""
    return "\n".join(["  ask:", *(f"    {line}" for line in lines), "    timers: [{after: 3d, go: lost_it}]"])


def answering(*edges: str) -> str:
    return waiting("on_response:", *(f"  - {edge}" for edge in edges))


def splitting(*edges: str) -> str:
    return "\n".join(["  ask:", "    split:", *(f"      - {edge}" for edge in edges)])
