"""Brokers of three are lost under load: of one loss the other two make up, and nothing acknowledged is lost.

The fence is 3 s (`broker.session.timeout.ms`): until then whatever the lost one replicates waits.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaNode
from service.runtime.kafka.topics import TopicState, ensure_topics
from service.runtime.settings import TopicsSettings
from tests.fault.support.brokers import Topic
from tests.fault.support.cluster import Cluster
from tests.fault.support.outage import receiver
from tests.fault.support.verdict import (
    AT_ONCE_S,
    MARGIN_S,
    RECOVERS_WITHIN_S,
    by_partition,
    last_first_ack,
    longest_gap_s,
    report,
)
from tests.integration.receiver import records
from tests.support.waiting import until

pytestmark = pytest.mark.slow

DEADLINE_S = 8
"""The default of `PUBLISH_TIMEOUT_S`."""

PROBE_S = 2
"""How long one webhook waits while it is not known whether the brokers are back."""


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
async def topic(cluster: Cluster, topic_prefix: str) -> Topic:
    """A topic on it, of which each node leads a partition."""
    topic = Topic(cluster.kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    await topic.create(replicas=3)
    assert sorted(await topic.leaders()) == [1, 2, 3]
    return topic


@pytest.mark.parametrize("controller", [False, True], ids=["a_follower", "the_controller"])
async def test_killed(cluster: Cluster, topic: Topic, tmp_path: Path, *, controller: bool) -> None:
    node = cluster.victim(controller=controller)
    await _lose_one(
        cluster,
        topic,
        tmp_path,
        node,
        name=f"three nodes, SIGKILL of {'the controller' if controller else 'another'}",
        strike=lambda: asyncio.to_thread(node.kill),
        lift=lambda: asyncio.to_thread(node.start),
    )


@pytest.mark.parametrize("controller", [False, True], ids=["a_follower", "the_controller"])
async def test_frozen(cluster: Cluster, topic: Topic, tmp_path: Path, *, controller: bool) -> None:
    """While it is still frozen, its partitions are served by the others: a fresh client finds them there."""
    node = cluster.victim(controller=controller)
    try:
        await _lose_one(
            cluster,
            topic,
            tmp_path,
            node,
            name=f"three nodes, SIGSTOP of {'the controller' if controller else 'another'}",
            strike=lambda: asyncio.to_thread(node.freeze),
            lift=lambda: asyncio.to_thread(node.thaw),
        )
    finally:
        node.thaw()


async def _lose_one(
    cluster: Cluster,
    topic: Topic,
    folder: Path,
    node: KafkaNode,
    *,
    name: str,
    strike: Callable[[], Awaitable[None]],
    lift: Callable[[], Awaitable[None]],
) -> None:
    leaders = await topic.leaders()
    async with receiver(topic, folder, DEADLINE_S) as both:
        load = both.load
        await load.until_steady(within_s=30)
        await both.leavers_load.until_steady(within_s=30)
        struck = time.monotonic()
        await strike()
        accepting = asyncio.create_task(topic.accepts(within_s=60, by=cluster.others(node)))
        left_s = await both.leave()
        accepted = await accepting
        await load.until_each_acked(accepted, within_s=40)
        await lift()
        await topic.until_in_sync(3, within_s=60)
        await load.until_steady(within_s=30)
        await both.readiness.until(lambda look: look.ready, within_s=15, what="ready again")
    found = await asyncio.to_thread(records, topic.bootstrap_servers, topic.name)
    both.check(found)
    parts = by_partition(load.answers, found)
    back = [last_first_ack(part, accepted) - accepted for part in parts.values()]
    gaps = {number: longest_gap_s(part) for number, part in parts.items()}
    lost = gaps.pop(leaders.index(node.node_id))
    report(
        f"{name}: accepting again after {accepted - struck:.1f} s; gap {lost:.1f} s on its partition, "
        f"{max(gaps.values()):.1f} s on others; last sender's first 2xx {max(back):+.1f} s after accepting; "
        f"{sum(not each.acked for each in load.answers)} of {len(load.answers)} were 503; "
        f"SIGTERM in it took {left_s:.1f} s"
    )
    assert max(back) < RECOVERS_WITHIN_S
    assert max(gaps.values()) < RECOVERS_WITHIN_S


async def test_two_of_three_killed(cluster: Cluster, topic: Topic, tmp_path: Path) -> None:
    """The one that is left can acknowledge nothing; one webhook at a time asks it again."""
    lost = [cluster.controller(), cluster.victim(controller=False)]
    async with receiver(topic, tmp_path, deadline_s=4) as both:
        load, readiness = both.load, both.readiness
        await load.until_steady(within_s=30)
        await both.leavers_load.until_steady(within_s=30)
        struck = time.monotonic()
        noticing = asyncio.create_task(
            readiness.until(lambda look: not look.connected, within_s=30, what="the outage is noticed")
        )
        await asyncio.gather(*(asyncio.to_thread(node.kill) for node in lost))
        left_s = await both.leave()
        noticed = await noticing
        assert noticed.at - struck < both.deadline_s + MARGIN_S
        await load.until(200, lambda answer: answer.status == 503, within_s=30, what="refusals")
        lifted = time.monotonic()
        accepting = asyncio.create_task(topic.accepts(within_s=90))
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in lost))
        accepted = await accepting
        await load.until_each_acked(accepted, within_s=40)
        await load.until_steady(within_s=30)
        await readiness.until(lambda look: look.ready, within_s=15, what="ready again")
        await topic.until_in_sync(3, within_s=60)
    both.check(await asyncio.to_thread(records, topic.bootstrap_servers, topic.name))
    away = [each for each in load.answers if each.began > noticed.at and each.ended < lifted]
    probes = [each for each in away if each.took_s > AT_ONCE_S]
    back = last_first_ack(load.answers, accepted) - accepted
    longest_s = max((each.took_s for each in probes), default=0)
    report(
        f"three nodes, SIGKILL of two: noticed after {noticed.at - struck:.1f} s; while they were away "
        f"{len(away)} were 503, {len(probes)} of them probes of up to {longest_s:.1f} s; last sender's first "
        f"2xx {back:+.1f} s after accepting; SIGTERM in it took {left_s:.1f} s"
    )
    assert {each.status for each in away} == {503}
    assert len(probes) <= 1 + (lifted - noticed.at) / PROBE_S
    assert all(each.took_s < PROBE_S + MARGIN_S for each in probes)
    assert back < RECOVERS_WITHIN_S


async def test_three_replicas_ask_for_two_in_sync(cluster: Cluster, topic_prefix: str) -> None:
    """Also where the brokers decide how many there are, and whatever they ask for by themselves."""
    settings = {
        "kafka_bootstrap_servers": cluster.kafka.bootstrap_servers,
        "kafka_topic_prefix": topic_prefix,
    }
    lax = Topic(cluster.kafka.bootstrap_servers, f"{topic_prefix}stripe.events", partitions=12)
    await lax.create(replicas=3, **{"min.insync.replicas": "1"})
    reports = await ensure_topics(TopicsSettings(**settings), create=True)  # type: ignore[arg-type]
    found = {report.name.removeprefix(topic_prefix): report for report in reports}
    assert "min.insync.replicas: 1, should be 2" in found["stripe.events"].details
    assert found["offshoot.payment-methods"].state is TopicState.CREATED

    async def all_are_right() -> bool:
        again = await ensure_topics(TopicsSettings(**settings), create=False)  # type: ignore[arg-type]
        return {report.state for report in again[1:]} == {TopicState.OK}

    await until(all_are_right, within_s=20, what="every node knows the topics, and they are right")
