"""Brokers die and freeze under the ingest group, one of three or all of them: nothing is missed."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from tests.fault.support.cluster import Cluster
from tests.fault.support.ingesting import Ingesting, ingesting
from tests.support.waiting import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # The test's own producer leaves sockets behind where its broker is gone.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DOWN_S = 40.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster; each test gives it back whole."""
    cluster = Cluster(tmp_path_factory.mktemp("kafka"))
    try:
        cluster.kafka.start(nodes=3)
        yield cluster
    finally:
        cluster.kafka.kill()


@pytest.fixture
async def group(
    cluster: Cluster, postgres: Postgres, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Ingesting]:
    """Two members on the cluster, under way."""
    async with ingesting(cluster.kafka, postgres, topic_prefix, tmp_path) as group:
        await group.join()
        await group.join()
        await group.until_steady()
        yield group


async def test_a_node_is_killed(cluster: Cluster, group: Ingesting) -> None:
    """One that does not coordinate the group, and leads a third of its partitions."""
    coordinator = await cluster.coordinator(group.group)
    node = next(each for each in cluster.kafka.nodes if each is not coordinator)
    await asyncio.to_thread(node.kill)
    struck = time.monotonic()
    await group.until_steady()
    await group.verdict("three nodes, one SIGKILLed", struck, within_s=60)
    await asyncio.to_thread(node.start)


async def test_the_coordinator_is_killed(cluster: Cluster, group: Ingesting) -> None:
    node = await cluster.coordinator(group.group)
    await asyncio.to_thread(node.kill)
    struck = time.monotonic()
    await group.until_steady()
    await group.verdict("three nodes, the coordinator SIGKILLed", struck, within_s=60)
    await asyncio.to_thread(node.start)


async def test_the_coordinator_is_frozen(cluster: Cluster, group: Ingesting) -> None:
    """The group goes on with another one while it stands still."""
    node = await cluster.coordinator(group.group)
    node.freeze()
    try:
        struck = time.monotonic()
        await group.until_steady()
        await group.verdict("three nodes, the coordinator SIGSTOPped, still frozen", struck, within_s=90)
    finally:
        node.thaw()


async def test_all_nodes_are_down(cluster: Cluster, group: Ingesting) -> None:
    """The members say that Kafka is away, live on, and are there again by themselves."""
    for node in cluster.kafka.nodes:
        await asyncio.to_thread(node.kill)
    struck = time.monotonic()
    for member in group.members:
        await member.until_unready("ingest", within_s=30)
        assert member.alive()

    async def over() -> bool:
        return time.monotonic() - struck > DOWN_S

    await until(over, within_s=DOWN_S + 10, what="down for so long")
    for node in cluster.kafka.nodes:
        node.launch()
    for node in cluster.kafka.nodes:
        await asyncio.to_thread(node.wait_ready)
    back = time.monotonic()
    await group.until_steady()
    await group.verdict(f"three nodes, all down for {DOWN_S:.0f} s", back, within_s=90)
    for member in group.members:
        await member.until_ready(within_s=20)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka of one node, to be harmed."""
    kafka = Kafka(tmp_path_factory.mktemp("kafka"))
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.kill()


@pytest.mark.parametrize("orderly", [False, True], ids=["killed", "stopped"])
async def test_the_only_node(
    single: Kafka, postgres: Postgres, topic_prefix: str, tmp_path: Path, *, orderly: bool
) -> None:
    (node,) = single.nodes
    async with ingesting(single, postgres, topic_prefix, tmp_path) as group:
        await group.join()
        await group.until_steady()
        await asyncio.to_thread(node.stop if orderly else node.kill)
        await group.members[0].until_unready("ingest", within_s=30)
        await asyncio.to_thread(node.start)
        back = time.monotonic()
        await group.until_steady()
        word = "SIGTERMed" if orderly else "SIGKILLed"
        await group.verdict(f"one node, {word} and started", back, within_s=60)
        assert not group.members[0].logged("task.failed")
