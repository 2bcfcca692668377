"""From the records of a batch to what they say: pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.projection.fold import Projection, fold
from consumers.projection.observe import Reading, UnreadableObjectError, created_or, observe
from consumers.projection.seen import Seen
from consumers.store.projections import EventNoted
from consumers.topic.handler import Unreadable
from schemas.stripe_event import RELEVANT_TYPES, NotAStripeEventError, parse_event
from service.runtime.kafka.consumer import Record
from service.runtime.lifecycle import describe_error


@dataclass(slots=True)
class Digest:
    """What a batch says: the relevant events, the rows they fold to, and the records that cannot be read."""

    events: list[EventNoted] = field(default_factory=list)
    projection: Projection = field(default_factory=Projection)
    unreadable: list[Unreadable] = field(default_factory=list)


def digest(records: Iterable[Record], reading: Reading) -> Digest:
    """Read the records in order and fold what those say that can be read."""
    said = Digest()
    seen: list[Seen] = []
    for record in records:
        try:
            event = parse_event(record.value or b"", reading.platform_account)
            if event.type not in RELEVANT_TYPES or event.livemode != reading.livemode:
                continue
            says = observe(event, record.recorded_at, reading)
        except (NotAStripeEventError, UnreadableObjectError) as error:
            said.unreadable.append(Unreadable(record, type(error).__name__, str(error)))
            continue
        except Exception as error:  # noqa: BLE001 - pure code over one record: whatever it raises, that is why
            said.unreadable.append(Unreadable(record, type(error).__name__, describe_error(error)["where"]))
            continue
        if says is not None:
            said.events.append(EventNoted(event.id, created_or(event, record.recorded_at), event.type))
            seen.append(says)
    said.projection = fold(seen)
    return said
