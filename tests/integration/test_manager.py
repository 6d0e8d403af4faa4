"""The manager's promises: what it finds, what it changes, what it only looks at, and what it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from engine.core.errors import CampaignError, DecisionError, RefusedError, UnknownError
from engine.db.database import Database
from engine.manager import CampaignManager
from tests.integration.builders import House, after, conversation_of, people, person, talk

CHOOSY = talk(
    ("[{send: offer, after: 2h}]", "[{send: offer, after: 2h}, {send: thanks, when: seats > 5 and price >= 9.99}]"),
    ("[{after: 30d, go: gave_up}]", "[{after: 48h, when: seats > 5, go: human}, {after: 30d, go: gave_up}]"),
)


@pytest.fixture
def house(database: Database) -> House:
    return House(database)


# ---- finding -----------------------------------------------------------------------------------------------------


async def test_pages_of_conversations_together_are_everybody_once(house: House) -> None:
    campaign = await house.campaign(people(25))
    await house.campaign(people(5), name="Other")
    found: list[str] = []
    while page := await house.manager.list_conversations(campaign, limit=7, after=found[-1] if found else None):
        assert len(page) <= 7
        found += [row["id"] for row in page]
    assert len(found) == 25
    assert set(found) == {conversation_of(campaign, f"p{number}") for number in range(25)}


async def test_pending_conversations_come_in_the_order_they_are_due_and_can_be_narrowed(house: House) -> None:
    campaign = await house.campaign(people(9))
    await house.run()
    for number in (4, 2, 7):
        await house.wait("1h").reply(campaign, "yes", f"p{number}")
        await house.tick()
    await house.manager.mark_conversation_complete(conversation_of(campaign, "p0"))
    pending = await house.manager.get_pending_conversations(campaign)
    assert len(pending) == 8
    assert [row["due_at"] for row in pending] == sorted(row["due_at"] for row in pending)
    offers = await house.manager.get_pending_conversations(campaign, stage="offer")
    assert [row["recipient"] for row in offers] == ["p4", "p2", "p7"]
    assert [row["recipient"] for row in await house.manager.get_pending_conversations(campaign, "offer", 2)] == [
        "p4",
        "p2",
    ]
    (over,) = await house.manager.get_pending_conversations(campaign, status="completed")
    assert (over["recipient"], over["status"], over["due_at"]) == ("p0", "completed", None)
    assert await house.manager.get_pending_conversations(campaign, stage="human") == []


async def test_a_conversation_is_told_with_its_facts_and_history(house: House) -> None:
    campaign = await house.campaign([person("ann", seats=7, since="2026-02-01", price="9.50")])
    await house.run()
    ann = await house.manager.get_conversation(conversation_of(campaign))
    assert ann["context"]["facts"] == {"first_name": "Ann", "seats": 7, "since": "2026-02-01", "price": 9.5}
    assert (ann["campaign_id"], ann["recipient"], ann["timezone"]) == (campaign, "ann", "UTC")
    (row,) = await house.manager.get_conversation_history(conversation_of(campaign))
    assert {name: row[name] for name in ("seq", "from_stage", "to_stage", "cause", "entered", "sends")} == {
        "seq": 1, "from_stage": None, "to_stage": "hello", "cause": "start", "entered": True, "sends": 1,
    }  # fmt: skip


async def test_campaigns_are_listed_newest_first_and_enrolment_is_idempotent(house: House) -> None:
    first = await house.campaign(people(3))
    house.wait("1m")
    second = await house.campaign(people(3), name="Second")
    assert [row["id"] for row in await house.manager.list_campaigns()] == [second, first]
    assert await house.manager.initialize_campaign_conversations(first) == 0
    assert (await house.manager.get_campaign_metrics(first))["total_conversations"] == 3


# ---- one conversation --------------------------------------------------------------------------------------------


async def test_evaluating_tells_what_a_tick_would_do_and_writes_nothing(house: House) -> None:
    campaign = await house.campaign([person("ann", seats=3)], CHOOSY)
    id = conversation_of(campaign)
    await house.run()
    assert (await house.manager.evaluate_stage_progression(id, {}))[:2] == (False, "hello")
    await house.at("1h").reply(campaign, "yes")
    before = await house.everything()
    moves, stage, state = await house.manager.evaluate_stage_progression(id, {})
    assert (moves, stage, [step["to"] for step in state["steps"]]) == (True, "offer", ["offer"])
    assert [effect["name"] for effect in state["effects"] if effect["kind"] == "send"] == ["offer"]
    assert (state["seq"], state["context"]["captured"]["intent"]) == (2, "yes")
    what_if = {"facts": {"seats": 6, "price": Decimal("9.99")}}
    _, _, state = await house.manager.evaluate_stage_progression(id, what_if)
    assert [effect["name"] for effect in state["effects"] if effect["kind"] == "send"] == ["offer", "thanks"]
    told = await house.manager.get_conversation(id)
    assert (await house.manager.evaluate_stage_progression(id, told))[:2] == (moves, stage)
    assert await house.everything() == before
    await house.tick()
    assert (await house.conversation(campaign))["stage"] == stage


async def test_advancing_does_for_one_what_a_tick_would_do_for_all(house: House) -> None:
    campaign = await house.campaign(people(3))
    moved = await house.manager.advance_conversation_stage(conversation_of(campaign, "p1"))
    assert (moved["stage"], moved["seq"]) == ("hello", 1)
    assert (await house.manager.advance_conversation_stage(moved["id"])) == moved
    assert (await house.tick()).advanced == 2
    assert await house.violations() == []


async def test_changed_facts_keep_their_types_and_wake_the_conversation(house: House) -> None:
    campaign = await house.campaign(source=CHOOSY)
    id = conversation_of(campaign)
    await house.run()
    given = {"seats": 8, "price": Decimal("10.25"), "since": date(2026, 1, 2), "met_at": after("1h"), "note": "x" * 99}
    changed = await house.manager.update_conversation_state(id, given)
    assert changed["due_at"] == house.clock.instant
    assert changed["context"]["facts"] == {
        "first_name": "Ann", "seats": 8, "price": 10.25, "since": "2026-01-02", "met_at": after("1h").isoformat(),
        "note": "x" * 99,
    }  # fmt: skip
    await house.reply(campaign, "yes")
    await house.run()
    assert ("thanks", "sent") in await house.messages(campaign)
    await house.at("49h").tick()
    assert (await house.conversation(campaign))["stage"] == "human"
    gone = await house.manager.update_conversation_state(id, {"seats": None, "note": ""})
    assert {gone["context"]["facts"].get(name) for name in ("seats", "note")} == {None}
    assert await house.violations() == []


async def test_completing_ends_a_conversation_where_it_stands_whatever_is_due(house: House) -> None:
    campaign = await house.campaign(people(2))
    await house.tick()
    house.at("20d")
    ended = await house.manager.mark_conversation_complete(conversation_of(campaign, "p0"))
    assert (ended["stage"], ended["status"], ended["due_at"]) == ("hello", "completed", None)
    assert await house.causes(campaign, "p0") == ["start -> hello", "completed -> hello"]
    assert await house.messages(campaign, "p0") == [("hello", "cancelled")]
    with pytest.raises(RefusedError, match="is completed already"):
        await house.manager.mark_conversation_complete(ended["id"])
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert (metrics["completed"], metrics["active"]) == (1, 1)
    assert await house.violations() == []


async def test_what_cannot_be_decided_is_told_and_changes_nothing(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.set_conversation(campaign, "ann", "stage = 'gone'")
    before = await house.everything()
    id = conversation_of(campaign)
    for call in (house.manager.advance_conversation_stage(id), house.manager.evaluate_stage_progression(id, {})):
        with pytest.raises(DecisionError, match="'gone'"):
            await call
    assert await house.everything() == before


# ---- figures -----------------------------------------------------------------------------------------------------


async def test_figures_are_exactly_what_history_and_outbox_say(house: House) -> None:
    campaign = await house.campaign(people(12))
    await house.run()
    for number in range(8):
        await house.at(f"{number + 1}h").reply(campaign, "yes" if number < 5 else "hm", f"p{number}")
        await house.tick()
    await house.live("60h")
    for number in range(3):
        await house.reply(campaign, "yes", f"p{number}")
    await house.live("70h")
    metrics = await house.manager.get_campaign_metrics(campaign)
    assert await house.violations() == []
    assert (metrics["total_conversations"], metrics["active"], metrics["outcomes"]) == (12, 9, {"won": 3})
    assert (metrics["messages_received"], metrics["response_rate"]) == (11, round(8 / 12, 4))
    sent = len(await house.sql("SELECT FROM campaign_engine.outbox WHERE status = 'sent'"))
    assert metrics["messages_sent"] == len(house.mail.left) == sent
    hello = metrics["stages"]["hello"]
    assert (hello["entered"], hello["completed"], hello["current"]) == (12, 8, 4)
    assert (hello["completion_rate"], hello["response_rate"]) == (round(8 / 12, 4), round(8 / 12, 4))
    assert hello["average_seconds"] == sum(3600 * hours for hours in range(1, 9)) / 8
    assert set(metrics["stages"]) == {"hello", "offer", "human"}


async def test_figures_are_kept_for_their_time_and_nobody_can_spoil_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("engine.manager.monotonic", lambda: clock[0])
    manager = house.with_settings(campaign_metrics_ttl=600.0).manager
    campaign = await house.campaign()
    first = await manager.get_campaign_metrics(campaign)
    first["stages"]["hello"] = "spoiled"
    await house.tick()
    clock[0] += 599
    assert (await manager.get_campaign_metrics(campaign))["stages"] == {}
    clock[0] += 1
    assert (await manager.get_campaign_metrics(campaign))["stages"]["hello"]["entered"] == 1


# ---- what makes no sense -----------------------------------------------------------------------------------------

Call = Callable[[CampaignManager, str, str], Awaitable[Any]]
UNKNOWN: dict[str, Call] = {
    "campaign": lambda m, _, no: m.get_campaign(no),
    "enrol": lambda m, _, no: m.initialize_campaign_conversations(no),
    "pause": lambda m, _, no: m.pause_campaign(no),
    "resume": lambda m, _, no: m.resume_campaign(no),
    "cancel": lambda m, _, no: m.cancel_campaign(no),
    "metrics": lambda m, _, no: m.get_campaign_metrics(no),
    "pending": lambda m, _, no: m.get_pending_conversations(no),
    "list": lambda m, _, no: m.list_conversations(no),
    "after": lambda m, campaign, no: m.list_conversations(campaign, after=no),
    "conversation": lambda m, _, no: m.get_conversation(no),
    "history": lambda m, _, no: m.get_conversation_history(no),
    "evaluate": lambda m, _, no: m.evaluate_stage_progression(no, {}),
    "advance": lambda m, _, no: m.advance_conversation_stage(no),
    "update": lambda m, _, no: m.update_conversation_state(no, {}),
    "complete": lambda m, _, no: m.mark_conversation_complete(no),
    "explain": lambda m, _, no: m.explain_conversation(no),
    "response": lambda m, _, no: m.record_response(no, "ann", "hi"),
    "event": lambda m, _, no: m.record_event(no, "ann", "opened"),
}


async def test_an_unknown_id_is_told_with_the_next_step_by_every_method(house: House) -> None:
    campaign = await house.campaign()
    before = await house.everything()
    for name, call in UNKNOWN.items():
        for unknown in (str(uuid4()), "nonsense", "", "00000000-0000-0000-0000-0000000000ff", "\0"):
            with pytest.raises(UnknownError, match=r"^unknown (campaign|conversation)") as caught:
                await call(house.manager, campaign, unknown)
            assert caught.value.hint, name
    assert await house.everything() == before


WRONG: list[tuple[str, Call]] = [
    ("unknown stage 'helo'(.|\n)*hello", lambda m, campaign, _: m.get_pending_conversations(campaign, "helo")),
    ("unknown status 'done'(.|\n)*completed", lambda m, campaign, _: m.list_conversations(campaign, status="done")),
    ("limit from 1", lambda m, campaign, _: m.get_pending_conversations(campaign, limit=0)),
    ("limit from 1", lambda m, campaign, _: m.list_conversations(campaign, limit=-1)),
    ("unknown stage 'helo'", lambda m, campaign, _: m.list_conversations(campaign, stage="helo")),
    ("unknown fact 'seat'(.|\n)*seats", lambda m, _, one: m.update_conversation_state(one, {"seat": 1})),
    ("fact seats: expected int", lambda m, _, one: m.update_conversation_state(one, {"seats": "many"})),
    ("fact seats: expected int", lambda m, _, one: m.update_conversation_state(one, {"seats": 1.5})),
    ("fact since: expected a date", lambda m, _, one: m.update_conversation_state(one, {"since": "2026-02-30"})),
    ("fact first_name", lambda m, _, one: m.update_conversation_state(one, {"first_name": None})),
    ("fact note: expected text", lambda m, _, one: m.update_conversation_state(one, {"note": "\0"})),
    ("fact note", lambda m, _, one: m.update_conversation_state(one, {"note": "\ud800"})),
    ("fact note: expected", lambda m, _, one: m.update_conversation_state(one, {"note": ["a"]})),
    ("unknown fact 'seat'", lambda m, _, one: m.evaluate_stage_progression(one, {"facts": {"seat": 1}})),
    ("fact seats: expected int", lambda m, _, one: m.evaluate_stage_progression(one, {"facts": {"seats": "x"}})),
    ("unknown response 'int'", lambda m, _, one: m.evaluate_stage_progression(one, {"captured": {"int": "x"}})),
    ("response words", lambda m, _, one: m.evaluate_stage_progression(one, {"captured": {"words": ["x"]}})),
]  # fmt: skip


async def test_what_makes_no_sense_is_refused_with_what_was_expected_and_changes_nothing(house: House) -> None:
    campaign = await house.campaign()
    before = await house.everything()
    for expected, call in WRONG:
        with pytest.raises(CampaignError, match=expected):
            await call(house.manager, campaign, conversation_of(campaign))
    assert await house.everything() == before


async def test_explaining_tells_where_a_conversation_stands_and_changes_nothing(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    await house.manager.record_event(campaign, "ann", "opened", received_at=after("1h"))
    before = await house.everything()
    told = await house.manager.explain_conversation(conversation_of(campaign))
    assert (told["stage"], told["status"], told["campaign_type"]) == ("hello", "active", "talk@1")
    assert [each["kind"] for each in told["waiting"]] == ["event"]
    assert {way["target"] for way in told["ways"]} >= {"offer", "human", "gave_up", "opted_out"}
    assert await house.everything() == before


async def test_times_given_to_the_manager_may_be_in_any_zone(house: House) -> None:
    campaign = await house.campaign()
    await house.run()
    at = datetime.fromisoformat("2026-03-02T14:30:00+05:30")
    await house.at("1h").reply(campaign, "yes", received_at=at)
    await house.tick()
    ((received,),) = await house.sql("SELECT received_at FROM campaign_engine.responses")
    assert received == at == after("0h")
    assert (await house.conversation(campaign))["entered_at"] - received == timedelta(hours=1)
