"""A running emulator, a client for it, and a receiver of webhooks."""

import json
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import stripe

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT.parent / "shared" / "recordings"
API_KEY = "sk_test_emulator0000000000"
DEADLINE_S = 5.0
T = TypeVar("T")
COMMAND = (sys.executable, "-m", "deploy.cli", "local", "stripe")
"""`offshoot local stripe`, of the tree under test."""


@pytest.fixture(scope="session")
def emulator_url() -> Iterator[str]:
    """One emulator process for all tests."""
    with emulator() as url:
        yield url


@contextmanager
def emulator() -> Iterator[str]:
    """Run an emulator and give its address; it has to end with status 0 when it is told to."""
    command = [*COMMAND, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert re.fullmatch(r"listening http://127\.0\.0\.1:\d+\n", line)
            yield line.split()[1]
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(DEADLINE_S)
        assert status == 0


@pytest.fixture
def client(emulator_url: str) -> Iterator[stripe.StripeClient]:
    """The official client, without retries of its own."""
    http = stripe.RequestsClient()
    yield stripe.StripeClient(
        API_KEY, base_addresses={"api": emulator_url}, max_network_retries=0, http_client=http
    )
    http.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def web(emulator_url: str) -> Iterator[httpx.Client]:
    """Plain HTTP, for what the official client hides."""
    with httpx.Client(
        base_url=emulator_url, auth=(API_KEY, ""), trust_env=False, timeout=DEADLINE_S
    ) as opened:
        yield opened
        opened.delete("/_emulator/faults")
        opened.delete("/_emulator/event_faults")


@pytest.fixture
def account(web: httpx.Client) -> str:
    """A new connected account, without a capability."""
    return str(web.post("/v1/accounts", data={"type": "standard", "country": "AU"}).json()["id"])


@dataclass
class Hook:
    """One webhook that arrived."""

    body: bytes
    headers: Message
    path: str

    @property
    def event(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said


@dataclass
class Receiver:
    """Listens for webhooks; answers with `statuses` first, then 200."""

    hooks: "queue.Queue[Hook]" = field(default_factory=queue.Queue)
    statuses: list[int] = field(default_factory=list)
    url: str = ""

    def next(self) -> Hook:
        """Wait for the next webhook."""
        return self.hooks.get(timeout=DEADLINE_S)

    def events(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many webhooks and give their events, in the order they came."""
        return [self.next().event for _ in range(count)]


def eventually(ask: Callable[[], T]) -> T:
    """Ask until the answer is true, and give it."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not (answer := ask()):
        assert time.monotonic() < deadline_s
    return answer


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server that keeps what it gets."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(kept.statuses.pop(0) if kept.statuses else 200)
            self.send_header("content-length", "0")
            self.end_headers()
            kept.hooks.put(Hook(body, self.headers, self.path))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_port}/hooks"
        yield kept
        server.shutdown()
        thread.join()
