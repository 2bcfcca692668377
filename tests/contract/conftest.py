"""What Offshoot says, on real Kafka: recorded in Postgres, published by the relay, as in production."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from aiokafka.admin import NewTopic

from consumers.relay import RelayLane
from consumers.store.database import Database
from consumers.store.outbox import Outbox
from deploy.local.kafka import Kafka
from schemas import topics
from schemas.records import PaymentMethodRecord
from service.runtime.kafka.transactional import TransactionalPublisher
from service.runtime.metrics import Metrics
from tests.integration.store.conftest import migrated, pool, sql, world
from tests.integration.store.world import World
from tests.support.topics import make_topics
from tests.support.waiting import until

__all__ = ["migrated", "pool", "sql", "world"]

WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Publishing:
    """A database whose outbox is relayed to topics of this test's own."""

    world: World
    bootstrap_servers: str
    prefix: str

    @property
    def topic(self) -> str:
        """The full name of `offshoot.payment-methods`."""
        return self.prefix + topics.PAYMENT_METHODS.name

    async def say(self, *records: PaymentMethodRecord) -> None:
        """Put records into the outbox, in one transaction, and wait until they are on Kafka."""
        async with self.world.database.transaction() as connection:
            for record in records:
                await self.world.outbox.add_payment_method(connection, record, WHEN)
        await self.relayed()

    async def relayed(self) -> None:
        """Wait until whatever is in the outbox is on Kafka."""
        await until(self._is_empty, within_s=WITHIN_S, what="the outbox is empty")

    async def _is_empty(self) -> bool:
        return not await self.world.outbox_keys()


@pytest.fixture
async def publishing(world: World, kafka: Kafka, topic_prefix: str) -> AsyncIterator[Publishing]:
    """A relay at work."""
    said = Publishing(world, kafka.bootstrap_servers, topic_prefix)
    wanted = [
        NewTopic(topic_prefix + each.name, each.partitions, 1, topic_configs=each.config(1))
        for each in (topics.PAYMENT_METHODS, topics.COMMAND_RESULTS, topics.STRIPE_EVENTS)
    ]
    await make_topics(kafka.bootstrap_servers, wanted)
    async with _relay(world.database, world.outbox, said):
        yield said


@asynccontextmanager
async def _relay(database: Database, outbox: Outbox, said: Publishing) -> AsyncIterator[None]:
    make = publisher_maker(said.bootstrap_servers, f"{said.prefix}relay")
    lane = RelayLane(database, outbox, make, lambda name: said.prefix + name, Metrics())
    stop = asyncio.Event()
    running = asyncio.create_task(lane.run(stop))
    try:
        yield
    finally:
        stop.set()
        with suppress(asyncio.CancelledError):
            await running


def publisher_maker(bootstrap_servers: str, name: str) -> Callable[[], TransactionalPublisher]:
    """Give what makes the relay's publisher."""
    options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers}
    return lambda: TransactionalPublisher(options, name, client_id="relay")
