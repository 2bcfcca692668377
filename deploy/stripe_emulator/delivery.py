"""Webhooks: signed, sent, and sent again ([doc] docs.stripe.com/webhooks; STRIPE.md 5).

An attempt fails on anything but a 2xx. The delay between attempts doubles; each attempt is signed anew;
nothing keeps the order. The API never waits for a delivery.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from deploy.stripe_emulator.ids import random_text
from deploy.stripe_emulator.model import WebhookEndpoint, World
from deploy.stripe_emulator.shapes import JsonObject

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0
MOST_ATTEMPTS = 20
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint; an attempt is its status, or the name of what went wrong."""

    id: str
    event: str
    type: str
    account: str | None
    endpoint: str
    url: str
    status: str = "pending"
    attempts: list[int | str] = field(default_factory=list)


def signature(secret: str, body: bytes, now_s: int) -> str:
    """Give the `Stripe-Signature` of a body: HMAC-SHA256 over `{t}.{body}` under the whole secret.

    Source: [doc] webhooks.
    """
    digest = hmac.new(secret.encode(), b"%d.%b" % (now_s, body), hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def delay_s(attempts: int) -> float:
    """Say how long to wait after so many failed attempts."""
    return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (attempts - 1)))


class Deliveries:
    """Everything that was sent or is being sent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._records: list[Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None

    def send(self, events: Iterable[JsonObject]) -> None:
        """Start to deliver events to every endpoint that wants them."""
        for event in events:
            body = json.dumps(event, indent=2).encode()
            for endpoint in self._world.endpoints.values():
                if endpoint.wants(event):
                    task = asyncio.get_running_loop().create_task(self._deliver(event, body, endpoint))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    def shown(self) -> list[dict[str, Any]]:
        """Give every delivery as JSON."""
        return [asdict(record) for record in self._records]

    async def close(self) -> None:
        """Stop delivering."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    async def _deliver(self, event: JsonObject, body: bytes, endpoint: WebhookEndpoint) -> None:
        record = Delivery(
            id="dlv_" + random_text(16),
            event=event["id"],
            type=event["type"],
            account=event.get("account"),
            endpoint=endpoint.body["id"],
            url=endpoint.body["url"],
        )
        self._records.append(record)
        while record.endpoint in self._world.endpoints:
            outcome = await self._attempt(endpoint, body)
            record.attempts.append(outcome)
            if isinstance(outcome, int) and httpx.codes.is_success(outcome):
                record.status = "delivered"
                event["pending_webhooks"] -= 1
                return
            if len(record.attempts) == MOST_ATTEMPTS:
                break
            await asyncio.sleep(delay_s(len(record.attempts)))
        record.status = "failed"

    async def _attempt(self, endpoint: WebhookEndpoint, body: bytes) -> int | str:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(endpoint.secret, body, int(time.time())),
        }
        try:
            response = await self._client.post(endpoint.body["url"], content=body, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        return response.status_code
