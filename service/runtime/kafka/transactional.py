"""Publishing in transactions, under an id that only one producer can hold (KIP-98).

A producer that starts with the id fences off the one before: what a former leader still has in flight can not
be committed any more, so an old state is never left last in the compacted topic. Any failure is the end of
this producer; make another.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import MAX_MESSAGE_BYTES
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.publish import Outgoing
from service.runtime.kafka.stop import stop_client

__all__ = ["Outgoing", "TransactionalPublisher"]

_MAX_BATCH_BYTES: Final = 900_000
_REQUEST_TIMEOUT_MS: Final = 10_000


class TransactionalPublisher:
    """Publishes batches, each in one transaction: all of it or nothing, in the order given."""

    def __init__(self, options: dict[str, Any], transactional_id: str, *, client_id: str) -> None:
        self._producer = AIOKafkaProducer(
            **options,
            client_id=client_id,
            transactional_id=transactional_id,
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
        """Publish all of them in one transaction.

        Raises:
            KafkaUnavailableError: not known to be published; this producer is of no more use.
        """
        try:
            async with asyncio.timeout(within_s), self._producer.transaction():
                acks = [
                    await self._producer.send(
                        record.topic, value=record.value, key=record.key, headers=record.headers
                    )
                    for record in records
                ]
                await asyncio.gather(*acks)
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error

    async def stop(self, within_s: float) -> None:
        """Drop the client; never hangs."""
        await stop_client(self._producer, within_s)
