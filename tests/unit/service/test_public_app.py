"""The public listener: every row of the table of answers, byte for byte, and their order."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from service.receiver.app import PublicApp
from service.receiver.publisher import Publisher
from service.receiver.room import Room
from service.receiver.signature import SignatureVerifier
from service.receiver.webhook import Receiver
from service.runtime.health import Health, State
from service.runtime.kafka.producer import SendResult
from service.runtime.metrics import Metrics
from tests.unit.service.fakes import FakeProducer
from tests.unit.service.signing import NOW, SECRET, event_body, signature

LIMIT = 4096
UNAVAILABLE = (503, b'{"error":"unavailable"}')


class World:
    """The app over a fake Kafka client."""

    def __init__(self, *, max_requests: int = 10, max_bytes: int = 3 * LIMIT) -> None:
        self.producer = FakeProducer()
        self.metrics = Metrics()
        self.health = Health()
        self.ready = State(ok=True, state="fine")
        self.health.add_readiness("it", self.ready)
        self.publisher = Publisher(self._connect, self.metrics, deadline_s=8, max_body_bytes=LIMIT)
        self.app = PublicApp(
            receiver=Receiver(
                verifier=SignatureVerifier([("main", SECRET.encode())], 300),
                livemode=False,
                platform_account="acct_P",
            ),
            publisher=self.publisher,
            health=self.health,
            metrics=self.metrics,
            room=Room(self.metrics, max_requests=max_requests, max_bytes=max_bytes),
            path="/webhooks/stripe",
            now=lambda: NOW,
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://test")
        self.stop = asyncio.Event()

    async def _connect(self) -> FakeProducer:
        self.stop.set()
        return self.producer

    async def connect(self) -> None:
        """Run the publisher until it has its client."""
        await self.publisher.run(self.stop)

    async def post(self, body: Any, **headers: Any) -> httpx.Response:
        return await self.client.post("/webhooks/stripe", content=body, headers=headers or None)

    async def post_signed(self, body: bytes) -> tuple[int, bytes]:
        response = await self.client.post(
            "/webhooks/stripe", content=body, headers={b"stripe-signature": signature(body)}
        )
        return response.status_code, response.content


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """The app, its Kafka client connected."""
    world = World()
    await world.connect()
    yield world
    await world.client.aclose()


async def test_a_verified_event_is_published_as_it_came(world: World) -> None:
    body = event_body(account="acct_1") + b" "
    assert await world.post_signed(body) == (200, b'{"received":true}')
    [(key, value, headers)] = world.producer.sent
    assert (key, value) == (b"acct_1:pm_1", body)
    assert dict(headers)["ce_endpoint"] == b"main"
    assert dict(headers)["ce_via"] == b"webhook"


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


async def test_without_a_broker() -> None:
    world = World()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    assert await world.post_signed(event_body(livemode=True)) == (200, b'{"received":false}')
    assert await world.post_signed(b"[]") == (400, b'{"error":"payload"}')


async def test_draining(world: World) -> None:
    world.producer.gate.clear()
    inside = asyncio.create_task(world.post_signed(event_body()))
    await world.producer.sending.acquire()
    world.app.drain()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    assert not world.app.serving().ok
    world.producer.gate.set()
    assert await inside == (200, b'{"received":true}')


async def test_more_requests_than_there_is_room_for() -> None:
    world = World(max_requests=2)
    await world.connect()
    world.producer.gate.clear()
    inside = [asyncio.create_task(world.post_signed(event_body())) for _ in range(2)]
    for _ in inside:
        await world.producer.sending.acquire()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    world.producer.gate.set()
    assert await asyncio.gather(*inside) == [(200, b'{"received":true}')] * 2
    assert await world.post_signed(event_body()) == (200, b'{"received":true}')


async def test_more_bytes_than_there_is_room_for() -> None:
    world = World(max_bytes=2 * LIMIT)
    await world.connect()
    world.producer.gate.clear()
    large = event_body().ljust(LIMIT)
    inside = [asyncio.create_task(world.post_signed(large)) for _ in range(2)]
    for _ in inside:
        await world.producer.sending.acquire()
    assert await world.post_signed(event_body()) == UNAVAILABLE
    world.producer.gate.set()
    assert await asyncio.gather(*inside) == [(200, b'{"received":true}')] * 2
    assert await world.post_signed(large) == (200, b'{"received":true}')


async def test_a_fault_of_ours_is_unavailable_and_says_nothing() -> None:
    world = World()
    await world.connect()

    world.producer.result = "no such result"  # type: ignore[assignment]
    assert await world.post_signed(event_body()) == UNAVAILABLE


async def test_a_client_that_leaves_gets_no_answer_and_leaves_no_trace() -> None:
    world = World(max_requests=1)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/webhooks/stripe", "headers": []}
    for _ in range(3):
        await world.app(scope, receive, send)
    assert sent == []
    assert b'outcome="disconnected"' in world.metrics.text()
    assert b"offshoot_webhooks_in_flight 0.0" in world.metrics.text()
