"""What is written of a conversation is what is read of it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.model import Conversation, Due, Held, Rank
from engine.db.progress import EVERYTHING, ConversationCodec, dump_context, dump_progress, find_awaited
from tests.unit.builders import a_type

CODEC = ConversationCodec(
    a_type(
        facts={
            "name": "text",
            "seats": "int?",
            "price": "number?",
            "since": "date?",
            "met_at": "datetime?",
            "vip": "bool?",
            "plan": "one of [free, team]?",
        },
        responses="{answer: {stop: {any_word: [stop]}}, words: {text: true}, figure: {number: true}, "
        "day: {date_gt: '2000-01-01'}, hour: {any_of: [{time: true}, {phone: true}]}, few: {number_lt: 9}}",
    )
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["awaits", "held", '"', "\\"])
instants = st.datetimes(timezones=st.just(UTC))
counts = st.integers(0, 1000)
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**8), max_value=10**8) | st.builds(
    Decimal, st.from_regex(r"-?[0-9]{1,36}(\.[0-9]{1,36})?", fullmatch=True)
)
facts = st.fixed_dictionaries(
    {"name": texts},
    optional={
        "seats": st.integers(-(10**18) + 1, 10**18 - 1),
        "price": numbers,
        "since": st.dates(),
        "met_at": instants,
        "vip": st.booleans(),
        "plan": st.sampled_from(["free", "team"]),
    },
)
captured = st.fixed_dictionaries(
    {},
    optional={
        "answer": st.sampled_from(["stop", "other"]),
        "words": texts | st.dates().map(str),
        "figure": numbers,
        "day": st.dates(),
        "hour": st.times().map(str),
        "few": numbers,
    },
)
tallies = st.dictionaries(st.sampled_from(["ask", "awaits", "always[0]", "started_at"]), st.integers(1, 9), max_size=3)
conversations = st.builds(
    Conversation,
    id=st.just(UUID(int=7)),
    facts=facts,
    captured=captured,
    agenda=st.lists(st.builds(Due, instants, st.sampled_from(Rank), counts), max_size=4).map(tuple),
    held=st.lists(st.builds(Held, texts, captured, counts, counts, counts), max_size=2).map(tuple),
    responses=counts,
    responses_total=counts,
    follow_ups_sent=counts,
    visits=tallies,
    used=tallies,
    follow_up=counts,
    awaits=st.none() | st.tuples(counts, counts),
    unsent=st.booleans(),
)


def written(it: Conversation) -> tuple[str, str]:
    return orjson.dumps(dump_context(it)).decode(), orjson.dumps(dump_progress(it)).decode()


def read(context: str, progress: str, pending: list[datetime]) -> Conversation:
    it = Conversation(UUID(int=7))
    CODEC.load(it, CODEC.context(context), progress, pending)
    it.facts, it.captured = dict(it.facts), dict(it.captured)
    return it


def pending(it: Conversation) -> list[datetime]:
    return [due.at for due in it.agenda]


@given(conversations)
def test_a_conversation_is_read_as_it_was_written(it: Conversation) -> None:
    context, progress = written(it)
    again = read(context, progress, pending(it))
    assert again == it
    assert [type(value) for value in again.facts.values()] == [type(value) for value in it.facts.values()]
    assert [type(value) for value in again.captured.values()] == [type(value) for value in it.captured.values()]
    assert written(again) == (context, progress)
    assert find_awaited(progress) == it.awaits


@given(conversations, conversations)
def test_those_who_wait_for_the_same_at_other_times_write_the_same_progress(
    it: Conversation, other: Conversation
) -> None:
    agenda = [Due(datetime(2026, 3, 2, tzinfo=UTC), due.rank, due.number) for due in it.agenda]
    assert written(replace(it, agenda=tuple(agenda)))[1] == written(it)[1]
    assert written(replace(it, facts=other.facts))[1] == written(it)[1]


def test_more_or_fewer_instants_than_things_to_wait_for_are_refused() -> None:
    for instants in ([], [datetime(2026, 3, 2, tzinfo=UTC)] * 2):
        with pytest.raises(ValueError, match="argument 2"):
            read("{}", '{"agenda": [[0, 0]]}', instants)


def test_a_context_remembers_what_was_read_of_it_in_order() -> None:
    context = CODEC.context('{"facts": {"seats": 3, "since": "2026-03-02", "name": "Ann"}, "captured": {"figure": 2}}')
    it = Conversation(UUID(int=7))
    CODEC.load(it, context, "{}", [])
    assert it.facts.get("since") == date(2026, 3, 2)
    assert "price" not in it.facts
    assert it.captured["figure"] == Decimal(2)
    assert list(context.reads) == [("facts", "since"), ("facts", "price"), ("captured", "figure")]
    assert dict(it.facts) == {"seats": 3, "since": date(2026, 3, 2), "name": "Ann"}
    assert list(context.reads)[3] == EVERYTHING


def test_a_fresh_conversation_writes_nothing_but_what_it_waits_for() -> None:
    it = Conversation(UUID(int=7), agenda=(Due(datetime(2026, 3, 2, tzinfo=UTC), Rank.BEGIN),))
    assert dump_progress(it).keys() == {"agenda"}


def test_a_captured_number_may_be_kept_in_a_whole_number_fact() -> None:
    values: dict[str, Any] = {"name": "", "seats": Decimal("0.1"), "since": date(2026, 3, 2)}
    again = read(*written(Conversation(UUID(int=7), facts=values)), [])
    assert again.facts == values
