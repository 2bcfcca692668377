"""The batches: whatever aiokafka does with one, each of its records is told of."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from service.runtime.kafka.batches import Batches, SendResult


class FakeClient:
    """Takes batches and answers as told; a batch that is never answered keeps its future."""

    def __init__(self, answer: Callable[[], asyncio.Future[None]]) -> None:
        self._answer = answer

    def create_batch(self) -> Any:
        return BatchBuilder(900_000, 0)

    async def send_batch(self, builder: Any, topic: str, *, partition: int) -> asyncio.Future[None]:
        del builder, topic, partition
        return self._answer()


def failing(error: Exception) -> Callable[[], asyncio.Future[None]]:
    def answer() -> asyncio.Future[None]:
        raise error

    return answer


async def told(batches: Batches) -> SendResult:
    """Send one record and wait for what is told of it."""
    heard: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
    batches.add(b"k", b"v", [], heard.set_result)
    async with asyncio.timeout(5):
        return await heard


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KafkaError(), SendResult.FAILED),
        (KafkaTimeoutError(), SendResult.TIMED_OUT),
        (MessageSizeTooLargeError(), SendResult.TOO_LARGE),
        (AssertionError("Unrecognized partition"), SendResult.FAILED),
        (TypeError(), SendResult.FAILED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_whatever_is_raised_the_sender_hears_of_it(error: Exception, expected: SendResult) -> None:
    """aiokafka asserts that the partition is there; after a topic was made again with fewer, it is not."""
    batches = Batches(FakeClient(failing(error)), "t", partitions=3, batch_bytes=900_000, deadline_s=8)
    assert await told(batches) is expected


async def test_the_longest_wait_is_the_oldest_batchs() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    batches = Batches(FakeClient(lambda: never), "t", partitions=3, batch_bytes=900_000, deadline_s=8)
    assert batches.longest_wait_s() == 0.0
    heard = asyncio.create_task(told(batches))
    for _ in range(3):
        await asyncio.sleep(0)
    assert 0 < batches.longest_wait_s() < 5
    never.set_result(None)
    assert await heard is SendResult.ACKED
    await asyncio.sleep(0)
    assert batches.longest_wait_s() == 0.0
    assert await batches.settle(0)


async def test_a_failure_after_the_deadline_is_not_logged_as_unheard_of() -> None:
    pending: list[asyncio.Future[None]] = [asyncio.get_running_loop().create_future()]
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    client = FakeClient(lambda: asyncio.shield(pending[0]))
    batches = Batches(client, "t", partitions=3, batch_bytes=900_000, deadline_s=0.01)
    assert await told(batches) is SendResult.TIMED_OUT
    pending.pop().set_exception(NotLeaderForPartitionError())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert unheard == []


async def test_what_is_given_up_is_told_of_and_said() -> None:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    batches = Batches(FakeClient(lambda: never), "t", partitions=3, batch_bytes=900_000, deadline_s=8)
    heard = asyncio.create_task(told(batches))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not await batches.settle(0)
    assert await heard is SendResult.FAILED
