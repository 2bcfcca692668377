"""What an event or a reading says of one Stripe object, in plain values.

`as_of` is Stripe's second for an event, and our clock just before the request for a reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The Stripe objects that Offshoot keeps a projection of; also the names of their tables."""

    ACCOUNT = "account"
    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"


class ConnectedKind(StrEnum):
    """The Stripe objects on connected accounts that tell what is saved there."""

    PAYMENT_METHOD = "payment_method"
    CUSTOMER = "customer"
    SETUP_INTENT = "setup_intent"
    PAYMENT_INTENT = "payment_intent"
    MANDATE = "mandate"


@dataclass(frozen=True, slots=True)
class CustomerSeen:
    """A platform customer as Stripe showed it; `granted_all` shares it with every connected account."""

    id: str
    as_of: datetime
    granted_accounts: tuple[str, ...]
    default_payment_method_id: str | None
    profile: Mapping[str, Any]
    deleted: bool
    granted_all: bool = False


@dataclass(frozen=True, slots=True)
class PaymentMethodSeen:
    """A platform payment method as Stripe showed it; `customer_id` is whose it is, or was if detached.

    `content` is what `content_hash` is over. Owned by a v2 account, `owner_supported` is false and
    `customer_id` that account's id.
    """

    id: str
    as_of: datetime
    customer_id: str | None
    type: str
    content_hash: bytes
    opted_out: bool
    detached: bool
    content: Mapping[str, Any] = field(default_factory=dict)
    blocked: bool = False
    owner_supported: bool = True


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """A connected account as Stripe showed it, in whole or in part.

    `capabilities` maps names to statuses: all of them if `whole`, else those that were told.
    `connected` is None where nothing was said of the platform's access to the account. `access_in_doubt`: it
    was given and taken away within one second.
    """

    id: str
    as_of: datetime
    capabilities: Mapping[str, str]
    whole: bool
    connected: bool | None = None
    access_in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """Something changed on the object, but not what: it has to be read at Stripe."""

    kind: Kind
    id: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class MandateSeen:
    """Whether a mandate for a method was in force, and when."""

    active: bool
    as_of: datetime


@dataclass(frozen=True, slots=True)
class ConnectedMethodSeen:
    """A payment method on a connected account, as an event told of it; our clones too.

    `content` is None where the event did not carry it, and `type` is empty; `idempotency_key` is that of the
    request that it came of, and tells whether that was ours. `mandate` is None where nothing was said of one.
    """

    id: str
    as_of: datetime
    account_id: str
    customer_id: str | None
    type: str
    content: Mapping[str, Any] | None
    detached: bool
    idempotency_key: str | None
    blocked: bool = False
    mandate: MandateSeen | None = None


@dataclass(frozen=True, slots=True)
class ConnectedHint:
    """Something changed on an object of a connected account, but not what: it has to be read there."""

    kind: ConnectedKind
    id: str
    account_id: str
    as_of: datetime
    idempotency_key: str | None


@dataclass(frozen=True, slots=True)
class ConnectedCustomerSeen:
    """A customer on a connected account, as an event told of it; a deleted one has no default."""

    id: str
    as_of: datetime
    account_id: str
    default_payment_method_id: str | None
    deleted: bool


Seen = (
    CustomerSeen
    | PaymentMethodSeen
    | AccountSeen
    | ConnectedMethodSeen
    | ConnectedCustomerSeen
    | ConnectedHint
    | Hint
)
