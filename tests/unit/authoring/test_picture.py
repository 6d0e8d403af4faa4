"""The SVG picture of a campaign type: complete, well-formed, and readable whatever the type.

The pictures in the docs are those of the shipped types. To draw them anew after a wanted change, run
`UPDATE_EXPECTATIONS=1 pytest tests/unit/authoring/test_picture.py` and look at them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from time import process_time
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.files import load_spec
from engine.authoring.pictures.layout import Arrow
from engine.authoring.pictures.picture import compose, draw
from engine.core.spec import CampaignTypeSpec
from tests.unit.builders import a_spec
from tests.unit.clearance import assert_clear

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
STAGES = """
ask:
  guidance: Say <hello> & wait.
  min_stay: 1h
  visits: {at_most: 2, then: gave_up}
  on_enter: [{send: intro, after: 4h}, {assign: {to: desk, priority: high}}, {set: {score: 1, vip: true}}]
  follow_ups: [{after: 2d, send: bump, times: 2}, {after: 3d, send: tip}]
  escalate: [{after: 24h, to: lead}]
  on_response:
    - {when: answer == "yes", go: route, do: [{send: tip}]}
    - {when: rating < 3, go: ask}
    - {go: stay, do: [{send: tip}], at_most: 1}
    - otherwise: gave_up
  on_event:
    opened: [{when: seats > 5, go: route}, {go: stay, at_most: 2, do: [{send: tip}]}]
  timers: [{after: 10d, go: gave_up}, {at: renewal_on - 30d 09:00, go: route}]
route:
  split: [{when: seats > 5, go: bought}, {share: 50%, go: gave_up}, {otherwise: ask}]
"""
ALWAYS = '[{when: answer == "stop", go: opted_out}, {go: stay, do: [{send: tip}], at_most: 3}]'
ENDS = "{at_most: 60d, then: gave_up}"


def whole() -> CampaignTypeSpec:
    facts = {"seats": "int 1..1000?", "score": "number?", "vip": "bool?", "renewal_on": "date?"}
    return a_spec(STAGES, facts=facts, always=ALWAYS, ends_within=ENDS)


def texts(spec: CampaignTypeSpec) -> list[str]:
    """The lines of text in the picture, from the top of the file."""
    return [each.text or "" for each in ElementTree.fromstring(draw(spec)).iter(f"{SVG}text")]


@st.composite
def specs(draw: st.DrawFn) -> CampaignTypeSpec:
    """Any shape of campaign type with up to 30 stages, sensible or not."""
    names = [f"stage_{index}" for index in range(draw(st.integers(1, 30)))]
    target = st.sampled_from([*names, "bought", "gave_up", "opted_out", "stay"])
    words = st.text(st.sampled_from('abc WM<&"_日é'), min_size=1, max_size=60)

    def stage() -> dict[str, Any]:
        if draw(st.integers(0, 5)) == 0:
            return {"split": [{"share": "30%", "go": draw(st.sampled_from(names))}, {"otherwise": "bought"}]}
        edges = [{"when": draw(words), "go": draw(target)} for _ in range(draw(st.integers(0, 2)))]
        sends = [{"send": draw(words)} for _ in range(draw(st.integers(0, 2)))]
        return {"on_enter": sends, "on_response": edges, "timers": [{"after": "3d", "go": draw(target)}]}

    return CampaignTypeSpec.model_validate(
        {
            "campaign_type": "any",
            "version": 1,
            "title": draw(words),
            "start": names[0],
            "stages": {name: stage() for name in names},
            "always": [{"when": draw(words), "go": "opted_out"}],
            "exits": {"bought": "won", "gave_up": "lost", "opted_out": "stopped"},
        }
    )


@settings(max_examples=25, deadline=None)
@given(specs())
def test_no_campaign_type_makes_anything_overlap(spec: CampaignTypeSpec) -> None:
    picture = compose(spec)
    assert_clear(picture.layout, [Arrow(each.source, each.target) for each in picture.sketch.links])
    for place, block in zip(picture.layout.boxes, picture.boxes, strict=True):
        assert block.width <= place.width
        assert block.height <= place.height
    for route, block in zip(picture.layout.routes, picture.labels, strict=True):
        assert block.width <= route.label.width
        assert block.height <= route.label.height
    ElementTree.fromstring(draw(spec))


def test_a_stage_tells_what_happens_in_it() -> None:
    found = texts(whole())
    begin = found.index("ask")
    assert found[begin + 1 : found.index("route", begin)] == [
        "send intro after 4h",
        "assign to desk (high)",
        "set score = 1, vip = true",
        "responses wait for 1h",
        "silent 2d: send bump × 2",
        "silent 3d more: send tip",
        "after 24h tell lead (high)",
        "visits: at most 2",
        "response rating < 3: enter again",
        "any other response: send tip (once)",
        "event opened, otherwise: send tip (at",
        "most 2 times)",
    ]


def test_edges_between_the_same_two_are_one_with_every_reason() -> None:
    picture = compose(whole())
    names = [node.name for node in picture.sketch.nodes]
    reasons = {
        (names[link.source], names[link.target]): [
            " ".join(filter(None, (each.cause, each.guard, *each.done))) for each in link.captions
        ]
        for link in picture.sketch.links
    }
    assert reasons["ask", "route"] == [
        'response answer == "yes" send tip',
        "event opened seats > 5",
        "at renewal_on - 30d 09:00",
    ]
    assert reasons["ask", "gave_up"] == ["any other response", "after 10d", "more than 2 visits"]
    assert reasons["route", "gave_up"] == ["50%"]
    assert reasons["route", "ask"] == ["otherwise"]


def test_what_holds_in_every_stage_leaves_from_one_box() -> None:
    picture = compose(whole())
    anywhere = next(index for index, node in enumerate(picture.sketch.nodes) if node.kind == "anywhere")
    reached = [picture.sketch.nodes[link.target].name for link in picture.sketch.links if link.source == anywhere]
    assert reached == ["opted_out", "gave_up"]
    assert picture.sketch.nodes[anywhere].lines == ("any other response or event: send tip (at most 3 times)",)


def test_only_what_time_alone_takes_is_dashed() -> None:
    drawn = draw(a_spec("ask: {on_response: [{otherwise: bought}], timers: [{after: 3d, go: gave_up}]}"))
    assert drawn.count('class="line timed"') == 1 + 1, "the timer and its line in the legend"
    both = draw(a_spec("ask: {on_response: [{otherwise: gave_up}], timers: [{after: 3d, go: gave_up}]}"))
    assert both.count('class="line timed"') == 1


def test_an_exit_is_coloured_by_its_outcome_and_names_it() -> None:
    picture = draw(a_spec(exits="{bought: won, gave_up: {outcome: lost, on_enter: [{send: goodbye}]}}"))
    box = re.search(r'<rect class="lost".*?</g>', picture, re.DOTALL)
    assert box is not None
    assert re.findall(r">([^<>\n]+)</text>", box[0]) == ["gave_up", "lost", "send goodbye"]


def test_an_exit_that_many_stages_lead_to_stands_below_each_of_them() -> None:
    def stages(count: int) -> CampaignTypeSpec:
        chain = [f"s{each}: {{timers: [{{after: 3d, go: gave_up}}]}}" for each in range(count)]
        return a_spec("\n".join(chain), start="s0")

    assert texts(stages(3)).count("gave_up") == 1
    assert texts(stages(4)).count("gave_up") == 4


def test_what_has_no_wording_of_its_own_is_told_as_it_stands_in_the_file() -> None:
    stages = """
    ask:
      send_window: {days: all, from: "08:00", to: "20:00"}
      on_enter: [{send: intro, ignore_window: true}, {emit: asked}]
      timers: [{after: 3d, go: gave_up}]
    """
    found = " ".join(texts(a_spec(stages, limits="{cooldown: 24h}")))
    assert "from 08:00, to 20:00" in found
    assert "send intro, ignore_window" in found
    assert "emit asked" in found
    assert "limits: cooldown 24h" in found


def test_the_picture_is_told_in_words_too() -> None:
    root = ElementTree.fromstring(draw(whole()))
    described = root.findtext(f"{SVG}desc") or ""
    assert root.findtext(f"{SVG}title") == "hello"
    assert described.startswith("2 stages, 3 exits, start in ask.")
    assert 'in any stage to opted_out: response or event, answer == "stop".' in described
    assert "Say <hello> & wait." in [each.text for each in root.iter(f"{SVG}title")]


def test_the_same_type_is_drawn_in_the_same_bytes_with_nothing_from_outside() -> None:
    drawn = draw(whole())
    assert drawn == draw(whole())
    assert not re.search(r"<script|href|url\((?!#)|@import", drawn)


def test_thirty_stages_are_drawn_in_under_a_second() -> None:
    names = [f"stage_{each}" for each in range(30)]
    chain = [
        f'{name}: {{on_response: [{{when: answer == "yes", go: {names[(index + 1) % 30]}}},'
        f" {{otherwise: {names[index * 7 % 30]}}}], timers: [{{after: 3d, go: gave_up}}]}}"
        for index, name in enumerate(names)
    ]
    spec = a_spec("\n".join(chain), start=names[0])
    began = process_time()
    draw(spec)
    assert process_time() - began < 1


@pytest.mark.parametrize("name", ["b2b_nurture", "support_followup"])
def test_the_pictures_in_the_docs_are_those_of_the_shipped_types(name: str) -> None:
    drawn = draw(load_spec(ROOT / f"campaign_types/{name}.yaml").spec)
    kept = ROOT / f"docs/pictures/{name}.svg"
    if os.environ.get("UPDATE_EXPECTATIONS") == "1":
        kept.write_text(drawn, encoding="utf-8")
    assert drawn == kept.read_text(encoding="utf-8")


@pytest.mark.skipif(BROWSER is None, reason="there is no browser here; the geometry is tested without one")
def test_in_a_browser_every_text_stays_within_the_place_it_was_given(tmp_path: Path) -> None:
    """The browser's own fonts decide how wide a text is; each must fit the first shape of its group."""
    assert BROWSER is not None
    script = """
    const wide = [...document.querySelectorAll("svg g > text")].filter(text => {
      const place = text.parentNode.querySelector("rect, polygon");
      if (!place) return false;
      const [a, b] = [text.getBBox(), place.getBBox()];
      return a.x < b.x || a.x + a.width > b.x + b.width || a.y < b.y || a.y + a.height > b.y + b.height + 1;
    });
    const count = document.querySelectorAll("svg g > text").length;
    document.body.innerHTML = `measured ${count}, outside: ${wide.map(text => text.textContent).join("; ")}.`;
    """
    page = tmp_path / "page.html"
    page.write_text(f'<meta charset="utf-8"><body>{draw(whole())}<script>{script}</script>', encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", "--dump-dom"]
    shown = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"measured (\d+), outside: (.*)\.", shown)
    assert found is not None, shown
    assert int(found[1]) > 30
    assert found[2] == ""
