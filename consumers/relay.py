"""The relay: what the outbox says goes to Kafka, in order, by one leader at a time.

Leading hangs on a lock that lives with the database connection; a former leader that wakes up late is fenced
by the broker, since both publish under one transactional id. Any error makes everything anew.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from consumers.store.database import Database, StoreError, listen
from consumers.store.outbox import CHANNEL_OUTBOX, LeadingOutbox, Outbox
from consumers.waiting import Wake
from service.runtime.health import State
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.transactional import Outgoing, TransactionalPublisher
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

BATCH: Final = 500
LOOK_EVERY_S: Final = 1.0
START_WITHIN_S: Final = 15.0
PUBLISH_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 3.0
NOT_LEADING_PAUSE_S: Final = 1.0


class RelayLane:
    """Empties the outbox while it leads, and waits to lead while another does."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        make_publisher: Callable[[], TransactionalPublisher],
        topic_name: Callable[[str], str],
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._make_publisher = make_publisher
        self._topic_name = topic_name
        self._metrics = metrics
        self._wake = Wake()
        self.health = State(ok=True, state="starting")

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until the stop."""
        helpers = [
            asyncio.create_task(listen(self._database, CHANNEL_OUTBOX, self._wake.ring, stop)),
            asyncio.create_task(self._wake.ring_on(stop)),
        ]
        try:
            while not stop.is_set():
                try:
                    async with self._outbox.leading() as outbox:
                        if outbox is not None:
                            await self._lead(outbox, stop)
                except (StoreError, KafkaUnavailableError) as error:
                    get_logger().warning("relay.interrupted", **describe_error(error))
                self._metrics.relay_leading.set(0)
                await wait_for_stop(stop, NOT_LEADING_PAUSE_S)
        finally:
            for helper in helpers:
                helper.cancel()

    async def _lead(self, outbox: LeadingOutbox, stop: asyncio.Event) -> None:
        publisher = self._make_publisher()
        try:
            await publisher.start(START_WITHIN_S)
            self._metrics.relay_leading.set(1)
            get_logger().info("relay.leading")
            while not stop.is_set():
                if not await self._publish_some(outbox, publisher):
                    await self._wake.wait(LOOK_EVERY_S)
        finally:
            await publisher.stop(STOP_WITHIN_S)

    async def _publish_some(self, outbox: LeadingOutbox, publisher: TransactionalPublisher) -> int:
        rows = await outbox.read(BATCH)
        if rows:
            await publisher.publish(
                [Outgoing(self._topic_name(row.topic), row.key, row.value, row.headers) for row in rows],
                PUBLISH_WITHIN_S,
            )
            await outbox.delete(rows)
            self._metrics.records_relayed.inc(len(rows))
            get_logger().info("relay.published", records=len(rows), first=rows[0].id, last=rows[-1].id)
        return len(rows)
