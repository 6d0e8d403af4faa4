"""The endpoint of `campaign run`: `/metrics` for Prometheus, `/livez` and `/readyz` for whoever supervises it.

A thread serves it, so that it answers while the event loop is at work. It reads memory and asks the database nothing.
It has no authentication and is meant for this machine or a private network; it shows figures and names of channels,
nothing of recipients.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import structlog
from prometheus_client import CONTENT_TYPE_LATEST

from engine.health import Health
from engine.settings import address_of

log = structlog.get_logger(__name__)


@contextmanager
def serve(health: Health, listen: str) -> Iterator[str | None]:
    """Serve at `listen`, HOST:PORT, port 0 being any; the URL, or None when it is `off` or the port is taken.

    That the port is taken is a warning only: conversations matter more than figures.
    """
    server = _open(health, listen) if listen != "off" else None
    if server is None:
        yield None
        return
    host, port = server.server_address[:2]
    url = f"http://[{host!s}]:{port}" if server.address_family == socket.AF_INET6 else f"http://{host!s}:{port}"
    log.info("metrics and health are served", url=url)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="endpoint", daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _open(health: Health, listen: str) -> _Server | None:
    try:
        return _Server(health, *address_of(listen))
    except OSError as error:
        log.warning(
            "metrics and health are not served",
            address=listen,
            error=error.strerror or str(error),
            hint="Set METRICS_LISTEN to another HOST:PORT for this process, or to off.",
        )
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client that reads slowly must not hold up the end

    def __init__(self, health: Health, host: str, port: int) -> None:
        self.health = health
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def handle_error(self, *_: object) -> None:
        """A client that went away in the middle is no event of ours."""
        log.debug("a request to the endpoint broke off")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5.0

    def do_GET(self) -> None:
        health = self.server.health
        if self.path == "/metrics":
            self._answer(200, health.figures(), CONTENT_TYPE_LATEST)
        elif self.path == "/livez":
            self._judge(health.why_not_alive())
        elif self.path == "/readyz":
            self._judge(health.why_not_ready())
        else:
            self._answer(404, b"expected /metrics, /livez or /readyz\n")

    def _judge(self, wrong: list[str]) -> None:
        told = "".join(f"{each}\n" for each in wrong) or "ok\n"
        self._answer(503 if wrong else 200, told.encode())

    def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Whoever scrapes would fill the log."""
