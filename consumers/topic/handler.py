"""What a lane does with the records of its topic, and what it says of those that cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service.runtime.kafka.consumer import Record


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that can never be handled; `message` says why in fixed words, without text of the record."""

    record: Record
    error_class: str
    message: str
    attempts: int = 1


class Handler(Protocol):
    """Stores what records stand for, in one transaction a call."""

    async def handle(self, records: Sequence[Record]) -> Sequence[Unreadable]:
        """Store what they stand for; return those that cannot be read, in the order given.

        The same records may come again, so handling is idempotent.

        Raises:
            StoreError: nothing of it happened, or none can tell; they are handed over again.
            RefusedError: Postgres takes no part of it because of some value; each is handed over alone.
        """
