"""Asking the brokers about topics, without ever changing one that exists.

Topics are looked up in the list of all topics, never by name: asking for an unknown name would create it
where the brokers create topics on demand.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from service.runtime.kafka.diagnosis import diagnose
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.stop import stop_client

_REQUEST_TIMEOUT_MS = 10_000
_STOP_S = 1.0


@dataclass(frozen=True)
class TopicFacts:
    """What a broker says of one topic."""

    partitions: int
    replication: int
    config: dict[str, str] | None
    """None where the brokers do not let us read it."""


@contextlib.asynccontextmanager
async def admin_client(
    options: dict[str, Any], *, explain: bool = False
) -> AsyncIterator[AIOKafkaAdminClient]:
    """Give a connected admin client, and stop it afterwards.

    Args:
        options: what `client_options` gives.
        explain: let the error say why; finding out takes up to 3 s more.

    Raises:
        KafkaUnavailableError: it could not connect, or a request got no answer.

    """
    client = AIOKafkaAdminClient(**options, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        await client.start()
        yield client
    except (KafkaError, OSError, TimeoutError) as error:
        why = await diagnose(options) if explain else None
        raise KafkaUnavailableError(type(error).__name__, why=why) from error
    finally:
        await stop_client(client, _STOP_S)


async def is_answered(options: dict[str, Any], within_s: float) -> bool:
    """Say whether a fresh client gets an answer from the brokers."""
    try:
        async with asyncio.timeout(within_s), admin_client(options) as client:
            await client.list_topics()
    except (KafkaUnavailableError, TimeoutError):
        return False
    return True


async def read_topics(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, TopicFacts]:
    """Say what is known of those of the named topics that exist."""
    existing = sorted(set(names).intersection(await client.list_topics()))
    if not existing:
        return {}
    configs = await _read_configs(client, existing)
    return {
        topic["topic"]: TopicFacts(
            partitions=len(topic["partitions"]),
            replication=max((len(partition["replicas"]) for partition in topic["partitions"]), default=0),
            config=configs.get(topic["topic"]),
        )
        for topic in await client.describe_topics(existing)
        if topic["error_code"] == 0
    }


async def default_replication(client: AIOKafkaAdminClient) -> int:
    """Say how many replicas the brokers give a topic by themselves; -1 where they do not let us read it."""
    cluster = await client.describe_cluster()
    broker = ConfigResource(ConfigResourceType.BROKER, str(cluster["brokers"][0]["node_id"]))
    for response in await client.describe_configs([broker]):
        for resource in response.resources:
            found = {entry[0]: entry[1] for entry in resource[4]} if resource[0] == 0 else {}
            return int(found.get("default.replication.factor") or -1)
    return -1


async def _read_configs(client: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in await client.describe_configs(asked)
        for resource in response.resources
        if resource[0] == 0
    }
