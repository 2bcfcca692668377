"""Reading a topic as a member of a group: batches, and offsets committed only for what was done.

`getmany` and the rebalance callback run in different tasks. A batch in hand is finished before its partitions
are given up (every rebalance of aiokafka's revokes all of them), so that the next owner starts where this one
ended; without it some records are handled twice.

Nothing here waits without a limit, whatever the brokers do. aiokafka's `getmany` does during a rebalance, and
counts wrongly when it is cancelled: so it runs in a task of its own, whose result the next batch takes up.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

from schemas.cloudevents import Headers
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.progress import Look
from service.runtime.kafka.stop import stop_client
from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger

COMMIT_TIMEOUT_S: Final = 10.0
DRAIN_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.5
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

Messages = dict[TopicPartition, list[Any]]
"""What aiokafka gives: messages by partition, in order."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read; `recorded_at` is the record's own time, `value` is None for a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    recorded_at: datetime


@dataclass(slots=True)
class Batch:
    """Records in the order of their partitions; `done` says that what they stand for is stored."""

    records: list[Record]
    done: bool = field(default=False)
    held: dict[int, int] = field(default_factory=dict)
    """By partition, an offset: what is before it is committed, and reading goes no further for as long as the
    partition stays assigned."""


class GroupReader:
    """A member of a consumer group on one topic.

    Use: `async with reader.next_batch(wait_s) as batch:`, store what it stands for, then set `batch.done`.
    On leaving the block the offsets of a done batch are committed; one that is not done is read again.
    """

    def __init__(
        self, options: dict[str, Any], topic: str, group: str, *, most_records: int, client_id: str
    ) -> None:
        self.topic = topic
        self.group = group
        self.waited_s = 0.0
        """Seconds spent waiting for records: in them a partition with a lag ought to move."""
        self._consumer = AIOKafkaConsumer(
            **options, **_SETTINGS, group_id=group, client_id=client_id, max_poll_records=most_records
        )
        self._fetching: asyncio.Task[tuple[int, Messages]] | None = None
        self._settled = asyncio.Event()
        self._settled.set()
        self._in_hand: dict[int, int] = {}
        self._done_at: dict[int, float] = {}
        self._held: set[TopicPartition] = set()
        self._assigned = False
        self._assignments = 0
        self._given_up: str | None = None

    async def start(self, within_s: float) -> None:
        """Connect and subscribe; the group is joined while reading.

        Raises:
            KafkaUnavailableError: no broker answers in time.
            TopicMissingError: there is no such topic; to subscribe to it would be to wait for ever.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._consumer.start()
                if self.topic not in await self._consumer.topics():
                    raise TopicMissingError(f"there is no topic {self.topic}")
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        self._consumer.subscribe([self.topic], listener=_Listener(self))

    @property
    def joined(self) -> bool:
        """Whether the group has given this member its partitions, be they none."""
        return self._assigned

    @property
    def held(self) -> list[int]:
        """The partitions that are assigned but read no further (`Batch.held`)."""
        return sorted(partition.partition for partition in self._held)

    def give_up(self, why: str) -> None:
        """Let whoever waits for the next batch hear that this client is of no more use."""
        self._given_up = why

    @contextlib.asynccontextmanager
    async def next_batch(self, wait_s: float) -> AsyncIterator[Batch]:
        """Wait up to `wait_s` for records and lend them; perhaps none.

        Raises:
            KafkaUnavailableError: the client is of no more use; make another.
        """
        messages = await self._fetch(wait_s)
        batch = Batch([record_of(each) for of_one in messages.values() for each in of_one])
        assignment = self._assignments
        self._in_hand = {partition.partition: of_one[0].offset for partition, of_one in messages.items()}
        self._settled.clear()
        try:
            yield batch
            if messages and assignment == self._assignments:
                await self._settle(messages, batch)
        finally:
            self._in_hand = {}
            self._settled.set()

    async def _fetch(self, wait_s: float) -> Messages:
        """Give what was fetched for the partitions as they are assigned now."""
        if self._given_up is not None:
            raise KafkaUnavailableError(self._given_up)
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._get(wait_s))
        began = time.monotonic()
        await asyncio.wait({self._fetching}, timeout=wait_s + _POLL_S)
        self.waited_s += time.monotonic() - began
        if not self._fetching.done():
            return {}
        fetched, self._fetching = self._fetching, None
        try:
            assignment, messages = fetched.result()
        except KafkaError as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        return messages if assignment == self._assignments else {}

    async def _get(self, wait_s: float) -> tuple[int, Messages]:
        """Fetch, and say under which assignment: aiokafka gives none between two of them."""
        messages: Messages = await self._consumer.getmany(timeout_ms=int(wait_s * 1000))
        return self._assignments, messages

    async def _settle(self, messages: Messages, batch: Batch) -> None:
        """Commit what is done and go back to what is not."""
        if not batch.done:
            for partition, of_one in messages.items():
                self._consumer.seek(partition, of_one[0].offset)
            return
        offsets = {partition: of_one[-1].offset + 1 for partition, of_one in messages.items()}
        for partition in offsets.keys() & {TopicPartition(self.topic, number) for number in batch.held}:
            offsets[partition] = batch.held[partition.partition]
            self._consumer.seek(partition, offsets[partition])
            self._consumer.pause(partition)
            self._held.add(partition)
        self._done_at |= {each.partition: of_one[-1].timestamp / 1000 for each, of_one in messages.items()}
        try:
            # What is not committed now is by the next batch, or read again: handling is idempotent.
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.commit(offsets)
        except (KafkaError, IllegalStateError, TimeoutError) as error:
            get_logger().warning("consumer.commit_failed", topic=self.topic, **describe_error(error))

    async def pause(self, for_s: float, stop: asyncio.Event) -> None:
        """Read nothing for so long, but stay in the group: membership counts the time since the last poll.

        Raises:
            KafkaUnavailableError: as `next_batch`.
        """
        deadline = time.monotonic() + for_s
        try:
            while (left := deadline - time.monotonic()) > 0 and not stop.is_set():
                # Each time, since a rebalance forgets it.
                self._consumer.pause(*self._consumer.assignment())
                for partition, messages in (await self._fetch(min(left, _POLL_S))).items():
                    self._consumer.seek(partition, messages[0].offset)
        finally:
            self._consumer.resume(*(self._consumer.assignment() - self._held))

    async def look(self, within_s: float) -> Look:
        """Ask where every partition of this member's ends, and say how far it is done.

        Raises:
            KafkaUnavailableError: this client gets no answer in time, maybe another does.
        """
        mine = self._consumer.assignment() - self._held
        try:
            async with asyncio.timeout(within_s):
                ends = await self._consumer.end_offsets(mine) if mine else {}
                done = {each: self._in_hand.get(each.partition) for each in mine}
                at = {
                    each: await self._consumer.position(each) if n is None else n for each, n in done.items()
                }
        except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        return Look(
            joined=self._assigned,
            at={each.partition: offset for each, offset in at.items()},
            ends={each.partition: offset for each, offset in ends.items()},
            done_at=dict(self._done_at),
            waited_s=self.waited_s,
        )

    async def _position(self, partition: TopicPartition) -> int:
        in_hand = self._in_hand.get(partition.partition)
        return int(await self._consumer.position(partition)) if in_hand is None else in_hand

    async def stop(self, within_s: float) -> None:
        """Leave the group; never hangs."""
        await stop_client(self._consumer, within_s)
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching}, timeout=_POLL_S)
            if self._fetching.done() and not self._fetching.cancelled():
                self._fetching.exception()  # nobody wants to know any more

    async def revoked(self) -> None:
        """Wait for the batch in hand, so that its offsets are committed before another owns them."""
        self._assigned = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._settled.wait()
        # What is still in hand, or was fetched and not lent, is the next owner's.
        self._assignments += 1
        self._held.clear()
        self._done_at.clear()

    def assigned(self) -> None:
        """Take batches again: the group has assigned the partitions anew."""
        self._assigned = True


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(self, reader: GroupReader) -> None:
        self._reader = reader

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        del revoked  # all of them
        await self._reader.revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = sorted(each.partition for each in assigned)
        get_logger().info("consumer.assigned", topic=self._reader.topic, partitions=partitions)
        self._reader.assigned()


def record_of(message: Any) -> Record:
    """Give a record as aiokafka read it."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        key=message.key,
        value=message.value,
        headers=list(message.headers),
        recorded_at=datetime.fromtimestamp(message.timestamp / 1000, UTC),
    )
