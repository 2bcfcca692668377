"""The public listener: every row of the table of answers, byte for byte, and their order.

Over real sockets, both ways in which a webhook can be read: by the ASGI app, and inside uvicorn's protocol.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from service.receiver.app import PublicApp
from service.receiver.intake import Intake
from service.receiver.protocol import webhook_protocol
from service.receiver.publisher import Publisher
from service.receiver.room import Room
from service.receiver.signature import SignatureVerifier
from service.receiver.webhook import Receiver
from service.runtime.health import Health, State
from service.runtime.http import HttpListener
from service.runtime.kafka.producer import SendResult
from service.runtime.metrics import Metrics
from tests.unit.service.fakes import FakeProducer, unexplained
from tests.unit.service.signing import NOW, SECRET, event_body, signature

LIMIT = 4096
PATH = "/webhooks/stripe"
OLDER = "whsec_that_is_being_rolled"
UNAVAILABLE = (503, b'{"error":"unavailable"}')


class World:
    """The listener over a fake Kafka client."""

    def __init__(self, kind: str, *, max_requests: int = 10, max_bytes: int = 3 * LIMIT) -> None:
        self.producer = FakeProducer()
        self.metrics = Metrics()
        self.health = Health()
        self.older: list[str] = []
        self.ready = State(ok=True, state="fine")
        self.health.add_readiness("it", self.ready)
        self.publisher = Publisher(
            self._connect, unexplained, self.metrics, deadline_s=8, max_body_bytes=LIMIT
        )
        self.intake = Intake(
            receiver=Receiver(
                verifier=SignatureVerifier([("main", OLDER.encode()), ("main", SECRET.encode())], 300),
                livemode=False,
                platform_account="acct_P",
                on_older_secret=self.older.append,
            ),
            publisher=self.publisher,
            metrics=self.metrics,
            room=Room(self.metrics, max_requests=max_requests, max_bytes=max_bytes),
            now=lambda: NOW,
        )
        app = PublicApp(intake=self.intake, health=self.health, path=PATH)
        protocol = webhook_protocol(self.intake, PATH) if kind == "protocol" else None
        self.listener = HttpListener("test", app, "127.0.0.1", 0, protocol=protocol)
        self.stop = asyncio.Event()
        self.client: httpx.AsyncClient

    async def _connect(self) -> FakeProducer:
        self.stop.set()
        return self.producer

    async def start(self) -> None:
        await self.listener.start()
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.listener.port}")

    async def connect(self) -> None:
        """Run the publisher until it has its client."""
        await self.publisher.run(self.stop)

    async def end(self) -> None:
        self.producer.gate.set()
        await self.client.aclose()
        await self.listener.stop(1)

    async def post(self, body: Any, **headers: Any) -> httpx.Response:
        return await self.client.post("/webhooks/stripe", content=body, headers=headers or None)

    async def post_signed(self, body: bytes) -> tuple[int, bytes]:
        response = await self.client.post(
            "/webhooks/stripe", content=body, headers={b"stripe-signature": signature(body)}
        )
        assert response.headers["content-type"] == "application/json"
        assert response.headers.get("retry-after") == ("5" if response.status_code == 503 else None)
        return response.status_code, response.content


MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture(params=["asgi", "protocol"])
async def make_world(request: pytest.FixtureRequest) -> AsyncIterator[MakeWorld]:
    """Start a listener of one of the two kinds, its Kafka client connected unless told otherwise."""
    worlds: list[World] = []

    async def make(*, connected: bool = True, **limits: int) -> World:
        world = World(request.param, **limits)
        worlds.append(world)
        await world.start()
        if connected:
            await world.connect()
        return world

    yield make
    for world in worlds:
        await world.end()


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    """A listener whose Kafka client is connected."""
    return await make_world()


async def test_a_verified_event_is_published_as_it_came(world: World) -> None:
    body = event_body(account="acct_1") + b" "
    assert await world.post_signed(body) == (200, b'{"received":true}')
    [(key, value, headers)] = world.producer.sent
    assert (key, value) == (b"acct_1:pm_1", body)
    assert dict(headers)["ce_endpoint"] == b"main"
    assert dict(headers)["ce_via"] == b"webhook"


TRACE = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([TRACE], TRACE),
        ([], None),
        ([TRACE, TRACE], None),
        ([b""], None),
        ([TRACE.upper()], None),
        ([TRACE + b"-x"], None),
        ([b"ff" + TRACE[2:]], None),
        ([b"00-" + b"0" * 32 + TRACE[35:]], None),
        ([TRACE[:36] + b"0" * 16 + b"-01"], None),
    ],
)
async def test_the_trace_that_a_webhook_comes_in_is_passed_on(
    world: World, named: list[bytes], expected: bytes | None
) -> None:
    """What is no `traceparent` of W3C Trace Context counts as none; it is never a reason to refuse."""
    body = event_body()
    headers = [(b"stripe-signature", signature(body)), *[(b"traceparent", each) for each in named]]
    response = await world.client.post(PATH, content=body, headers=headers)
    assert response.status_code == 200
    [(_, _, published)] = world.producer.sent
    assert dict(published).get("traceparent") == expected


async def test_the_platforms_own_account_is_the_platform(world: World) -> None:
    await world.post_signed(event_body(account="acct_P"))
    assert world.producer.sent[0][0] == b"platform:pm_1"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        signature(event_body(), secret="whsec_of_somebody_else"),
        signature(event_body(), at=NOW - 301),
        signature(event_body(), at=NOW + 301),
        signature(b"another body"),
    ],
)
async def test_a_bad_signature(world: World, header: bytes) -> None:
    response = await world.client.post(
        "/webhooks/stripe", content=event_body(), headers={b"stripe-signature": header}
    )
    assert (response.status_code, response.content) == (400, b'{"error":"signature"}')
    assert world.producer.sent == []


async def test_no_signature_and_two_signatures(world: World) -> None:
    header = (b"stripe-signature", signature(event_body()))
    for headers in ([], [header, header]):
        response = await world.client.post("/webhooks/stripe", content=event_body(), headers=headers)
        assert (response.status_code, response.content) == (400, b'{"error":"signature"}')
    assert world.producer.sent == []


async def test_while_only_the_older_secret_signs_somebody_is_told(world: World) -> None:
    body = event_body()
    by_older, by_newer = signature(body, secret=OLDER), signature(body)
    both = by_older + b"," + by_newer.partition(b",")[2]
    for header in (by_older, by_newer, both):
        response = await world.client.post(PATH, content=body, headers={b"stripe-signature": header})
        assert response.status_code == 200
    assert world.older == ["main"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not json", event_body(id=""), event_body(livemode=1)])
async def test_a_verified_body_that_is_no_event(world: World, body: bytes) -> None:
    assert await world.post_signed(body) == (400, b'{"error":"payload"}')
    assert world.producer.sent == []


async def test_the_other_mode_is_acknowledged_and_counted_and_not_published(world: World) -> None:
    assert await world.post_signed(event_body(livemode=True)) == (200, b'{"received":false}')
    assert world.producer.sent == []
    counted = b'outcome="other_mode",type="payment_method.attached"} 1.0'
    assert counted in world.metrics.text()


async def _streamed(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 1000):
        yield body[at : at + 1000]


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("streamed", [False, True], ids=["declared", "streamed"])
async def test_the_limit_of_a_body(world: World, extra: int, streamed: bool) -> None:  # noqa: FBT001
    body = event_body().ljust(LIMIT + extra)
    headers = {b"stripe-signature": signature(body)}
    content: Any = _streamed(body) if streamed else body
    response = await world.client.post("/webhooks/stripe", content=content, headers=headers)
    expected = (413, b'{"error":"too_large"}') if extra else (200, b'{"received":true}')
    assert (response.status_code, response.content) == expected
    assert len(world.producer.sent) == 1 - extra


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
async def test_another_method_of_the_webhook(world: World, method: str) -> None:
    response = await world.client.request(method, "/webhooks/stripe")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS"])
async def test_another_method_of_health(world: World, path: str, method: str) -> None:
    response = await world.client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path", ["/", "/webhooks", "/webhooks/stripe/", "/metrics", "/livez/", "/WEBHOOKS/STRIPE"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_another_path(world: World, path: str, method: str) -> None:
    response = await world.client.request(method, path, content=b"x" * (LIMIT + 1))
    assert response.status_code == 404


async def test_health_is_told_to_whoever_asks(world: World) -> None:
    world.ready.set(ok=False, state="ill")
    live, ready = await world.client.get("/livez"), await world.client.get("/readyz")
    assert (live.status_code, live.json()) == (200, {"status": "ok", "checks": {}})
    checks = {"it": {"ok": False, "state": "ill", "age_s": ready.json()["checks"]["it"]["age_s"]}}
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable", "checks": checks})


@pytest.mark.parametrize("result", [SendResult.TIMED_OUT, SendResult.FAILED])
async def test_what_was_not_acked_is_unavailable(world: World, result: SendResult) -> None:
    world.producer.result = result
    response = await world.post(event_body(), **{"stripe-signature": signature(event_body()).decode()})
    assert (response.status_code, response.content) == UNAVAILABLE
    assert response.headers["retry-after"] == "5"


async def test_what_the_topic_does_not_take_is_too_large(world: World) -> None:
    world.producer.result = SendResult.TOO_LARGE
    assert await world.post_signed(event_body()) == (413, b'{"error":"too_large"}')


async def test_without_a_broker(make_world: MakeWorld) -> None:
    world = await make_world(connected=False)
    assert await world.post_signed(event_body()) == UNAVAILABLE
    assert await world.post_signed(event_body(livemode=True)) == (200, b'{"received":false}')
    assert await world.post_signed(b"[]") == (400, b'{"error":"payload"}')


ORDER = [
    ("404", 404, {"path": "/webhooks/other", "method": "PUT", "size": LIMIT + 1, "signed": False}),
    ("405", 405, {"method": "PUT", "size": LIMIT + 1, "signed": False}),
    ("413", 413, {"size": LIMIT + 1, "signed": False, "id": ""}),
    ("signature", 400, {"signed": False, "id": "", "livemode": True}),
    ("payload", 400, {"id": "", "livemode": True}),
    ("other mode", 200, {"livemode": True}),
    ("503", 503, {}),
]


@pytest.mark.parametrize(("name", "status", "faults"), ORDER, ids=[name for name, _, _ in ORDER])
async def test_of_several_answers_the_first_is_given(
    make_world: MakeWorld, name: str, status: int, faults: dict[str, Any]
) -> None:
    """Each row has the faults that come after it too; the last of them, no broker, is in every row."""
    world = await make_world(connected=False)
    how = {"path": PATH, "method": "POST", "size": 0, "signed": True, **faults}
    event = {key: value for key, value in faults.items() if key in {"id", "livemode"}}
    body = event_body(**event).ljust(how["size"])
    headers = {b"stripe-signature": signature(body)} if how["signed"] else {}
    response = await world.client.request(how["method"], how["path"], content=body, headers=headers)
    bodies = {
        "413": b'{"error":"too_large"}',
        "signature": b'{"error":"signature"}',
        "payload": b'{"error":"payload"}',
        "other mode": b'{"received":false}',
        "503": b'{"error":"unavailable"}',
    }
    assert (response.status_code, response.content) == (status, bodies.get(name, response.content))


async def test_draining(world: World) -> None:
    world.producer.gate.clear()
    inside = asyncio.create_task(world.post_signed(event_body()))
    await world.producer.sending.acquire()
    world.intake.drain()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    assert not world.intake.serving().ok
    world.producer.gate.set()
    assert await inside == (200, b'{"received":true}')


async def test_more_requests_than_there_is_room_for(make_world: MakeWorld) -> None:
    world = await make_world(max_requests=2)
    world.producer.gate.clear()
    inside = [asyncio.create_task(world.post_signed(event_body())) for _ in range(2)]
    for _ in inside:
        await world.producer.sending.acquire()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    world.producer.gate.set()
    assert await asyncio.gather(*inside) == [(200, b'{"received":true}')] * 2
    assert await world.post_signed(event_body()) == (200, b'{"received":true}')


async def test_more_bytes_than_there_is_room_for(make_world: MakeWorld) -> None:
    world = await make_world(max_bytes=2 * LIMIT)
    world.producer.gate.clear()
    large = event_body().ljust(LIMIT)
    inside = [asyncio.create_task(world.post_signed(large)) for _ in range(2)]
    for _ in inside:
        await world.producer.sending.acquire()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    world.producer.gate.set()
    assert await asyncio.gather(*inside) == [(200, b'{"received":true}')] * 2
    assert await world.post_signed(large) == (200, b'{"received":true}')


async def test_a_fault_of_ours_is_unavailable_and_says_nothing(world: World) -> None:
    world.producer.result = "no such result"  # type: ignore[assignment]
    assert await world.post_signed(event_body()) == UNAVAILABLE


async def test_a_client_that_leaves_leaves_no_trace(make_world: MakeWorld) -> None:
    world = await make_world(max_requests=1)
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
        writer.write(_head(f"Content-Length: {LIMIT}") + b"{")
        await writer.drain()
        writer.close()
        await reader.read()
    assert await world.post_signed(event_body()) == (200, b'{"received":true}')
    assert b'outcome="disconnected"' in world.metrics.text()
    assert b"offshoot_webhooks_in_flight 0.0" in world.metrics.text()


def _head(*headers: str, method: str = "POST", path: str = PATH, version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: test", *headers, "", ""]).encode()


def _signed(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    named = [f"Content-Length: {len(body)}", f"Stripe-Signature: {signature(body).decode()}", *headers]
    return _head(*named, version=version) + body


async def _talk(world: World, sent: bytes, *, answers: int) -> list[tuple[int, bytes]]:
    """Send bytes in one go, and read so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    try:
        writer.write(sent)
        return [await _answer(reader) for _ in range(answers)]
    finally:
        writer.close()
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return int(head.split()[1]), await reader.readexactly(length)


RECEIVED = (200, b'{"received":true}')


async def test_pipelined_requests_are_answered_in_their_order(world: World) -> None:
    """Webhooks and ordinary requests mixed, the first answered last."""
    bad = _head("Content-Length: 2") + b"{}"
    live = _head(method="GET", path="/livez")
    world.producer.gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    writer.write(_signed(event_body(id="evt_1")) + bad + live + _signed(event_body(id="evt_2")) + live)
    await world.producer.sending.acquire()
    world.producer.gate.set()
    statuses = [(await _answer(reader))[0] for _ in range(5)]
    writer.close()
    await writer.wait_closed()
    assert statuses == [200, 400, 200, 200, 200]
    assert [value for _, value, _ in world.producer.sent] == [event_body(id="evt_1"), event_body(id="evt_2")]


async def test_a_connection_is_kept_or_closed_as_its_client_wishes(world: World) -> None:
    body = event_body()
    assert await _talk(world, _signed(body) * 3, answers=3) == [RECEIVED] * 3
    for request in (_signed(body, "Connection: close"), _signed(body, version="1.0")):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
        writer.write(request)
        assert await _answer(reader) == RECEIVED
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_expect_continue(world: World) -> None:
    """A body is asked for where it is wanted, and not where it is too large."""
    body = event_body()
    whole = _signed(body, "Expect: 100-continue")
    head = whole.removesuffix(body)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    writer.write(head)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body)
    assert await _answer(reader) == RECEIVED
    writer.write(_head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))
    assert await _answer(reader) == (413, b'{"error":"too_large"}')
    writer.close()
    await writer.wait_closed()


async def test_after_a_body_that_is_too_large_the_connection_goes_on(world: World) -> None:
    large = b"x" * (2 * LIMIT)
    sent = _head(f"Content-Length: {len(large)}") + large + _signed(event_body())
    assert await _talk(world, sent, answers=2) == [(413, b'{"error":"too_large"}'), RECEIVED]


async def test_a_body_in_many_pieces(world: World) -> None:
    body = event_body()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in _signed(body):
        writer.write(bytes([byte]))
        await writer.drain()
    assert await _answer(reader) == RECEIVED
    assert world.producer.sent[0][1] == body
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "sent", [b"\x00\xff nonsense\r\n\r\n", b"POST /webhooks/stripe HTTP/1.1\r\nContent-Length: x\r\n\r\n"]
)
async def test_bytes_that_are_no_http(world: World, sent: bytes) -> None:
    assert (await _talk(world, sent, answers=1))[0][0] == 400


async def test_no_http_behind_a_webhook_does_not_take_its_answer(world: World) -> None:
    world.producer.gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    writer.write(_signed(event_body()))
    await world.producer.sending.acquire()
    world.producer.gate.set()
    assert await _answer(reader) == RECEIVED
    writer.write(b"\x00\xff nonsense\r\n\r\n")
    assert (await _answer(reader))[0] == 400
    writer.close()
    await writer.wait_closed()


async def test_the_end_waits_for_what_was_begun(world: World) -> None:
    """A stop closes idle connections, answers what is inside, and then closes that connection too."""
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    idle_writer.write(_signed(event_body()))
    assert await _answer(idle_reader) == RECEIVED
    await world.producer.sending.acquire()
    world.producer.gate.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", world.listener.port)
    writer.write(_signed(event_body(id="evt_2")))
    await world.producer.sending.acquire()

    stopping = asyncio.create_task(world.listener.stop(10))
    assert await idle_reader.read() == b""
    world.producer.gate.set()
    assert await _answer(reader) == RECEIVED
    assert await reader.read() == b""
    await stopping
    for each in (idle_writer, writer):
        each.close()
        await each.wait_closed()
