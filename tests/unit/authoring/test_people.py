"""Simulated people: drawn alike for a seed, within what their facts can hold, awake, and understood."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.authoring.replies.sayings import words_for
from engine.authoring.simulation.people import People, Person, Reaction
from engine.authoring.simulation.people_spec import HabitSpec, PeopleSpec
from engine.core.facts import fact_to_json, parse_fact
from engine.core.matchers import MatcherSpec, ResponseSpec
from engine.core.responses import compile_responses
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import OTHER
from tests.unit.builders import a_spec
from tests.unit.core.random_types import random_specs

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ASKING = "ask: {on_enter: [{send: intro}], on_response: [{otherwise: bought}], timers: [{after: 10d, go: gave_up}]}"


def people(spec: CampaignTypeSpec | None = None, **written: Any) -> People:
    return People(PeopleSpec.model_validate(written), spec or a_spec(ASKING))


def somebody(zone: str = "UTC", eagerness: float = 1.0) -> Person:
    return Person(zone, "en", eagerness, NOON)


def answers(them: People, stage: str = "ask", count: int = 500, zone: str = "UTC") -> list[list[Reaction]]:
    habit = them.about_message("intro", stage)
    return [them.answers(habit, somebody(zone), NOON, Random(number)) for number in range(count)]


def test_the_same_random_draws_the_same_person() -> None:
    them = people()
    assert them.person(3, Random("7:3")) == them.person(3, Random("7:3"))
    assert them.person(3, Random("7:3")) != them.person(3, Random("7:4"))


def test_people_begin_all_at_once_or_so_many_a_day() -> None:
    assert {people().person(number, Random(1)).begins_at for number in (0, 999)} == {
        datetime(2026, 3, 2, 9, tzinfo=UTC)
    }
    slowly = people(per_day=100, start="2026-05-01T08:00:00Z")
    days = [slowly.person(number, Random(1)).begins_at.day for number in (0, 99, 100, 250)]
    assert days == [1, 1, 2, 3]


def test_facts_come_from_the_file_with_their_weights() -> None:
    them = people(
        facts={"plan": {"free": 3, "team": 1, "missing": 0}, "seats": "5..7", "vip": True, "name": ["Ann", "Bo"]}
    )
    drawn = [them.person(number, Random(number)).facts for number in range(2_000)]
    plans = Counter(each["plan"] for each in drawn)
    assert plans.keys() == {"free", "team"}
    assert plans["free"] / 2_000 == pytest.approx(0.75, abs=0.05)
    assert {each["seats"] for each in drawn} == {5, 6, 7}
    assert {each["vip"] for each in drawn} == {True}
    assert {each["name"] for each in drawn} == {"Ann", "Bo"}


def test_an_optional_fact_is_missing_now_and_then_by_default() -> None:
    drawn = [people().person(number, Random(number)).facts for number in range(1_000)]
    assert sum("plan" not in each for each in drawn) / 1_000 == pytest.approx(0.2, abs=0.05)


def test_text_and_unbounded_numbers_are_drawn_around_what_guards_ask_for() -> None:
    spec = a_spec("ask: {split: [{when: 'name == \"Zoe\" and score > 5000', go: bought}, {otherwise: gave_up}]}")
    drawn = [people(spec).person(number, Random(number)).facts for number in range(500)]
    assert any(each.get("name") == "Zoe" for each in drawn)
    assert any(each.get("score", 0) > 5000 for each in drawn)
    assert any(each.get("score", 0) < 5000 for each in drawn)


@settings(max_examples=25, deadline=None)
@given(spec=random_specs(), seed=st.integers())
def test_whatever_the_campaign_type_its_people_have_facts_that_it_can_hold(spec: CampaignTypeSpec, seed: int) -> None:
    person = people(spec).person(0, Random(seed))
    for name, kind in spec.facts.items():
        value = person.facts.get(name)
        assert value is not None or kind.optional
        if value is not None:
            cell = str(value).lower() if isinstance(value, bool) else str(value)
            assert parse_fact(kind, cell) == value
            fact_to_json(value)


def test_places_decide_zone_and_locale() -> None:
    them = people(places=[{"timezone": "Asia/Tokyo", "locale": "ja_JP", "weight": 3}, {"timezone": "UTC"}])
    drawn = Counter((it.zone, it.locale) for it in (them.person(n, Random(n)) for n in range(1_000)))
    assert drawn.keys() == {("Asia/Tokyo", "ja_JP"), ("UTC", "en")}
    assert drawn["Asia/Tokyo", "ja_JP"] / 1_000 == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("share", [0, 5, 30, 80, 100])
def test_as_many_answer_as_the_habit_says_though_people_differ(share: int) -> None:
    them = people(stages={"ask": {"answer": f"{share}%"}})
    habit = them.about_message("intro", "ask")
    found = 0
    for number in range(3_000):
        random = Random(number)
        found += bool(them.answers(habit, somebody(eagerness=random.uniform(0, 2)), NOON, random))
    assert found / 3_000 == pytest.approx(share / 100, abs=0.03)


def test_half_of_the_answers_come_within_the_median_and_two_of_three_within_its_spread() -> None:
    awake = {"from": "00:00", "to": "00:00"}
    them = people(awake=awake, stages={"ask": {"answer": "100%", "after": "10h", "spread": 2}})
    hours = [(each[0].at - NOON) / timedelta(hours=1) for each in answers(them, count=2_000)]
    assert sum(each < 10 for each in hours) / 2_000 == pytest.approx(0.5, abs=0.04)
    assert sum(5 < each < 20 for each in hours) / 2_000 == pytest.approx(0.68, abs=0.04)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Pacific/Auckland", "America/St_Johns"])
def test_people_answer_while_it_is_day_where_they_live(zone: str) -> None:
    them = people(awake={"from": "08:00", "to": "20:00"}, stages={"ask": {"answer": "100%"}})
    clocks = [each[0].at.astimezone(ZoneInfo(zone)).time() for each in answers(them, zone=zone)]
    assert min(clocks) >= time(8)
    assert max(clocks) < time(20)


def test_night_workers_answer_at_night() -> None:
    them = people(awake={"from": "22:00", "to": "06:00"}, stages={"ask": {"answer": "100%"}})
    assert {each[0].at.hour for each in answers(them)} <= {22, 23, 0, 1, 2, 3, 4, 5}


def test_an_answer_may_lead_to_an_event_after_it() -> None:
    then = {"event": "paid", "share": "50%", "after": "2h"}
    them = people(stages={"ask": {"answer": "100%", "says": [{"texts": "ok", "then": then}]}})
    found = answers(them)
    both = [each for each in found if len(each) == 2]
    assert len(both) / len(found) == pytest.approx(0.5, abs=0.08)
    assert all(each[1].name == "paid" and each[1].at > each[0].at for each in both)


def test_a_message_with_a_habit_of_its_own_follows_it_and_not_its_stage() -> None:
    them = people(stages={"ask": {"answer": "100%"}}, messages={"intro": {"answer": "0%"}})
    assert answers(them) == [[]] * 500


def test_a_stage_that_sends_something_is_not_answered_for_its_silence() -> None:
    spec = a_spec(f"{ASKING}\nwait: {{on_response: [{{otherwise: bought}}], timers: [{{after: 1d, go: gave_up}}]}}")
    assert people(spec).about_silence("ask") is None
    assert people(spec).about_silence("wait") is not None


def test_events_that_a_stage_waits_for_come_by_default_for_half_of_the_people() -> None:
    spec = a_spec("ask: {on_event: {paid: {go: bought}}, timers: [{after: 10d, go: gave_up}]}")
    them = people(spec)
    found = [them.events(them.stages["ask"], NOON, Random(number)) for number in range(1_000)]
    assert sum(map(len, found)) / 1_000 == pytest.approx(0.5, abs=0.05)
    assert {each.name for reactions in found for each in reactions} == {"paid"}


def test_by_default_people_say_everything_the_stage_asks_about_and_sometimes_that_they_want_to_stop() -> None:
    spec = a_spec(
        "ask: {on_response: [{when: 'answer == \"yes\"', go: bought}, {go: stay}], timers: [{after: 9d, go: gave_up}]}",
        always="[{when: 'answer == \"stop\"', go: opted_out}]",
    )
    habit = people(spec).stages["ask"]
    read = compile_responses(spec.responses)
    said = {read(text)["answer"]: saying.weight for saying in habit.sayings["en"] for text in saying.texts}
    assert said.keys() == {"yes", "no", "other", "stop"}
    assert said["stop"] / sum(said.values()) == pytest.approx(HabitSpec().stop)


RESPONSES: dict[str, ResponseSpec] = {
    "intent": {
        "stop": MatcherSpec(any_word=["stop"]),
        "refuse": MatcherSpec(pattern=r"\b(not|never|\w+n['’]t)\s+(\w+\s+)?accept"),
        "accept": MatcherSpec(any_word=["accept"]),
        "call": MatcherSpec.model_validate({"any_of": [{"phrase": "call me"}, {"beginning": "ring"}]}),
        "all": MatcherSpec(all_words=["both", "words"]),
        "only": MatcherSpec(only_text="OK!"),
        "blank": MatcherSpec(only_phrase="not now"),
        "hidden": MatcherSpec(any_word=["accept"]),
    },
    "rating": MatcherSpec(number="1..5"),
    "on": MatcherSpec(date=True),
    "clock": MatcherSpec(time=True),
    "mail": MatcherSpec(email=True),
    "phone": MatcherSpec(phone="GB"),
}


@pytest.mark.parametrize(
    "means",
    [
        *({"intent": label} for label in (*RESPONSES["intent"], OTHER) if label != "hidden"),  # type: ignore[misc]
        {"rating": 4}, {"rating": None}, {"intent": "accept", "rating": 2}, {"intent": "other", "rating": 5},
        {"on": datetime(2026, 4, 5).date()},  # noqa: DTZ001 - only its day
        {"clock": "14:30"}, {"mail": "ann@example.org"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("locale", ["en", "de_DE", "ja_JP"])
def test_words_are_read_as_they_are_meant(means: dict[str, Any], locale: str) -> None:
    found = list(words_for(RESPONSES, means, locale, NOON))
    assert found
    read = compile_responses(RESPONSES)
    for text in found:
        understood = read(text, locale, "UTC", NOON)
        assert {name: understood.get(name) for name in means} == means


def test_there_are_no_words_for_a_label_that_an_earlier_one_takes_all_texts_of() -> None:
    assert list(words_for(RESPONSES, {"intent": "hidden"}, "en", NOON)) == []
