"""The receiver's client over real Kafka: how it connects, and what it knows of its topic."""

import asyncio
import socket

from deploy.local.kafka import Kafka
from service.runtime.kafka.producer import EventProducer
from tests.fault.support.brokers import Topic
from tests.integration.receiver import create_topic

TRIES = 8
"""The order of the servers is aiokafka's choice, at random."""


async def test_a_server_that_says_nothing_holds_nothing_up(kafka: Kafka, topic_prefix: str) -> None:
    """As one that is frozen: it takes connections, and that is all."""
    topic = f"{topic_prefix}stripe.events"
    await asyncio.to_thread(create_topic, kafka.bootstrap_servers, topic)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        options = {
            "bootstrap_servers": [f"127.0.0.1:{frozen.getsockname()[1]}", kafka.bootstrap_servers],
            "security_protocol": "PLAINTEXT",
        }
        for _ in range(TRIES):
            producer = await EventProducer.connect(options, topic, deadline_s=8, within_s=1.5)
            await producer.close(1)


async def test_a_limit_that_is_raised_is_seen(kafka: Kafka, topic_prefix: str) -> None:
    topic = Topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    await topic.create()
    await topic.limit(100_000)
    options = {"bootstrap_servers": [kafka.bootstrap_servers], "security_protocol": "PLAINTEXT"}
    producer = await EventProducer.connect(options, topic.name, deadline_s=8, within_s=1.5)
    try:
        assert producer.max_message_bytes == 100_000
        await topic.limit(2_097_152)
        await producer.look_at_topic(2)
        assert producer.max_message_bytes == 2_097_152
        await topic.delete()
        await producer.look_at_topic(2)
        assert producer.max_message_bytes == 2_097_152, "a topic that is away says nothing"
    finally:
        await producer.close(1)
