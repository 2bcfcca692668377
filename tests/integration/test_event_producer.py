"""Connecting while one of the bootstrap servers is frozen: it takes connections and answers nothing."""

import asyncio
import socket

from deploy.local.kafka import Kafka
from service.runtime.kafka.producer import EventProducer
from tests.integration.receiver import create_topic

TRIES = 8
"""The order of the servers is aiokafka's choice, at random."""


async def test_a_server_that_says_nothing_holds_nothing_up(kafka: Kafka, topic_prefix: str) -> None:
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
