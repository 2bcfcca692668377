"""Everything that a reader of committed records finds on a topic."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from service.runtime.kafka.stop import stop_client


async def read_committed(bootstrap_servers: str, topic: str) -> list[Any]:
    """Every committed record that is there now, in the order of each partition."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()  # noqa: SLF001 - the topic may be new to it
        partitions = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Any] = []
        async with asyncio.timeout(30):
            while any([await consumer.position(each) < end for each, end in ends.items()]):
                for messages in (await consumer.getmany(timeout_ms=200)).values():
                    found += messages
        return found
    finally:
        await stop_client(consumer, 1)
