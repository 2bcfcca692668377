"""Reading a whole topic without a group: first what is there, from the beginning, then what comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from service.runtime.kafka.consumer import Record, record_of
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.stop import stop_client

_SETTINGS: Final[dict[str, Any]] = {
    "group_id": None,  # every partition, no offsets: nobody notices this reader
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
}
_STOP_S: Final = 2.0


@contextlib.asynccontextmanager
async def tail(
    options: dict[str, Any], topic: str, *, within_s: float, client_id: str
) -> AsyncIterator[AsyncIterator[Record]]:
    """Lend the committed records of a topic, in the order of each partition; there is no last one.

    Args:
        options: Where the brokers are and who we are (see `connection.client_options`).
        topic: Its full name, prefix included.
        within_s: How long a broker may take to answer at first.
        client_id: What the brokers' logs call this reader.

    Raises:
        TopicMissingError: there is no such topic.
        KafkaUnavailableError: no broker answers in time, or, while reading, the client is of no more use.
    """
    consumer = AIOKafkaConsumer(**options, **_SETTINGS, client_id=client_id)
    try:
        try:
            async with asyncio.timeout(within_s):
                await consumer.start()
                # Asked here: to subscribe to a topic that is not there is to wait for ever.
                if topic not in await consumer.topics():
                    raise TopicMissingError(f"there is no topic {topic}")
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        consumer.subscribe([topic])
        yield _records(consumer)
    finally:
        await stop_client(consumer, _STOP_S)


async def _records(consumer: AIOKafkaConsumer) -> AsyncIterator[Record]:
    while True:
        try:
            message = await consumer.getone()
        except KafkaError as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        yield record_of(message)
