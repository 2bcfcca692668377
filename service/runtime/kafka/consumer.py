"""Reading a topic as a member of a group: batches, and offsets committed only for what was done.

`getmany` and the rebalance callback run in different tasks. A batch in hand is finished before its partitions
are given up (KIP-429 calls this the eager protocol: every rebalance revokes all), so that the next owner
starts where this one ended; without it some records are handled twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.cloudevents import Headers
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.stop import stop_client
from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger

COMMIT_TIMEOUT_S: Final = 10.0
DRAIN_TIMEOUT_S: Final = 30.0
_SETTINGS: Final[dict[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 1_000,
    "rebalance_timeout_ms": 60_000,
    "request_timeout_ms": 10_000,
    "max_poll_interval_ms": 300_000,
    "partition_assignment_strategy": (StickyPartitionAssignor,),
}


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read; `recorded_at` is the record's own time."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers
    recorded_at: datetime


@dataclass(slots=True)
class Batch:
    """Records in the order of their partitions; `done` says that what they stand for is stored."""

    records: list[Record]
    done: bool = field(default=False)


class GroupReader:
    """A member of a consumer group on one topic.

    Use: `async with reader.next_batch(wait_s) as batch:`, store what it stands for, then set `batch.done`.
    On leaving the block the offsets of a done batch are committed; one that is not done is read again.
    """

    def __init__(
        self, options: dict[str, Any], topic: str, group: str, *, most_records: int, client_id: str
    ) -> None:
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            **options, **_SETTINGS, group_id=group, client_id=client_id, max_poll_records=most_records
        )
        self._settled = asyncio.Event()
        self._settled.set()
        self._may_take = asyncio.Event()
        self._may_take.set()
        self._assigned = False

    async def start(self, within_s: float) -> None:
        """Connect and subscribe; the group is joined while reading.

        Raises:
            KafkaUnavailableError: no broker answers in time.
        """
        self._consumer.subscribe([self._topic], listener=_Listener(self))
        try:
            async with asyncio.timeout(within_s):
                await self._consumer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error

    @property
    def joined(self) -> bool:
        """Whether the group has given this member its partitions, be they none."""
        return self._assigned

    @contextlib.asynccontextmanager
    async def next_batch(self, wait_s: float) -> AsyncIterator[Batch]:
        """Wait up to `wait_s` for records and lend them; perhaps none.

        Raises:
            KafkaUnavailableError: the client is of no more use; make another.
        """
        await self._may_take.wait()
        try:
            by_partition = await self._consumer.getmany(timeout_ms=int(wait_s * 1000))
        except KafkaError as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        if not self._may_take.is_set():
            by_partition = {}  # a rebalance began meanwhile: their next owner reads them
        batch = Batch([record_of(message) for messages in by_partition.values() for message in messages])
        self._settled.clear()
        try:
            yield batch
            if batch.records:
                await self._settle(by_partition, done=batch.done)
        finally:
            self._settled.set()

    async def _settle(self, by_partition: dict[TopicPartition, list[Any]], *, done: bool) -> None:
        mine = self._consumer.assignment() & by_partition.keys()
        if not done:
            for partition in mine:
                self._consumer.seek(partition, by_partition[partition][0].offset)
            return
        offsets = {partition: by_partition[partition][-1].offset + 1 for partition in mine}
        try:
            # What is not committed now is by the next batch, or read again: handling is idempotent.
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(offsets)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            get_logger().warning("ingest.commit_failed", **describe_error(error))

    async def pause(self, for_s: float) -> None:
        """Read nothing for so long, but stay in the group: membership counts the time since the last poll."""
        partitions = self._consumer.assignment()
        self._consumer.pause(*partitions)
        try:
            deadline = asyncio.get_running_loop().time() + for_s
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                await self._poll_paused(left)
        finally:
            self._consumer.resume(*(partitions & self._consumer.assignment()))

    async def _poll_paused(self, for_s: float) -> None:
        try:
            taken = await self._consumer.getmany(timeout_ms=int(for_s * 1000) + 1)
        except KafkaError as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        for partition, messages in taken.items():
            # A rebalance forgot the pause.
            if partition in self._consumer.assignment():
                self._consumer.seek(partition, messages[0].offset)
                self._consumer.pause(partition)

    async def stop(self, within_s: float) -> None:
        """Leave the group; never hangs."""
        await stop_client(self._consumer, within_s)

    async def drain(self, revoked: Iterable[TopicPartition]) -> None:
        """Wait for the batch in hand, so that its offsets are committed before another owns them."""
        self._assigned = False
        self._may_take.clear()
        if revoked:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT_S):
                    await self._settled.wait()

    def resume_taking(self) -> None:
        """Take batches again: the group has assigned the partitions anew."""
        self._assigned = True
        self._may_take.set()


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(self, reader: GroupReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._reader.drain(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        get_logger().info("ingest.assigned", partitions=sorted(tp.partition for tp in assigned))
        self._reader.resume_taking()


def record_of(message: Any) -> Record:
    """Give a record as aiokafka read it."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value or b"",
        headers=list(message.headers),
        recorded_at=datetime.fromtimestamp(message.timestamp / 1000, UTC),
    )
