"""Batches of our own over aiokafka's `send_batch`: one future and one timer a batch, not a record.

Each partition has at most one batch that still takes records; aiokafka closes it when it puts it on the wire.
A record too large to share a batch goes alone, and where a batch is refused for its size its records are sent
again one by one, so that none takes others with it.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RequestTimedOutError

from schemas.cloudevents import Headers
from service.runtime.kafka.partition import partition_of
from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger


class SendResult(StrEnum):
    """What became of one record. Only ACKED says that it is in the topic; none says that it is not."""

    ACKED = "acked"
    TIMED_OUT = "timed_out"
    TOO_LARGE = "too_large"
    FAILED = "failed"


Done = Callable[[SendResult], None]
"""Told once what became of a record."""

BatchDone = Callable[[SendResult, int, float], None]
"""Told what became of a batch, of how many records it was, and the seconds it took."""

_Entry = tuple[bytes, bytes, Headers, Done]


class _Batch:
    """Records that share one fate."""

    __slots__ = ("began", "builder", "deadline", "entries")

    def __init__(self, builder: Any, began: float, deadline: float) -> None:
        self.builder = builder
        self.began = began
        self.deadline = deadline
        self.entries: list[_Entry] = []

    def take(self, entry: _Entry) -> bool:
        """Add a record, unless the batch is full or on the wire."""
        key, value, headers, _ = entry
        if self.builder.append(timestamp=None, key=key, value=value, headers=headers) is None:
            return False
        self.entries.append(entry)
        return True


class Batches:
    """The batches of one producer and topic."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        topic: str,
        *,
        partitions: int,
        batch_bytes: int,
        deadline_s: float,
    ) -> None:
        self.watch: BatchDone = _nobody
        """Told of each batch, before its records' senders are."""
        self._producer = producer
        self._topic = topic
        self._partitions = partitions
        self._batch_bytes = batch_bytes
        self._deadline_s = deadline_s
        self._open: list[_Batch | None] = [None] * partitions
        self._handing_over = [asyncio.Lock() for _ in range(partitions)]
        self._tasks: dict[asyncio.Task[None], float] = {}
        self._loop = asyncio.get_running_loop()

    def add(self, key: bytes, value: bytes, headers: Headers, done: Done) -> None:
        """Send one record with others of its partition; `done` hears of it within the deadline."""
        partition = partition_of(key, self._partitions)
        entry = (key, value, headers, done)
        if len(value) > self._batch_bytes:
            self._start(partition, entry, self._loop.time())
            return
        batch = self._open[partition]
        if batch is None or not batch.take(entry):
            self._open[partition] = self._start(partition, entry, self._loop.time())

    def _start(self, partition: int, entry: _Entry, began: float) -> _Batch:
        batch = _Batch(self._producer.create_batch(), began, began + self._deadline_s)
        batch.take(entry)
        task = self._loop.create_task(self._deliver(partition, batch))
        self._tasks[task] = began
        task.add_done_callback(self._tasks.pop)
        return batch

    async def _deliver(self, partition: int, batch: _Batch) -> None:
        try:
            result = await self._send(partition, batch)
        except asyncio.CancelledError:
            result = SendResult.FAILED
        if self._open[partition] is batch:
            self._open[partition] = None
        batch.builder.close()
        entries = batch.entries
        if result is SendResult.TOO_LARGE and len(entries) > 1:
            for entry in entries:
                self._start(partition, entry, batch.began)
            return
        self.watch(result, len(entries), self._loop.time() - batch.began)
        for _, _, _, done in entries:
            try:
                done(result)
            except Exception as error:  # noqa: BLE001 - the others must hear of it all the same
                get_logger().error("publish.not_told", **describe_error(error))

    async def _send(self, partition: int, batch: _Batch) -> SendResult:
        try:
            async with asyncio.timeout_at(batch.deadline):
                # One at a time, so that batches of a partition keep their order; aiokafka also counts the
                # time of one that waits for others several times over.
                async with self._handing_over[partition]:
                    sent = await self._producer.send_batch(batch.builder, self._topic, partition=partition)
                sent.add_done_callback(_hear_out)
                await asyncio.shield(sent)
        except (TimeoutError, KafkaTimeoutError, RequestTimedOutError):
            return SendResult.TIMED_OUT
        except MessageSizeTooLargeError:
            return SendResult.TOO_LARGE
        except (KafkaError, OSError):
            return SendResult.FAILED
        except Exception as error:  # noqa: BLE001 - a partition that is no more is an AssertionError of aiokafka's
            get_logger().error("publish.failed", **describe_error(error))
            return SendResult.FAILED
        return SendResult.ACKED

    def longest_wait_s(self) -> float:
        """Say how long the oldest batch has waited; 0.0 where none does."""
        return self._loop.time() - min(self._tasks.values()) if self._tasks else 0.0

    async def settle(self, within_s: float) -> bool:
        """Give what was handed over so long to be acked; what is left has failed. Say if nothing was."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, within_s))
        late = list(self._tasks)
        for task in late:
            task.cancel()
        return not late


def _hear_out(sent: asyncio.Future[Any]) -> None:
    """Take note of a failure that comes after the deadline, or asyncio logs that nobody did."""
    if not sent.cancelled():
        sent.exception()


def _nobody(_result: SendResult, _records: int, _took_s: float) -> None:
    pass
