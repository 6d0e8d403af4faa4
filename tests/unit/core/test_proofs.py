"""The proofs hold: nobody ever breaks a bound, and the ways to the exits lead there."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from engine.authoring.scenarios.playback import Playback
from engine.core.durations import parse_duration
from engine.core.machine import compile_campaign_type
from engine.core.model import Event, new_conversation
from engine.core.proofs import prove
from engine.core.proofs.search import START, Path
from engine.core.proofs.spans import CLOCK_CHANGE, longest, shortest
from engine.core.spec import CampaignTypeSpec
from engine.core.windows import Window, parse_days
from tests.unit.builders import a_spec
from tests.unit.core.random_types import CHANNEL_OF, ZONES, Person, random_people, random_specs

_lives = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


def played(spec: CampaignTypeSpec, person: Person, until: timedelta) -> Playback:
    """A conversation lived through on time, until it must be over."""
    compiled = compile_campaign_type(spec)
    conversation = new_conversation(person.key, person.start, zone=person.zone, facts=person.facts)
    play = Playback(compiled, conversation, person.start)
    for arrival in person.arrivals:
        at = person.start + arrival.after
        play.run(at, through=False)
        if arrival.reply is not None:
            play.receive(Event("response", at, text=arrival.reply), compiled)
        else:
            play.receive(Event("event", at, name=arrival.event or ""), compiled)
    play.run(max(person.start + until, play.now))
    return play


def entries(play: Playback) -> list[tuple[str, datetime]]:
    return [(done.name.split()[1], done.at) for done in play.log if done.name.startswith("entered ")]


@_lives
@given(random_specs(), st.lists(random_people, min_size=1, max_size=4))
def test_no_conversation_breaks_a_proved_bound(spec: CampaignTypeSpec, people: list[Person]) -> None:
    proofs = prove(spec)
    for person in people:
        play = played(spec, person, proofs.longest)
        assert play.conversation.status != "active"
        for name, at in entries(play):
            arrival = proofs.arrivals[name]
            assert arrival.earliest <= at - person.start <= arrival.latest <= proofs.longest
        channels = Counter(CHANNEL_OF[done.name] for done in play.sent)
        assert len(play.sent) <= proofs.messages
        assert all(count <= proofs.by_channel[channel] for channel, count in channels.items())
        if len(play.sent) == proofs.messages:
            event("the most messages")
        reachable = proofs.exits[play.conversation.stage or ""].reachable
        assert reachable is not False
        event(f"reachable: {reachable}")


def replayed(spec: CampaignTypeSpec, path: Path) -> str | None:
    """Where a path's moves lead, every response being understood as the path says."""
    said = {move.text: move.values for move in path.moves if move.kind == "reply"}
    compiled = compile_campaign_type(spec)._replace(read=lambda text, *_: said[text])
    facts = {name: value for name, value in path.facts.items() if value is not None}
    play = Playback(compiled, new_conversation("proof", START, facts=facts, splits=path.splits), START)
    for move in path.moves:
        play.run(move.at, through=move.kind == "wait")
        if move.kind != "wait":
            kind, name = ("response", "") if move.kind == "reply" else ("event", move.text)
            play.receive(Event(kind, move.at, name=name, text=move.text), compiled)  # type: ignore[arg-type]
        play.run(move.at)
    return play.conversation.stage


@_lives
@given(random_specs())
def test_the_way_shown_to_an_exit_leads_there(spec: CampaignTypeSpec) -> None:
    for name, exit in prove(spec).exits.items():
        if exit.witness is not None:
            assert replayed(spec, exit.witness.path) == name
            assert exit.witness.steps
        event(f"reachable: {exit.reachable}")


def big_spec(count: int) -> CampaignTypeSpec:
    """A chain of stages with loops back, guards over facts and responses, splits, and exits at its far end."""
    stages = {}
    for at in range(count):
        following = f"s{at + 1}" if at + 1 < count else "bought"
        guard = ["vip", 'plan == "team"', "seats > 10", "not vip"][at % 4]
        stages[f"s{at}"] = {
            "on_enter": [{"send": "intro"}],
            "on_response": [
                {"when": f'answer == "yes" and {guard}', "go": following},
                {"when": 'answer == "no"', "go": f"s{max(at - 3, 0)}"},
                {"otherwise": "stay"},
            ],
            "timers": [{"after": "5d", "go": following}],
            "visits": {"at_most": 2, "then": "gave_up"},
        }
    for at in range(0, count, 5):
        stages[f"s{at}"]["on_event"] = {"opened": {"go": "stay", "do": [{"send": "tip"}], "at_most": 2}}
        stages[f"s{at}"]["follow_ups"] = [{"after": "1d", "send": "bump", "times": 2}]
    return a_spec(stages=stages, start="s0", always='[{when: answer == "stop", go: opted_out}]')  # type: ignore[arg-type]


def test_sixty_stages_with_two_hundred_edges_are_proved_exits_and_all() -> None:
    proofs = prove(big_spec(60))
    assert all(exit.reachable for exit in proofs.exits.values())
    assert not proofs.exact  # sixty bounded stages in one loop
    assert timedelta(days=5 * 60) <= proofs.nominal <= timedelta(days=5 * 60 * 3)


def test_the_longest_conversation_goes_round_a_loop_as_often_as_visits_let_it() -> None:
    spec = a_spec(
        """
        ask: {visits: {at_most: 3, then: gave_up}, on_enter: [{send: intro}], timers: [{after: 10h, go: nap}]}
        nap: {on_enter: [{send: bump}], timers: [{after: 1h, go: ask}]}
        """
    )
    proofs = prove(spec)
    assert (proofs.longest, proofs.messages, proofs.exact) == (timedelta(hours=33), 6, True)
    assert proofs.arrivals["ask"].latest == timedelta(hours=22)
    assert proofs.arrivals["gave_up"] == (timedelta(hours=11), timedelta(hours=33))


def test_a_loop_with_too_many_states_is_bounded_all_the_same_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = """
        ask: {visits: {at_most: 3, then: gave_up}, on_enter: [{send: intro}], timers: [{after: 10h, go: nap}]}
        nap: {on_enter: [{send: bump}], timers: [{after: 1h, go: ask}]}
    """
    exact = prove(a_spec(stages))
    monkeypatch.setattr("engine.core.proofs.bounds.MOST_STATES", 2)
    coarse = prove(a_spec(stages))
    assert not coarse.exact
    assert coarse.longest >= exact.longest
    assert coarse.messages >= exact.messages
    assert "wide" in coarse.render()


def test_ends_within_caps_the_longest_conversation_and_every_arrival() -> None:
    spec = a_spec(
        "ask: {timers: [{after: 9d, go: nap}]}\nnap: {on_response: [{otherwise: bought}]}",
        ends_within="{at_most: 240h, then: gave_up}",
    )
    proofs = prove(spec)
    assert proofs.longest == timedelta(days=10)
    assert proofs.arrivals["nap"].latest == timedelta(days=9, hours=2)
    assert proofs.arrivals["gave_up"].earliest == timedelta(days=10)


def test_messages_are_counted_by_channel_with_stays_follow_ups_and_exits() -> None:
    spec = a_spec(
        """
        ask:
          on_enter: [{send: intro}, {send: intro, channel: sms}]
          follow_ups: [{after: 1h, send: bump, times: 3, channel: sms}]
          on_event: {opened: {go: stay, do: [{send: tip}], at_most: 2}}
          timers: [{after: 30h, go: stay, do: [{send: tip}]}, {after: 40h, go: bought, do: [{send: goodbye}]}]
        """,
        exits="{bought: {outcome: won, on_enter: [{send: goodbye, channel: sms}]}}",
    )
    proofs = prove(spec)
    assert proofs.by_channel == {"email": 5, "sms": 5}
    assert proofs.messages == 10
    assert "most messages to one recipient: 10 (5 by email, 5 by sms)" in proofs.render()


def test_an_opt_out_sends_nothing() -> None:
    spec = a_spec(
        "ask: {timers: [{after: 1h, go: gave_up}]}",
        always='[{when: answer == "stop", go: opted_out, do: [{send: tip}]}]',
    )
    assert prove(spec).messages == 0


def test_a_witness_tells_the_facts_that_all_its_guards_ask_for() -> None:
    spec = a_spec(
        """
        ask: {timers: [{after: 1h, when: plan == "team", go: sort}, {after: 2h, go: gave_up}]}
        sort: {split: [{when: seats >= 200 and plan == "team", go: bought}, {otherwise: gave_up}]}
        """
    )
    witness = prove(spec).exits["bought"].witness
    assert witness is not None
    assert witness.facts["plan"] == "team"
    assert witness.facts["seats"] >= 200
    assert [step.cause for step in witness.steps] == [
        'after 1h when plan == "team"',
        'seats >= 200 and plan == "team"',
    ]


def test_an_exit_behind_guards_that_contradict_each_other_has_no_witness() -> None:
    spec = a_spec(
        """
        ask: {timers: [{after: 1h, when: plan == "team", go: sort}, {after: 2h, go: gave_up}]}
        sort: {split: [{when: plan == "free", go: bought}, {otherwise: gave_up}]}
        """
    )
    proofs = prove(spec)
    assert proofs.exits["bought"].reachable is None
    assert proofs.exits["opted_out"].reachable is False
    assert "exit bought: no way there was found" in proofs.render()


def test_a_share_on_the_way_is_fixed_by_the_witness() -> None:
    spec = a_spec(
        """
        ask: {timers: [{after: 1h, go: sort}]}
        sort: {split: [{share: 1%, go: bought}, {otherwise: gave_up}]}
        """
    )
    exits = prove(spec).exits
    assert exits["bought"].witness is not None
    assert exits["bought"].witness.splits == {"sort": "bought"}
    assert exits["gave_up"].reachable


def test_a_timer_at_a_date_is_reached_by_somebody_with_that_date() -> None:
    spec = a_spec(
        "ask: {timers: [{at: renewal_on - 3d 09:00, go: bought}, {after: 10d, go: gave_up}]}",
        facts={"renewal_on": "date?"},
    )
    witness = prove(spec).exits["bought"].witness
    assert witness is not None
    assert [step.cause for step in witness.steps] == ["at renewal_on - 3d 09:00"]


def test_ends_within_is_reached_late_where_early_answers_never_come_to_it() -> None:
    spec = a_spec(
        "ask: {visits: {at_most: 3, then: bought}, timers: [{after: 3d, go: ask}]}",
        ends_within="{at_most: 100h, then: gave_up}",
    )
    assert prove(spec).exits["gave_up"].reachable


def test_no_zone_moves_its_clocks_by_more_than_the_bound_allows() -> None:
    for name in available_timezones():
        zone = ZoneInfo(name)
        days = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=10 * step) for step in range(110))
        offsets = {day.astimezone(zone).utcoffset() or timedelta() for day in days}
        assert max(offsets) - min(offsets) <= CLOCK_CHANGE, name


_windows = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.sampled_from([time(0), time(9), time(22, 30)]),
    st.sampled_from([time(0), time(9), time(17), time(3)]),
    st.sampled_from([None, "Europe/Berlin"]),
    st.sampled_from([(), ("US",), ("DE-BY", "GB")]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.builds("{}{}".format, st.integers(0, 30), st.sampled_from(["h", "d", "w"])),
        st.builds("{} business {}".format, st.integers(0, 40), st.sampled_from(["hours", "days"])),
    ),
    _windows,
    st.integers(0, 12 * 365 * 86_400).map(
        lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    ),
    st.sampled_from(ZONES),
)
def test_a_duration_is_never_shorter_or_longer_than_its_bounds(
    text: str, window: Window, start: datetime, zone: str
) -> None:
    duration = parse_duration(text)
    assert shortest(duration) <= duration.after(start, zone, window) - start <= longest(duration, window)


def test_the_worst_start_of_business_time_is_found_over_weekends_and_holidays() -> None:
    office = Window(parse_days("mon-fri"), time(9), time(17), None)
    assert longest(parse_duration("1 business day"), office) == timedelta(days=3) + CLOCK_CHANGE
    at_closing_on_friday = timedelta(days=2, hours=16 + 4)
    assert longest(parse_duration("4 business hours"), office) <= at_closing_on_friday + 2 * CLOCK_CHANGE
    england = Window(parse_days("mon-fri"), time(9), time(17), None, ("GB-ENG",))
    easter = longest(parse_duration("1 business day"), england)
    assert timedelta(days=5) <= easter <= timedelta(days=7)


def test_where_a_full_stage_sends_on_to_has_an_arrival_when_one_edge_alone_leads_there() -> None:
    spec = a_spec(
        """
        ask: {visits: {at_most: 2, then: bought}, timers: [{after: 1h, go: sort}]}
        sort: {visits: {at_most: 1, then: gave_up}, split: [{otherwise: nap}]}
        nap: {timers: [{after: 1h, go: ask}]}
        """
    )
    assert prove(spec).arrivals["gave_up"].latest == timedelta(hours=3)
