"""Publishing a few records, each acknowledged by all in-sync replicas.

Idempotence is off, as in `producer`: one record that is too large would poison the client.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from schemas.cloudevents import Headers
from schemas.topics import MAX_MESSAGE_BYTES
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.stop import stop_client

_REQUEST_TIMEOUT_MS: Final = 10_000
_STOP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to publish; `topic` in full. `partition` is used where there is no key to choose one by."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None


class TooLargeError(Exception):
    """The brokers do not take a record of this size; sent again it would be refused again."""


class AckedPublisher:
    """Publishes in the order given; connects when first needed, and anew after any failure."""

    def __init__(self, options: dict[str, Any], *, client_id: str) -> None:
        self._options = options
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, records: Sequence[Outgoing], within_s: float) -> list[Outgoing]:
        """Publish the records and wait for every ack; return those that are too large to be taken.

        Raises:
            KafkaUnavailableError: some are not known to be published; all may be sent again.
        """
        try:
            async with asyncio.timeout(within_s):
                producer = await self._connected()
                acks = [await self._send(producer, record) for record in records]
                results = await asyncio.gather(*acks, return_exceptions=True)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise KafkaUnavailableError(type(error).__name__) from error
        too_large = [
            record
            for record, result in zip(records, results, strict=True)
            if isinstance(result, MessageSizeTooLargeError | RecordListTooLargeError)
        ]
        lost = [each for each in results if isinstance(each, BaseException)]
        if len(lost) > len(too_large):
            await self.close()
            raise KafkaUnavailableError(type(lost[0]).__name__) from lost[0]
        return too_large

    async def close(self) -> None:
        """Drop the client; never hangs."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop_client(producer, _STOP_S)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(
                **self._options,
                client_id=self._client_id,
                acks="all",
                enable_idempotence=False,
                max_request_size=MAX_MESSAGE_BYTES,
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
            )
            await self._producer.start()
        return self._producer

    async def _send(self, producer: AIOKafkaProducer, record: Outgoing) -> "asyncio.Future[Any]":
        partitions = await producer.partitions_for(record.topic)
        beside = record.partition if record.key is None and record.partition in partitions else None
        try:
            ack: asyncio.Future[Any] = await producer.send(
                record.topic,
                # aiokafka sends no record without either.
                value=b"" if record.key is None and record.value is None else record.value,
                key=record.key,
                headers=record.headers,
                partition=beside,
            )
        except MessageSizeTooLargeError as error:  # the client itself refuses it
            ack = asyncio.get_running_loop().create_future()
            ack.set_exception(error)
        return ack
