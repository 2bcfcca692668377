"""`offshoot topics` over a real Kafka: what it creates, what it finds different, and how it ends."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.kafka import Kafka
from deploy.local.process import ChildProcess
from schemas import topics
from tests.integration.receiver import create_topic

NAMES = [topic.name for topic in topics.ALL]


@pytest.fixture
def run(topic_prefix: str, tmp_path: Path) -> Any:
    """Run the command; give its status, and its JSON or, where it prints none, its text."""

    def ask(bootstrap_servers: str, *arguments: str, **settings: str) -> tuple[int | None, Any]:
        values = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": topic_prefix,
            "LOG_LEVEL": "error",
            **settings,
        }
        process = ChildProcess(
            [sys.executable, "-W", "error", "-m", "deploy.cli", "topics", *arguments],
            log=tmp_path / "topics.log",
            env={"PATH": os.environ["PATH"], **{f"OFFSHOOT_{key}": value for key, value in values.items()}},
            cwd=tmp_path,
        )
        process.start()
        assert process.wait_ended(20)
        output = process.output()
        return process.status, json.loads(output) if "--json" in arguments else output

    return ask


def states(report: list[dict[str, Any]], prefix: str) -> dict[str, str]:
    """The state of each topic by its name without the prefix."""
    return {topic["name"].removeprefix(prefix): topic["state"] for topic in report}


def test_they_are_missing_then_created_then_right(run: Any, kafka: Kafka, topic_prefix: str) -> None:
    found = [
        (status, states(report, topic_prefix))
        for status, report in (
            run(kafka.bootstrap_servers, "--check", "--json"),
            run(kafka.bootstrap_servers, "--json"),
            run(kafka.bootstrap_servers, "--json"),
        )
    ]
    assert found == [
        (3, dict.fromkeys(NAMES, "missing")),
        (0, dict.fromkeys(NAMES, "created")),
        (0, dict.fromkeys(NAMES, "ok")),
    ]


def test_what_differs_is_told_and_left_alone(run: Any, kafka: Kafka, topic_prefix: str) -> None:
    name = f"{topic_prefix}stripe.events"
    create_topic(kafka.bootstrap_servers, name, **{"retention.ms": "1000", "max.message.bytes": "2097152"})
    for _ in range(2):
        status, report = run(kafka.bootstrap_servers, "--json")
        assert status == 3
        assert report[0] == {
            "name": name,
            "state": "drift",
            "details": ["partitions: 3, should be 12", "retention.ms: 1000, should be 2592000000"],
        }


def test_replicas_that_cannot_be_had(run: Any, kafka: Kafka, topic_prefix: str) -> None:
    status, text = run(kafka.bootstrap_servers, KAFKA_REPLICATION_FACTOR="3")
    assert status == 1
    assert f"failed   {topic_prefix}stripe.events\n         InvalidReplicationFactorError" in text


def test_a_kafka_that_is_away(run: Any) -> None:
    status, text = run("127.0.0.1:1")
    assert status == 1
    assert "Kafka cannot be asked" in text


def test_settings_faults(run: Any) -> None:
    status, text = run("nowhere", KAFKA_REPLICATION_FACTOR="0")
    assert status == 2
    assert [line.split(":")[0] for line in text.splitlines()] == [
        "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS",
        "OFFSHOOT_KAFKA_REPLICATION_FACTOR",
    ]
