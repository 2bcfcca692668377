"""What a worker loaded of one share: plain frozen values, all that the decision knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.records import Reason, State


class Step(StrEnum):
    """A kind of write to Stripe."""

    CLONE = "clone"
    CREATE_CUSTOMER = "create_customer"
    ATTACH = "attach"
    UPDATE = "update"
    SET_DEFAULT = "set_default"
    DETACH = "detach"


class RecoveryPoint(StrEnum):
    """How far a clone has come; what a worker that takes over goes on from."""

    PLANNED = "planned"
    CLONED = "cloned"
    ATTACHED = "attached"


class Outcome(StrEnum):
    """What became of a write."""

    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The connected account. `known`: seen whole, so that a capability it lacks is inactive."""

    id: str
    known: bool
    capabilities: Mapping[str, str]
    refused: bool = False
    disconnected: bool = False


@dataclass(frozen=True, slots=True)
class CustomerFacts:
    """The platform customer; `profile` is what a new connected customer is given of it."""

    id: str
    deleted: bool
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CloneFacts:
    """The clone row of one method; `connected_payment_method_id` is None while nothing is made."""

    recovery_point: RecoveryPoint
    connected_payment_method_id: str | None
    state: State
    reason: Reason | None
    generation: int = 1
    version: int = 0


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """One platform method of the share's customer, and its clone where a row is there."""

    id: str
    type: str
    generation: int
    opted_out: bool = False
    detached: bool = False
    clone: CloneFacts | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """A write as it was recorded: a repeat sends exactly this, for the generation it was begun for.

    `stored_error`: Stripe keeps a 500 for it.
    """

    platform_payment_method_id: str
    step: Step
    object: str
    epoch: int
    idempotency_key: str
    parameters: Mapping[str, Any]
    first_tried_at: datetime
    stored_error: bool = False
    generation: int = 1


@dataclass(frozen=True, slots=True)
class ShareFacts:
    """One platform customer on one connected account; `methods` has the customer's default first."""

    id: int
    mark: int
    wanted: bool
    account: AccountFacts
    customer: CustomerFacts
    connected_customer_id: str | None
    methods: tuple[MethodFacts, ...]
    open_intent: Intent | None
    attempts: int = 0
    failing_since: datetime | None = None
