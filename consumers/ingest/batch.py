"""From the records of a batch to what they say: pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.projection.fold import Projection, fold
from consumers.projection.observe import Reading, UnreadableObjectError, created_or, observe
from consumers.projection.seen import Seen
from consumers.store.projections import EventNoted
from schemas.stripe_event import RELEVANT_TYPES, NotAStripeEventError, parse_event
from service.runtime.kafka.consumer import Record
from service.runtime.logging import get_logger


@dataclass(slots=True)
class Digest:
    """What a batch says: the relevant events, the rows they fold to, and how many could not be read."""

    events: list[EventNoted] = field(default_factory=list)
    projection: Projection = field(default_factory=Projection)
    unreadable: int = 0


def digest(records: Iterable[Record], reading: Reading) -> Digest:
    """Read the records in order and fold what they say.

    A record that cannot be read is logged with its place, counted, and passed over: it stays in the topic.
    """
    said = Digest()
    seen: list[Seen] = []
    for record in records:
        try:
            event = parse_event(record.value, reading.platform_account)
            if event.type not in RELEVANT_TYPES or event.livemode != reading.livemode:
                continue
            says = observe(event, record.recorded_at, reading)
        except (NotAStripeEventError, UnreadableObjectError) as error:
            said.unreadable += 1
            get_logger().error(
                "ingest.unreadable",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                why=str(error),
            )
            continue
        if says is not None:
            said.events.append(EventNoted(event.id, created_or(event, record.recorded_at), event.type))
            seen.append(says)
    said.projection = fold(seen)
    return said
