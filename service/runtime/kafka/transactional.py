"""Publishing in transactions, under an id that only one producer can hold (KIP-98).

A producer that starts with the id fences off the one before: what a former leader still has in flight can not
be committed any more, so an old state is never left last in the compacted topic. Any failure is the end of
this producer; make another. It does not abort its transaction, which could take as long as the broker is
away: its successor's start does.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import MAX_MESSAGE_BYTES
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.partition import partition_of
from service.runtime.kafka.publish import Outgoing
from service.runtime.kafka.stop import stop_client

__all__ = ["Outgoing", "TransactionalPublisher"]

_MAX_BATCH_BYTES: Final = 900_000
_REQUEST_TIMEOUT_MS: Final = 10_000
_TRANSACTION_TIMEOUT_MS: Final = 60_000
"""How long readers wait behind a transaction whose producer is gone and has no successor."""

_Place = tuple[str, int]
"""A topic and one of its partitions."""


class TransactionalPublisher:
    """Publishes batches, each in one transaction: all of it or nothing, in the order given."""

    def __init__(self, options: dict[str, Any], transactional_id: str, *, client_id: str) -> None:
        self._producer = AIOKafkaProducer(
            **options,
            client_id=client_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_batch_size=_MAX_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )

    async def start(self, within_s: float) -> None:
        """Connect, and fence off whoever held the id before.

        Raises:
            KafkaUnavailableError: no broker answers in time.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error

    async def publish(self, records: Sequence[Outgoing], within_s: float) -> None:
        """Publish all of them in one transaction; each has a key.

        Raises:
            KafkaUnavailableError: not known to be published; this producer is of no more use.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._producer.begin_transaction()
                places = await self._by_place(records)
                await asyncio.gather(*[self._send(place, batch) for place, batch in places.items()])
                await self._producer.commit_transaction()
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error

    async def _by_place(self, records: Sequence[Outgoing]) -> dict[_Place, list[Outgoing]]:
        topics = {record.topic for record in records}
        partitions = {topic: len(await self._producer.partitions_for(topic)) for topic in topics}
        places: dict[_Place, list[Outgoing]] = {}
        for record in records:
            place = (record.topic, partition_of(record.key or b"", partitions[record.topic]))
            places.setdefault(place, []).append(record)
        return places

    async def _send(self, place: _Place, records: list[Outgoing]) -> None:
        """Send the records of one partition, in as few batches as they fit in, and wait for the acks.

        In batches of our own: a future for each record would cost as much as all the rest.
        """
        topic, partition = place
        acks = []
        batch = self._producer.create_batch()
        for record in records:
            while not _takes(batch, record):
                acks.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
        acks.append(await self._producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*acks)

    async def stop(self, within_s: float) -> None:
        """Drop the client; never hangs."""
        await stop_client(self._producer, within_s)


def _takes(batch: Any, record: Outgoing) -> bool:
    """Add a record to a batch unless it is full; an empty one takes a record of any size."""
    taken = batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers)
    return taken is not None
