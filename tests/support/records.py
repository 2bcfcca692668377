"""Reading Kafka as another service would: the newest record of each key, committed ones only."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition


class Records:
    """The compacted topic `offshoot.payment-methods`, read from its beginning."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self.latest: dict[str, dict[str, Any]] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.headers: dict[str, dict[str, str]] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._consumer._client.force_metadata_update()  # noqa: SLF001 -- the topic may be new to it
        partitions = self._consumer.partitions_for_topic(self._topic) or set()
        self._consumer.assign([TopicPartition(self._topic, number) for number in partitions])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def until(self, holds: Callable[[dict[str, dict[str, Any]]], bool], *, within_s: float) -> None:
        """Read until the newest records are as wished; fail with them when they never are."""
        try:
            async with asyncio.timeout(within_s):
                while not holds(self.latest):
                    self._take(await self._consumer.getone())
        except TimeoutError:
            raise AssertionError(f"not within {within_s} s; the newest records: {self.latest}") from None

    def _take(self, message: Any) -> None:
        key = message.key.decode()
        record = json.loads(message.value)
        self.history.setdefault(key, []).append(record)
        if record["version"] > self.latest.get(key, {"version": 0})["version"]:
            self.latest[key] = record
            self.headers[key] = {name: value.decode() for name, value in message.headers}
