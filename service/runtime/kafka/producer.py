"""The receiver's Kafka client: one topic, every record acknowledged by all in-sync replicas.

Idempotence is off on purpose: an idempotent aiokafka producer is poisoned for ever by one record that is too
large (aio-libs/aiokafka#1017) and by an orderly stop of the brokers. A repeated record is harmless, since
readers know an event by its id.
"""

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import collect_hosts
from aiokafka.errors import KafkaError

from schemas.cloudevents import Headers
from schemas.topics import MAX_MESSAGE_BYTES
from service.runtime.kafka.admin import admin_client, read_topics
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.probe import Link, ProbeError
from service.runtime.kafka.sender import BatchDone, Done, Sender, SendResult
from service.runtime.kafka.stop import stop_client

__all__ = ["BatchDone", "Done", "EventProducer", "SendResult"]

_MAX_BATCH_BYTES = 900_000
_BATCH_SHARE = 0.9  # of the topic's limit: a batch above it fails with all the records in it
_METADATA_MAX_AGE_MS = 60_000
_STOP_S = 1.0


ReadLimit = Callable[[], Awaitable[int | None]]


class EventProducer:
    """A connected producer for one topic; made by `connect`, to be closed."""

    def __init__(
        self, client: AIOKafkaClient, sender: Sender, read_limit: ReadLimit, max_message_bytes: int | None
    ) -> None:
        self.max_message_bytes = max_message_bytes
        """The topic's own limit; None where the brokers do not let us read it."""
        self._client = client
        self._sender = sender
        self._read_limit = read_limit

    @classmethod
    async def connect(
        cls, options: dict[str, Any], topic: str, *, deadline_s: float, within_s: float
    ) -> "EventProducer":
        """Connect, and see that the topic is there.

        Args:
            options: what `client_options` gives.
            topic: the full name.
            deadline_s: how long one record may wait for its ack.
            within_s: how long connecting may take.

        Raises:
            KafkaUnavailableError: no broker answers in time.
            TopicMissingError: they do, but have no such topic.

        """
        try:
            async with asyncio.timeout(within_s):
                options = {**options, "bootstrap_servers": await _answering(options, within_s / 3)}
                limit = await _message_limit(options, topic)
                client = AIOKafkaClient(
                    **options,
                    client_id="offshoot-serve",
                    request_timeout_ms=int(deadline_s * 1000),
                    metadata_max_age_ms=_METADATA_MAX_AGE_MS,
                )
                try:
                    await client.bootstrap()
                    await client.set_topics([topic])
                    partitions = len(client.cluster.partitions_for_topic(topic) or ())
                except BaseException:
                    await stop_client(client, 0.2)
                    raise
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailableError(type(error).__name__) from error
        if not partitions:  # the topic was deleted a moment ago
            await stop_client(client, 0.2)
            raise TopicMissingError(topic)
        sender = Sender(
            client,
            topic,
            partitions=partitions,
            batch_bytes=_batch_bytes(limit or MAX_MESSAGE_BYTES),
            deadline_s=deadline_s,
        )
        return cls(client, sender, functools.partial(_message_limit, options, topic), limit)

    def send(self, key: bytes, value: bytes, headers: Headers, done: Done) -> None:
        """Send one record; `done` is told what became of it, at the latest at the deadline."""
        self._sender.add(key, value, headers, done)

    def watch(self, told: BatchDone) -> None:
        """Have each batch told of, before its records' senders are."""
        self._sender.watch = told

    def longest_wait_s(self) -> float:
        """Say how long the oldest record has waited for its ack; 0.0 where none waits."""
        return self._sender.longest_wait_s()

    async def reachable(self, within_s: float) -> bool:
        """Say whether any broker can be connected to."""
        client = self._client
        try:
            async with asyncio.timeout(within_s):
                for broker in client.cluster.brokers():
                    if await client.ready(broker.nodeId):
                        return True
        except (KafkaError, OSError, TimeoutError):
            return False
        return False

    async def look_at_topic(self, within_s: float) -> None:
        """Read the topic's limit again, if that can be done in time; new partitions are found without."""
        try:
            async with asyncio.timeout(within_s):
                limit = await self._read_limit()
        except (TopicMissingError, KafkaUnavailableError, TimeoutError):
            return
        self.max_message_bytes = limit
        self._sender.batch_bytes = _batch_bytes(limit or MAX_MESSAGE_BYTES)

    async def close(self, within_s: float) -> None:
        """Give what was handed over so long to be acked, then drop the client."""
        settled = await self._sender.settle(within_s)
        # aiokafka would wait until what we have given up is written.
        await stop_client(self._client, _STOP_S if settled else 0)


async def _answering(options: dict[str, Any], within_s: float) -> list[str]:
    """Give the bootstrap server that answers first, or all where none does.

    aiokafka asks one after the other, and would wait at a frozen one for longer than connecting may take.
    """
    servers: list[str] = options["bootstrap_servers"]
    visits = [asyncio.create_task(_greet(server, options.get("ssl_context"))) for server in servers]
    try:
        async with asyncio.timeout(within_s):
            for done in asyncio.as_completed(visits):
                if (server := await done) is not None:
                    return [server]
    except TimeoutError:
        pass
    finally:
        for visit in visits:
            visit.cancel()
    return servers


async def _greet(server: str, context: ssl.SSLContext | None) -> str | None:
    [(host, port, _)] = collect_hosts([server])
    try:
        async with Link.open((host, port), context) as link:
            await link.greet()
    except (OSError, EOFError, ProbeError):
        return None
    return server


async def _message_limit(options: dict[str, Any], topic: str) -> int | None:
    async with admin_client(options) as client:
        facts = (await read_topics(client, [topic])).get(topic)
    if facts is None:
        raise TopicMissingError(topic)
    return int(facts.config["max.message.bytes"]) if facts.config else None


def _batch_bytes(limit: int) -> int:
    return min(_MAX_BATCH_BYTES, int(limit * _BATCH_SHARE))
