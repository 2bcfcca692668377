"""Whether a member of a group moves, and how far it is behind: pure, over what it sees now and then."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the partitions that are assigned and read.

    `at` is up to where each is done, `ends` where each ends, `done_at` the time of the last record done, in
    seconds since 1970, where there was one. `waited_s` is how long the reader has waited for records since it
    was made, the clock that a stall is measured by: it stands while a batch is being stored.
    """

    joined: bool
    at: Mapping[int, int]
    ends: Mapping[int, int]
    done_at: Mapping[int, float]
    waited_s: float

    @property
    def lag(self) -> int:
        """Records that are there and not done."""
        return sum(self.lag_of(partition) for partition in self.at)

    def lag_of(self, partition: int) -> int:
        """As `lag`, for one partition."""
        return max(0, self.ends[partition] - self.at[partition])


@dataclass(frozen=True, slots=True)
class Progress:
    """What a series of looks has shown so far; times in seconds since 1970."""

    at: Mapping[int, int] = field(default_factory=dict)
    waited_s: Mapping[int, float] = field(default_factory=dict)
    """By partition with a lag, the stall's clock when it was first seen where it is."""
    behind_since: Mapping[int, float] = field(default_factory=dict)
    """By partition with a lag, since when its next record has waited, as far as can be known."""
    unjoined_since: float | None = None

    def after(self, look: Look, now: float) -> "Progress":
        """Take a look into account."""
        waited, behind = {}, {}
        for partition, offset in look.at.items():
            if not look.lag_of(partition):
                continue
            moved = self.at.get(partition) != offset
            waited[partition] = look.waited_s if moved else self.waited_s.get(partition, look.waited_s)
            before = look.done_at.get(partition, now) if moved else self.behind_since.get(partition, now)
            behind[partition] = before
        since = self.unjoined_since
        return Progress(look.at, waited, behind, None if look.joined else now if since is None else since)

    def stalled_s(self, waited_s: float) -> float:
        """How long the reader has waited for records of the partition that has not moved for longest."""
        return max((waited_s - since for since in self.waited_s.values()), default=0.0)

    def behind_s(self, now: float) -> float:
        """How long the oldest record that is not done has waited."""
        return max((now - since for since in self.behind_since.values()), default=0.0)

    def unjoined_s(self, now: float) -> float:
        """For how long the group has not given this member its partitions."""
        return 0.0 if self.unjoined_since is None else now - self.unjoined_since
