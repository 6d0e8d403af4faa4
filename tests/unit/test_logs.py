"""Log lines: where they go, what they look like, and what never gets into them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from engine.logs import set_up_logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def a_failure() -> None:
    log = structlog.get_logger("test")
    try:
        raise ValueError("SELECT secret")
    except ValueError:
        log.exception("it failed", campaign="c1")


def test_in_a_pipe_a_line_is_json_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs()
    structlog.get_logger("test").warning("messages wait", channel="sms")
    out, err = capsys.readouterr()
    line = json.loads(err)
    assert out == ""
    assert (line["event"], line["level"], line["channel"]) == ("messages wait", "warning", "sms")
    assert line["timestamp"].endswith("Z")


def test_what_is_less_severe_than_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("ERROR")
    structlog.get_logger("test").warning("messages wait")
    assert capsys.readouterr().err == ""


def test_tracebacks_are_for_debug_alone(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs("INFO")
    a_failure()
    assert "SELECT" not in capsys.readouterr().err
    set_up_logs("DEBUG")
    a_failure()
    assert "SELECT secret" in json.loads(capsys.readouterr().err)["exception"]
