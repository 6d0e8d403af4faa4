"""`campaign run` as its supervisor meets it: over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from tests.acceptance.conftest import Process, Program, wait_until


def ask(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def line_of(running: subprocess.Popen[str]) -> dict[str, str]:
    """The next line of its log."""
    assert running.stderr is not None
    found: dict[str, str] = json.loads(running.stderr.readline())
    return found


def test_run_tells_over_http_that_it_is_alive_ready_and_what_it_did(process: Process) -> None:
    running = process.start("run", "--metrics", "127.0.0.1:0", "--json")
    url = line_of(running)["url"]
    wait_until(lambda: ask(f"{url}/readyz") == (200, "ok\n"))
    assert ask(f"{url}/livez") == (200, "ok\n")
    assert 'campaign_engine_circuit_status{circuit="database"} 0.0' in ask(f"{url}/metrics")[1]
    running.terminate()
    out, _ = running.communicate(timeout=30)
    assert (running.returncode, set(json.loads(out))) == (0, {"poll", "tick", "work"})


def test_run_works_without_its_endpoint_when_the_port_is_taken(
    process: Process, postgresql: psycopg.Connection
) -> None:
    postgresql.autocommit = True
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process.environment["METRICS_LISTEN"] = f"127.0.0.1:{taken.getsockname()[1]}"
        running = process.start("run", "--json")
        told = line_of(running)
    assert (told["level"], told["event"]) == ("warning", "metrics and health are not served")
    members = "SELECT count(*) FROM campaign_engine.members"
    wait_until(lambda: postgresql.execute(members).fetchone() == (1,))
    running.terminate()
    running.communicate(timeout=30)
    assert running.returncode == 0
    assert postgresql.execute(members).fetchone() == (0,)


@pytest.mark.parametrize("address", ["9464", "localhost:", "::1:9464"])
def test_an_address_that_is_none_is_refused(campaign: Program, address: str) -> None:
    assert "expected HOST:PORT" in campaign.refuses("run", "--metrics", address, code=2)
