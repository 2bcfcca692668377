"""A lane that reads a topic: batches to a handler, the unreadable to the dead letters, then the offsets.

While Postgres is away the same batch is read again, the group membership kept. A client that is of no more
use is replaced. Where too much cannot be read, reading that partition stops and a person is needed: `limit`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypedDict

from consumers.store.database import ConflictError, RefusedError, StoreError
from consumers.topic.dead_letters import DeadLetters
from consumers.topic.handler import Handler, Unreadable
from consumers.topic.limit import Allowance
from consumers.topic.watch import Rebuild, Watch
from service.runtime.health import Pulse, State
from service.runtime.kafka.consumer import Batch, GroupReader, Record
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

WAIT_S: Final = 0.5
START_WITHIN_S: Final = 15.0
STOP_WITHIN_S: Final = 3.0
AWAY_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Before a batch is read again that could not be stored, or a client is made again: by failures in a row."""
STUCK_AFTER_S: Final = 180.0
"""Not one turn of the loop for so long: not alive. A frozen Postgres holds a batch for less."""
_AWAY: Final = "Kafka is away"


class _State(TypedDict):
    ok: bool
    state: str


class TopicLane:
    """A member of a consumer group on one topic, made again whenever its client is of no more use."""

    def __init__(
        self,
        handler: Handler,
        make_reader: Callable[[], GroupReader],
        dead_letters: DeadLetters,
        metrics: Metrics,
        *,
        topic: str,
        diagnose: Callable[[], Awaitable[str]],
        kafka_answers: Callable[[], Awaitable[bool]],
    ) -> None:
        """Put a lane together.

        Args:
            handler: what is done with the records.
            make_reader: makes a member that is not started.
            dead_letters: where those go that cannot be read.
            metrics: where it is counted.
            topic: the name in logs and metrics, without the deployment's prefix.
            diagnose: says in words why the brokers cannot be used.
            kafka_answers: says whether a fresh client gets an answer from them.
        """
        self._handler = handler
        self._make_reader = make_reader
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._topic = topic
        self._diagnose = diagnose
        self._kafka_answers = kafka_answers
        self._allowance = Allowance()
        self._failures = 0
        self.health = State(ok=False, state="not joined")
        self.pulse = Pulse(STUCK_AFTER_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Read until the stop."""
        starts = 0
        while not stop.is_set():
            self.pulse.beat()
            reader = self._make_reader()
            watch = Watch(reader, self._kafka_answers, self._metrics, counted_as=self._topic)
            try:
                await reader.start(START_WITHIN_S)
                starts = 0
                await self._read(reader, watch, stop)
            except KafkaUnavailableError as error:
                await self._tell(error, watch.rebuild)
                await wait_for_stop(stop, _pause_s(starts))
                starts += 1
            finally:
                await reader.stop(STOP_WITHIN_S)
        await self._dead_letters.close()

    async def _tell(self, error: KafkaUnavailableError, rebuild: Rebuild | None) -> None:
        self._metrics.consumer_rebuilds.labels(self._topic, rebuild or Rebuild.FAILED).inc()
        state = "the topic is missing: run offshoot topics" if isinstance(error, TopicMissingError) else _AWAY
        if self.health().state != state:
            get_logger().warning(
                "consumer.kafka_away", topic=self._topic, error=str(error), why=await self._diagnose()
            )
        self.health.set(ok=False, state=state)

    async def _read(self, reader: GroupReader, watch: Watch, stop: asyncio.Event) -> None:
        watching = asyncio.create_task(watch.run(stop))
        try:
            while not stop.is_set():
                self.pulse.beat()
                async with reader.next_batch(WAIT_S) as batch:
                    if batch.records:
                        batch.done = await self._handle(batch)
                if batch.records and not batch.done:
                    await reader.pause(_pause_s(self._failures), stop)
                    self._failures += 1
                else:
                    self._failures = 0
                self._metrics.consumer_held_partitions.labels(self._topic).set(len(reader.held))
                self.health.set(**self._state(reader, watch))
        finally:
            watching.cancel()

    def _state(self, reader: GroupReader, watch: Watch) -> _State:
        if held := reader.held:
            partitions = ", ".join(map(str, held))
            return {"ok": False, "state": f"partition {partitions} held: too many unreadable records"}
        if not watch.kafka().ok:
            return {"ok": False, "state": watch.kafka().state}
        if not reader.joined:
            return {"ok": False, "state": "joining the group"}
        if self._failures:
            return {"ok": False, "state": "joined, but batches cannot be stored"}
        return {"ok": True, "state": "joined"}

    async def _handle(self, batch: Batch) -> bool:
        """Have a batch stored and what cannot be read put aside; false where it must be read again."""
        try:
            unreadable = await self._stored(batch.records)
            await self._put_aside(batch, unreadable)
        except ConflictError:
            get_logger().info("consumer.conflict", topic=self._topic)
            return False
        except StoreError as error:
            get_logger().warning("consumer.store_away", topic=self._topic, **describe_error(error))
            return False
        except KafkaUnavailableError as error:
            # Nothing may be passed over that is not among the dead letters.
            get_logger().warning("consumer.dead_letters_away", topic=self._topic, error=str(error))
            return False
        return True

    async def _stored(self, records: Sequence[Record]) -> Sequence[Unreadable]:
        """Have the records stored, one by one where Postgres refuses something of them."""
        try:
            return await self._handler.handle(records)
        except RefusedError as error:
            get_logger().error("consumer.refused", topic=self._topic, error=str(error), records=len(records))
        unreadable: list[Unreadable] = []
        for record in records:
            self.pulse.beat()
            try:
                unreadable += await self._handler.handle([record])
            except RefusedError as error:
                message = f"Postgres cannot hold what it says ({error})"
                unreadable.append(Unreadable(record, type(error).__name__, message, attempts=2))
        return unreadable

    async def _put_aside(self, batch: Batch, unreadable: Sequence[Unreadable]) -> None:
        """Write the dead letters that are allowed, and read on no further than they go."""
        offsets: dict[int, list[int]] = {}
        for record in batch.records:
            offsets.setdefault(record.partition, []).append(record.offset)
        places = {(each.record.partition, each.record.offset) for each in unreadable}
        allowance, ends = self._allowance.after(offsets, places)
        allowed = [
            each
            for each in unreadable
            if each.record.offset < ends.get(each.record.partition, each.record.offset + 1)
        ]
        if allowed:
            await self._dead_letters.publish(allowed, self._topic)
        self._allowance = allowance
        for partition, offset in ends.items():
            batch.held[partition] = offset
            get_logger().error(
                "consumer.held",
                topic=self._topic,
                partition=partition,
                offset=offset,
                why="too many records cannot be read; see the runbook of dead letters",
            )


def _pause_s(failures: int) -> float:
    pause_s = AWAY_PAUSES_S[min(failures, len(AWAY_PAUSES_S) - 1)]
    return pause_s * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
