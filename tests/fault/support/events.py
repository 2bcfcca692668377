"""Events of customers and their cards on `stripe.events`, each until it is acked, and what must come of them.

Each customer's events are written one after the other, the next only once the one before is acknowledged, so
that the last one says how the customer must end.
"""

import asyncio
import itertools
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final, Self

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from service.runtime.kafka.stop import stop_client
from service.runtime.lifecycle import wait_for_stop

ACCOUNTS: Final = ("acct_1", "acct_2", "acct_3")
_ACK_WITHIN_S: Final = 5.0


@dataclass
class Told:
    """What was acknowledged: the relevant events, and how each customer and card must end."""

    events: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    cards: set[str] = field(default_factory=set)


class Events:
    """So many customers, each changing again and again, until it is left."""

    def __init__(
        self, bootstrap_servers: str, topic: str, *, customers: int = 30, pause_s: float = 0.1
    ) -> None:
        self.told = Told()
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._customers = customers
        self._pause_s = pause_s
        self._stop = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self._renewing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._tell(f"cus_{number}")) for number in range(self._customers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def end(self) -> None:
        """Write no more; what is under way is acknowledged first."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        if self._producer is not None:
            await stop_client(self._producer, 1)
            self._producer = None

    async def _tell(self, customer: str) -> None:
        yesterday = int(time.time()) - 86_400  # the inbox forgets what is much older
        for number in itertools.count():
            name = f"{customer} {number}"
            event = customer_event(customer, name, second=yesterday + number)
            await self._send(customer, event)
            self.told.names[customer] = name
            if number % 5 == 0:
                card = f"pm_{customer}_{number}"
                await self._send(card, card_event(card, customer, second=yesterday + number))
                self.told.cards.add(card)
            if await wait_for_stop(self._stop, self._pause_s):
                return

    async def _send(self, object_id: str, event: dict[str, Any]) -> None:
        """Write one until it is acknowledged: a time-out says nothing, and a repeat is harmless."""
        while True:
            producer = self._producer
            try:
                async with asyncio.timeout(_ACK_WITHIN_S):
                    producer = producer or await self._renewed(None)
                    await producer.send_and_wait(
                        self._topic, json.dumps(event).encode(), f"platform:{object_id}".encode()
                    )
            except (KafkaError, OSError, TimeoutError):
                await asyncio.wait({asyncio.create_task(self._renewed(producer))}, timeout=_ACK_WITHIN_S)
            else:
                self.told.events.add(event["id"])
                return

    async def _renewed(self, old: AIOKafkaProducer | None) -> AIOKafkaProducer:
        async with self._renewing:
            if self._producer is old or self._producer is None:
                fresh = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap_servers, acks="all", request_timeout_ms=4000
                )
                try:
                    await fresh.start()
                except (KafkaError, OSError):
                    await stop_client(fresh, 0.5)
                    await wait_for_stop(asyncio.Event(), 0.5)
                    raise
                if old is not None:
                    await stop_client(old, 0.5)
                self._producer = fresh
            return self._producer


def customer_event(customer: str, name: str, *, second: int) -> dict[str, Any]:
    """A customer that is shared with every one of the accounts."""
    metadata = {"connected_accounts": ",".join(ACCOUNTS)}
    return _event(
        "customer.updated", {"id": customer, "object": "customer", "name": name, "metadata": metadata}, second
    )


def card_event(card: str, customer: str, *, second: int) -> dict[str, Any]:
    """A card that was saved on a customer."""
    details = {"fingerprint": card, "exp_month": 1, "exp_year": 2030}
    method = {"id": card, "object": "payment_method", "type": "card", "customer": customer, "card": details}
    return _event("payment_method.attached", method, second)


def _event(kind: str, about: dict[str, Any], second: int) -> dict[str, Any]:
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": kind,
        "api_version": "2026-10-28.endive",
        "created": second,
        "livemode": False,
        "data": {"object": about},
    }


async def check(told: Told, dsn: str) -> None:
    """Every event is in the inbox, and the projections end as the last of each object said."""
    connection = await asyncpg.connect(dsn)
    try:
        noted = {row["id"] for row in await connection.fetch("SELECT id FROM offshoot.inbox")}
        customers = await connection.fetch("SELECT id, profile ->> 'name' AS name FROM offshoot.customer")
        cards = await connection.fetch("SELECT id FROM offshoot.payment_method WHERE known")
        shares = await connection.fetch("SELECT customer_id, account_id FROM offshoot.share WHERE wanted")
    finally:
        await connection.close()
    missing = told.events - noted
    assert not missing, f"{len(missing)} of {len(told.events)} events are not in the inbox"
    assert {row["id"]: row["name"] for row in customers} == told.names
    assert {row["id"] for row in cards} == told.cards
    assert {tuple(row) for row in shares} == set(itertools.product(told.names, ACCOUNTS))
