"""What the headers of a record on `offshoot.dead-letters` say: where it was, and why it could not be read.

Key and value are the original's, untouched, and so are its headers; those below come behind them. None of
them holds text of the record.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from schemas.cloudevents import Headers, rfc3339

PREFIX: Final = "dlq-"
VALUE_OMITTED: Final = f"{PREFIX}value-omitted"
"""Bytes of a value that was too large to be put here with these headers; it is where it was."""


class NotADeadLetterError(ValueError):
    """The headers are not those of a dead letter."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be read; `original_timestamp_ms` is the record's own, since 1970.

    `error_message` is in fixed words; `attempts` counts how often it was tried before it was given up.
    """

    original_topic: str
    original_partition: int
    original_offset: int
    original_timestamp_ms: int
    consumer_group: str
    error_class: str
    error_message: str
    attempts: int
    failed_at: datetime

    def headers(self, original: Headers) -> Headers:
        """Give the original headers, and behind them what is said here."""
        said = {
            "original-topic": self.original_topic,
            "original-partition": str(self.original_partition),
            "original-offset": str(self.original_offset),
            "original-timestamp": str(self.original_timestamp_ms),
            "consumer-group": self.consumer_group,
            "error-class": self.error_class,
            "error-message": self.error_message,
            "attempts": str(self.attempts),
            "failed-at": rfc3339(self.failed_at),
        }
        return original_headers(original) + [(PREFIX + name, word.encode()) for name, word in said.items()]

    @classmethod
    def of(cls, headers: Headers) -> "DeadLetter":
        """Read the headers of a record on the dead letters' topic.

        Raises:
            NotADeadLetterError: one is missing, or not of its form.
        """
        try:
            said = {name: value.decode() for name, value in headers if name.startswith(PREFIX)}
            return cls(
                original_topic=said[f"{PREFIX}original-topic"],
                original_partition=int(said[f"{PREFIX}original-partition"]),
                original_offset=int(said[f"{PREFIX}original-offset"]),
                original_timestamp_ms=int(said[f"{PREFIX}original-timestamp"]),
                consumer_group=said[f"{PREFIX}consumer-group"],
                error_class=said[f"{PREFIX}error-class"],
                error_message=said[f"{PREFIX}error-message"],
                attempts=int(said[f"{PREFIX}attempts"]),
                failed_at=datetime.fromisoformat(said[f"{PREFIX}failed-at"]).astimezone(UTC),
            )
        except (KeyError, ValueError, AttributeError):
            reason = "its headers are not those of a dead letter"
        # Outside the handler: the cause would quote the headers.
        raise NotADeadLetterError(reason)


def original_headers(headers: Headers) -> Headers:
    """Give the headers that the record had before it became a dead letter."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]
