"""Making topics, and everything that a reader of committed records finds on one."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from service.runtime.kafka.stop import stop_client
from tests.support.waiting import until

_KNOWN_WITHIN_S: Final = 20.0


async def make_topics(bootstrap_servers: str, topics: Sequence[NewTopic]) -> None:
    """Make topics, and wait until the broker that made them has heard of them itself."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()

    async def are_known() -> bool:
        known = await admin.describe_topics([topic.name for topic in topics])
        return all(topic["error_code"] == 0 for topic in known)

    try:
        made = await admin.create_topics(topics)
        assert {error[1] for error in made.topic_errors} == {0}, made.topic_errors
        await until(are_known, within_s=_KNOWN_WITHIN_S, what="the topics are known")
    finally:
        await admin.close()


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
