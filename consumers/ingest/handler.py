"""Ingest: batches of `stripe.events` into the projections. Stripe is never called here."""

from collections import Counter
from collections.abc import Sequence

from consumers.ingest.batch import digest
from consumers.projection.observe import Reading
from consumers.store.projections import ProjectionStore
from consumers.topic.handler import Unreadable
from service.runtime.kafka.consumer import Record
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics


class Ingest:
    """Handles the records of `stripe.events`."""

    def __init__(self, projections: ProjectionStore, metrics: Metrics, *, reading: Reading) -> None:
        self._projections = projections
        self._metrics = metrics
        self._reading = reading

    async def handle(self, records: Sequence[Record]) -> Sequence[Unreadable]:
        """Write what the events say, and make due the shares that it matters to (see `Handler`)."""
        said = digest(records, self._reading)
        due = await self._projections.note_and_apply(said.events, said.projection)
        for event_type, count in Counter([event.type for event in said.events]).items():
            self._metrics.events_ingested.labels(event_type).inc(count)
        get_logger().info(
            "ingest.batch",
            records=len(records),
            relevant=len(said.events),
            unreadable=len(said.unreadable),
            shares_due=due,
        )
        return said.unreadable
