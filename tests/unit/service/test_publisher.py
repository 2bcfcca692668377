"""The publisher: an unknown outcome is never an ack, and a broker that is away is known to be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from service.receiver.publisher import Publisher
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.producer import SendResult
from service.runtime.metrics import Metrics
from tests.unit.service.fakes import FakeProducer, unexplained


class Clock:
    """Time that moves when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class World:
    """A publisher whose connections are the given ones, in order; then none is there."""

    def __init__(self, *connections: FakeProducer | Exception) -> None:
        self.connections = list(connections)
        self.clock = Clock()
        self.tried = asyncio.Semaphore(0)
        self.metrics = Metrics()
        self.publisher = Publisher(
            self._connect, unexplained, self.metrics, deadline_s=8, max_body_bytes=1_048_576, clock=self.clock
        )
        self.stop = asyncio.Event()

    async def _connect(self) -> FakeProducer:
        self.tried.release()
        found = self.connections.pop(0) if self.connections else KafkaUnavailableError()
        if isinstance(found, Exception):
            raise found
        return found

    async def publish(self) -> SendResult | None:
        return await self.publisher.publish(b"k", b"v", [])

    async def has_tried(self) -> None:
        """Wait until it has tried to connect once more, and has taken note of what it found."""
        async with asyncio.timeout(5):
            await self.tried.acquire()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the publisher, which has tried to connect once."""
        task = asyncio.create_task(self.publisher.run(self.stop))
        await self.has_tried()
        yield
        self.stop.set()
        await task


async def test_before_any_connection_nothing_is_tried() -> None:
    world = World()
    assert await world.publish() is None
    assert not world.publisher.connection().ok


async def test_an_ack() -> None:
    producer = FakeProducer()
    world = World(producer)
    async with world.running():
        assert world.publisher.connection().ok
        assert await world.publish() is SendResult.ACKED
        assert producer.sent == [(b"k", b"v", [])]
        assert world.publisher.last_publish().ok


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (KafkaUnavailableError(), "no broker answers"),
        (TopicMissingError(), "the topic is missing: run offshoot topics"),
    ],
)
async def test_it_says_why_it_is_not_ready_and_tries_again(error: Exception, state: str) -> None:
    world = World(error, FakeProducer())
    async with world.running():
        assert (world.publisher.connection().ok, world.publisher.connection().state) == (False, state)
        await world.has_tried()
        assert world.publisher.connection().ok


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, 1_048_576),
        (2_097_152, 1_048_576),
        (1_000_000, 934_464),
        (100_000, 34_464),
        (98_304, 32_768),
        (70_000, 32_768),
        (10_000, 5_000),
    ],
)
async def test_the_topics_limit_lowers_the_bodys(limit: int | None, expected: int) -> None:
    """By 64 KiB; a topic that takes less than 96 KiB still takes some webhooks."""
    world = World(FakeProducer(max_message_bytes=limit))
    async with world.running():
        assert world.publisher.max_body_bytes == expected


async def test_the_bodys_limit_follows_the_topics_within_a_minute() -> None:
    producer = FakeProducer(max_message_bytes=100_000)
    world = World(producer)
    async with world.running():
        producer.max_message_bytes = 2_097_152
        world.clock.now += 61
        async with asyncio.timeout(5):
            await producer.looked.wait()
        assert world.publisher.max_body_bytes == 1_048_576


async def test_a_fresh_client_brings_the_topics_limit_of_its_time() -> None:
    lost, fresh = FakeProducer(SendResult.FAILED, max_message_bytes=100_000), FakeProducer()
    world = World(lost, fresh)
    async with world.running():
        world.clock.now += 1
        await world.publish()
        await world.has_tried()
        assert world.publisher.max_body_bytes == 1_048_576


async def test_sends_without_any_ack_for_the_deadline_mean_the_broker_is_away() -> None:
    producer = FakeProducer(SendResult.TIMED_OUT)
    world = World(producer)
    async with world.running():
        world.clock.now += 1
        producer.gate.clear()
        waiting = asyncio.create_task(world.publish())
        await producer.sending.acquire()
        world.clock.now += 8
        producer.gate.set()
        assert await waiting is SendResult.TIMED_OUT
        assert await world.publish() is None
        assert world.publisher.connection().state == "no record is acknowledged"
        async with asyncio.timeout(5):
            await producer.closed.wait()


async def test_one_that_times_out_beside_others_that_are_acked_loses_no_client() -> None:
    producer = FakeProducer()
    world = World(producer)
    async with world.running():
        producer.gate.clear()
        slow = asyncio.create_task(world.publish())
        await producer.sending.acquire()
        world.clock.now += 8
        producer.gate.set()
        assert await world.publish() is SendResult.ACKED
        producer.result = SendResult.TIMED_OUT
        await slow
        assert world.publisher.connection().ok


@pytest.mark.parametrize("result", [SendResult.FAILED, SendResult.TIMED_OUT])
async def test_a_failed_publish_makes_unready_for_ten_seconds(result: SendResult) -> None:
    world = World(FakeProducer(result))
    async with world.running():
        await world.publish()
        found = [world.publisher.last_publish().ok]
        for passed in (9.9, 0.2):
            world.clock.now += passed
            found.append(world.publisher.last_publish().ok)
        assert found == [False, False, True]


async def test_a_record_that_is_too_large_says_nothing_of_the_broker() -> None:
    world = World(FakeProducer(SendResult.TOO_LARGE))
    async with world.running():
        assert await world.publish() is SendResult.TOO_LARGE
        assert world.publisher.last_publish().ok
        assert world.publisher.connection().ok


async def test_a_client_whose_brokers_take_no_connection_is_lost_before_the_deadline() -> None:
    producer = FakeProducer(has_broker=False)
    world = World(producer)
    async with world.running():
        producer.gate.clear()
        waiting = asyncio.create_task(world.publish())
        world.clock.now += 2
        async with asyncio.timeout(5):
            await producer.closed.wait()
        assert await world.publish() is None
        producer.gate.set()
        await waiting


async def test_after_an_outage_one_record_is_the_probe_and_then_all_go() -> None:
    first, fresh = FakeProducer(SendResult.FAILED), FakeProducer()
    world = World(first, fresh)
    async with world.running():
        world.clock.now += 1
        assert await world.publish() is SendResult.FAILED
        await world.has_tried()
        fresh.gate.clear()
        probe = asyncio.create_task(world.publish())
        await fresh.sending.acquire()
        assert await world.publish() is None
        fresh.gate.set()
        assert await probe is SendResult.ACKED
        assert [await world.publish() for _ in range(2)] == [SendResult.ACKED] * 2


async def test_a_probe_that_is_not_answered_is_given_up_long_before_the_deadline() -> None:
    """Within 2 s of the 8: its sender hears 503, the client goes, and the next one has a probe of its own."""
    first, silent, third = FakeProducer(SendResult.FAILED), FakeProducer(), FakeProducer()
    silent.gate.clear()
    world = World(first, silent, third)
    async with world.running():
        world.clock.now += 1
        await world.publish()
        await world.has_tried()
        async with asyncio.timeout(4):
            assert await world.publish() is SendResult.TIMED_OUT
            await silent.closed.wait()
        assert world.publisher.connection().state == "no record is acknowledged"
        await world.has_tried()
        assert await world.publish() is SendResult.ACKED
        silent.gate.set()
        await asyncio.gather(*silent.answering)
        assert await world.publish() is SendResult.ACKED, "what the lost client says late changes nothing"


async def test_a_probe_that_fails_makes_another_fresh_client() -> None:
    first, second, third = FakeProducer(SendResult.FAILED), FakeProducer(SendResult.FAILED), FakeProducer()
    world = World(first, second, third)
    async with world.running():
        world.clock.now += 1
        await world.publish()
        await world.has_tried()
        assert await world.publish() is SendResult.FAILED
        assert await world.publish() is None
        await world.has_tried()
        assert await world.publish() is SendResult.ACKED
        assert len(second.sent) == 1


async def test_a_stuck_partition_replaces_the_client_without_an_outage() -> None:
    """The fresh one is made first; the old one is dropped then, and what it still holds may be acked."""
    stuck, fresh = FakeProducer(), FakeProducer()
    world = World(stuck, fresh)
    async with world.running():
        stuck.gate.clear()
        slow = asyncio.create_task(world.publish())
        await stuck.sending.acquire()
        world.clock.now += 8
        stuck.gate.set()
        assert await world.publish() is SendResult.ACKED
        stuck.result = SendResult.TIMED_OUT
        assert await slow is SendResult.TIMED_OUT
        await world.has_tried()
        async with asyncio.timeout(5):
            await stuck.closed.wait()
        assert await world.publish() is SendResult.ACKED
        assert len(fresh.sent) == 1


async def test_a_record_that_waits_long_beside_acks_has_the_client_replaced_before_its_deadline() -> None:
    """Half the deadline is enough to know that its partition's leader is stuck."""
    stuck, fresh = FakeProducer(waited_s=4.1), FakeProducer()
    world = World(stuck, fresh)
    async with world.running():
        world.clock.now += 8
        assert await world.publish() is SendResult.ACKED
        await world.has_tried()
        async with asyncio.timeout(5):
            await stuck.closed.wait()
        assert world.publisher.connection().ok


async def test_a_record_that_fails_beside_acks_has_the_client_replaced() -> None:
    """As where its partition is no more; where no fresh client can be made, the next round tries again."""
    old, fresh = FakeProducer(), FakeProducer()
    world = World(old, KafkaUnavailableError(), fresh)
    async with world.running():
        world.clock.now += 8
        old.gate.clear()
        slow = asyncio.create_task(world.publish())
        await old.sending.acquire()
        world.clock.now += 1
        old.gate.set()
        assert await world.publish() is SendResult.ACKED
        old.result = SendResult.FAILED
        assert await slow is SendResult.FAILED
        for _ in range(2):
            await world.has_tried()
        async with asyncio.timeout(5):
            await old.closed.wait()
        assert await world.publish() is SendResult.ACKED
        assert len(fresh.sent) == 1
