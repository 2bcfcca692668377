"""Reading a topic over a real Kafka: what is committed, what goes to the dead letters, and what stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from consumers.store.database import RefusedError, UnavailableError
from consumers.topic.dead_letters import DeadLetters
from consumers.topic.handler import Unreadable
from consumers.topic.lane import TopicLane
from consumers.topic.limit import RUN_AT_MOST
from consumers.topic.watch import STALLED_AFTER_S
from deploy.local.kafka import Kafka
from schemas.dead_letters import VALUE_OMITTED, DeadLetter, original_headers
from schemas.topics import MAX_MESSAGE_BYTES
from service.runtime.kafka.consumer import GroupReader, Record
from service.runtime.kafka.publish import AckedPublisher
from service.runtime.kafka.stop import stop_client
from service.runtime.metrics import Metrics
from tests.integration.receiver import records
from tests.support.groups import committed
from tests.support.waiting import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Notes:
    """A handler that notes the values; "bad…" cannot be read, and Postgres cannot hold "odd…"."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.calls = 0
        self.store_away = False

    async def handle(self, records: Sequence[Record]) -> Sequence[Unreadable]:
        self.calls += 1
        if self.store_away:
            raise UnavailableError("OSError")
        if any((record.value or b"").startswith(b"odd") for record in records):
            raise RefusedError("DataError")
        bad = [record for record in records if record.value is None or record.value.startswith(b"bad")]
        self.read += [record.value or b"" for record in records if record not in bad]
        return [Unreadable(record, "SomeError", "it is bad") for record in bad]


class Topic:
    """A topic of two partitions, its dead letters, and a group that reads it."""

    def __init__(self, bootstrap_servers: str, prefix: str, producer: AIOKafkaProducer) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.name, self.letters, self.group = f"{prefix}topic", f"{prefix}letters", f"{prefix}group"
        self.metrics = Metrics()
        self.handler = Notes()
        self.readers: list[GroupReader] = []
        self._options = {"bootstrap_servers": bootstrap_servers}
        self._producer = producer

    async def create(self, *names: str) -> None:
        admin = AIOKafkaAdminClient(**self._options)
        await admin.start()
        config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        made = await admin.create_topics([NewTopic(name, 2, 1, topic_configs=config) for name in names])
        await admin.close()
        assert not any(error[1] for error in made.topic_errors)

    async def send(self, *values: bytes | None, key: bytes | None = b"a", partition: int = 0) -> None:
        """Write records with a header, in order."""
        headers = [("ce_id", b"evt_1")]
        acks = [
            await self._producer.send(self.name, value=value, key=key, partition=partition, headers=headers)
            for value in values
        ]
        await asyncio.gather(*acks)

    def reader(self) -> GroupReader:
        reader = GroupReader(self._options, self.name, self.group, most_records=500, client_id="test")
        self.readers.append(reader)
        return reader

    def lane(self) -> TopicLane:
        async def found() -> str:
            return "found"

        async def answers() -> bool:
            return True

        letters = DeadLetters(
            AckedPublisher(self._options, client_id="test"),
            self.metrics,
            topic=self.letters,
            group=self.group,
            now=lambda: NOW,
        )
        return TopicLane(
            self.handler,
            self.reader,
            letters,
            self.metrics,
            topic="topic",
            diagnose=found,
            kafka_answers=answers,
        )

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[TopicLane]:
        """Read it until left."""
        lane, stop = self.lane(), asyncio.Event()
        task = asyncio.create_task(lane.run(stop))
        try:
            yield lane
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)

    async def committed(self) -> dict[int, int]:
        """The group's offset of each partition that has one."""
        return await committed(self.bootstrap_servers, self.group, self.name)

    async def until_committed(self, partition: int, offset: int, *, within_s: float = 20) -> None:
        async def is_committed() -> bool:
            return (await self.committed()).get(partition) == offset

        await until(
            is_committed, within_s=within_s, what=f"offset {offset} of partition {partition} committed"
        )

    async def dead(self) -> list[Record]:
        """The dead letters."""
        found: list[Record] = await asyncio.to_thread(records, self.bootstrap_servers, self.letters)
        return found

    def value_of(self, metric: str) -> float | None:
        return self.metrics.registry.get_sample_value(metric, {"topic": "topic"})


@pytest.fixture
async def topic(kafka: Kafka, topic_prefix: str) -> AsyncIterator[Topic]:
    """A fresh one."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, acks="all", max_request_size=MAX_MESSAGE_BYTES
    )
    topic = Topic(kafka.bootstrap_servers, topic_prefix, producer)
    await topic.create(topic.name, topic.letters)
    await producer.start()
    yield topic
    await stop_client(producer, 1)


async def test_what_cannot_be_read_goes_to_the_dead_letters_and_the_rest_goes_on(topic: Topic) -> None:
    await topic.send(b"one", b"bad one", b"two", None, b"three")
    async with topic.reading():
        await topic.until_committed(0, 5)
    assert topic.handler.read == [b"one", b"two", b"three"]
    found = await topic.dead()
    assert [(each.key, each.value) for each in found] == [(b"a", b"bad one"), (b"a", None)]
    assert [original_headers(list(each.headers)) for each in found] == [[("ce_id", b"evt_1")]] * 2
    letter = DeadLetter.of(list(found[0].headers))
    assert letter.original_timestamp_ms > 1_700_000_000_000
    assert letter == DeadLetter(
        topic.name, 0, 1, letter.original_timestamp_ms, topic.group, "SomeError", "it is bad", 1, NOW
    )
    assert topic.value_of("offshoot_dead_letters_total") == 2


async def test_what_postgres_cannot_hold_is_found_among_the_others(topic: Topic) -> None:
    await topic.send(b"one", b"odd one", b"two")
    async with topic.reading():
        await topic.until_committed(0, 3)
    assert topic.handler.read == [b"one", b"two"]
    (found,) = await topic.dead()
    letter = DeadLetter.of(list(found.headers))
    assert (letter.original_offset, letter.error_class, letter.attempts) == (1, "RefusedError", 2)


async def test_one_that_only_just_fitted_is_a_dead_letter_without_its_value(topic: Topic) -> None:
    """Else it would hold up its partition for ever."""
    value = b"bad".ljust(MAX_MESSAGE_BYTES - 150)
    await topic.send(value, b"small")
    async with topic.reading():
        await topic.until_committed(0, 2)
    (found,) = await topic.dead()
    assert found.value is None
    assert dict(found.headers)[VALUE_OMITTED] == str(len(value)).encode()


async def test_one_without_a_key_stays_in_its_partition(topic: Topic) -> None:
    await topic.send(*[b"bad"] * 6, key=None, partition=1)
    async with topic.reading():
        await topic.until_committed(1, 6)
    assert {each.partition for each in await topic.dead()} == {1}


async def test_too_many_in_a_row_stop_their_partition_and_no_other(topic: Topic) -> None:
    await topic.send(b"one", *[b"bad"] * (RUN_AT_MOST + 30), b"behind")
    async with topic.reading() as lane:
        await topic.until_committed(0, 1 + RUN_AT_MOST)
        await topic.send(b"other", partition=1)
        await topic.until_committed(1, 1)

        async def told() -> bool:
            return topic.value_of("offshoot_consumer_held_partitions") == 1

        await until(told, within_s=5, what="the partition is held")
        health = lane.health()
        assert (health.ok, health.state) == (False, "partition 0 held: too many unreadable records")
        assert lane.pulse().ok
    assert topic.handler.read[-1] == b"other"
    assert len(await topic.dead()) == RUN_AT_MOST
    assert (await topic.committed())[0] == 1 + RUN_AT_MOST


async def test_nothing_is_passed_over_while_the_dead_letters_cannot_be_written(topic: Topic) -> None:
    topic.letters = f"{topic.letters}.late"
    await topic.send(b"one", b"bad", b"two")
    async with topic.reading():

        async def tried() -> bool:
            return topic.handler.calls > 0

        await until(tried, within_s=10, what="a first try")
        assert await topic.committed() == {}
        await topic.create(topic.letters)
        await topic.until_committed(0, 3)
    assert [each.value for each in await topic.dead()] == [b"bad"]


async def test_while_the_store_is_away_nothing_is_committed_and_the_group_is_kept(topic: Topic) -> None:
    topic.handler.store_away = True
    await topic.send(b"one", b"two")
    async with topic.reading() as lane:

        async def tried_again() -> bool:
            return topic.handler.calls >= 3

        await until(tried_again, within_s=15, what="it is read again")
        assert await topic.committed() == {}
        assert not lane.health().ok
        topic.handler.store_away = False
        await topic.until_committed(0, 2)
        await until(lambda: _is_ok(lane), within_s=5, what="ready")
    assert topic.handler.read == [b"one", b"two"]


async def _is_ok(lane: TopicLane) -> bool:
    return lane.health().ok


async def test_a_topic_that_is_missing_is_told_and_found_once_it_is_there(topic: Topic) -> None:
    topic.name = f"{topic.name}.late"
    async with topic.reading() as lane:

        async def told() -> bool:
            return lane.health().state == "the topic is missing: run offshoot topics"

        await until(told, within_s=10, what="it is missing")
        await topic.create(topic.name)
        await topic.send(b"one")
        await topic.until_committed(0, 1)


async def test_a_batch_in_hand_is_committed_before_its_partitions_are_given_up(topic: Topic) -> None:
    """Another member joins while a batch is being stored: nothing is read twice."""
    await topic.send(*[b"first %d" % number for number in range(10)], partition=0)
    await topic.send(*[b"other %d" % number for number in range(10)], partition=1)
    one, two = topic.reader(), topic.reader()
    await one.start(10)
    seen: list[bytes | None] = []

    async def some() -> bool:
        async with one.next_batch(0.5) as batch:
            seen.extend(record.value for record in batch.records)
            if batch.records:
                await two.start(10)
                joining.append(asyncio.create_task(_read_all(two, seen)))

                async def asked_to_leave() -> bool:
                    return not one.joined

                await until(asked_to_leave, within_s=15, what="a rebalance begins")
            batch.done = True
        return bool(joining)

    joining: list[asyncio.Task[None]] = []
    await until(some, within_s=20, what="a batch in hand while the other joins")
    await asyncio.gather(_read_all(one, seen), *joining)
    assert len(seen) == len(set(seen)) == 20
    await asyncio.gather(one.stop(5), two.stop(5))


async def _read_all(reader: GroupReader, seen: list[bytes | None]) -> None:
    async def all_seen() -> bool:
        async with reader.next_batch(0.2) as batch:
            seen.extend(record.value for record in batch.records)
            batch.done = True
        return len(seen) >= 20 and reader.joined

    await until(all_seen, within_s=20, what="everything is read")


async def test_a_look_tells_the_lag_of_what_is_assigned(topic: Topic) -> None:
    await topic.send(b"one", b"two", b"three")
    reader = topic.reader()
    await reader.start(10)

    async def in_hand() -> bool:
        async with reader.next_batch(0.5) as batch:
            if not batch.records:
                return False
            assert (await reader.look(5)).lag == 3, "what is in hand is not done"
            batch.done = True
        return True

    await until(in_hand, within_s=15, what="a batch")
    look = await reader.look(5)
    assert (look.lag, dict(look.at), dict(look.ends)) == (0, {0: 3, 1: 0}, {0: 3, 1: 0})
    await reader.stop(5)


@pytest.mark.slow
async def test_a_client_that_gives_no_more_records_is_replaced(topic: Topic) -> None:
    """The task that fetches has died, and nobody says so: only that nothing moves while there is a lag."""
    await topic.send(b"one")
    async with topic.reading():
        await topic.until_committed(0, 1)
        (reader,) = topic.readers
        fetcher = reader._consumer._fetcher  # noqa: SLF001 - as a fault of aiokafka's would
        for task in (fetcher._fetch_task, *fetcher._pending_tasks):  # noqa: SLF001 - likewise
            task.cancel()
        await topic.send(b"two")
        await topic.until_committed(0, 2, within_s=STALLED_AFTER_S + 30)
    assert topic.handler.read == [b"one", b"two"]
    rebuilds = "offshoot_consumer_rebuilds_total"
    stalled = topic.metrics.registry.get_sample_value(rebuilds, {"topic": "topic", "reason": "stalled"})
    assert (stalled, len(topic.readers)) == (1, 2)
