"""The records on real Kafka, read by the official CloudEvents SDK: its own idea of the binary mode."""

import asyncio
import json
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event

from schemas import topics
from schemas.cloudevents import Via, stripe_event_headers, stripe_event_key
from schemas.commands import COMPLETED, CommandName, MethodMade
from schemas.records import PaymentMethodRecord
from schemas.stripe_event import parse_event
from service.runtime.kafka.producer import EventProducer
from tests.contract.conftest import WHEN, Publishing
from tests.integration.receiver import event as webhook
from tests.unit.schemas.test_records import CLONE

WITHIN_S: Final = 20.0


async def _first(bootstrap_servers: str, topic: str) -> Any:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        return await asyncio.wait_for(consumer.getone(), WITHIN_S)
    finally:
        await consumer.stop()


def _event(message: Any) -> BaseCloudEvent:
    """Read a record, and see that the SDK writes the same one again."""
    read = KafkaMessage(dict(message.headers), message.key, message.value)
    event = from_binary_event(read)
    written = to_binary_event(event)
    assert written.headers == read.headers
    assert written.key == message.key.decode()
    assert json.loads(written.value) == json.loads(read.value)
    return event


async def test_a_payment_method_record(publishing: Publishing) -> None:
    await publishing.say(CLONE)

    event = _event(await _first(publishing.bootstrap_servers, publishing.topic))

    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": CLONE.event_id,
        "type": f"offshoot.payment_method.{CLONE.state}",
        "source": "/offshoot",
        "subject": CLONE.key,
        "time": WHEN,
        "partitionkey": CLONE.key,
        "datacontenttype": "application/json",
    }
    assert event.get_data() == {name: getattr(CLONE, name) for name in PaymentMethodRecord.__struct_fields__}


async def test_a_commands_result(publishing: Publishing) -> None:
    name = CommandName("/billing", "order-1", "acct_1:cus_P")
    value = msgspec.json.encode(MethodMade(connected_payment_method="pm_C"))
    async with publishing.world.database.transaction() as connection:
        await publishing.world.outbox.add_command_result(connection, name, COMPLETED, value, WHEN)
    await publishing.relayed()

    topic = publishing.prefix + topics.COMMAND_RESULTS.name
    event = _event(await _first(publishing.bootstrap_servers, topic))

    attributes = event.get_attributes()
    assert attributes.pop("id") == f"result-{name.digest}"
    assert attributes == {
        "specversion": "1.0",
        "type": "offshoot.command.completed",
        "source": "/offshoot",
        "subject": "acct_1:cus_P",
        "time": WHEN,
        "partitionkey": "acct_1:cus_P",
        "commandid": "order-1",
        "datacontenttype": "application/json",
    }
    assert event.get_data() == {"connected_payment_method": "pm_C"}


async def test_an_event_of_stripe(publishing: Publishing) -> None:
    body = webhook(id="evt_1", account="acct_1")
    stripe_event = parse_event(body)
    topic = publishing.prefix + topics.STRIPE_EVENTS.name
    options = {"bootstrap_servers": [publishing.bootstrap_servers], "security_protocol": "PLAINTEXT"}
    producer = await EventProducer.connect(options, topic, deadline_s=8, within_s=5)
    producer.send(
        stripe_event_key(stripe_event),
        body,
        stripe_event_headers(stripe_event, endpoint="main", via=Via.WEBHOOK),
        lambda _: None,
    )

    message = await _first(publishing.bootstrap_servers, topic)
    await producer.close(2)
    event = _event(message)

    assert message.value == body
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": "evt_1",
        "type": "com.stripe.payment_method.attached",
        "source": "/stripe/acct_1",
        "subject": "pm_1",
        "time": WHEN,
        "partitionkey": "acct_1:pm_1",
        "datacontenttype": "application/json",
        "account": "acct_1",
        "livemode": "false",
        "payloadkind": "snapshot",
        "apiversion": "2026-10-28.endive",
        "endpoint": "main",
        "via": "webhook",
    }
