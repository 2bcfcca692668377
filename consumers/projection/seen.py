"""What an event or a reading says of one Stripe object, in plain values.

`as_of` is Stripe's second for an event, and our clock just before the request for a reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The Stripe objects that Offshoot keeps a projection of; also the names of their tables."""

    ACCOUNT = "account"
    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"


@dataclass(frozen=True, slots=True)
class CustomerSeen:
    """A platform customer as Stripe showed it."""

    id: str
    as_of: datetime
    granted_accounts: tuple[str, ...]
    default_payment_method_id: str | None
    profile: Mapping[str, Any]
    deleted: bool


@dataclass(frozen=True, slots=True)
class PaymentMethodSeen:
    """A platform payment method as Stripe showed it; `customer_id` is whose it is, or was if detached."""

    id: str
    as_of: datetime
    customer_id: str | None
    type: str
    content_hash: bytes
    opted_out: bool
    detached: bool


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """A connected account as Stripe showed it, in whole or in part.

    `capabilities` maps names to statuses: all of them if `whole`, else those that were told.
    `connected` is None where nothing was said of the platform's access to the account.
    """

    id: str
    as_of: datetime
    capabilities: Mapping[str, str]
    whole: bool
    connected: bool | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """Something changed on the object, but not what: it has to be read at Stripe."""

    kind: Kind
    id: str
    as_of: datetime


Seen = CustomerSeen | PaymentMethodSeen | AccountSeen | Hint
