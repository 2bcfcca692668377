"""Which dead letters are meant, and how each goes back to where it was: pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.dead_letters import VALUE_OMITTED, DeadLetter, NotADeadLetterError, original_headers
from service.runtime.kafka.consumer import Record
from service.runtime.kafka.publish import Outgoing

_STRIPE: Final = "com.stripe."


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: the record as it lies there, and what its headers say."""

    record: Record
    said: DeadLetter

    @property
    def place(self) -> tuple[str, int, int]:
        """Where the record was: topic, partition, offset."""
        return self.said.original_topic, self.said.original_partition, self.said.original_offset

    @property
    def type(self) -> str | None:
        """Its `ce_type`, where it has one."""
        return next(
            (value.decode("utf-8", "replace") for name, value in self._headers if name == "ce_type"), None
        )

    @property
    def value_is_omitted(self) -> bool:
        """Whether it was too large to be put here whole."""
        return any(name == VALUE_OMITTED for name, _ in self._headers)

    @property
    def _headers(self) -> list[tuple[str, bytes]]:
        return [(name, value or b"") for name, value in self.record.headers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for; None asks for any.

    `topic`, `partition` and `offset` are those of the original; `type` may be without `com.stripe.`; `since`
    and `until` are about when it was given up.
    """

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    type: str | None = None
    error_class: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a dead letter is meant."""
        said = letter.said
        return (
            self.topic in (None, said.original_topic)
            and self.partition in (None, said.original_partition)
            and self.offset in (None, said.original_offset)
            and (self.type is None or letter.type in {self.type, _STRIPE + self.type})
            and self.error_class in (None, said.error_class)
            and (self.since is None or said.failed_at >= self.since)
            and (self.until is None or said.failed_at <= self.until)
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes back, in order, and what cannot, each with why."""

    back: list[tuple[Letter, Outgoing]]
    stay: list[tuple[Letter, str]]


def read_letters(records: Iterable[Record], wanted: Filter) -> tuple[list[Letter], int]:
    """Read the dead letters that are meant, in the order in which they were in their topics.

    Of one that was written twice, since its consumer died in between, the first counts.

    Returns:
        The letters, and how many records of the topic are no dead letters.
    """
    letters: dict[tuple[str, int, int], Letter] = {}
    strange = 0
    for record in records:
        try:
            letter = Letter(record, DeadLetter.of(record.headers))
        except NotADeadLetterError:
            strange += 1
            continue
        if wanted.takes(letter):
            letters.setdefault(letter.place, letter)
    return [letters[place] for place in sorted(letters)], strange


def plan(letters: Iterable[Letter], topics: Collection[str]) -> Plan:
    """Say what goes back to its topic; `topics` are those of this deployment, in full."""
    found = Plan([], [])
    for letter in letters:
        topic, partition, _ = letter.place
        if topic not in topics:
            found.stay.append((letter, "its topic is not one of this deployment"))
        elif letter.value_is_omitted:
            found.stay.append((letter, "its value was too large to be kept here"))
        else:
            headers = original_headers(letter.record.headers)
            record = Outgoing(topic, letter.record.key, letter.record.value, headers, partition)
            found.back.append((letter, record))
    return found
