"""The relay: what the outbox says goes to Kafka, in order, by one leader at a time.

Leading hangs on a lock that lives with a database session, and a session that is silent for some seconds is
ended, so that a frozen leader is replaced. When it wakes up it is fenced by the brokers, since all publish
under one transactional id: the next leader took the id over before it read the outbox, so what it sends last
is the newest. Any error makes everything anew.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from consumers.store.database import Database, StoreError, listen
from consumers.store.outbox import CHANNEL_OUTBOX, Outbox
from consumers.waiting import Wake
from service.runtime.health import Pulse
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.transactional import Outgoing, TransactionalPublisher
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

BATCH: Final = 2000
LOOK_EVERY_S: Final = 1.0
START_WITHIN_S: Final = 15.0
PUBLISH_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 3.0
NOT_LEADING_PAUSE_S: Final = 1.0
STUCK_AFTER_S: Final = 120.0
"""Not one turn of the loop for so long: not alive. Whatever it waits for has a shorter limit."""


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
        self.pulse = Pulse(STUCK_AFTER_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until the stop."""
        helpers = [
            asyncio.create_task(listen(self._database, CHANNEL_OUTBOX, self._wake.ring, stop)),
            asyncio.create_task(self._wake.ring_on(stop)),
        ]
        try:
            while not stop.is_set():
                self.pulse.beat()
                try:
                    async with self._outbox.leading() as leadership:
                        if leadership is not None:
                            await _while(leadership.keep(), self._lead(stop))
                except (StoreError, KafkaUnavailableError) as error:
                    get_logger().warning("relay.interrupted", **describe_error(error))
                self._metrics.relay_leading.set(0)
                await wait_for_stop(stop, NOT_LEADING_PAUSE_S)
        finally:
            for helper in helpers:
                helper.cancel()

    async def _lead(self, stop: asyncio.Event) -> None:
        publisher = self._make_publisher()
        try:
            # Before the outbox is read: from here on nobody else can add to what this reads.
            await publisher.start(START_WITHIN_S)
            self._metrics.relay_leading.set(1)
            get_logger().info("relay.leading")
            while not stop.is_set():
                self.pulse.beat()
                if not await self._publish_some(publisher):
                    await self._wake.wait(LOOK_EVERY_S)
        finally:
            await publisher.stop(STOP_WITHIN_S)

    async def _publish_some(self, publisher: TransactionalPublisher) -> int:
        rows = await self._outbox.read(BATCH)
        if rows:
            await publisher.publish(
                [Outgoing(self._topic_name(row.topic), row.key, row.value, row.headers) for row in rows],
                PUBLISH_WITHIN_S,
            )
            await self._outbox.delete(rows)
            self._metrics.records_relayed.inc(len(rows))
            get_logger().info("relay.published", records=len(rows), first=rows[0].id, last=rows[-1].id)
        return len(rows)


async def _while(held: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
    """Work for as long as something else does not fail; either's error ends both."""
    tasks = [asyncio.create_task(held), asyncio.create_task(work)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in ended:
        task.result()
