"""What the receiver is measured against: `python -m tests.bench.servers bare|usual --port N`."""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import stripe
import uvicorn
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

BODY = b'{"received":true}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """The least that an ASGI app under uvicorn can do with a request: read it, and answer 200."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def usual() -> Starlette:
    """What one would write from the two libraries' first pages, with acks=all."""
    secret, topic = os.environ["SECRET"], os.environ["TOPIC"]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(bootstrap_servers=os.environ["BOOTSTRAP_SERVERS"], acks="all")
        await producer.start()
        app.state.producer = producer
        yield
        await producer.stop()

    async def webhook(request: Request) -> JSONResponse:
        payload = await request.body()
        try:
            event: Any = stripe.Webhook.construct_event(
                payload, request.headers.get("Stripe-Signature"), secret
            )
        except (ValueError, stripe.SignatureVerificationError):
            return JSONResponse({"error": "signature"}, 400)
        key = f"{getattr(event, 'account', None) or 'platform'}:{event['data']['object']['id']}".encode()
        await request.app.state.producer.send_and_wait(topic, payload, key)
        return JSONResponse({"received": True})

    return Starlette(routes=[Route("/webhooks/stripe", webhook, methods=["POST"])], lifespan=lifespan)


def main() -> None:
    """Serve one of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("bare", "usual"))
    parser.add_argument("--port", type=int, required=True)
    said = parser.parse_args()
    app: Any = bare if said.which == "bare" else usual()
    uvicorn.run(app, port=said.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
