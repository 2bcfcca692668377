"""Looking at the brokers from outside, with clients of the tests' own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from service.runtime.kafka.stop import stop_client
from tests.support.waiting import until

_TRY_S = 0.7


@dataclass(frozen=True)
class Topic:
    """A topic, and where to ask for it."""

    bootstrap_servers: str
    name: str
    partitions: int = 3

    async def create(self, *, replicas: int = 1, **config: str) -> None:
        """Make it, and wait until it takes records."""
        async with _admin(self.bootstrap_servers) as admin:
            made = await admin.create_topics(
                [NewTopic(self.name, self.partitions, replicas, topic_configs=config)]
            )
        assert made.topic_errors[0][1] == 0, made.topic_errors
        await self.accepts(within_s=30)

    async def delete(self) -> None:
        """Delete it, and wait until the brokers know it no more."""
        async with _admin(self.bootstrap_servers) as admin:
            deleted = await admin.delete_topics([self.name])
            assert deleted.topic_error_codes[0][1] == 0, deleted

            async def gone() -> bool:
                return self.name not in await admin.list_topics()

            await until(gone, within_s=30, what="the topic is gone")

    async def limit(self, max_message_bytes: int) -> None:
        """Lower its `max.message.bytes`; every other setting goes back to the broker's."""
        changes = {"max.message.bytes": str(max_message_bytes)}
        async with _admin(self.bootstrap_servers) as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.name, configs=changes)])

    async def leaders(self) -> list[int]:
        """The node that leads each partition."""
        async with _admin(self.bootstrap_servers) as admin:
            [found] = await admin.describe_topics([self.name])
        leader = {each["partition"]: each["leader"] for each in found["partitions"]}
        return [leader[partition] for partition in range(self.partitions)]

    async def until_in_sync(self, replicas: int, *, within_s: float) -> None:
        """Wait until every partition has so many replicas that are in sync."""
        async with _admin(self.bootstrap_servers) as admin:

            async def in_sync() -> bool:
                [found] = await admin.describe_topics([self.name])
                return all(len(each["isr"]) == replicas for each in found["partitions"])

            await until(in_sync, within_s=within_s, what=f"{replicas} replicas in sync")

    async def accepts(self, *, within_s: float, by: str | None = None) -> float:
        """Wait until a fresh producer gets a record of its own acknowledged on every partition; say when.

        Args:
            within_s: when to fail.
            by: bootstrap servers to begin with; all of them unless given.
        """

        async def accepted() -> float:
            return time.monotonic() if await self._try(by or self.bootstrap_servers) else 0.0

        return await until(accepted, within_s=within_s, what=f"{self.name} takes records")

    async def _try(self, bootstrap_servers: str) -> bool:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", request_timeout_ms=int(_TRY_S * 1000)
        )
        try:
            await producer.start()
            await asyncio.gather(
                *(
                    producer.send_and_wait(self.name, b"probe", partition=each)
                    for each in range(self.partitions)
                )
            )
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            await stop_client(producer, 2 * _TRY_S)
        return True


@contextlib.asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await stop_client(admin, 1)
