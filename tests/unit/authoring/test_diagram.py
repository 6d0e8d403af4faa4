"""The Mermaid diagram of a campaign type."""

from __future__ import annotations

from engine.authoring.pictures.diagram import mermaid
from engine.core.loader import parse_campaign_type

SOURCE = """
campaign_type: hello
version: 1
facts: {seats: "int?"}
responses:
  intent: {stop: {any_word: [stop]}, "yes": {phrase: "a:b;#c"}}
start: greet
ends_within: {at_most: 60d, then: lost}
always: [{when: intent == "stop", go: over}]
stages:
  greet:
    visits: {at_most: 2, then: lost}
    on_response: [{when: 'intent in ["yes"]', go: end}, {otherwise: stay}]
    on_event: {opened: {go: end}}
    timers: [{after: 3d, go: lost}]
  end:
    split: [{share: 50%, go: greet}, {when: seats > 5, go: lost}, {otherwise: over}]
exits: {lost: lost, over: stopped}
"""


def lines(source: str = SOURCE) -> list[str]:
    return [line.strip() for line in mermaid(parse_campaign_type(source, "hello.yaml").spec).splitlines()]


def test_every_way_is_drawn_in_the_order_of_the_file() -> None:
    ways = [line for line in lines() if line.startswith("greet -->")]
    assert ways == [
        "greet --> end_: response, intent in [#34;yes#34;]",
        "greet --> greet: response",
        "greet --> end_: opened",
        "greet --> lost: after 3d",
        "greet --> lost: more than 2 visits",
    ]


def test_what_holds_everywhere_leaves_from_any_stage() -> None:
    assert 'state "any stage" as any_stage__' in lines()
    assert "any_stage__ --> over: response or event, intent == #34;stop#34;" in lines()
    assert "any_stage__ --> lost: 60d after the start" in lines()


def test_a_split_is_a_choice_and_a_name_the_diagram_has_taken_gets_another() -> None:
    assert lines()[1:3] == ['state "end" as end_', "state end_ <<choice>>"]
    assert [line for line in lines() if line.startswith("end_ -->")] == [
        "end_ --> greet: 50%",
        "end_ --> lost: seats #62; 5",
        "end_ --> over: otherwise",
    ]


def test_exits_end_with_their_outcome() -> None:
    assert lines()[-6:-4] == ["lost --> [*]: lost", "over --> [*]: stopped"]


def test_exits_have_the_colour_of_their_outcome() -> None:
    lost, stopped, *classes = lines()[-4:]
    assert lost.startswith("classDef lost fill:#")
    assert stopped.startswith("classDef stopped fill:#")
    assert classes == ["class lost lost", "class over stopped"]
