"""Alive, ready, and the figures, over a clock that the test moves; then the same over real HTTP and datagrams."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from engine.core.errors import RepositoryError
from engine.endpoint import serve
from engine.health import Health
from engine.recovery import Circuit, CircuitBreaker, Policy
from engine.settings import Settings
from engine.systemd import Systemd
from engine.tick import TickCounts
from engine.worker import WorkCounts

AWAY = RepositoryError("cannot reach the database", retryable=True)


class Patient:
    """A healthy process whose clock stands still."""

    def __init__(self) -> None:
        self.seconds = 0.0
        policy = Policy(threshold=1, first_seconds=1, longest_seconds=1)
        self.breaker = CircuitBreaker("database", policy, clock=lambda: self.seconds)
        self.health = Health(self.breaker, clock=lambda: self.seconds)
        self.beat()

    def beat(self) -> None:
        self.health.turned()
        self.health.beat_begins()
        self.health.beaten({}, 0, 0.0)

    def figures(self) -> dict[str, float]:
        lines = self.health.figures().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_a_process_that_turns_and_beats_is_alive_and_ready(patient: Patient) -> None:
    assert (patient.health.why_not_alive(), patient.health.why_not_ready()) == ([], [])


def test_an_event_loop_that_stands_still_is_not_alive(patient: Patient) -> None:
    patient.seconds += 31
    assert patient.health.why_not_alive() == ["the event loop has stood still for 31 s"]


def test_a_heartbeat_that_hangs_is_not_alive_though_the_loop_turns(patient: Patient) -> None:
    patient.health.beat_begins()
    patient.seconds += 121
    patient.health.turned()
    assert patient.health.why_not_alive() == ["the heartbeat has hung for 121 s"]


def test_a_heartbeat_that_failed_does_not_hang(patient: Patient) -> None:
    patient.health.beat_begins()
    patient.health.beat_failed()
    patient.seconds += 121
    patient.health.turned()
    assert patient.health.why_not_alive() == []
    assert patient.health.why_not_ready() == ["the last heartbeat failed"]


def test_what_has_not_begun_yet_is_alive_and_not_ready() -> None:
    assert Health(CircuitBreaker("database", Policy(1, 1, 1))).why_not_ready() == ["starting: no heartbeat yet"]


def test_an_open_circuit_a_late_heartbeat_and_a_request_to_stop_are_not_ready_but_alive(patient: Patient) -> None:
    patient.breaker.fail(AWAY)
    patient.health.stopping = True
    patient.seconds += 25
    patient.health.turned()
    assert patient.health.why_not_alive() == []
    assert patient.health.why_not_ready() == [
        "stopping",
        "the circuit of the database is open",
        "the last heartbeat was 25 s ago",
    ]


def test_the_figures_count_what_the_loops_tell(patient: Patient) -> None:
    patient.health.ticked(TickCounts(claimed=5, advanced=4, completed=2, failed=1))
    patient.health.worked(WorkCounts(sent=3, retried=1))
    patient.health.stepped("tick", 0.02)
    patient.health.step_failed("poll")
    patient.health.beaten({"email": Circuit("open", 5)}, 7, 12.5)
    patient.breaker.fail(AWAY)
    found = patient.figures()
    assert found["campaign_engine_claimed_total"] == 5
    assert found["campaign_engine_advanced_total"] == 4
    assert found['campaign_engine_messages_total{fate="sent"}'] == 3
    assert found['campaign_engine_step_seconds_bucket{le="0.025",loop="tick"}'] == 1
    assert found['campaign_engine_loop_failures_total{loop="poll"}'] == 1
    assert found['campaign_engine_circuit_status{circuit="database"}'] == 2
    assert found['campaign_engine_circuit_status{circuit="channel email"}'] == 2
    assert found["campaign_engine_overdue_lanes"] == 7
    assert found["campaign_engine_overdue_seconds"] == 12.5
    patient.health.beaten({}, 0, 0.0)
    assert patient.figures()['campaign_engine_circuit_status{circuit="channel email"}'] == 0


# ---- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(patient: Patient) -> Iterator[str]:
    with serve(patient.health, "127.0.0.1:0") as address:
        assert address is not None
        yield address


def ask(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_endpoint_answers_for_machines_with_a_status_and_for_people_with_the_reason(
    patient: Patient, url: str
) -> None:
    assert ask(f"{url}/livez") == ask(f"{url}/readyz") == (200, "ok\n")
    patient.breaker.fail(AWAY)
    assert ask(f"{url}/livez") == (200, "ok\n")
    assert ask(f"{url}/readyz") == (503, "the circuit of the database is open\n")
    patient.seconds += 60
    assert ask(f"{url}/livez") == (503, "the event loop has stood still for 60 s\n")


def test_the_endpoint_serves_the_figures_and_knows_its_paths(url: str) -> None:
    status, text = ask(f"{url}/metrics")
    assert status == 200
    assert "# TYPE campaign_engine_advanced_total counter" in text
    assert ask(f"{url}/") == (404, "expected /metrics, /livez or /readyz\n")


def test_a_port_that_is_taken_is_a_warning_with_the_next_step(patient: Patient, url: str) -> None:
    taken = url.removeprefix("http://")
    with capture_logs() as logs, serve(patient.health, taken) as address:
        assert address is None
    assert [(each["log_level"], each["address"]) for each in logs] == [("warning", taken)]
    assert "METRICS_LISTEN" in logs[0]["hint"]


def test_off_serves_nothing(patient: Patient) -> None:
    with serve(patient.health, "off") as address:
        assert address is None


@pytest.mark.parametrize("wrong", ["9464", "host:", ":9464", "::1:9464", "host:http", "host:70000", "host:-1"])
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="expected HOST:PORT"):
        Settings(metrics_listen=wrong)


# ---- to systemd -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_in_datagrams_at_a_path_or_an_abstract_name(tmp_path: Path, abstract: bool) -> None:
    name = f"@campaign-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(10)
        Systemd({"NOTIFY_SOCKET": name}).tell("READY=1", "STATUS=at work")
        assert manager.recv(1000) == b"READY=1\nSTATUS=at work"


def test_without_systemd_or_when_it_is_gone_nothing_happens(tmp_path: Path) -> None:
    Systemd({}).tell("READY=1")
    Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_only_by_the_process_it_is_meant_for(given: dict[str, str], seconds: float | None) -> None:
    assert Systemd({"NOTIFY_SOCKET": "/run/notify"} | given).watchdog_seconds == seconds
