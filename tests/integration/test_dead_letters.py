"""`offshoot dead-letters` over a real Kafka: what it shows, what it puts back, and how it ends."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.kafka import Kafka
from deploy.local.process import ChildProcess
from schemas.dead_letters import VALUE_OMITTED, DeadLetter
from tests.integration.receiver import create_topic, records

Run = Callable[..., tuple[int | None, Any]]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def letter(topic: str, partition: int, offset: int, error: str = "NotAStripeEventError") -> DeadLetter:
    return DeadLetter(topic, partition, offset, 1_767_225_600_000, "offshoot", error, "is bad", 1, AT)


@pytest.fixture
def run(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> Run:
    """Run the command; give its status, and its JSON or, where it prints none, its text."""

    def ask(*arguments: str) -> tuple[int | None, Any]:
        process = ChildProcess(
            [sys.executable, "-W", "error", "-m", "deploy.cli", "dead-letters", *arguments],
            log=tmp_path / "dead-letters.log",
            env={
                "PATH": os.environ["PATH"],
                "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "OFFSHOOT_KAFKA_TOPIC_PREFIX": topic_prefix,
                "OFFSHOOT_LOG_LEVEL": "error",
            },
            cwd=tmp_path,
        )
        process.start()
        assert process.wait_ended(20)
        output = process.output()
        return process.status, json.loads(output.splitlines()[-1]) if "--json" in arguments else output

    return ask


@pytest.fixture
def topic(kafka: Kafka, topic_prefix: str) -> str:
    """`stripe.events` of this test, and dead letters of it: of one key in order, one twice, others."""
    name = f"{topic_prefix}stripe.events"
    create_topic(kafka.bootstrap_servers, name)
    create_topic(kafka.bootstrap_servers, f"{topic_prefix}offshoot.dead-letters")
    headers = [("ce_id", b"evt_1"), ("ce_type", b"com.stripe.customer.updated")]
    asyncio.run(
        _write(
            kafka.bootstrap_servers,
            f"{topic_prefix}offshoot.dead-letters",
            [
                (b"a", b"second", letter(name, 0, 8).headers(headers)),
                (b"a", b"first", letter(name, 0, 7).headers(headers)),
                (b"a", b"second", letter(name, 0, 8).headers(headers)),
                (b"b", b"refused", letter(name, 1, 1, "RefusedError").headers([])),
                (b"c", None, [*letter(name, 2, 1).headers([]), (VALUE_OMITTED, b"2097000")]),
                (b"d", b"other", letter("elsewhere", 2, 1).headers([])),
                (b"e", b"no letter", []),
            ],
        )
    )
    return name


async def _write(bootstrap_servers: str, topic: str, found: list[Any]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    for key, value, headers in found:
        await producer.send_and_wait(topic, value, key, headers=headers)
    await producer.stop()


def test_they_are_listed_as_they_were_in_their_topics(run: Run, topic: str) -> None:
    status, found = run("list", "--json")
    assert status == 0
    places = [(row["original_topic"], row["original_partition"], row["original_offset"]) for row in found]
    assert places == [
        ("elsewhere", 2, 1),
        (topic, 0, 7),
        (topic, 0, 8),
        (topic, 1, 1),
        (topic, 2, 1),
    ]
    assert found[1] | {"partition": 0, "offset": 0} == {
        "original_topic": topic,
        "original_partition": 0,
        "original_offset": 7,
        "key": "a",
        "type": "com.stripe.customer.updated",
        "bytes": 5,
        "error_class": "NotAStripeEventError",
        "error_message": "is bad",
        "consumer_group": "offshoot",
        "attempts": 1,
        "failed_at": "2026-01-01T00:00:00Z",
        "partition": 0,
        "offset": 0,
    }
    assert "passed over 1 records" in run("list")[1]


def test_they_are_filtered(run: Run, topic: str) -> None:
    del topic
    found = run("list", "--json", "--type", "customer.updated", "--offset", "8", "--until", "1h")[1]
    assert [row["original_offset"] for row in found] == [8]


def test_they_go_back_as_they_were_and_in_order(run: Run, kafka: Kafka, topic: str) -> None:
    dry = run("redrive", "--type", "customer.updated", "--dry-run", "--json")
    assert dry == (0, {"redriven": 2, "not_redriven": [], "dry_run": True})
    assert records(kafka.bootstrap_servers, topic) == []
    done = run("redrive", "--type", "customer.updated", "--json")
    assert done == (0, {"redriven": 2, "not_redriven": [], "dry_run": False})
    headers = (("ce_id", b"evt_1"), ("ce_type", b"com.stripe.customer.updated"))
    assert [(each.key, each.value, each.headers) for each in records(kafka.bootstrap_servers, topic)] == [
        (b"a", b"first", headers),
        (b"a", b"second", headers),
    ]


def test_what_cannot_go_back_is_told_and_ends_with_1(run: Run, kafka: Kafka, topic: str) -> None:
    status, done = run("redrive", "--all", "--json")
    assert status == 1
    assert done["redriven"] == 3
    assert [(row["original_topic"], row["why"]) for row in done["not_redriven"]] == [
        ("elsewhere", "its topic is not one of this deployment"),
        (topic, "its value was too large to be kept here"),
    ]
    assert len(records(kafka.bootstrap_servers, topic)) == 3


def test_to_redrive_needs_a_word_about_which(run: Run, topic: str) -> None:
    del topic
    status, text = run("redrive")
    assert status == 2
    assert "say which" in text
    assert run("list", "--since", "soon")[0] == 2


def test_without_the_topic(run: Run) -> None:
    status, text = run("list")
    assert status == 1
    assert "there is no topic" in text
