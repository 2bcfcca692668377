"""Events that cannot be read, between others that can: `offshoot work --only ingest` over real servers."""

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from schemas.dead_letters import DeadLetter, original_headers
from tests.fault.support.events import Told, check, customer_event
from tests.fault.support.members import Member
from tests.fault.support.preparing import prepare
from tests.integration.receiver import records
from tests.support.groups import lag
from tests.support.waiting import until

KEY = b"platform:cus_1"
HEADERS = [("ce_id", b"evt_1"), ("ce_type", b"com.stripe.customer.updated")]


def _event(name: str, number: int) -> dict[str, Any]:
    return customer_event("cus_1", name, second=int(time.time()) - 3600 + number)


def _changed(event: dict[str, Any], **about: Any) -> bytes:
    event["data"]["object"].update(about)
    return json.dumps(event).encode()


async def test_each_becomes_a_dead_letter_and_the_others_are_ingested(
    kafka: Kafka, postgres: Postgres, topic_prefix: str, tmp_path: Path, database: str
) -> None:
    del postgres
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": topic_prefix,
        "DATABASE_URL": database,
    }
    await asyncio.to_thread(prepare, tmp_path, settings)
    topic = f"{topic_prefix}stripe.events"
    first, last = _event("first", 0), _event("last", 9)
    unreadable = {
        b"not JSON": "NotAStripeEventError",
        b'{"id": "evt_2", "type": "customer.updated"}': "NotAStripeEventError",
        _changed(_event("a number as metadata", 1), metadata=7): "UnreadableObjectError",
        # More than an index of Postgres takes, and not to be compressed.
        _changed(_event("an endless id", 2), id=secrets.token_hex(9000)): "RefusedError",
    }
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    for value in (json.dumps(first).encode(), *unreadable, json.dumps(last).encode()):
        await producer.send_and_wait(topic, value, KEY, headers=HEADERS)
    await producer.stop()
    member = Member(tmp_path, "ingest", settings)
    member.process.start()
    try:

        async def done() -> bool:
            return await lag(kafka.bootstrap_servers, "offshoot", topic) == 0

        await until(done, within_s=30, what="everything is read")
        assert member.metric("offshoot_dead_letters_total") == len(unreadable)
        assert not member.logged("task.failed")
    finally:
        member.process.kill()
    await check(Told({first["id"], last["id"]}, {"cus_1": "last"}, set()), database)
    found = await asyncio.to_thread(records, kafka.bootstrap_servers, f"{topic_prefix}offshoot.dead-letters")
    said = {each.value: DeadLetter.of(list(each.headers)) for each in found}
    assert {value: letter.error_class for value, letter in said.items()} == unreadable
    for number, (record, letter) in enumerate(zip(found, said.values(), strict=True), start=1):
        assert (record.key, original_headers(list(record.headers))) == (KEY, HEADERS)
        assert (letter.original_topic, letter.original_offset) == (topic, number)
    log = member.process.output()
    assert "endless" not in log
    assert "metadata" not in log
