"""How many unreadable records may go to the dead letters before reading stops instead: pure.

A record now and then that nobody can read must not hold up those behind it. A topic of which many cannot be
read is another thing: our code is wrong, or something else writes there; to pass over them all would be to
lose what they say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

RUN_AT_MOST: Final = 50
"""Unreadable records of one partition, one after the other."""
SHARE_OF: Final = 1000
SHARE_AT_MOST: Final = 100
"""Unreadable records among the last `SHARE_OF` of one partition."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was read of one partition: how many records, and which of the last were unreadable."""

    read: int = 0
    run: int = 0
    unreadable: tuple[int, ...] = ()
    """The numbers of those among the last `SHARE_OF`, counted as they were read."""

    def with_readable(self, records: int) -> "Tally":
        """Count records that could be read."""
        read = self.read + records
        return Tally(read, 0 if records else self.run, self._since(read))

    def with_unreadable(self) -> "Tally | None":
        """Count one that could not; None where that is one too many."""
        recent = self._since(self.read + 1)
        if self.run >= RUN_AT_MOST or len(recent) >= SHARE_AT_MOST:
            return None
        return Tally(self.read + 1, self.run + 1, (*recent, self.read + 1))

    def _since(self, read: int) -> tuple[int, ...]:
        return tuple(number for number in self.unreadable if number > read - SHARE_OF)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The tallies of a reader's partitions."""

    tallies: Mapping[int, Tally] = field(default_factory=dict)

    def after(
        self, offsets: Mapping[int, Iterable[int]], unreadable: set[tuple[int, int]]
    ) -> tuple["Allowance", dict[int, int]]:
        """Count a batch.

        Args:
            offsets: by partition, those of its records, rising.
            unreadable: partition and offset of those that could not be read.

        Returns:
            What holds after it, and, by partition, the offset of the first record that is one too many.
        """
        tallies, ends = dict(self.tallies), {}
        for partition, numbers in offsets.items():
            tally, readable = tallies.get(partition, Tally()), 0
            for offset in numbers:
                if (partition, offset) not in unreadable:
                    readable += 1
                    continue
                tally, readable = tally.with_readable(readable), 0
                counted = tally.with_unreadable()
                if counted is None:
                    ends[partition] = offset
                    break
                tally = counted
            tallies[partition] = tally.with_readable(readable)
        return Allowance(tallies), ends
