"""Simulation: the same for a seed, adding up, honest about what windows and limits hold back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.files import load_campaign_type
from engine.authoring.simulation.figures import Simulation
from engine.authoring.simulation.people import People
from engine.authoring.simulation.people_file import load_people
from engine.authoring.simulation.people_spec import PeopleSpec
from engine.authoring.simulation.report import as_html
from engine.authoring.simulation.simulate import play, simulate
from engine.core.compiled import CompiledType
from engine.core.machine import compile_campaign_type
from engine.core.spec import CampaignTypeSpec
from tests.unit.builders import a_type
from tests.unit.core.random_types import random_specs

TYPES = Path(__file__).parents[3] / "campaign_types"
NURTURE = load_campaign_type(TYPES / "b2b_nurture.yaml")


def people(compiled: CompiledType, **written: Any) -> People:
    return People(PeopleSpec.model_validate(written), compiled.spec)


def run(compiled: CompiledType, recipients: int = 50, seed: int = 1, **written: Any) -> Simulation:
    return simulate(compiled, people(compiled, **written), recipients, seed)


def silent(stages: str, timezone: str = "UTC", **changes: Any) -> Simulation:
    """What comes of fifty people who never answer."""
    compiled = a_type(stages, **changes)
    habits = {name: {"answer": "0%"} for name in compiled.spec.stages}
    return run(compiled, places=[{"timezone": timezone}], stages=habits)


def test_the_same_seed_gives_the_same_figures_and_the_same_report() -> None:
    them = load_people(TYPES / "b2b_nurture.sim.yaml", NURTURE.spec)
    one, two, other = (simulate(NURTURE, them, 100, seed) for seed in (5, 5, 6))
    assert json.dumps(one.as_dict(), default=str) == json.dumps(two.as_dict(), default=str)
    assert as_html(one, them) == as_html(two, them)
    assert one.messages != other.messages


def test_more_recipients_change_nothing_for_the_first_ones() -> None:
    them = people(NURTURE)
    first = play(NURTURE, them, 1, 3)
    simulate(NURTURE, them, 20, 1)
    again = play(NURTURE, them, 1, 3)
    assert first.person == again.person
    assert len({str(play(NURTURE, them, 1, number).person) for number in range(20)}) == 20
    assert first.playback is not None
    assert again.playback is not None
    assert first.playback.log == again.playback.log


def adds_up(compiled: CompiledType, them: People, recipients: int, seed: int) -> Simulation:
    """Simulate, and compare all figures with each other and with the conversations one by one."""
    it = simulate(compiled, them, recipients, seed)
    lived = [play(compiled, them, seed, number) for number in range(recipients)]
    left = [done for each in lived if each.playback for done in each.playback.sent]
    ended = sum(each.count for each in it.exits)
    assert ended + it.under_way + it.failed == recipients == sum(it.outcomes.values())
    assert it.sent == len(left) == sum(it.days.values()) == sum(it.hours) == sum(it.local_hours)
    assert it.sent == sum(number * times for number, times in it.per_recipient.items())
    assert sum(it.per_recipient.values()) == recipients
    assert (
        it.answers == sum(it.answer_days.values()) == sum(not each.name for one in lived for _, each in one.reactions)
    )
    assert it.answering <= min(it.answers, recipients)
    assert it.cancelled >= 0
    assert sum(each.entered - each.left for each in it.stages) <= it.under_way + it.failed
    for stage in it.stages:
        assert stage.reached <= min(stage.entered, recipients)
    return it


def test_the_funnel_adds_up_for_a_shipped_type() -> None:
    it = adds_up(NURTURE, load_people(TYPES / "b2b_nurture.sim.yaml", NURTURE.spec), 120, 1)
    assert (it.stages[0].reached, it.stages[0].entered, it.under_way, it.failed) == (120, 120, 0, 0)
    assert it.stages[0].left == 120


@settings(max_examples=20, deadline=None)
@given(spec=random_specs(), seed=st.integers())
def test_whatever_the_campaign_type_the_figures_add_up(spec: CampaignTypeSpec, seed: int) -> None:
    compiled = compile_campaign_type(spec)
    it = adds_up(compiled, people(compiled), 4, seed)
    assert it.failed == 0
    as_html(it, people(compiled))
    json.dumps(it.as_dict(), default=str)


def test_people_who_say_nothing_get_everything_and_end_by_time() -> None:
    it = silent(
        """
        ask:
          on_enter: [{send: intro}]
          follow_ups: [{after: 2d, send: bump, times: 2}]
          timers: [{after: 7d, go: gave_up}]
        """
    )
    assert it.messages == {"intro": 50, "bump": 100, "tip": 0, "goodbye": 0}
    assert it.days == {date(2026, 3, 2): 50, date(2026, 3, 4): 50, date(2026, 3, 6): 50}
    assert (it.answers, it.per_recipient, it.outcomes["lost"]) == (0, {3: 50}, 50)
    assert it.stages[0].stay == it.duration == (50, 7 * 86_400, 7 * 86_400, 7 * 86_400)
    assert it.busiest == (datetime(2026, 3, 2, 9, tzinfo=UTC), 50)
    assert (it.first, it.last) == (datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 9, 9, tzinfo=UTC))


def test_what_a_window_holds_back_is_counted_with_its_delay() -> None:
    it = silent(
        "ask: {on_enter: [{send: intro}, {send: tip, after: 3h}], timers: [{after: 7d, go: gave_up}]}",
        send_window={"from": "10:00", "to": "18:00"},
    )
    assert (it.windows.count, it.windows.average) == (50, 3_600)  # the intro waits from 9 to 10, the tip not at all
    assert it.limits.count == 0


def test_what_limits_hold_back_is_counted_apart() -> None:
    it = silent(
        "ask: {on_enter: [{send: intro}, {send: tip}], timers: [{after: 7d, go: gave_up}]}",
        send_window={"from": "10:00", "to": "18:00"},
        limits={"cooldown": "24h"},
    )
    assert (it.windows.count, it.windows.average) == (100, 3_600)
    assert (it.limits.count, it.limits.average) == (50, 86_400)


def test_what_never_leaves_is_counted_as_cancelled() -> None:
    it = silent("ask: {on_enter: [{send: intro}, {send: tip, after: 3d}], timers: [{after: 2d, go: gave_up}]}")
    assert (it.sent, it.cancelled) == (50, 50)


def test_hours_are_told_by_utc_and_by_the_recipients_clocks() -> None:
    it = silent("ask: {on_enter: [{send: intro}], timers: [{after: 1d, go: gave_up}]}", timezone="Asia/Kolkata")
    assert (it.hours[9], it.local_hours[14]) == (50, 50)


def test_an_opt_out_ends_a_conversation_and_its_messages() -> None:
    compiled = a_type(
        "ask: {on_enter: [{send: intro}, {send: tip, after: 9d}], timers: [{after: 20d, go: gave_up}]}",
        always="[{when: 'answer == \"stop\"', go: opted_out}]",
    )
    says = [{"means": {"answer": "stop"}}]
    it = run(compiled, stages={"ask": {"answer": "100%", "after": "1h", "says": says}}, places=[{"timezone": "UTC"}])
    assert it.outcomes == {"won": 0, "lost": 0, "stopped": 50}
    assert (it.messages["tip"], it.cancelled, it.answering) == (0, 50, 50)


def test_shares_of_a_split_come_out_as_declared() -> None:
    compiled = a_type("ask: {split: [{share: 25%, go: bought}, {otherwise: gave_up}]}")
    it = run(compiled, 2_000)
    assert it.outcomes["won"] / 2_000 == pytest.approx(0.25, abs=0.03)


def test_events_move_conversations_and_assignments_are_counted() -> None:
    compiled = a_type(
        """
        ask:
          on_enter: [{assign: {to: desk}}]
          on_event: {paid: {go: bought, do: [{emit: done}]}}
          timers: [{after: 9d, go: gave_up}]
        """
    )
    it = run(compiled, stages={"ask": {"events": {"paid": {"after": "1d", "spread": 1}}}})
    assert it.outcomes["won"] == 50
    assert (it.assigned, it.emitted, it.events) == ({"desk": 50}, {"done": 50}, {"paid": 50})
    assert it.stages[0].stay.median == 86_400


def test_a_conversation_that_the_engine_would_put_aside_counts_as_failed_with_its_reason() -> None:
    closed = {"days": "mon", "from": "09:00", "to": "10:00", "at": ["12:00"]}
    it = silent("ask: {on_enter: [{send: intro}], timers: [{after: 1d, go: gave_up}]}", send_window=closed)
    assert (it.failed, it.under_way, it.sent) == (50, 0, 0)
    assert it.failures == {"the send window never opens again": 50}
    assert "the send window never opens again" in as_html(it, people(a_type()))


class Page(HTMLParser):
    """What a page loads, runs and leaves open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img", "line", "circle", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_report_is_one_file_without_scripts_and_shows_the_figures() -> None:
    them = load_people(TYPES / "b2b_nurture.sim.yaml", NURTURE.spec)
    it = simulate(NURTURE, them, 200, 1)
    page = Page(as_html(it, them))
    assert page.open == []
    assert {"script", "iframe", "link"}.isdisjoint(page.tags)
    assert [each.split(",")[0] for each in page.loads] == ["data:image/svg+xml;base64"]
    assert page.tags.count("svg") >= 5
    for shown in (f"{it.sent:,}", f"{it.stages[1].reached:,} ({it.share(it.stages[1].reached):.1%})", "seed 1"):
        assert shown in as_html(it, them)


def test_what_authors_write_cannot_break_the_report() -> None:
    compiled = a_type("ask: {on_enter: [{send: intro}], timers: [{after: 1d, go: gave_up}]}", title="<b>&</b>")
    says = [{"texts": "</table><script>alert(1)</script>"}]
    them = people(compiled, stages={"ask": {"says": says}})
    page = as_html(replace(simulate(compiled, them, 5, 1), people="<i>.sim.yaml"), them)
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;i&gt;.sim.yaml" in page
