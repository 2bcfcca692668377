"""What the work on a share needs, and how it says that it must wait."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from consumers.clone.policy import Policy
from consumers.store.projections import ProjectionStore
from consumers.store.shares import ShareStore
from consumers.stripe_calls import StripeCalls


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker works with."""

    shares: ShareStore
    projections: ProjectionStore
    calls: StripeCalls
    policy: Policy
    observe: bool
    installation: str
    now: Callable[[], datetime]
    stopping: Callable[[], bool]
    clones_per_card_per_hour: int = 60
    detach_brake: int = 500


class Later(Exception):  # noqa: N818 -- an outcome, not an error
    """Come back later; whatever is recorded stands. `counts`: as a failure, not to be tried for ever."""

    def __init__(self, reason: str, delay_s: float | None = None, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.delay_s = delay_s
        self.counts = counts
