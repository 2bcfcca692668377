"""Webhooks: signed, sent, and sent again ([doc] docs.stripe.com/webhooks; STRIPE.md 5).

An attempt fails on anything but a 2xx. The delay between attempts doubles; each attempt is signed anew;
nothing keeps the order. The API never waits for a delivery.
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, assert_never

import httpx

from deploy.stripe_emulator.clock import Clock
from deploy.stripe_emulator.events.destination import Destination, Destinations
from deploy.stripe_emulator.events.event import Event
from deploy.stripe_emulator.events.faults import (
    Delay,
    Drop,
    Duplicate,
    EventFaults,
    EventRule,
    Lost,
    Reorder,
    Twice,
)
from deploy.stripe_emulator.ids import random_text
from deploy.stripe_emulator.texts import as_json

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0
MOST_ATTEMPTS = 20
TIMEOUT_S = 10.0


@dataclass(slots=True)
class Delivery:
    """One event on its way to one destination; an attempt is its status, or the name of what went wrong."""

    id: str
    event: str
    type: str
    account: str | None
    endpoint: str
    url: str
    status: str = "pending"
    attempts: list[int | str] = field(default_factory=list)


def signature(secrets: Sequence[str], body: bytes, now_s: int) -> str:
    """Give the `Stripe-Signature` of a body: HMAC-SHA256 over `{t}.{body}` under each whole secret.

    Source: [doc] webhooks.
    """
    signed = b"%d.%b" % (now_s, body)
    digests = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={now_s}", *(f"v1={digest}" for digest in digests)])


def delay_s(attempts: int) -> float:
    """Say how long to wait after so many failed attempts."""
    return float(min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (attempts - 1)))


class Deliveries:
    """Everything that was sent or is being sent."""

    def __init__(self, destinations: Destinations, faults: EventFaults, clock: Clock) -> None:
        self._destinations = destinations
        self._faults = faults
        self._clock = clock
        self._records: list[Delivery] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._client: httpx.AsyncClient | None = None
        self.names_twins = False
        """Whether a thin event that is pushed names its snapshot."""
        self.listeners: list[Callable[[Event], None]] = []
        """Whoever hears of every event, whatever the rules do to deliveries."""

    def send(self, events: Iterable[Event]) -> None:
        """Start to deliver events to every destination that wants them, as far as no rule hinders it."""
        for event in events:
            for listener in self.listeners:
                listener(event)
            for destination in self._destinations.wanting(event):
                self._send(event, destination, self._faults.of_delivery(event, destination))

    def send_to(self, event: Event, destination: Destination) -> None:
        """Start to deliver an event to one destination, whether it wants it or not."""
        self._spawn(self._deliver(event, destination))

    def release(self, rule: EventRule) -> None:
        """Deliver what a rule holds, the last first, each once the attempt before it has ended."""
        held, rule.held = rule.held[::-1], []
        if held:
            self._spawn(self._in_order(held))

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

    def _send(self, event: Event, destination: Destination, rule: EventRule | None) -> None:
        match None if rule is None else rule.action:
            case None | Twice() | Lost():
                self.send_to(event, destination)
            case Drop():
                self._record(event, destination).status = "dropped"
            case Duplicate(copies):
                for _ in range(1 + copies):
                    self.send_to(event, destination)
            case Delay(seconds):
                self._spawn(self._deliver(event, destination, after_s=seconds))
            case Reorder(window):
                assert rule is not None  # noqa: S101 - its action is what matched
                rule.held.append((event, destination))
                if len(rule.held) == window:
                    self.release(rule)
            case action:
                assert_never(action)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _record(self, event: Event, destination: Destination) -> Delivery:
        snapshot_id = event.id if destination.payload == "snapshot" else None
        record = Delivery(
            id="dlv_" + random_text(16),
            event=snapshot_id or event.thin_id,
            type=event.type if snapshot_id else event.thin_type,
            account=event.account,
            endpoint=destination.id,
            url=destination.url,
        )
        self._records.append(record)
        return record

    async def _in_order(self, held: Sequence[tuple[Event, Destination]]) -> None:
        for event, destination in held:
            attempted = asyncio.Event()
            self._spawn(self._deliver(event, destination, attempted=attempted))
            await attempted.wait()

    async def _deliver(
        self,
        event: Event,
        destination: Destination,
        *,
        after_s: float = 0.0,
        attempted: asyncio.Event | None = None,
    ) -> None:
        record = self._record(event, destination)
        body = self._pushed(event, destination)
        await asyncio.sleep(after_s)
        while record.endpoint in self._destinations.by_id and destination.body["status"] == "enabled":
            outcome = await self._attempt(destination, body)
            record.attempts.append(outcome)
            if attempted is not None:
                attempted.set()
            if isinstance(outcome, int) and httpx.codes.is_success(outcome):
                record.status = "delivered"
                event.accepted(record.endpoint)
                return
            if len(record.attempts) == MOST_ATTEMPTS:
                break
            await asyncio.sleep(delay_s(len(record.attempts)))
        record.status = "failed"
        if attempted is not None:
            attempted.set()

    async def _attempt(self, destination: Destination, body: bytes) -> int | str:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        secrets = destination.secrets.active(self._clock.now_s())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(secrets, body, int(time.time())),
        }
        try:
            response = await self._client.post(destination.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return type(error).__name__
        return response.status_code

    def _pushed(self, event: Event, destination: Destination) -> bytes:
        if destination.payload == "thin" or event.id is None:
            return as_json(event.notification(names_twin=self.names_twins))
        return as_json(event.pushed_snapshot(destination.owner, destination.api_version))
