"""A single broker that is lost and comes back: nothing acknowledged is lost, nobody waits in vain."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import Kafka, KafkaNode
from tests.fault.support.brokers import Topic
from tests.fault.support.outage import GRACE_S, live_through, receiver
from tests.fault.support.verdict import (
    RECOVERS_WITHIN_S,
    check_answers,
    check_nothing_is_lost,
    check_refused_at_once,
    first_ack,
    report,
)
from tests.integration.receiver import records


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka of one node, to be harmed; each test gives it back running."""
    kafka = Kafka(tmp_path_factory.mktemp("kafka"))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.kill()


@pytest.fixture
def node(own_kafka: Kafka) -> KafkaNode:
    """Its node."""
    return own_kafka.nodes[0]


@pytest.fixture
async def topic(own_kafka: Kafka, topic_prefix: str) -> Topic:
    """A topic on it."""
    topic = Topic(own_kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    await topic.create()
    return topic


async def test_killed_and_started_again(topic: Topic, node: KafkaNode, tmp_path: Path) -> None:
    await live_through(
        topic,
        tmp_path,
        name="one node, SIGKILL",
        strike=lambda: asyncio.to_thread(node.kill),
        lift=lambda: asyncio.to_thread(node.start),
    )


@pytest.mark.slow
async def test_stopped_and_started_again(topic: Topic, node: KafkaNode, tmp_path: Path) -> None:
    await live_through(
        topic,
        tmp_path,
        name="one node, SIGTERM",
        strike=lambda: asyncio.to_thread(node.stop),
        lift=lambda: asyncio.to_thread(node.start),
    )


@pytest.mark.slow
async def test_frozen_and_thawed(topic: Topic, node: KafkaNode, tmp_path: Path) -> None:
    try:
        await live_through(
            topic,
            tmp_path,
            name="one node, SIGSTOP",
            strike=lambda: asyncio.to_thread(node.freeze),
            lift=lambda: asyncio.to_thread(node.thaw),
            for_s=12,
        )
    finally:
        node.thaw()


@pytest.mark.slow
async def test_down_at_the_start(topic: Topic, node: KafkaNode, tmp_path: Path) -> None:
    """Until the broker is there every answer is 503 at once; it is found without being told of."""
    await asyncio.to_thread(node.stop)
    async with receiver(topic, tmp_path, deadline_s=4) as both:
        load, readiness = both.load, both.readiness
        began = time.monotonic()
        await load.until(60, lambda answer: answer.status == 503, within_s=10, what="refusals")
        look = await readiness.until(lambda _: True, within_s=5, what="an answer of /readyz")
        assert (look.ready, look.connected) == (False, False)
        left_s = await both.leave()
        started = time.monotonic()
        accepting = asyncio.create_task(topic.accepts(within_s=60))
        await asyncio.to_thread(node.start)
        accepted = await accepting
        await load.until_steady(within_s=30)
        ready = await readiness.until(lambda look: look.ready, within_s=5, what="ready")
    slowest = check_refused_at_once(load.answers, began, started)
    back = first_ack(load.answers, started).ended - accepted
    found = await asyncio.to_thread(records, topic.bootstrap_servers, topic.name)
    check_nothing_is_lost(load.answers, found)
    check_answers(load.answers, both.deadline_s)
    check_answers(both.leavers_load.answers, 1, leaves=True)
    report(
        f"one node, down at the start: 503 within {slowest * 1000:.0f} ms; first 2xx {back:+.2f} s after the "
        f"broker accepts, ready {ready.at - accepted:+.1f} s; SIGTERM in it took {left_s:.1f} s"
    )
    assert back < RECOVERS_WITHIN_S


async def test_sigterm_while_records_wait_for_a_frozen_broker(
    topic: Topic, node: KafkaNode, tmp_path: Path
) -> None:
    """It does not wait for a deadline that is longer than its grace, and answers what it had taken in."""
    async with receiver(topic, tmp_path, deadline_s=20) as both:
        await both.leavers_load.until_steady(within_s=30)
        node.freeze()
        try:
            frozen = time.monotonic()
            left_s = await both.leave()
        finally:
            node.thaw()
    answers = [answer for answer in both.leavers_load.answers if answer.ended > frozen]
    report(f"SIGTERM with records at a frozen broker: ended in {left_s:.1f} of {GRACE_S} s")
    assert sum(answer.status == 503 for answer in answers) >= 4
    found = await asyncio.to_thread(records, topic.bootstrap_servers, topic.name)
    both.check(found)
