from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from engine.core.errors import ChannelError, UnknownError
from engine.core.spec import CampaignTypeSpec
from engine.db.messages import LeasedMessage, MessageKey
from engine.rendering import Renderer

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NOWHERE: Any = None  # a connection that nobody uses

_MESSAGE = LeasedMessage(
    key=MessageKey(UUID(int=2), 1, 0, NOW),
    not_before=NOW,
    attempts=0,
    awaited=False,
    cancel_requested=False,
    stage="introduce",
    channel="email",
    message="intro",
    context={"facts": {"first_name": "Ann"}, "captured": {"rating": 4}},
    version=1,
    timezone="Europe/London",
    locale="en",
    recipient_key="ann",
    email="ann@example.org",
    phone=None,
    unsubscribed_at=None,
    campaign_id=UUID(int=1),
    campaign_name="Spring",
    campaign_type="nurture",
    campaign_status="active",
    recipient_id=UUID(int=3),
)


class Shelf:
    """Campaign types at hand; counts how often one was asked for."""

    def __init__(self, **messages: dict[str, str]) -> None:
        self.asked = 0
        self.spec = CampaignTypeSpec.model_validate(
            {
                "campaign_type": "nurture",
                "version": 1,
                "facts": {"starts_at": "datetime?", "first_name": "text?"},
                "start": "introduce",
                "stages": {"introduce": {}},
                "exits": {"over": "lost"},
                "messages": messages,
            }
        )

    async def get(self, connection: Any, name: str, version: int) -> Any:  # noqa: ARG002 - a registry's interface
        self.asked += 1
        if (name, version) != ("nurture", 1):
            raise UnknownError("unknown campaign type")
        return SimpleNamespace(spec=self.spec)


async def render(text: str, subject: str | None = None, url: str = "", **given: Any) -> Any:
    intro = {"text": text} if subject is None else {"text": text, "subject": subject}
    renderer, message = Renderer(Shelf(intro=intro), url), replace(_MESSAGE, **given)
    await renderer.prepare(NOWHERE, [message])
    return renderer.render(message, NOW)


async def test_an_instant_is_shown_on_the_recipients_clock() -> None:
    context = {"facts": {"starts_at": "2026-07-01T13:30:00+00:00", "first_name": None}}
    text = '{{ starts_at | date: "%H:%M" }} {{ starts_at }}'
    assert (await render(text, context=context)).text == "14:30 2026-07-01T14:30:00+01:00"
    assert (await render(text, context=context, timezone="Asia/Kolkata")).text.startswith("19:00 ")


async def test_a_message_sees_facts_captured_values_the_recipient_and_the_campaign() -> None:
    outgoing = await render(
        "{{ first_name }} {{ rating }} {{ recipient.email }} {{ recipient.timezone }} {{ campaign.name }}"
    )
    assert outgoing.text == "Ann 4 ann@example.org Europe/London Spring"


async def test_the_idempotency_key_is_conversation_seq_and_ordinal() -> None:
    key = MessageKey(UUID(int=2), 7, 3, NOW)
    assert (await render("Hi", key=key)).idempotency_key == f"{UUID(int=2)}:7:3"


async def test_a_subject_is_one_line() -> None:
    outgoing = await render("Hi", subject="{{ first_name }},\n a question")
    assert outgoing.subject == "Ann, a question"


async def test_the_opt_out_page_is_told_which_conversation_it_is_about() -> None:
    outgoing = await render("{{ unsubscribe_url }}", url="https://example.org/bye?c={conversation}")
    assert outgoing.text == f"https://example.org/bye?c={UUID(int=2)}"


async def test_without_an_opt_out_page_its_place_stays_empty() -> None:
    assert (await render("[{{ unsubscribe_url }}]")).text == "[]"


@pytest.mark.parametrize(("channel", "to"), [("email", "ann@example.org"), ("sms", "+4420"), ("pigeon", "ann")])
async def test_each_channel_has_its_kind_of_address(channel: str, to: str) -> None:
    assert (await render("Hi", channel=channel, phone="+4420")).to == to


async def test_a_recipient_without_the_address_fails_for_good() -> None:
    with pytest.raises(ChannelError, match="no address for sms") as caught:
        await render("Hi", channel="sms")
    assert not caught.value.retryable


@pytest.mark.parametrize("text", ["{{ nobody }}", "{% if %}", "{{ first_name | divided_by: 0 }}"])
async def test_a_template_that_cannot_be_rendered_fails_for_good_and_names_the_place_only(text: str) -> None:
    with pytest.raises(ChannelError, match="template intro, line 1: ") as caught:
        await render(text)
    assert not caught.value.retryable
    assert "Ann" not in str(caught.value)


async def test_a_message_that_the_type_does_not_have_fails_for_good() -> None:
    with pytest.raises(ChannelError, match="has no text for message farewell") as caught:
        await render("Hi", message="farewell")
    assert not caught.value.retryable


async def test_a_type_that_cannot_be_loaded_may_come_with_a_newer_worker() -> None:
    with pytest.raises(ChannelError, match="nurture version 9 cannot be loaded") as caught:
        await render("Hi", version=9)
    assert caught.value.retryable


async def test_a_type_is_fetched_once() -> None:
    shelf = Shelf(intro={"text": "Hi"})
    renderer = Renderer(shelf)
    for _ in range(3):
        await renderer.prepare(NOWHERE, [_MESSAGE, _MESSAGE])
    assert shelf.asked == 1
