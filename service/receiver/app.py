"""The public ASGI app: the webhook, `/livez` and `/readyz`, and nothing else.

Raw ASGI, so that a body is counted and refused while it streams in, and no router stands before the one path
that matters. Where `protocol` answers webhooks itself, only the rest comes here.
"""

import asyncio
import json

from starlette.types import Message, Receive, Scope, Send

from service.receiver import webhook
from service.receiver.intake import Delivery, Intake
from service.receiver.webhook import Answer
from service.runtime.health import Health

_SIGNATURE_HEADER = b"stripe-signature"
_TRACE_HEADER = b"traceparent"
_LENGTH_HEADER = b"content-length"


class PublicApp:
    """What the public listener serves."""

    def __init__(self, *, intake: Intake, health: Health, path: str) -> None:
        self._intake = intake
        self._path = path
        self._health = {"/livez": health.livez, "/readyz": health.readyz}

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
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        delivery = self._intake.open(answer.set_result, _only(scope, _LENGTH_HEADER))
        try:
            body = await _read(receive, delivery)
            if body is not None:
                delivery.judge(body, _only(scope, _SIGNATURE_HEADER), _only(scope, _TRACE_HEADER))
            if answer.done() or body is not None:
                await _send(send, await answer)
        except asyncio.CancelledError:
            # Only the listener cancels, when the time to drain is over: better a true answer than a 500.
            delivery.answer(webhook.DRAINING)
            await _send(send, answer.result() if answer.done() else webhook.DRAINING)
        finally:
            delivery.abandon()


async def _read(receive: Receive, delivery: Delivery) -> bytes | None:
    """Give the whole body; None where it is not wanted any more, or the sender left."""
    chunks: list[bytes] = []
    while not delivery.answered:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            delivery.abandon()
            return None
        chunk = message.get("body", b"")
        delivery.grow(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body", False) and not delivery.answered:
            return b"".join(chunks)
    return None


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
