"""`campaign types diff` compares what files mean: each edit is told once, in the author's words, and no layout is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.diffs.diff import Diff, compare
from engine.authoring.diffs.report import Report
from engine.core.loader import LoadedType, parse_campaign_type
from engine.core.spec import CampaignTypeSpec
from engine.core.yaml_source import Document
from tests.unit.strategies import sources

BASE = """
campaign_type: hello
version: 1
title: Hello
facts: {seats: "int 1..100", plan: "one of [free, team]?", renewal_on: "date?"}
responses:
  answer:
    stop: {any_word: [stop]}
    "yes": {any_word: [yes, sure]}
  rating: {number: 1..5}
channel: email
send_window: {days: mon-fri, from: "09:00", to: "17:00"}
limits: {cooldown: 24h, per_recipient: 5 per 7d}
ends_within: {at_most: 60d, then: gave_up}
priority: [{when: plan == "team", is: high}, {when: seats < 3, is: low}]
start: ask
always:
  - {when: answer == "stop", go: opted_out}
stages:
  ask:
    guidance: Be brief.
    min_stay: 24h
    on_enter: [{send: intro}, {assign: {to: ann}}]
    follow_ups: [{after: 3d, send: bump}, {after: 3d, send: bump}]
    on_response:
      - {when: answer == "yes" and seats > 50, go: call}
      - {when: answer == "yes", go: route}
      - otherwise: gave_up
    on_event:
      opened: {go: stay, do: [{send: tip, after: 4h}], at_most: 1}
    timers:
      - {after: 10d, go: gave_up}
      - {at: renewal_on - 30d 09:00, go: route}
  route:
    split:
      - {when: plan == "team", go: call}
      - {share: 50%, go: sold}
      - otherwise: gave_up
  call:
    visits: {at_most: 2, then: gave_up}
    escalate: [{after: 4 business hours, to: lead}]
    timers: [{after: 5d, go: gave_up}]
exits:
  sold: {outcome: won, on_enter: [{send: thanks}]}
  gave_up: lost
  opted_out: stopped
messages:
  intro: {subject: Hi, text: "Hello"}
  bump: {text: Are you there}
  tip: {text: A tip}
  thanks: {text: Thank you}
"""


OFFICE = "days mon-fri, from 09:00, to 17:00"


def a_type(*edits: tuple[str, str]) -> LoadedType:
    """BASE with texts replaced, each of which must be there."""
    source = BASE
    for old, new in edits:
        assert old in source, old
        source = source.replace(old, new)
    return parse_campaign_type(source, "hello.yaml")


def lines(diff: Diff) -> list[str]:
    """The changes as they are printed, each after its group."""
    found, group = [], ""
    for line in Report(diff).render().splitlines()[1:]:
        if line.startswith("  "):
            found.append(f"{group}: {line.strip()}")
        elif line:
            group = line
    return found


def edited(*edits: tuple[str, str]) -> list[str]:
    return lines(compare(a_type(), a_type(*edits)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title: Hello", "title: Hi", "campaign type: ~ title: Hello → Hi"),
        ("channel: email", "channel: sms", "campaign type: ~ channel: email → sms"),
        ("cooldown: 24h", "cooldown: 25h", "campaign type: ~ limits: cooldown 24h, 5 per 7d → cooldown 25h, 5 per 7d"),
        ("at_most: 60d", "at_most: 61d",
         "campaign type: ~ ends_within: at most 60d, then gave_up → at most 61d, then gave_up"),
        ("seats < 3, is: low", "seats < 4, is: low",
         "campaign type: ~ priority, is low: when seats < 3 → when seats < 4"),
        ('{when: answer == "stop", go: opted_out}', '{when: answer == "stop" or responses > 9, go: opted_out}',
         'campaign type: ~ always, go opted_out: when answer == "stop" → when answer == "stop" or responses > 9'),
        ("[free, team]?", "[free, team, big]?", "facts: ~ plan: one of [free, team]? → one of [free, team, big]?"),
        ("seats: \"int 1..100\",", "seats: \"int 1..100\", vip: bool,", "facts: + vip: bool"),
        ("[yes, sure]", "[yes, ok]", "responses: ~ answer, yes: any_word yes, sure → any_word yes, ok"),
        ("rating: {number: 1..5}", "rating: {number: 1..6}", "responses: ~ rating: number 1..5 → number 1..6"),
        ("guidance: Be brief.", "guidance: Be kind.", "stage ask: ~ guidance: Be brief. → Be kind."),
        ("min_stay: 24h", "min_stay: 1d", "stage ask: ~ min_stay: 24h → 1d"),
        ("assign: {to: ann}", "assign: {to: bob}",
         "stage ask: ~ on_enter: assign to ann, priority normal → assign to bob, priority normal"),
        ("{after: 3d, send: bump}, {after: 3d, send: bump}", "{after: 3d, send: bump}, {after: 4d, send: bump}",
         "stage ask: ~ follow_up, send bump: after 3d → after 4d"),
        ('seats > 50, go: call', 'seats > 60, go: call',
         "stage ask: ~ on_response, go call: "
         'when answer == "yes" and seats > 50 → when answer == "yes" and seats > 60'),
        ('{when: answer == "yes", go: route}', '{when: answer == "yes", go: sold}',
         'stage ask: ~ on_response, when answer == "yes": go route → go sold'),
        ("- otherwise: gave_up\n    on_event",
         "- {when: rating > 3, go: call}\n      - otherwise: gave_up\n    on_event",
         "stage ask: + on_response: when rating > 3, go call (number 3 of 4)"),
        ("after: 4h}], at_most: 1", "after: 5h}], at_most: 1",
         "stage ask: ~ on_event opened, go stay, at most 1: do send tip after 4h → do send tip after 5h"),
        ("at_most: 1}\n    timers", "at_most: 3}\n    timers",
         "stage ask: ~ on_event opened, go stay, do send tip after 4h: at most 1 → at most 3"),
        ("after: 10d, go: gave_up", "after: 12d, go: gave_up", "stage ask: ~ timer, go gave_up: after 10d → after 12d"),
        ("30d 09:00", "30d 10:00",
         "stage ask: ~ timer, go route: at renewal_on - 30d 09:00 → at renewal_on - 30d 10:00"),
        ("share: 50%", "share: 60%", "stage route: ~ split, go sold: share 50% → share 60%"),
        ("visits: {at_most: 2", "visits: {at_most: 3",
         "stage call: ~ visits: at most 2, then gave_up → at most 3, then gave_up"),
        ("to: lead", "to: boss",
         f"stage call: ~ escalation, after 4 business hours ({OFFICE}), priority high: to lead → to boss"),
        ("sold: {outcome: won,", "sold: {outcome: lost,", "exit sold: ~ outcome: won → lost"),
        ("on_enter: [{send: thanks}]", "on_enter: [{send: thanks, after: 1h}]",
         "exit sold: ~ on_enter: send thanks → send thanks after 1h"),
        ("text: A tip", "text: Another tip", "messages: ~ tip, text: A tip → Another tip"),
        ("{subject: Hi,", "{subject: Hey,", "messages: ~ intro, subject: Hi → Hey"),
    ],
)  # fmt: skip
def test_an_edit_is_told_once_where_it_is(old: str, new: str, told: str) -> None:
    assert edited((old, new)) == [told]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version: 1", "version: 2"),
        ("title: Hello", "title:   Hello   # a comment"),
        ("cooldown: 24h", "cooldown: 1440m"),
        ("{cooldown: 24h, per_recipient: 5 per 7d}", "{per_recipient: [5 per 1w, 1 per 24h]}"),
        ("days: mon-fri", "days: [fri, thu, wed, tue, mon]"),
        ('to: "17:00"}', 'to: "17:00", zone: recipient}'),
        ("one of [free, team]?", "one of [team,free]?"),
        ("[yes, sure]", "[Sure, YES]"),
        ("{after: 3d, send: bump}, {after: 3d, send: bump}", "{after: 3d, send: bump, times: 2}"),
        ("after: 4h}], at_most: 1}", "after: 240m, channel: email}], at_most: 1}"),
        ("opened: {go: stay, do: [{send: tip, after: 4h}], at_most: 1}",
         "opened: [{go: stay, do: [{send: tip, after: 4h}], at_most: 1}]"),
        ('answer == "yes" and seats > 50', 'not (answer != "yes" or seats <= 50)'),
        ("seats > 50", "seats >= 51"),
        ('- {when: answer == "stop", go: opted_out}', '- when: answer in ["stop"]\n    go: opted_out'),
        ("- otherwise: gave_up\n    on_event", "- {go: gave_up}\n    on_event"),
        # Two disjoint guards in the other order, one edge in two, and the rest said in words instead of `otherwise`.
        ('- {when: answer == "yes" and seats > 50, go: call}\n      - {when: answer == "yes", go: route}',
         '- {when: answer == "yes" and seats <= 50, go: route}\n      - {when: answer == "yes", go: call}'),
        ('- {when: answer == "yes", go: route}',
         '- {when: answer == "yes" and seats < 9, go: route}\n      - {when: not answer != "yes", go: route}'),
        ("- {after: 10d, go: gave_up}\n      - {at: renewal_on - 30d 09:00, go: route}",
         "- {at: renewal_on -30d 9:00, go: route}\n      - {after: 10d, go: gave_up}"),
        ("  gave_up: lost\n  opted_out: stopped", "  opted_out: {outcome: stopped}\n  gave_up: lost"),
        ("  bump: {text: Are you there}\n  tip: {text: A tip}",
         "  tip: {text: A tip}\n  bump:\n    text: >-\n      Are you\n      there"),
    ],
)  # fmt: skip
def test_another_way_to_write_the_same_is_no_change(old: str, new: str) -> None:
    assert edited((old, new)) == []
    assert "no change in meaning" in Report(compare(a_type(), a_type((old, new)))).render()


def test_the_order_of_edges_is_told_when_it_matters() -> None:
    """The first that matches wins: who has many seats and a high rating would go another way."""
    many, high = "- {when: seats > 50, go: call}", "- {when: rating > 3, go: sold}"
    instead = '- {when: answer == "yes" and seats > 50, go: call}\n      - {when: answer == "yes", go: route}'
    old, new = (a_type((instead, f"{one}\n      {other}")) for one, other in ((many, high), (high, many)))
    assert lines(compare(old, new)) == [
        "stage ask: ~ on_response order: when seats > 50, go call, then when rating > 3, go sold → "
        "when rating > 3, go sold, then when seats > 50, go call"
    ]


def test_an_edge_of_always_counts_even_where_an_earlier_one_takes_its_cases() -> None:
    """In `call` itself the first edge is passed over, and only an unguarded second one then leads away."""
    first = '- {when: answer == "stop", go: opted_out}\n  - {when: seats > 50, go: call}\n  - {when: '
    edges = ("seats <= 50 or plan is missing", "seats < 99 or plan is missing")
    old, new = (
        a_type(('- {when: answer == "stop", go: opted_out}', f"{first}{each}, go: gave_up}}")) for each in edges
    )
    assert len(lines(compare(old, new))) == 1
    assert any("always" in line for line in lines(compare(old, new)))


def test_the_order_of_labels_and_of_priorities_is_told() -> None:
    labels = edited(('    stop: {any_word: [stop]}\n    "yes": {any_word: [yes, sure]}',
                     '    "yes": {any_word: [yes, sure]}\n    stop: {any_word: [stop]}'))  # fmt: skip
    assert labels == ["responses: ~ answer order: stop, any_word stop, then yes, any_word yes, sure → "
                      "yes, any_word yes, sure, then stop, any_word stop"]  # fmt: skip
    rules = ('[{when: plan == "team", is: high}, {when: seats < 3, is: low}]',
             '[{when: seats < 3, is: low}, {when: plan == "team", is: high}]')  # fmt: skip
    assert len(edited(rules)) == 1


def test_a_guard_means_something_else_over_a_wider_domain() -> None:
    """`seats > 50` is `seats == 51` only while there are at most 51 seats."""
    narrow = (("int 1..100", "int 1..51"),)
    wide = (("int 1..100", "int 1..100"), ("seats > 50", "seats == 51"))
    assert edited_between(narrow, (*narrow, ("seats > 50", "seats == 51"))) == []
    assert len(edited_between(narrow, wide)) == 2


def edited_between(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> list[str]:
    return lines(compare(a_type(*old), a_type(*new)))


def test_business_time_changes_with_the_window_it_runs_on() -> None:
    longer = OFFICE.replace("17:00", "18:00")
    assert edited(('to: "17:00"', 'to: "18:00"')) == [
        f"campaign type: ~ send_window: {OFFICE} → {longer}",
        "stage call: ~ escalation, to lead, priority high: "
        f"after 4 business hours ({OFFICE}) → after 4 business hours ({longer})",
    ]


def test_an_added_stage_is_told_with_what_is_in_it_and_a_removed_one_by_its_name() -> None:
    with_stage = ("  call:\n", "  wait:\n    timers: [{after: 1d, go: gave_up}]\n  call:\n")
    use = ("- {after: 10d, go: gave_up}", "- {after: 10d, go: wait}")
    there = compare(a_type(), a_type(with_stage, use))
    assert lines(there) == [
        "stage ask: ~ timer, after 10d: go gave_up → go wait",
        "stage wait: + stage",
        "stage wait: + timer: after 1d, go gave_up",
    ]
    back = compare(a_type(with_stage, use), a_type())
    assert lines(back)[-1] == "stage wait: - stage"


def test_every_change_has_a_place_in_the_file_that_has_it() -> None:
    old, new = a_type(), a_type(("after: 5d", "after: 6d"), ("\n      - {at: renewal_on - 30d 09:00, go: route}", ""))
    diff = compare(old, new)
    places = {change.sign: diff.position(change) for change in diff.changes}
    assert new.document.lines[places["~"][1] - 1].strip() == "timers: [{after: 6d, go: gave_up}]"
    assert old.document.lines[places["-"][1] - 1].strip() == "- {at: renewal_on - 30d 09:00, go: route}"


def shuffled(data: Any, draw: Any) -> Any:
    """The same data with the keys of every mapping in another order, but for labels, which are tried in order."""
    if isinstance(data, list):
        return [shuffled(each, draw) for each in data]
    if not isinstance(data, dict):
        return data
    return {
        key: data[key] if key == "responses" else shuffled(data[key], draw) for key in draw(st.permutations(list(data)))
    }


def loaded(source: dict[str, Any]) -> LoadedType:
    return LoadedType(CampaignTypeSpec.model_validate(source), Document("", "random"), "")


@settings(max_examples=25, deadline=None)
@given(source=sources(), data=st.data())
def test_the_order_of_keys_never_matters(source: dict[str, Any], data: Any) -> None:
    assert compare(loaded(source), loaded(shuffled(source, data.draw))).changes == ()


@settings(max_examples=25, deadline=None)
@given(old=sources(), new=sources())
def test_two_types_differ_both_ways_or_not_at_all(old: dict[str, Any], new: dict[str, Any]) -> None:
    there, back = compare(loaded(old), loaded(new)), compare(loaded(new), loaded(old))
    assert bool(there.changes) == bool(back.changes)
    assert Report(there).render()
    added = {change.stage for change in there.changes if change.noun == "stage" and change.sign == "+"}
    assert added == new["stages"].keys() - old["stages"].keys()
    assert added == {change.stage for change in back.changes if change.noun == "stage" and change.sign == "-"}
