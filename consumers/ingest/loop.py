"""The ingest loop: batches of `stripe.events` into the projections, then their offsets.

Stripe is never called here. While Postgres is away the same batch is read again, the group membership kept.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from consumers.ingest.batch import Digest, digest
from consumers.projection.observe import Reading
from consumers.store.database import ConflictError, StoreError
from consumers.store.projections import ProjectionStore
from service.runtime.health import State
from service.runtime.kafka.consumer import Batch, GroupReader
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

WAIT_S: Final = 0.5
START_WITHIN_S: Final = 15.0
STOP_WITHIN_S: Final = 3.0
KAFKA_AWAY_PAUSE_S: Final = 1.0
_AWAY: Final = "Kafka is away"
STORE_AWAY_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)


class IngestLane:
    """A member of the consumer group, made again whenever its client is of no more use."""

    def __init__(
        self,
        make_reader: Callable[[], GroupReader],
        diagnose: Callable[[], Awaitable[str]],
        projections: ProjectionStore,
        metrics: Metrics,
        *,
        reading: Reading,
    ) -> None:
        self._make_reader = make_reader
        self._diagnose = diagnose
        self._projections = projections
        self._metrics = metrics
        self._reading = reading
        self.health = State(ok=False, state="not joined")

    async def run(self, stop: asyncio.Event) -> None:
        """Ingest until the stop."""
        while not stop.is_set():
            reader = self._make_reader()
            try:
                await reader.start(START_WITHIN_S)
                await self._ingest(reader, stop)
            except KafkaUnavailableError as error:
                if self.health().state != _AWAY:
                    get_logger().warning("ingest.kafka_away", error=str(error), why=await self._diagnose())
                self.health.set(ok=False, state=_AWAY)
                await wait_for_stop(stop, KAFKA_AWAY_PAUSE_S)
            finally:
                await reader.stop(STOP_WITHIN_S)

    async def _ingest(self, reader: GroupReader, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            async with reader.next_batch(WAIT_S) as batch:
                batch.done = await self._store(batch) if batch.records else True
            self.health.set(
                ok=reader.joined and failures == 0, state="joined" if reader.joined else "joining the group"
            )
            if batch.done:
                failures = 0
                continue
            pause_s = STORE_AWAY_PAUSES_S[min(failures, len(STORE_AWAY_PAUSES_S) - 1)]
            failures += 1
            await reader.pause(pause_s)

    async def _store(self, batch: Batch) -> bool:
        """Write what the batch says; false where Postgres did not take it."""
        said = digest(batch.records, self._reading)
        try:
            due = await self._projections.note_and_apply(said.events, said.projection)
        except ConflictError:
            get_logger().info("ingest.conflict")
            return False
        except StoreError as error:
            get_logger().warning("ingest.store_away", **describe_error(error))
            return False
        self._count(said)
        get_logger().info(
            "ingest.batch",
            records=len(batch.records),
            relevant=len(said.events),
            unreadable=said.unreadable,
            shares_due=due,
        )
        return True

    def _count(self, said: Digest) -> None:
        for event in said.events:
            self._metrics.events_ingested.labels(event.type).inc()
        if said.unreadable:
            self._metrics.events_unreadable.inc(said.unreadable)
