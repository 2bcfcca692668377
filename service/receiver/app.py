"""The public ASGI app: the webhook, `/livez` and `/readyz`, and nothing else.

Raw ASGI, so that a body is counted and refused while it streams in, and no router stands before the one path
that matters.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from schemas.stripe_event import StripeEvent
from service.receiver import webhook
from service.receiver.publisher import Publisher
from service.receiver.room import Place, Room
from service.receiver.webhook import Answer, Receiver, Record
from service.runtime.health import Health, State
from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics, type_label

_SIGNATURE_HEADER = b"stripe-signature"


@dataclass
class _Seen:
    """What is known of one webhook once it is answered; `answer` is None if the client left before."""

    answer: Answer | None
    event: StripeEvent | None = None
    endpoint: str | None = None


class PublicApp:
    """What the public listener serves."""

    def __init__(
        self,
        *,
        receiver: Receiver,
        publisher: Publisher,
        health: Health,
        metrics: Metrics,
        room: Room,
        path: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.serving = State(ok=True, state="serving")
        """A probe: whether webhooks are taken, or the process is draining."""
        self._receiver = receiver
        self._publisher = publisher
        self._metrics = metrics
        self._room = room
        self._path = path
        self._health = {"/livez": health.livez, "/readyz": health.readyz}
        self._now = now
        self._log = get_logger()

    def drain(self) -> None:
        """From now on refuse new webhooks; those inside are finished."""
        self.serving.set(ok=False, state="draining")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if path == self._path:
            if method == "POST":
                await self._webhook(scope, receive, send)
            else:
                await _send(send, webhook.method_not_allowed("POST"))
        elif path in self._health:
            allowed = method == "GET"
            await _send(send, self._report(path) if allowed else webhook.method_not_allowed("GET"))
        else:
            await _send(send, webhook.NOT_FOUND)

    def _report(self, path: str) -> Answer:
        ok, report = self._health[path]()
        return Answer("health", 200 if ok else 503, json.dumps(report).encode())

    async def _webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        with self._room.enter() as place:
            try:
                seen = await self._judge(scope, receive, place)
            except asyncio.CancelledError:
                # Only the listener cancels, when the time to drain is over: better a true answer than a 500.
                seen = _Seen(webhook.DRAINING)
            except Exception as error:  # noqa: BLE001 - no byte of a sender may cause a 500
                self._log.error("webhook.failed", **describe_error(error))
                seen = _Seen(webhook.FAILED)
            if seen.answer is not None:
                await _send(send, seen.answer)
            self._note(seen, place.size, time.perf_counter() - began)

    async def _judge(self, scope: Scope, receive: Receive, place: Place) -> _Seen:
        if not self.serving().ok:
            return _Seen(webhook.DRAINING)
        if place.overfull:
            return _Seen(webhook.OVERLOADED)
        body = await self._read(scope, receive, place)
        if not isinstance(body, bytes):
            return _Seen(body)
        decision = self._receiver.judge(body, _only(scope, _SIGNATURE_HEADER), self._now())
        if not isinstance(decision, Record):
            return _Seen(decision.answer, decision.event, decision.endpoint)
        result = await self._publisher.publish(decision.key, decision.value, decision.headers)
        return _Seen(webhook.answer_to(result), decision.event, decision.endpoint)

    async def _read(self, scope: Scope, receive: Receive, place: Place) -> bytes | Answer | None:
        """Give the whole body; or the answer to one that may not be read; or None when the client left."""
        limit = self._publisher.max_body_bytes
        declared = _only(scope, b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
            return webhook.TOO_LARGE
        chunks: list[bytes] = []
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            place.add(len(chunk))
            if place.size > limit:
                return webhook.TOO_LARGE
            if place.overfull:
                return webhook.OVERLOADED
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _note(self, seen: _Seen, size: int, took_s: float) -> None:
        outcome = seen.answer.outcome if seen.answer else "disconnected"
        event_type = type_label(seen.event.type) if seen.event else "none"
        self._metrics.webhooks.labels(outcome, seen.endpoint or "none", event_type).inc()
        self._metrics.webhook_bytes.inc(size)
        facts: dict[str, Any] = {"outcome": outcome, "bytes": size, "took_ms": round(took_s * 1000, 3)}
        if seen.answer is not None:
            facts["status"] = seen.answer.status
        if seen.endpoint is not None:
            facts["endpoint"] = seen.endpoint
        if seen.event is not None:
            facts["event_id"] = seen.event.id
            facts["event_type"] = seen.event.type
            facts["account"] = seen.event.account
            facts["object_id"] = seen.event.object_id
        self._log.info("webhook.answered", **facts)


def _only(scope: Scope, name: bytes) -> bytes | None:
    """Give the value of a header that stands in the request exactly once."""
    values = [value for header, value in scope["headers"] if header == name]
    return values[0] if len(values) == 1 else None


async def _send(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
