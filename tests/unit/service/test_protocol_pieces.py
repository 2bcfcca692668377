"""However the bytes of a connection are cut into pieces, and whatever they are, the answers are the same."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from service.receiver.app import PublicApp
from service.receiver.intake import Intake
from service.receiver.protocol import HEAD_AT_MOST, TURNS_AT_MOST, WebhookProtocol, webhook_protocol
from service.receiver.publisher import Publisher
from service.receiver.room import Room
from service.receiver.signature import SignatureVerifier
from service.receiver.webhook import Receiver
from service.runtime.health import Health
from service.runtime.metrics import Metrics
from tests.support.waiting import until
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
        self.reading = True

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@dataclass
class Connection:
    """A protocol, and what is on either side of it."""

    protocol: WebhookProtocol
    wire: Wire
    intake: Intake
    producer: FakeProducer

    def feed(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if self.wire.closed:
                break
            self.protocol.data_received(piece)

    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Za-z ]+\r\n", self.wire.written)]


async def _connect() -> Connection:
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
    return Connection(protocol, wire, intake, producer)


async def _statuses(pieces: list[bytes]) -> tuple[list[int], FakeProducer]:
    connection = await _connect()
    connection.feed(pieces)
    connection.protocol.connection_lost(None)
    assert connection.intake.inside == set(), "nothing stays inside"
    return [status for status in connection.statuses() if status != 100], connection.producer


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


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"POST /webhooks/stripe HTTP/1.1\r\nX: ", b"x" * 1000),
        (b"POST /webhooks/stripe HTTP/1.1\r\n", b"X: y\r\n" * 100),
        (b"POST /", b"x" * 1000),
        (b"GET /livez HTTP/1.1\r\n", b"X: y\r\n" * 100),
        (
            b"POST /webhooks/stripe HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
            b"X: y\r\n" * 100,
        ),
    ],
    ids=["one header", "headers", "the path", "not a webhook", "trailers"],
)
async def test_a_head_without_an_end_is_refused(begin: bytes, more: bytes) -> None:
    connection = await _connect()
    connection.feed([begin, *[more] * (HEAD_AT_MOST // len(more))])
    assert connection.statuses() == []
    connection.feed([more])
    assert connection.statuses() == [400]
    assert connection.wire.closed
    assert connection.intake.inside == set()


async def test_a_body_in_the_smallest_chunks_is_no_such_head() -> None:
    connection = await _connect()
    connection.feed([_request(event_body().ljust(LIMIT), signed=True, chunk=1)] * 20)
    assert connection.statuses() == [200] * 20


async def test_a_client_that_does_not_read_its_answers_is_not_read_from() -> None:
    connection = await _connect()
    connection.protocol.pause_writing()
    assert not connection.wire.reading
    connection.feed([_request(event_body(), signed=True, chunk=None)])
    assert connection.statuses() == [200]
    assert not connection.wire.reading, "what was on its way is answered, more is not asked for"
    connection.protocol.resume_writing()
    assert connection.wire.reading


async def test_more_is_read_only_when_enough_is_answered() -> None:
    connection = await _connect()
    connection.producer.gate.clear()
    connection.feed([_request(event_body(), signed=True, chunk=None) * (TURNS_AT_MOST + 1)])
    assert not connection.wire.reading
    connection.protocol.pause_writing()
    connection.protocol.resume_writing()
    assert not connection.wire.reading
    connection.producer.gate.set()
    await asyncio.gather(*connection.producer.answering)
    assert connection.statuses() == [200] * (TURNS_AT_MOST + 1)
    assert connection.wire.reading


async def test_a_connection_is_closed_once_it_was_idle_for_so_long() -> None:
    connection = await _connect()
    connection.protocol.timeout_keep_alive = 0.1  # type: ignore[assignment] # uvicorn hands it to call_later
    began = asyncio.get_running_loop().time()
    for _ in range(3):
        connection.feed([_request(event_body(), signed=True, chunk=None)])
        await asyncio.sleep(0)
    connection.producer.gate.clear()
    connection.feed([_request(event_body(), signed=True, chunk=None)])
    await until(_past(began + 0.25), within_s=5, what="twice the limit and more has passed")
    assert not connection.wire.closed, "a webhook waits for its answer"
    connection.producer.gate.set()
    await asyncio.gather(*connection.producer.answering)
    idle_since = asyncio.get_running_loop().time()
    await until(_closed(connection.wire), within_s=5, what="the connection is closed")
    assert asyncio.get_running_loop().time() - idle_since >= 0.09


async def test_idleness_counts_from_the_last_answer() -> None:
    connection = await _connect()
    connection.protocol.timeout_keep_alive = 1  # seconds
    began = asyncio.get_running_loop().time()
    connection.feed([_request(event_body(), signed=True, chunk=None)])
    await until(_past(began + 0.3), within_s=5, what="some of the limit has passed")
    connection.feed([_request(event_body(), signed=True, chunk=None)])
    idle_since = asyncio.get_running_loop().time()
    await until(_closed(connection.wire), within_s=5, what="the connection is closed")
    assert asyncio.get_running_loop().time() - idle_since > 0.9
    assert connection.statuses() == [200, 200]


async def test_the_date_of_an_answer_is_that_of_its_second() -> None:
    """uvicorn makes the list of its headers anew every second."""
    connection = await _connect()
    for date in (b"one", b"two"):
        connection.protocol.server_state.default_headers = [(b"date", date)]
        connection.feed([_request(event_body(), signed=True, chunk=None)] * 2)
    assert re.findall(rb"date: (\w+)\r\n", connection.wire.written) == [b"one", b"one", b"two", b"two"]


async def test_a_request_that_is_still_coming_is_not_idle() -> None:
    connection = await _connect()
    connection.protocol.timeout_keep_alive = 0.05  # type: ignore[assignment] # as above
    whole = _request(event_body(), signed=True, chunk=None)
    connection.feed([whole, whole[:-5]])
    now = asyncio.get_running_loop().time()
    await until(_past(now + 0.15), within_s=5, what="more than the limit has passed")
    connection.feed([whole[-5:]])
    assert connection.statuses() == [200, 200]


def _past(moment: float) -> Callable[[], Awaitable[bool]]:
    async def past() -> bool:
        return asyncio.get_running_loop().time() > moment

    return past


def _closed(wire: Wire) -> Callable[[], Awaitable[bool]]:
    async def closed() -> bool:
        return wire.closed

    return closed


async def test_only_an_answer_that_closes_says_so() -> None:
    connection = await _connect()
    request = _request(event_body(), signed=True, chunk=None)
    connection.feed([request, request.replace(b"Host: test\r\n", b"Host: test\r\nConnection: close\r\n")])
    assert connection.wire.closed
    first, last = connection.wire.written.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [b"connection: close\r\n" in each for each in (first, last)] == [False, True]
