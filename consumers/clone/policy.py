"""What the settings say of cloning."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class OnUpdate(StrEnum):
    """What becomes of the clones of a method that changed and is still the same card."""

    UPDATE = "update"
    REPLACE = "replace"


class Leave(StrEnum):
    """What becomes of a clone that is not wanted any more."""

    DETACH = "detach"
    KEEP = "keep"


class DefaultFollows(StrEnum):
    """When the connected default moves."""

    REPLACED = "replaced"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that a deployment can choose; `retry_for` bounds transient failures."""

    retry_for: timedelta
    on_update: OnUpdate = OnUpdate.UPDATE
    on_superseded: Leave = Leave.KEEP
    superseded_grace: timedelta = timedelta(days=1)
    on_detach: Leave = Leave.DETACH
    default_follows: DefaultFollows = DefaultFollows.REPLACED
    reuse_existing: bool = True
