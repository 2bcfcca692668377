"""The topic itself: deleted under load, and with a limit that some records are above."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from deploy.local.kafka import Kafka
from service.runtime.kafka.partition import partition_of
from tests.fault.support.brokers import Topic
from tests.fault.support.load import Answer, Connection, post
from tests.fault.support.outage import live_through, receiver
from tests.fault.support.verdict import (
    RECOVERS_WITHIN_S,
    check_nothing_is_lost,
    last_first_ack,
    longest_gap_s,
    report,
)
from tests.integration.receiver import Serve, records

LIMIT = 20_000
SENDERS = 40
ROUNDS = 10


async def test_deleted_and_created_again(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    """Without its topic the receiver is away like without a broker, and finds the new one by itself."""
    topic = Topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    await topic.create()
    await live_through(
        topic, tmp_path, name="topic deleted", strike=topic.delete, lift=topic.create, acks_are_lost=True
    )


async def test_replaced_at_once_by_one_with_fewer_partitions(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    """A client that still thinks of the partitions that are no more answers in time, and is replaced."""
    topic = Topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    fewer = replace(topic, partitions=1)
    await topic.create()
    async with receiver(topic, tmp_path, deadline_s=4) as both:
        await both.load.until_steady(within_s=30)
        await topic.delete()
        await fewer.create()
        created = time.monotonic()
        await both.load.until_each_acked(created, within_s=30)
        await both.load.until_steady(within_s=30)
    back = last_first_ack(both.load.answers, created) - created
    both.check(await asyncio.to_thread(records, fewer.bootstrap_servers, fewer.name), acks_since=created)
    report(
        f"topic with fewer partitions: gap {longest_gap_s(both.load.answers):.1f} s, last sender's first 2xx "
        f"{back:.1f} s after it takes records"
    )
    assert back < RECOVERS_WITHIN_S


async def test_a_record_too_large_for_the_topic_takes_no_other_with_it(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    """The topic's limit falls under a receiver that runs: what is above it is 413, all else goes through.

    All are of one object, so of one partition, and sent at the same moment: they share batches.
    """
    topic = Topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    await topic.create()
    large: list[Answer] = []
    small: list[Answer] = []
    with Serve(tmp_path, topic.bootstrap_servers, KAFKA_TOPIC_PREFIX=topic_prefix) as serve:
        await asyncio.to_thread(serve.wait_ready)
        await topic.limit(LIMIT)
        connections = [Connection(serve.listening()["public"]) for _ in range(SENDERS)]
        for _ in range(ROUNDS):
            answers = await asyncio.gather(
                post(connections[0], "pm_1", size=2 * LIMIT),
                *(post(each, "pm_1") for each in connections[1:-1]),
                post(connections[-1], "pm_1", size=LIMIT - 1_000),
            )
            large.append(answers[0])
            small.extend(answers[1:])
        for each in connections:
            each.close()
        assert serve.public.get("/readyz").status_code == 200
    assert {(answer.status, answer.body) for answer in large} == {(413, b'{"error":"too_large"}')}
    assert {(answer.status, answer.body) for answer in small} == {(200, b'{"received":true}')}
    found = await asyncio.to_thread(records, topic.bootstrap_servers, topic.name)
    check_nothing_is_lost(small, found)
    assert {record.partition for record in found if record.key} == {partition_of(b"platform:pm_1", 3)}
    report(
        f"record too large: {len(large)} x 413, {len(small)} x 200 beside them, "
        f"slowest {max(answer.took_s for answer in small):.2f} s"
    )
