"""What a worker loaded of one share: plain frozen values, all that the decision knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from schemas.records import Reason, State

Content = Mapping[str, Any]
"""What makes a clone out of date: fingerprint, expiry, billing details, bank (`objects.content`)."""


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
    """The platform customer; `profile` is what a new connected customer is given of it.

    `confirmed`: a reading showed what is said here of its deletion and of what it is shared with. `known`: an
    event or a reading showed it; until then the profile is empty.
    """

    id: str
    deleted: bool
    profile: Mapping[str, Any]
    default_payment_method_id: str | None = None
    confirmed: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class Connected:
    """A method on the account: its id, the generation it is of, and its content, None where not seen."""

    id: str
    generation: int
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class CloneFacts:
    """The clone row of one method.

    `connected_payment_method_id` is None while nothing is made; `generation` is the one it was made from, or
    brought to. `next` is a replacement that is made and not attached yet. A clone that is not `ours` is a
    method that was there already. `source_fingerprint` is the original's when the connected one was made.
    """

    recovery_point: RecoveryPoint
    connected_payment_method_id: str | None
    state: State
    reason: Reason | None
    generation: int = 1
    version: int = 0
    ours: bool = True
    content: Content | None = None
    source_fingerprint: str | None = None
    next: Connected | None = None
    update_refused_generation: int | None = None
    failed_generation: int | None = None
    declines: int = 0
    retry_at: datetime | None = None
    paced_until: datetime | None = None
    taken_up: bool = False
    announced_default: bool = False
    detached: bool = False
    """We detached it."""
    detached_by_others: bool = False
    mandate: bool = False
    """A mandate for it was seen on the account."""
    shown_on_customer_id: str | None = None
    """The connected customer that an event showed it on, or detached it from."""
    default_refused: bool = False
    """Stripe would not make it the connected default."""
    missing: bool = False
    """Stripe did not find something that it needs, once; what was named has been read since."""


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """One platform method of the share's customer, and its clone where a row is there.

    `reusable` is the same card, saved on the connected customer already. `confirmed`: a reading showed what
    is said here. `wanted`: it is among those that the share is granted for.
    """

    id: str
    type: str
    generation: int
    opted_out: bool = False
    detached: bool = False
    clone: CloneFacts | None = None
    content: Content | None = None
    blocked: bool = False
    owner_supported: bool = True
    confirmed: bool = False
    reusable: Connected | None = None
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Superseded:
    """A clone that another replaced and that is attached still; `detach_at` is None where it is kept."""

    id: str
    platform_payment_method_id: str
    detach_at: datetime | None
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Intent:
    """A write as it was recorded: a repeat sends exactly this, for the generation it was begun for.

    `target` is the connected object that the call is addressed to, where there is one. `stored_error`: Stripe
    keeps a 500 for it.
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
    target: str | None = None


@dataclass(frozen=True, slots=True)
class ShareFacts:
    """One platform customer on one connected account; `methods` has the customer's default first.

    `connected_default_id` is the connected customer's default as far as known; of one that was adopted it may
    be not known yet. `braked`: nothing may be detached at present.
    """

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
    connected_default_id: str | None = None
    connected_default_known: bool = True
    connected_customer_deleted: bool = False
    superseded: tuple[Superseded, ...] = ()
    braked: bool = False
