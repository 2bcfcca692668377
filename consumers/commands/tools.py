"""What the work on a command needs, and how it can end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from consumers.store.commands import CommandStore
from consumers.store.projections import ProjectionStore
from consumers.stripe_calls import StripeCalls


class Ending(StrEnum):
    """How the work on a command ended."""

    COMPLETED = "completed"
    REJECTED = "rejected"
    POSTPONED = "postponed"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True, slots=True)
class CommandTools:
    """What a worker works with."""

    commands: CommandStore
    projections: ProjectionStore
    calls: StripeCalls
    retry_for: timedelta
    observe: bool
    installation: str
    now: Callable[[], datetime]
    stopping: Callable[[], bool]
