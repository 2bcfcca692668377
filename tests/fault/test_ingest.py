"""Members of the ingest group come, go, die and freeze under load, so does Postgres: nothing is missed."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.stack import Infrastructure
from tests.fault.support.ingesting import Ingesting, ingesting

SESSION_S = 10
"""How long a member may be silent before the group goes on without it (`service.runtime.kafka.consumer`)."""


@pytest.fixture
async def group(
    kafka: Kafka, postgres: Postgres, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Ingesting]:
    """A group on the shared servers, which are not harmed."""
    async with ingesting(kafka, postgres, topic_prefix, tmp_path) as group:
        yield group


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A Postgres to be harmed."""
    with Infrastructure() as own:
        own.start_postgres()
        yield own.postgres


@pytest.fixture
async def group_of_its_own(
    kafka: Kafka, own_postgres: Postgres, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Ingesting]:
    """A group whose Postgres is to be harmed."""
    async with ingesting(kafka, own_postgres, topic_prefix, tmp_path) as group:
        yield group


async def test_members_come_and_go(group: Ingesting) -> None:
    """1, 2, 3, 1: each leaves with status 0, and what it had in hand is read once."""
    for _ in range(3):
        await group.join()
        await group.until_steady()
    for member in group.members[1:]:
        member.process.send(signal.SIGTERM)
    for member in group.members[1:]:
        assert await asyncio.to_thread(member.process.wait_ended, 15)
        assert member.process.status == 0
    left = time.monotonic()
    await group.until_steady()
    await group.verdict("members 1, 2, 3, 1", left, within_s=30)
    assert not any(member.logged("task.failed") for member in group.members)


async def test_a_member_is_killed(group: Ingesting) -> None:
    _, victim = await group.join(), await group.join()
    await group.until_steady()
    struck = time.monotonic()
    victim.process.kill()
    took_s = await group.verdict("a member SIGKILLed", struck, within_s=60)
    assert took_s < SESSION_S + 20


@pytest.mark.slow
async def test_a_member_is_frozen_for_longer_than_the_group_waits(group: Ingesting) -> None:
    """The others go on without it; it wakes up, has lost its partitions, and joins again by itself."""
    other, victim = await group.join(), await group.join()
    await group.until_steady()
    joined, before = group.assignments(victim), group.assignments(other)
    struck = time.monotonic()
    victim.process.freeze()
    await group.until_assigned(other, before + 1)
    await group.until_steady()
    victim.process.thaw()
    await group.until_assigned(victim, joined + 1)
    await group.until_steady()
    await group.verdict("a member SIGSTOPped past its session", struck, within_s=60)
    assert not victim.logged("task.failed")


async def test_postgres_is_restarted(group_of_its_own: Ingesting, own_postgres: Postgres) -> None:
    group = group_of_its_own
    await group.join()
    await group.until_steady()
    await asyncio.to_thread(own_postgres.kill)
    await group.members[0].until_logged("consumer.store_away")
    await asyncio.to_thread(own_postgres.start)
    back = time.monotonic()
    took_s = await group.verdict("Postgres SIGKILLed and started", back, within_s=60)
    assert took_s < 30
    assert group.assignments(group.members[0]) == 1, "it never lost its membership"


@pytest.mark.slow
async def test_postgres_refuses(group_of_its_own: Ingesting, own_postgres: Postgres) -> None:
    """Stopped for longer than a session of the group lasts: the membership is kept all the same."""
    group = group_of_its_own
    await group.join()
    await group.until_steady()
    await asyncio.to_thread(own_postgres.stop)
    stopped = time.monotonic()
    await group.members[0].until_logged("consumer.store_away", count=6, within_s=60)
    assert time.monotonic() - stopped > 5
    await asyncio.to_thread(own_postgres.start)
    back = time.monotonic()
    await group.verdict("Postgres stopped and started", back, within_s=60)
    assert group.assignments(group.members[0]) == 1


@pytest.mark.slow
async def test_postgres_is_frozen(group_of_its_own: Ingesting, own_postgres: Postgres) -> None:
    """Statements hang until their limit; the process stays alive, and the group keeps its member."""
    group = group_of_its_own
    await group.join()
    await group.until_steady()
    own_postgres.freeze()
    try:
        await group.members[0].until_logged("consumer.store_away", count=2, within_s=90)
    finally:
        own_postgres.thaw()
    back = time.monotonic()
    await group.verdict("Postgres SIGSTOPped", back, within_s=90)
    assert group.assignments(group.members[0]) == 1
