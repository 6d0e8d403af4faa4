"""What was decided once is found again by those who would have given the same answers, and by nobody else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.model import Conversation
from engine.db.progress import ConversationCodec
from engine.memo import Memo
from tests.unit.builders import a_type

CODEC = ConversationCodec(a_type(facts={"seats": "int?", "plan": "text?", "since": "date?"}))


def raw(**facts: Any) -> str:
    return orjson.dumps({"facts": facts, "captured": {}}).decode()


def choose(context: str) -> tuple[str, dict[Any, Any]]:
    """A decision that reads as much as it needs, and what it read."""
    read = CODEC.context(context)
    it = Conversation("one")
    CODEC.load(it, read, "{}", [])
    if it.facts.get("plan") == "team":
        chosen = f"team of {it.facts.get('seats')}"
    elif it.facts.get("plan") == "copy":
        chosen = f"copy of {dict(it.facts)}"
    else:
        chosen = "alone"
    return chosen, read.reads


def decided(memo: Memo[str], context: str) -> tuple[str, bool]:
    """The decision for a context, and whether it was found."""
    if (found := memo.find(CODEC, context)) is not None:
        return found, True
    chosen, reads = choose(context)
    memo.keep(reads, chosen)
    return chosen, False


def test_only_what_was_read_has_to_agree() -> None:
    memo: Memo[str] = Memo()
    assert decided(memo, raw(plan="free", seats=1)) == ("alone", False)
    assert decided(memo, raw(plan="free", seats=2)) == ("alone", True)
    assert decided(memo, raw(plan="team", seats=2)) == ("team of 2", False)
    assert decided(memo, raw(plan="team", seats=3)) == ("team of 3", False)
    assert decided(memo, raw(plan="team", seats=2, since="2026-03-02")) == ("team of 2", True)
    assert decided(memo, raw()) == ("alone", False)


def test_who_read_everything_shares_with_the_same_context_only() -> None:
    memo: Memo[str] = Memo()
    assert decided(memo, raw(plan="copy", seats=1))[1] is False
    assert decided(memo, raw(plan="copy", seats=2))[1] is False
    assert decided(memo, raw(plan="copy", seats=1)) == ("copy of {'plan': 'copy', 'seats': 1}", True)


def test_a_decision_that_reads_nothing_is_everybodys() -> None:
    memo: Memo[str] = Memo()
    memo.keep({}, "all")
    assert memo.find(CODEC, "not even JSON") == "all"


def test_an_answer_that_is_none_of_its_type_is_the_askers_own_misfortune() -> None:
    memo: Memo[str] = Memo()
    read = CODEC.context(raw(since="2026-03-02"))
    read.note(("facts", "since"))
    memo.keep(read.reads, "since")
    with pytest.raises(ValueError, match="isoformat"):
        memo.find(CODEC, raw(since="soon"))
    assert memo.find(CODEC, raw(since="2026-03-02")) == "since"


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={"plan": st.sampled_from(["team", "copy", "free"]), "seats": st.integers(0, 2)},
        ),
        max_size=20,
    )
)
def test_whatever_came_before_each_gets_the_decision_it_would_have_got_alone(people: list[dict[str, Any]]) -> None:
    memo: Memo[str] = Memo()
    for facts in people:
        assert decided(memo, raw(**facts))[0] == choose(raw(**facts))[0]
