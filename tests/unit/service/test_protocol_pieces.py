"""However the bytes of a connection are cut into pieces, and whatever they are, the answers are the same."""

import asyncio
import re
from typing import Any

import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from service.receiver.app import PublicApp
from service.receiver.intake import Intake
from service.receiver.protocol import webhook_protocol
from service.receiver.publisher import Publisher
from service.receiver.room import Room
from service.receiver.signature import SignatureVerifier
from service.receiver.webhook import Receiver
from service.runtime.health import Health
from service.runtime.metrics import Metrics
from tests.unit.service.fakes import FakeProducer, unexplained
from tests.unit.service.signing import NOW, SECRET, event_body, signature

PATH = "/webhooks/stripe"
LIMIT = 4096


class Wire(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing to pause: a test feeds what it has."""

    def resume_reading(self) -> None:
        """As `pause_reading`."""


async def _statuses(pieces: list[bytes]) -> tuple[list[int], FakeProducer]:
    producer, metrics, stop = FakeProducer(), Metrics(), asyncio.Event()

    async def connect() -> FakeProducer:
        stop.set()
        return producer

    publisher = Publisher(connect, unexplained, metrics, deadline_s=8, max_body_bytes=LIMIT)
    await publisher.run(stop)
    receiver = Receiver(
        verifier=SignatureVerifier([("main", SECRET.encode())], 300),
        livemode=False,
        platform_account=None,
        on_older_secret=lambda _: None,
    )
    room = Room(metrics, max_requests=100)
    intake = Intake(receiver=receiver, publisher=publisher, room=room, metrics=metrics, now=lambda: NOW)
    made = webhook_protocol(intake, PATH)
    assert made is not None
    app = PublicApp(intake=intake, health=Health(), path=PATH)
    config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
    wire = Wire()
    protocol = made(config=config, server_state=ServerState(), app_state={})
    protocol.connection_made(wire)
    for piece in pieces:
        if wire.closed:
            break
        protocol.data_received(piece)
    protocol.connection_lost(None)
    answers = re.findall(rb"HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\ncontent", wire.written)
    assert intake.inside == set(), "nothing stays inside"
    return [int(answer) for answer in answers], producer


def _request(body: bytes, *, signed: bool, chunk: int | None) -> bytes:
    head = [f"POST {PATH} HTTP/1.1", "Host: test"]
    if signed:
        head.append(f"Stripe-Signature: {signature(body).decode()}")
    if chunk is None:
        return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body
    parts = [body[at : at + chunk] for at in range(0, len(body), chunk)] + [b""]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return "\r\n".join([*head, "Transfer-Encoding: chunked", "", ""]).encode() + chunked


_requests = st.lists(
    st.tuples(
        st.sampled_from(["event", "no event", "too large"]),
        st.booleans(),
        st.none() | st.integers(1, 3000),
    ),
    min_size=1,
    max_size=5,
)


@given(_requests, st.lists(st.integers(1, 5000), max_size=30))
@settings(max_examples=150, deadline=None)
def test_the_pieces_of_a_connection_do_not_matter(
    requests: list[tuple[str, bool, int | None]], cuts: list[int]
) -> None:
    bodies = {"event": event_body(), "no event": b"[]", "too large": b" " * (LIMIT + 1)}
    stream = b"".join(_request(bodies[kind], signed=signed, chunk=chunk) for kind, signed, chunk in requests)
    expected = [
        413 if kind == "too large" else 400 if not signed or kind == "no event" else 200
        for kind, signed, _ in requests
    ]
    pieces, rest = [], stream
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    pieces = [piece for piece in [*pieces, rest] if piece]

    statuses, producer = asyncio.run(_statuses(pieces))

    assert statuses == expected
    assert [value for _, value, _ in producer.sent] == [event_body()] * expected.count(200)


@given(
    st.lists(
        st.binary(max_size=200)
        | st.sampled_from(
            [
                b"POST /webhooks/stripe HTTP/1.1\r\n",
                b"Content-Length: 5\r\n",
                b"Content-Length: -1\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Expect: 100-continue\r\n",
                b"Connection: close\r\n",
                b"Upgrade: websocket\r\nConnection: upgrade\r\n",
                b"\r\n",
                b"5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"GET /livez HTTP/1.0\r\n\r\n",
            ]
        ),
        max_size=12,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_bytes_cause_a_failure_of_ours(pieces: list[bytes]) -> None:
    """Refused, closed or waited for; never a 2xx for what was not signed, never a 5xx."""
    statuses, producer = asyncio.run(_statuses([piece for piece in pieces if piece]))

    assert set(statuses) <= {200, 400, 404, 405, 413}
    assert producer.sent == []
