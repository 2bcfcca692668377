"""Sending the records of one topic: a request a broker at a time, in it one batch of each of its partitions.

What comes while a request is out gathers into the next batches, so that they grow with the load and nothing
lingers. aiokafka's producer, in whose place this stands, has a task, two timers and five futures a batch, and
batches of a key-partitioned topic are small. What is left of aiokafka is its client, which knows the brokers,
and its encoding of batches. The promises:

- A record's sender is told once, at the latest at the deadline. Only ACKED says that the record is there,
  none says that it is not.
- Records of a partition keep their order, unless one is sent again after its outcome was unknown.
- What another try may mend is tried again until the deadline. A record above the topic's limit takes no other
  with it: a batch that is refused for its size is sent again record by record.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownError,
    for_code,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from schemas.cloudevents import Headers
from service.runtime.kafka.partition import partition_of
from service.runtime.kafka.produce import OneTopicRequest
from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger

_BACKOFF_S: Final = 0.1
_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)


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
    """Records of one partition that share one fate."""

    __slots__ = ("_builder", "_encoded", "began", "entries", "full", "partition", "settled")

    def __init__(self, partition: int, began: float, most_bytes: int) -> None:
        self.partition = partition
        self.began = began
        self.entries: list[_Entry] = []
        self.full = False
        self.settled = False
        self._builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, most_bytes)
        self._encoded: bytes | None = None

    def take(self, entry: _Entry) -> bool:
        """Add a record unless the batch is full; an empty one takes a record of any size."""
        if not self.full:
            key, value, headers, _ = entry
            if self._builder.append(len(self.entries), None, key, value, headers) is not None:
                self.entries.append(entry)
                return True
            self.full = True
        return False

    def encoded(self) -> bytes:
        """Give the batch as it goes on the wire; it takes no more."""
        self.full = True
        if self._encoded is None:
            self._encoded = self._builder.build()  # works once
        return self._encoded


class Sender:
    """Sends the records of one topic over one client."""

    def __init__(
        self, client: Any, topic: str, *, partitions: int, batch_bytes: int, deadline_s: float
    ) -> None:
        """Take an `AIOKafkaClient` that has connected and knows the topic."""
        self.watch: BatchDone = _nobody
        """Told of each batch, before its records' senders are."""
        self.batch_bytes = batch_bytes
        """What a batch of more than one record may hold."""
        self._client = client
        self._topic = topic
        self._partitions = partitions
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._waiting: defaultdict[int, deque[_Batch]] = defaultdict(deque)
        self._muted: set[int] = set()
        """Partitions with a batch on the wire, or one that failed a moment ago."""
        self._requests: dict[int, asyncio.Task[None]] = {}
        """By the broker that each is out to."""
        self._unsettled: deque[_Batch] = deque()
        """The oldest first; settled ones may stand behind it."""
        self._flushing: asyncio.Handle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._all_settled = asyncio.Event()
        client.cluster.add_listener(self._count_partitions)

    def add(self, key: bytes, value: bytes, headers: Headers, done: Done) -> None:
        """Send one record with others of its partition; `done` hears of it within the deadline."""
        partition = partition_of(key, self._partitions)
        entry = (key, value, headers, done)
        queue = self._waiting[partition]
        if not queue or not queue[-1].take(entry):
            batch = self._begin(partition, entry, self._loop.time())
            queue.append(batch)
            self._unsettled.append(batch)
            if self._alarm is None:
                self._alarm = self._loop.call_at(batch.began + self._deadline_s, self._give_up_late_ones)
        self._wake()

    def _begin(self, partition: int, entry: _Entry, began: float) -> _Batch:
        batch = _Batch(partition, began, self.batch_bytes)
        batch.take(entry)
        return batch

    def _wake(self) -> None:
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send what waits for brokers that have nothing to do."""
        self._flushing = None
        ready: defaultdict[int, list[_Batch]] = defaultdict(list)
        for partition, queue in self._waiting.items():
            if queue and partition not in self._muted:
                leader = self._client.cluster.leader_for_partition(TopicPartition(self._topic, partition))
                if leader is None or leader == -1:
                    self._client.force_metadata_update()
                    self._mute_for_a_moment(partition)
                elif leader not in self._requests:
                    self._muted.add(partition)
                    ready[leader].append(queue.popleft())
        for leader, batches in ready.items():
            self._requests[leader] = self._loop.create_task(self._request(leader, batches))

    async def _request(self, leader: int, batches: list[_Batch]) -> None:
        try:
            errors = await self._produce(leader, batches)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the senders must hear of it
            get_logger().error("publish.failed", **describe_error(fault))
            errors = {}
        finally:
            del self._requests[leader]
            self._muted.difference_update([batch.partition for batch in batches])
        for batch in batches:
            if not batch.settled:
                self._conclude(batch, errors.get(batch.partition, UnknownError()))
        self._wake()

    async def _produce(self, leader: int, batches: list[_Batch]) -> dict[int, KafkaError | None]:
        """Send one request, and give for each partition that was answered its error, or None: it is there."""
        encoded = [(batch.partition, batch.encoded()) for batch in batches]
        request = OneTopicRequest(self._topic, encoded, timeout_ms=int(self._deadline_s * 1000))
        try:
            response = await self._client.send(leader, request)
        except KafkaError as error:
            self._client.force_metadata_update()
            return dict.fromkeys([batch.partition for batch in batches], error)
        # Of each partition its number and an error's code, then what depends on the version.
        [(_, partitions)] = response.topics
        errors = {number: for_code(code)() if code else None for number, code, *_ in partitions}
        if any(each is not None and each.invalid_metadata for each in errors.values()):
            self._client.force_metadata_update()
        return errors

    def _conclude(self, batch: _Batch, error: KafkaError | None) -> None:
        """Settle a batch whose request has ended, or have it, or its records one by one, sent again."""
        queue = self._waiting[batch.partition]
        if error is None:
            self._settle(batch, SendResult.ACKED)
        elif isinstance(error, _TOO_LARGE) and len(batch.entries) > 1:
            batch.settled = True
            alone = [self._begin(batch.partition, entry, batch.began) for entry in batch.entries]
            queue.extendleft(reversed(alone))
            self._unsettled = deque(sorted([*alone, *self._unsettled], key=lambda each: each.began))
        elif isinstance(error, _TOO_LARGE):
            self._settle(batch, SendResult.TOO_LARGE)
        elif error.retriable:
            queue.appendleft(batch)
            self._mute_for_a_moment(batch.partition)
        else:
            self._settle(batch, SendResult.FAILED)

    def _mute_for_a_moment(self, partition: int) -> None:
        self._muted.add(partition)
        self._loop.call_later(_BACKOFF_S, self._unmute, partition)

    def _unmute(self, partition: int) -> None:
        self._muted.discard(partition)
        self._wake()

    def _settle(self, batch: _Batch, result: SendResult) -> None:
        batch.settled = True
        entries, batch.entries = batch.entries, []
        while self._unsettled and self._unsettled[0].settled:
            self._unsettled.popleft()
        if not self._unsettled:
            self._all_settled.set()
        self.watch(result, len(entries), self._loop.time() - batch.began)
        for _, _, _, done in entries:
            try:
                done(result)
            except Exception as error:  # noqa: BLE001 - the others must hear of it all the same
                get_logger().error("publish.not_told", **describe_error(error))

    def _give_up_late_ones(self) -> None:
        """Settle what has reached its deadline, and set the alarm for what will be the next to."""
        self._alarm = None
        late_from = self._loop.time() - self._deadline_s
        while (oldest := self._oldest()) is not None and oldest.began <= late_from:
            self._give_up(oldest, SendResult.TIMED_OUT)
        if oldest is not None:
            self._alarm = self._loop.call_at(oldest.began + self._deadline_s, self._give_up_late_ones)

    def _give_up(self, batch: _Batch, result: SendResult) -> None:
        queue = self._waiting[batch.partition]
        if batch in queue:  # else it is on the wire
            queue.remove(batch)
        self._settle(batch, result)

    def _oldest(self) -> _Batch | None:
        return self._unsettled[0] if self._unsettled else None

    def _count_partitions(self, cluster: Any) -> None:
        """Learn from new metadata; while a topic is being replaced it may have none."""
        self._partitions = len(cluster.partitions_for_topic(self._topic) or ()) or self._partitions

    def longest_wait_s(self) -> float:
        """Say how long the oldest batch has waited; 0.0 where none does."""
        oldest = self._oldest()
        return self._loop.time() - oldest.began if oldest is not None else 0.0

    async def settle(self, within_s: float) -> bool:
        """Give what was handed over so long to be acked; what is left has failed. Say if nothing was."""
        self._all_settled.clear()
        if self._unsettled:
            await _wait(self._all_settled, within_s)
        late = [batch for batch in self._unsettled if not batch.settled]
        for batch in late:
            self._give_up(batch, SendResult.FAILED)
        self._end(self._requests.values())
        return not late

    def _end(self, requests: Iterable[asyncio.Task[None]]) -> None:
        for request in requests:
            request.cancel()
        if self._alarm is not None:
            self._alarm.cancel()


async def _wait(event: asyncio.Event, within_s: float) -> None:
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({waiting}, timeout=max(0.0, within_s))
    waiting.cancel()


def _nobody(_result: SendResult, _records: int, _took_s: float) -> None:
    pass
