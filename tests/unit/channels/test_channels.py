from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from engine.channels.console import ConsoleChannel
from engine.channels.file import FileChannel
from engine.channels.protocol import OutgoingMessage
from engine.channels.registry import channels_from
from engine.core.errors import ChannelError
from engine.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio

_INTRO = OutgoingMessage(
    idempotency_key="00000000-0000-0000-0000-000000000002:1:0",
    channel="email",
    to="ann@example.org",
    subject="Ann, a question",
    text="Hi Ann,\nhow are you?",
    campaign_id=UUID(int=1),
    conversation_id=UUID(int=2),
    recipient_key="ann",
    message="intro",
    at=datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
)


def an_outgoing_message(**given: Any) -> OutgoingMessage:
    return replace(_INTRO, **given)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_message_shows_neither_address_nor_text_in_its_repr() -> None:
    shown = repr(an_outgoing_message(recipient_key="bob-7"))
    assert "intro" in shown
    assert not [part for part in ("Ann", "example.org", "bob-7") if part in shown]


class TestConsole:
    async def test_it_shows_who_gets_what(self) -> None:
        stream = io.StringIO()
        await ConsoleChannel(stream).send(an_outgoing_message())
        assert stream.getvalue() == (
            "2026-03-02 09:00 email to ann@example.org: intro\n"
            "    Subject: Ann, a question\n"
            "\n"
            "    Hi Ann,\n"
            "    how are you?\n"
        )

    async def test_a_message_without_a_subject_is_only_its_text(self) -> None:
        stream = io.StringIO()
        await ConsoleChannel(stream).send(an_outgoing_message(subject=None, text="Hi"))
        assert stream.getvalue().splitlines()[1:] == ["    Hi"]

    async def test_text_cannot_steer_the_terminal(self) -> None:
        stream = io.StringIO()
        await ConsoleChannel(stream).send(an_outgoing_message(text="\x1b[2Jgone \u009b1m\r👩‍🔧"))
        assert "\x1b" not in stream.getvalue()
        assert stream.getvalue().endswith("    �[2Jgone �1m�👩‍🔧\n")

    async def test_standard_output_stays_free_for_the_result(self, capsys: pytest.CaptureFixture[str]) -> None:
        await ConsoleChannel().send(an_outgoing_message())
        out, err = capsys.readouterr()
        assert (out, "intro" in err) == ("", True)


class TestFile:
    async def test_each_message_is_a_line_of_json(self, tmp_path: Path) -> None:
        channel = FileChannel(tmp_path / "deep" / "out.jsonl")
        await channel.send(an_outgoing_message())
        await channel.send(an_outgoing_message(subject=None, text="line\nbreak \u2028 ✓"))
        await channel.flush()
        first, second = (json.loads(line) for line in channel.path.read_bytes().split(b"\n")[:-1])
        assert first == {
            "idempotency_key": "00000000-0000-0000-0000-000000000002:1:0",
            "channel": "email",
            "to": "ann@example.org",
            "subject": "Ann, a question",
            "text": "Hi Ann,\nhow are you?",
            "sent_at": "2026-03-02T09:00:00+00:00",
            "message": "intro",
            "recipient_key": "ann",
            "campaign_id": "00000000-0000-0000-0000-000000000001",
            "conversation_id": "00000000-0000-0000-0000-000000000002",
        }
        assert (second["subject"], second["text"]) == (None, "line\nbreak \u2028 ✓")

    async def test_it_appends_to_what_is_there(self, tmp_path: Path) -> None:
        path = tmp_path / "out.jsonl"
        for text in ("one", "two"):
            channel = FileChannel(path)
            await channel.send(an_outgoing_message(text=text))
            await channel.flush()
            await channel.flush()
        assert [line["text"] for line in lines_of(path)] == ["one", "two"]

    async def test_a_file_moved_away_is_begun_anew(self, tmp_path: Path) -> None:
        channel = FileChannel(tmp_path / "out.jsonl")
        for text in ("one", "two"):
            await channel.send(an_outgoing_message(text=text))
            await channel.flush()
            channel.path.rename(tmp_path / text)
        assert lines_of(tmp_path / "two")[0]["text"] == "two"

    async def test_a_path_that_cannot_be_written_is_a_passing_failure_with_a_hint(self, tmp_path: Path) -> None:
        channel = FileChannel(tmp_path)
        await channel.send(an_outgoing_message())
        with pytest.raises(ChannelError, match="Is a directory") as caught:
            await channel.flush()
        assert caught.value.retryable
        assert "CAMPAIGN_CHANNELS" in caught.value.hint

    async def test_what_failed_is_not_written_later_behind_the_workers_back(self, tmp_path: Path) -> None:
        channel = FileChannel(tmp_path / "file" / "out.jsonl")
        (tmp_path / "file").write_text("in the way")
        await channel.send(an_outgoing_message(text="lost"))
        with pytest.raises(ChannelError):
            await channel.flush()
        (tmp_path / "file").unlink()
        await channel.send(an_outgoing_message(text="kept"))
        await channel.flush()
        assert [line["text"] for line in lines_of(channel.path)] == ["kept"]

    async def test_a_write_that_fails_half_way_leaves_no_torn_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "out.jsonl"
        path.write_text('{"text":"before"}\n')
        write, written = os.write, []

        def full_disk(file: int, data: memoryview) -> int:
            if written:
                raise OSError(28, "No space left on device")
            written.append(write(file, data[:10]))
            return 10

        channel = FileChannel(path)
        await channel.send(an_outgoing_message())
        monkeypatch.setattr(os, "write", full_disk)
        with pytest.raises(ChannelError, match="No space left"):
            await channel.flush()
        assert path.read_text() == '{"text":"before"}\n'

    def test_lines_of_several_processes_never_mix(self, tmp_path: Path) -> None:
        path, context = tmp_path / "out.jsonl", get_context("spawn")
        writers = [context.Process(target=_write_many, args=(path, name)) for name in "abc"]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        lines = lines_of(path)
        assert len(lines) == 3 * 20 * 10
        assert {line["text"] for line in lines} == {name * 5_000 for name in "abc"}


def _write_many(path: Path, name: str) -> None:
    async def write() -> None:
        channel = FileChannel(path)
        for _ in range(20):
            for _ in range(10):
                await channel.send(an_outgoing_message(text=name * 5_000))
            await channel.flush()

    anyio.run(write)


class TestRegistry:
    def test_each_name_goes_where_the_settings_say(self, tmp_path: Path) -> None:
        targets = f" email = console , sms = file:{tmp_path}/sms.jsonl "
        channels = channels_from(Settings(campaign_channels=targets), embedded=False, home=tmp_path)
        sms = channels["sms"]
        assert channels.names == ["email", "sms"]
        assert isinstance(channels["email"], ConsoleChannel)
        assert isinstance(sms, FileChannel)
        assert sms.path == tmp_path / "sms.jsonl"

    def test_on_the_embedded_server_any_other_name_has_a_file(self, tmp_path: Path) -> None:
        channels = channels_from(Settings(campaign_channels={"sms": "console"}), embedded=True, home=tmp_path)
        email = channels["email"]
        assert channels.names is None
        assert isinstance(email, FileChannel)
        assert email.path == tmp_path / "outbox" / "email.jsonl"
        assert channels["email"] is email
        assert isinstance(channels["sms"], ConsoleChannel)

    def test_on_any_other_database_no_other_name_is_open(self, tmp_path: Path) -> None:
        channels = channels_from(Settings(), embedded=False, home=tmp_path)
        assert channels.names == []
        with pytest.raises(KeyError):
            channels["email"]

    @pytest.mark.parametrize("target", ["pigeon", "file", "file:", "console:loud", ""])
    def test_a_target_nobody_knows_is_one_clear_message(self, target: str, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            channels_from(Settings(campaign_channels={"email": target}), embedded=True, home=tmp_path)
        assert str(caught.value).startswith(
            f"CAMPAIGN_CHANNELS: expected NAME=console or NAME=file:PATH, got 'email={target}'\n"
        )
