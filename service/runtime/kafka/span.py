"""Reading what is on a topic now, from its beginning to where it ended when it was asked, and no further."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.topics import MAX_MESSAGE_BYTES
from service.runtime.kafka.admin import admin_client
from service.runtime.kafka.consumer import Record, record_of
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.stop import stop_client

_SETTINGS: Final[dict[str, Any]] = {
    "group_id": None,  # no offsets: nobody notices this reader
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "max_partition_fetch_bytes": MAX_MESSAGE_BYTES,
}
_POLL_MS: Final = 500
_STOP_S: Final = 2.0


async def read_span(
    options: dict[str, Any], topic: str, *, client_id: str, within_s: float
) -> AsyncIterator[Record]:
    """Give every committed record that is on a topic now, in the order of each partition.

    Args:
        options: what `client_options` gives.
        topic: its full name.
        client_id: what the brokers' logs call this reader.
        within_s: how long the brokers may let it wait for the next records.

    Raises:
        TopicMissingError: there is no such topic.
        KafkaUnavailableError: no broker answers in time.
    """
    # Looked up in the list of all: to ask for an unknown name could create it.
    async with admin_client(options) as admin:
        if topic not in await admin.list_topics():
            raise TopicMissingError(f"there is no topic {topic}")
    consumer = AIOKafkaConsumer(topic, **options, **_SETTINGS, client_id=client_id)
    try:
        async with asyncio.timeout(within_s):
            await consumer.start()
            ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while await _is_before(consumer, ends, within_s):
            async with asyncio.timeout(within_s):
                found = await consumer.getmany(timeout_ms=_POLL_MS)
            for partition, messages in found.items():
                for message in messages:
                    if message.offset < ends[partition]:
                        yield record_of(message)
    except (KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailableError(type(error).__name__) from error
    finally:
        await stop_client(consumer, _STOP_S)


async def _is_before(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int], within_s: float) -> bool:
    """Whether something is left to be read; not all offsets are records, so only the position tells."""
    async with asyncio.timeout(within_s):
        for partition, end in ends.items():
            if await consumer.position(partition) < end:
                return True
    return False
