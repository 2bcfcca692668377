"""The relay's leader is killed or frozen with records in flight: another goes on, the newest stays last."""

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from tests.fault.support.announcing import Announcing, check
from tests.fault.support.members import Member
from tests.fault.support.preparing import prepare
from tests.fault.support.verdict import report
from tests.support.topics import read_committed
from tests.support.waiting import until

HANDED_OVER_WITHIN_S = 10.0


@dataclass
class Relays:
    """Two relays, the first of which leads."""

    dsn: str
    bootstrap_servers: str
    topic: str
    leader: Member
    other: Member

    async def until_empty(self) -> None:
        """Wait until the outbox is empty."""
        question = "SELECT NOT EXISTS (SELECT FROM offshoot.outbox)"
        await self.until(question, within_s=20, what="the outbox is empty")

    async def until(self, question: str, *, within_s: float, what: str) -> None:
        """Wait until Postgres says yes."""
        connection = await asyncpg.connect(self.dsn)

        async def is_so() -> bool:
            return bool(await connection.fetchval(question))

        try:
            await until(is_so, within_s=within_s, what=what)
        finally:
            await connection.close()


@pytest.fixture
async def relays(
    kafka: Kafka, postgres: Postgres, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Relays]:
    """On the shared servers."""
    async with _relays(kafka, postgres, topic_prefix, tmp_path) as both:
        yield both


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A Kafka to be harmed."""
    folder = tmp_path / "kafka"
    folder.mkdir()
    kafka = Kafka(folder)
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.kill()


@contextlib.asynccontextmanager
async def _relays(kafka: Kafka, postgres: Postgres, topic_prefix: str, folder: Path) -> AsyncIterator[Relays]:
    dsn = postgres.create_database(f"relay_{uuid.uuid4().hex}")
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": topic_prefix,
        "DATABASE_URL": dsn,
    }
    await asyncio.to_thread(prepare, folder, settings)
    leader, other = (Member(folder, "relay", settings) for _ in range(2))
    try:
        leader.process.start()
        await leader.until_logged("relay.leading")
        other.process.start()
        await other.until_logged("http.listening")
        topic = f"{topic_prefix}offshoot.payment-methods"
        yield Relays(dsn, kafka.bootstrap_servers, topic, leader, other)
    finally:
        for member in (leader, other):
            member.process.kill()
        postgres.drop_database(dsn.rpartition("/")[2].partition("?")[0])


async def test_a_killed_leader(relays: Relays) -> None:
    async with Announcing(relays.dsn) as announcing:
        await relays.leader.until_logged("relay.published", count=20)
        struck = time.monotonic()
        relays.leader.process.kill()
        await relays.other.until_logged("relay.published", within_s=HANDED_OVER_WITHIN_S)
        took_s = time.monotonic() - struck
    await relays.until_empty()
    found = await read_committed(relays.bootstrap_servers, relays.topic)
    repeated = check(found, announcing.newest)
    report(f"relay, leader SIGKILLed: published on after {took_s:.1f} s, {repeated} of {len(found)} repeated")


async def test_a_frozen_leader(relays: Relays) -> None:
    async def freeze() -> None:
        relays.leader.process.freeze()

    await _frozen(relays, freeze)


@pytest.mark.slow
async def test_a_leader_frozen_with_records_at_the_broker(
    own_kafka: Kafka, postgres: Postgres, topic_prefix: str, tmp_path: Path
) -> None:
    """Its records lie in the broker's sockets when it is frozen, and are appended without a commit."""
    (node,) = own_kafka.nodes

    async with _relays(own_kafka, postgres, topic_prefix, tmp_path) as relays:

        async def freeze() -> None:
            before = len(relays.leader.logged("relay.published"))
            node.freeze()
            await relays.until("SELECT count(*) > 500 FROM offshoot.outbox", within_s=10, what="it waits")
            assert len(relays.leader.logged("relay.published")) <= before + 1
            relays.leader.process.freeze()
            node.thaw()

        await _frozen(relays, freeze)


async def _frozen(relays: Relays, freeze: Callable[[], Awaitable[None]]) -> None:
    async with Announcing(relays.dsn) as announcing:
        await relays.leader.until_logged("relay.published", count=20)
        await freeze()
        struck = time.monotonic()
        await relays.other.until_logged("relay.published", count=5, within_s=HANDED_OVER_WITHIN_S)
        took_s = time.monotonic() - struck
        relays.leader.process.thaw()
        await relays.leader.until_logged("relay.interrupted", within_s=20)
        await relays.other.until_logged(
            "relay.published", count=len(relays.other.logged("relay.published")) + 5
        )
    await relays.until_empty()
    found = await read_committed(relays.bootstrap_servers, relays.topic)
    repeated = check(found, announcing.newest)
    report(f"relay, leader frozen: published on after {took_s:.1f} s, {repeated} of {len(found)} repeated")
    assert relays.other.metric("offshoot_relay_leading") == 1
    assert relays.leader.metric("offshoot_relay_leading") == 0
    relays.leader.process.send(signal.SIGTERM)
    assert await asyncio.to_thread(relays.leader.process.wait_ended, 10)
