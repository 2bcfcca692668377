"""Reading the results of commands as their senders would."""

import asyncio
import json
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition


class Results:
    """The topic `offshoot.command-results`, from its beginning: headers and value, by the command's id."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self.of: dict[str, list[tuple[dict[str, str], dict[str, Any]]]] = {}

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._consumer._client.force_metadata_update()  # noqa: SLF001 -- the topic may be new to it
        partitions = self._consumer.partitions_for_topic(self._topic) or set()
        self._consumer.assign([TopicPartition(self._topic, number) for number in partitions])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def first(self, command_id: str, *, within_s: float) -> tuple[dict[str, str], dict[str, Any]]:
        """Read until the command has a result, and give it."""
        try:
            async with asyncio.timeout(within_s):
                while command_id not in self.of:
                    self._take(await self._consumer.getone())
        except TimeoutError:
            raise AssertionError(
                f"no result of {command_id} within {within_s} s; there are {self.of}"
            ) from None
        return self.of[command_id][0]

    def _take(self, message: Any) -> None:
        headers = {name: value.decode() for name, value in message.headers}
        self.of.setdefault(headers["ce_commandid"], []).append((headers, json.loads(message.value)))
