"""Two producers under one transactional id: the later one is alone from its start on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.local.kafka import Kafka
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.transactional import Outgoing, TransactionalPublisher
from tests.integration.receiver import create_topic
from tests.support.topics import read_committed

Make = Callable[[], Awaitable[TransactionalPublisher]]
KEYS = [b"key %d" % number for number in range(6)]


@pytest.fixture
async def topic(kafka: Kafka, topic_prefix: str) -> str:
    """A topic of three partitions."""
    name = f"{topic_prefix}states"
    await asyncio.to_thread(create_topic, kafka.bootstrap_servers, name)
    return name


@pytest.fixture
async def leader(kafka: Kafka, topic_prefix: str) -> AsyncIterator[Make]:
    """Makes and starts a producer that leads from then on."""
    made: list[TransactionalPublisher] = []

    async def make() -> TransactionalPublisher:
        options = {"bootstrap_servers": kafka.bootstrap_servers}
        made.append(TransactionalPublisher(options, f"{topic_prefix}relay", client_id="test"))
        await made[-1].start(10)
        return made[-1]

    yield make
    for each in made:
        await each.stop(3)


def states(topic: str, version: int) -> list[Outgoing]:
    """A state of every key."""
    return [Outgoing(topic, key, b"%d" % version, [("ce_id", b"%s:%d" % (key, version))]) for key in KEYS]


async def latest(kafka: Kafka, topic: str) -> dict[bytes, bytes]:
    """What a compacted topic keeps."""
    return {each.key: each.value for each in await read_committed(kafka.bootstrap_servers, topic)}


async def test_who_wakes_up_late_cannot_publish_what_it_had_in_hand(
    kafka: Kafka, topic: str, leader: Make
) -> None:
    former = await leader()
    await former.publish(states(topic, 1), 10)
    new = await leader()
    await new.publish(states(topic, 3), 10)
    with pytest.raises(KafkaUnavailableError, match="ProducerFenced"):
        await former.publish(states(topic, 2), 10)
    assert await latest(kafka, topic) == dict.fromkeys(KEYS, b"3")


async def test_what_was_sent_but_not_committed_is_never_read(kafka: Kafka, topic: str, leader: Make) -> None:
    former = await leader()
    await former._producer.begin_transaction()  # noqa: SLF001 - it stops in the middle of `publish`
    for record in states(topic, 2):
        await former._producer.send_and_wait(record.topic, record.value, record.key)  # noqa: SLF001 - likewise
    new = await leader()
    await new.publish(states(topic, 1), 10)
    with pytest.raises(KafkaError):
        await former._producer.commit_transaction()  # noqa: SLF001 - likewise
    found = await read_committed(kafka.bootstrap_servers, topic)
    assert {each.value for each in found} == {b"1"}


async def test_a_batch_of_any_size_keeps_the_order_of_each_key(
    kafka: Kafka, topic: str, leader: Make
) -> None:
    publisher = await leader()
    large = b"x" * 300_000
    sent = [
        Outgoing(topic, KEYS[number % 2], b"%d" % number + large, [("ce_id", b"%d" % number)])
        for number in range(20)
    ]
    await publisher.publish(sent, 20)
    await publisher.publish([Outgoing(topic, KEYS[0], b"last", [])], 10)
    found = await read_committed(kafka.bootstrap_servers, topic)
    for key in KEYS[:2]:
        numbers = [int(dict(each.headers)["ce_id"]) for each in found if each.key == key and each.headers]
        assert numbers == [number for number in range(20) if KEYS[number % 2] == key]


async def test_a_key_goes_where_every_other_client_would_put_it(
    kafka: Kafka, topic: str, leader: Make
) -> None:
    await (await leader()).publish(states(topic, 1), 10)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    others = {key: (await producer.send_and_wait(topic, b"2", key)).partition for key in KEYS}
    await producer.stop()
    found = await read_committed(kafka.bootstrap_servers, topic)
    assert {each.key: each.partition for each in found if each.value == b"1"} == others
