"""The sender: whatever a broker does, each record is told of once, in time, and takes no other with it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.record.memory_records import MemoryRecords

from service.runtime.kafka.partition import partition_of
from service.runtime.kafka.sender import Sender, SendResult
from tests.support.waiting import until

OK, TOO_LARGE = 0, 10
NO_ANSWER = 12345
"""Stands for a partition that the answer leaves out."""
PARTITIONS = 3

Codes = dict[int, int]
Answer = Callable[[int, dict[int, list[bytes]]], Awaitable[Codes]]


class FakeClient:
    """Answers each request, of which it knows the broker and the values by partition, as told."""

    def __init__(self, answer: Answer) -> None:
        self.leaders: dict[int, int | None] = dict.fromkeys(range(PARTITIONS), 1)
        self.requests: list[tuple[int, dict[int, list[bytes]]]] = []
        self.asked_for_metadata = asyncio.Event()
        self.sent = asyncio.Semaphore(0)
        self.listeners: list[Callable[[Any], None]] = []
        self.cluster = SimpleNamespace(
            leader_for_partition=lambda place: self.leaders[place.partition],
            partitions_for_topic=lambda _: set(self.leaders) or None,
            add_listener=self.listeners.append,
        )
        self._answer = answer

    def force_metadata_update(self) -> None:
        self.asked_for_metadata.set()

    async def send(self, node: int, request: Any) -> Any:
        [(topic, batches)] = request.build(ProduceRequest_v7).topics
        values = {partition: _values(batch) for partition, batch in batches}
        self.requests.append((node, values))
        self.sent.release()
        codes = await self._answer(node, values)
        return SimpleNamespace(
            topics=[(topic, [(n, codes.get(n, OK), 7, -1, 0) for n in values if codes.get(n) != NO_ANSWER])]
        )


def _values(batch: bytes) -> list[bytes]:
    records = MemoryRecords(bytes(batch)).next_batch()
    assert records is not None
    assert records.validate_crc()
    return [record.value for record in records]


def sender_over(client: FakeClient, *, deadline_s: float = 8, batch_bytes: int = 900_000) -> Sender:
    return Sender(client, "t", partitions=PARTITIONS, batch_bytes=batch_bytes, deadline_s=deadline_s)


def add(sender: Sender, value: bytes = b"v", *, partition: int = 0) -> asyncio.Future[SendResult]:
    """Send one record of a partition; the future is told of it, and minds being told twice."""
    heard: asyncio.Future[SendResult] = asyncio.get_running_loop().create_future()
    sender.add(KEYS[partition], value, [("h", b"x")], heard.set_result)
    return heard


KEYS = {partition_of(b"k%d" % number, PARTITIONS): b"k%d" % number for number in range(20)}


def raising(error: BaseException) -> Answer:
    async def answer(_node: int, _values: dict[int, list[bytes]]) -> Codes:
        raise error

    return answer


def coding(code: int) -> Answer:
    async def answer(_node: int, values: dict[int, list[bytes]]) -> Codes:
        return dict.fromkeys(values, code)

    return answer


def in_turn(*answers: Answer) -> Answer:
    left = list(answers)

    async def answer(node: int, values: dict[int, list[bytes]]) -> Codes:
        return await left.pop(0)(node, values)

    return answer


class Gate:
    """Holds the requests to one broker, or to all, until it is opened."""

    def __init__(self, *, node: int | None = None) -> None:
        self.opened = asyncio.Event()
        self._node = node

    async def __call__(self, node: int, _values: dict[int, list[bytes]]) -> Codes:
        if self._node in (None, node):
            await self.opened.wait()
        return {}


async def soon(heard: asyncio.Future[SendResult]) -> SendResult:
    async with asyncio.timeout(5):
        return await heard


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (raising(KafkaError()), SendResult.FAILED),
        (raising(TypeError()), SendResult.FAILED),
        (coding(TopicAuthorizationFailedError.errno), SendResult.FAILED),
        (coding(9999), SendResult.FAILED),
        (coding(NO_ANSWER), SendResult.FAILED),
        (coding(TOO_LARGE), SendResult.TOO_LARGE),
        (coding(OK), SendResult.ACKED),
    ],
)
async def test_the_first_answer_that_is_final_is_told(answer: Answer, expected: SendResult) -> None:
    client = FakeClient(answer)
    assert await soon(add(sender_over(client))) is expected
    assert len(client.requests) == 1


@pytest.mark.parametrize(
    "first",
    [raising(KafkaConnectionError()), raising(NodeNotReadyError()), coding(NotLeaderForPartitionError.errno)],
)
async def test_what_another_try_may_mend_is_tried_again_with_new_metadata(first: Answer) -> None:
    client = FakeClient(in_turn(first, coding(OK)))
    assert await soon(add(sender_over(client))) is SendResult.ACKED
    assert len(client.requests) == 2
    assert client.asked_for_metadata.is_set()


async def test_a_partition_whose_leader_is_unknown_is_asked_about_and_waits() -> None:
    client = FakeClient(coding(OK))
    client.leaders[0] = None
    heard = add(sender_over(client))
    await client.asked_for_metadata.wait()
    assert client.requests == []
    client.leaders[0] = 2
    assert await soon(heard) is SendResult.ACKED
    assert client.requests == [(2, {0: [b"v"]})]


async def test_no_answer_by_the_deadline_is_told_as_such_and_what_comes_later_is_not() -> None:
    gate = Gate()
    client = FakeClient(gate)
    heard = add(sender_over(client, deadline_s=0.05))
    assert await soon(heard) is SendResult.TIMED_OUT
    gate.opened.set()
    await asyncio.sleep(0)


async def test_each_has_its_own_deadline() -> None:
    sender = sender_over(FakeClient(Gate()), deadline_s=0.2)
    began = asyncio.get_running_loop().time()
    first = add(sender, partition=0)

    async def later() -> bool:
        return asyncio.get_running_loop().time() > began + 0.1

    await until(later, within_s=5, what="half the deadline has passed")
    second = add(sender, partition=1)
    assert await soon(first) is SendResult.TIMED_OUT
    assert await soon(second) is SendResult.TIMED_OUT


async def test_what_waited_behind_a_silent_broker_until_its_deadline_is_not_sent_after_it() -> None:
    gate = Gate()
    client = FakeClient(gate)
    sender = sender_over(client, deadline_s=0.05)
    first = add(sender, b"1")
    await client.sent.acquire()
    second = add(sender, b"2")
    assert [await soon(first), await soon(second)] == [SendResult.TIMED_OUT] * 2
    gate.opened.set()
    third = add(sender, b"3")
    assert await soon(third) is SendResult.ACKED
    assert [values for _, values in client.requests] == [{0: [b"1"]}, {0: [b"3"]}]


async def test_a_failed_try_is_not_repeated_past_the_deadline() -> None:
    client = FakeClient(raising(KafkaConnectionError()))
    sender = sender_over(client, deadline_s=0.25)
    assert await soon(add(sender)) is SendResult.TIMED_OUT
    tries = len(client.requests)
    assert 2 <= tries <= 4
    assert await sender.settle(0)
    assert len(client.requests) == tries


async def test_what_comes_while_a_request_is_out_shares_the_next_one_in_its_order() -> None:
    gate = Gate()
    client = FakeClient(gate)
    sender = sender_over(client)
    heard = [add(sender, b"1")]
    await client.sent.acquire()
    heard += [add(sender, b"%d" % number, partition=number % 2) for number in range(2, 8)]
    gate.opened.set()
    assert [await soon(each) for each in heard] == [SendResult.ACKED] * 7
    assert client.requests == [(1, {0: [b"1"]}), (1, {0: [b"2", b"4", b"6"], 1: [b"3", b"5", b"7"]})]


async def test_a_silent_broker_holds_up_no_other() -> None:
    gate = Gate(node=1)
    client = FakeClient(gate)
    client.leaders[1] = 2
    sender = sender_over(client)
    held = add(sender, partition=0)
    assert [await soon(add(sender, partition=1)) for _ in range(3)] == [SendResult.ACKED] * 3
    assert not held.done()
    gate.opened.set()
    assert await soon(held) is SendResult.ACKED


async def test_a_batch_that_is_tried_again_stays_before_what_came_after_it() -> None:
    gate = Gate()

    async def refuse(node: int, values: dict[int, list[bytes]]) -> Codes:
        await gate(node, values)
        return {0: NotLeaderForPartitionError.errno}

    client = FakeClient(in_turn(refuse, coding(OK), coding(OK)))
    sender = sender_over(client)
    first = add(sender, b"1")
    await client.sent.acquire()
    second = add(sender, b"2")
    gate.opened.set()
    assert [await soon(first), await soon(second)] == [SendResult.ACKED] * 2
    assert [values for _, values in client.requests] == [{0: [b"1"]}, {0: [b"1"]}, {0: [b"2"]}]


async def test_one_partitions_error_is_not_anothers() -> None:
    async def answer(_node: int, _values: dict[int, list[bytes]]) -> Codes:
        return {1: TopicAuthorizationFailedError.errno}

    sender = sender_over(FakeClient(answer))
    results = [add(sender, partition=each) for each in range(PARTITIONS)]
    assert [await soon(each) for each in results] == [
        SendResult.ACKED,
        SendResult.FAILED,
        SendResult.ACKED,
    ]


async def test_a_record_that_is_too_large_takes_no_other_with_it() -> None:
    async def answer(_node: int, values: dict[int, list[bytes]]) -> Codes:
        return {number: TOO_LARGE for number, each in values.items() if sum(map(len, each)) > 1000}

    client = FakeClient(answer)
    sender = sender_over(client)
    watched: list[tuple[SendResult, int]] = []
    sender.watch = lambda result, records, _took_s: watched.append((result, records))
    sizes = [300, 2000, 400, 500]
    heard = [add(sender, b"x" * size) for size in sizes]
    assert [await soon(each) for each in heard] == [
        SendResult.ACKED,
        SendResult.TOO_LARGE,
        SendResult.ACKED,
        SendResult.ACKED,
    ]
    sent = [[len(value) for value in values[0]] for _, values in client.requests]
    assert sent == [sizes, *[[size] for size in sizes]]
    assert sum(records for _, records in watched) == len(sizes), "each is counted once"
    assert sender.longest_wait_s() == 0.0


async def test_a_batch_is_no_larger_than_it_may_be_but_for_a_record_alone() -> None:
    gate = Gate()
    client = FakeClient(gate)
    sender = sender_over(client, batch_bytes=1000)
    sizes = [10, 300, 300, 300, 5000, 300, 300]
    heard = [add(sender, b"x" * size) for size in sizes]
    gate.opened.set()
    assert [await soon(each) for each in heard] == [SendResult.ACKED] * len(sizes)
    sent = [[len(value) for value in values[0]] for _, values in client.requests]
    assert sent == [[10, 300, 300], [300], [5000], [300, 300]]


async def test_partitions_that_are_added_are_used() -> None:
    client = FakeClient(coding(OK))
    sender = sender_over(client)
    client.leaders = dict.fromkeys(range(8), 1)
    for listener in client.listeners:
        listener(client.cluster)
    keys = [b"k%d" % number for number in range(50)]
    by_partition: dict[int, list[bytes]] = defaultdict(list)
    heard: list[asyncio.Future[SendResult]] = []
    for key in keys:
        by_partition[partition_of(key, 8)].append(key)
        heard.append(asyncio.get_running_loop().create_future())
        sender.add(key, key, [], heard[-1].set_result)
    assert {await soon(each) for each in heard} == {SendResult.ACKED}
    assert client.requests == [(1, dict(by_partition))]


async def test_a_topic_that_is_away_for_a_moment_keeps_its_partitions() -> None:
    client = FakeClient(coding(OK))
    sender = sender_over(client)
    leaders, client.leaders = client.leaders, {}
    for listener in client.listeners:
        listener(client.cluster)
    client.leaders = leaders
    assert await soon(add(sender, partition=2)) is SendResult.ACKED


async def test_the_longest_wait_is_the_oldest_batchs() -> None:
    gate = Gate()
    client = FakeClient(gate)
    sender = sender_over(client)
    assert sender.longest_wait_s() == 0.0
    heard = add(sender)
    await client.sent.acquire()
    assert 0 < sender.longest_wait_s() < 5
    gate.opened.set()
    assert await soon(heard) is SendResult.ACKED
    assert sender.longest_wait_s() == 0.0
    assert await sender.settle(0)


async def test_what_is_given_up_is_told_of_and_said() -> None:
    client = FakeClient(Gate())
    sender = sender_over(client)
    heard = [add(sender)]
    await client.sent.acquire()
    heard.append(add(sender))
    assert not await sender.settle(0)
    assert [await soon(each) for each in heard] == [SendResult.FAILED] * 2


async def test_settling_waits_for_what_is_out() -> None:
    gate = Gate()
    client = FakeClient(gate)
    sender = sender_over(client)
    heard = add(sender)
    await client.sent.acquire()
    settling = asyncio.create_task(sender.settle(60))
    await asyncio.sleep(0)
    gate.opened.set()
    async with asyncio.timeout(5):
        assert await settling
    assert heard.result() is SendResult.ACKED


async def test_a_client_that_cancels_its_own_request_takes_only_that_one_with_it() -> None:
    """As aiokafka's may; the records are given up at their deadline, the next ones go out."""
    client = FakeClient(in_turn(raising(asyncio.CancelledError()), coding(OK)))
    sender = sender_over(client, deadline_s=0.05)
    assert await soon(add(sender)) is SendResult.TIMED_OUT
    assert await soon(add(sender)) is SendResult.ACKED


async def test_one_that_fails_when_it_is_told_keeps_nothing_from_the_others() -> None:
    sender = sender_over(FakeClient(coding(OK)))

    def failing(_result: SendResult) -> None:
        raise ValueError

    sender.add(KEYS[0], b"1", [], failing)
    assert await soon(add(sender, b"2")) is SendResult.ACKED
