"""The fields of Stripe's objects that Offshoot reads, and what each object then says.

The one place that knows their shapes: customer, payment method, account, capability
(https://docs.stripe.com/api, and `shared/recordings` for real ones).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedMethodSeen,
    CustomerSeen,
    MandateSeen,
    PaymentMethodSeen,
)

ACCOUNT_ID: Final = re.compile(r"acct_[A-Za-z0-9]{1,64}\Z")
EVERY_ACCOUNT: Final = "*"
"""Stands in a customer's metadata for every connected account that Offshoot knows."""

_SEPARATORS: Final = re.compile(r"[,\s]+")


class InvoiceSettings(msgspec.Struct, frozen=True):
    """`customer.invoice_settings`."""

    default_payment_method: str | None = None


class Customer(msgspec.Struct, frozen=True):
    """A `customer`; a deleted one has only `id` and `deleted`. The profile's fields are read by name."""

    id: str
    deleted: bool = False
    metadata: dict[str, str] | None = None
    invoice_settings: InvoiceSettings | None = None
    name: str | None = None
    email: str | None = None
    phone: str | None = None
    description: str | None = None
    address: dict[str, Any] | None = None
    shipping: dict[str, Any] | None = None
    preferred_locales: list[str] | None = None


class PaymentMethod(msgspec.Struct, frozen=True):
    """A `payment_method`; the details of its type lie under the name of the type."""

    id: str
    type: str
    customer: str | None = None
    customer_account: str | None = None
    billing_details: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    card: dict[str, Any] | None = None
    us_bank_account: dict[str, Any] | None = None
    created: int | None = None


class SetupIntent(msgspec.Struct, frozen=True):
    """A `setup_intent`; a succeeded one with a customer has saved its method on that customer."""

    id: str
    status: str
    customer: str | None = None
    payment_method: str | None = None
    mandate: str | None = None


class PaymentIntent(msgspec.Struct, frozen=True):
    """A `payment_intent`; `setup_future_usage` may also lie under `payment_method_options` and the type."""

    id: str
    status: str
    customer: str | None = None
    payment_method: str | None = None
    setup_future_usage: str | None = None
    payment_method_options: dict[str, dict[str, Any]] | None = None

    @property
    def saves(self) -> bool:
        """Whether its method is saved on its customer by the payment."""
        options = (self.payment_method_options or {}).values()
        usages = [self.setup_future_usage, *(each.get("setup_future_usage") for each in options)]
        return self.customer is not None and any(usage not in (None, "none") for usage in usages)


class Mandate(msgspec.Struct, frozen=True):
    """A `mandate`: the holder's leave to debit a bank account."""

    id: str
    payment_method: str
    status: str


class Account(msgspec.Struct, frozen=True):
    """An `account` of API v1."""

    id: str
    capabilities: dict[str, str] | None = None


class Capability(msgspec.Struct, frozen=True):
    """A `capability`: `id` is its name, `account` whose it is."""

    id: str
    account: str
    status: str


_T = TypeVar("_T")
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def decode(raw: bytes, shape: type[_T]) -> _T:
    """Read one of the shapes above from JSON, without the character U+0000, which Postgres cannot hold.

    Raises:
        msgspec.DecodeError: it has not that shape.
    """
    return msgspec.json.decode(_NUL.sub(rb"\1", raw) if b"\\u0000" in raw else raw, type=shape)


def customer_seen(
    customer: Customer,
    as_of: datetime,
    *,
    metadata_key: str,
    profile_fields: Iterable[str],
    share_with_all: bool = False,
) -> CustomerSeen:
    """Say what a customer object says: the accounts it names, its default method, its profile.

    `share_with_all`: every customer is shared with every account, whatever its metadata says.
    """
    fields = {name: getattr(customer, name) for name in profile_fields}
    settings = customer.invoice_settings
    return CustomerSeen(
        id=customer.id,
        as_of=as_of,
        granted_accounts=granted_accounts(customer.metadata or {}, metadata_key),
        granted_all=share_with_all or EVERY_ACCOUNT in _granted(customer.metadata or {}, metadata_key),
        default_payment_method_id=settings.default_payment_method if settings is not None else None,
        profile=_without_empty(fields),
        deleted=customer.deleted,
    )


def granted_accounts(metadata: Mapping[str, str], key: str) -> tuple[str, ...]:
    """Read the account ids under `key`, `key_2`, `key_3` …, separated by commas or white space; sorted.

    A metadata value holds 500 characters (https://docs.stripe.com/api/metadata), hence the continuations.
    What is not an account id is passed over.
    """
    return tuple(sorted(word for word in _granted(metadata, key) if ACCOUNT_ID.match(word)))


def _granted(metadata: Mapping[str, str], key: str) -> set[str]:
    continued = re.compile(re.escape(key) + r"(_[2-9]|_[1-9][0-9]+)?\Z")
    return {
        word for name, value in metadata.items() if continued.match(name) for word in _SEPARATORS.split(value)
    }


def payment_method_seen(
    method: PaymentMethod, as_of: datetime, *, detached_from: str | None = None, detached: bool = False
) -> PaymentMethodSeen:
    """Say what a payment method says; `detached_from` is whose it was, where only the event tells."""
    status = (method.us_bank_account or {}).get("status_details") or {}
    said = content(method)
    return PaymentMethodSeen(
        id=method.id,
        as_of=as_of,
        customer_id=method.customer or detached_from or method.customer_account,
        type=method.type,
        content_hash=_hashed(method.type, said),
        opted_out=(method.metadata or {}).get("offshoot") == "never",
        detached=detached,
        content=said,
        blocked=bool(status.get("blocked")),
        owner_supported=bool(method.customer or detached_from) or method.customer_account is None,
    )


_BANK_FIELDS: Final = ("account_holder_type", "account_type", "bank_name", "last4", "routing_number")


def content(method: PaymentMethod) -> dict[str, Any]:
    """Give exactly what makes a clone out of date.

    That is fingerprint, expiry, billing details and the bank's identifying fields, without empty values;
    never metadata, checks, networks or allow_redisplay. `expiry` is [year, month].
    """
    card, bank = method.card or {}, method.us_bank_account or {}
    return {
        "fingerprint": card.get("fingerprint") or bank.get("fingerprint"),
        "expiry": [card.get("exp_year"), card.get("exp_month")],
        "billing_details": _without_empty(method.billing_details or {}),
        "bank": _without_empty({name: bank.get(name) for name in _BANK_FIELDS}),
    }


def content_hash(method: PaymentMethod) -> bytes:
    """Hash a method's type and content, whatever the order of their fields."""
    return _hashed(method.type, content(method))


def _hashed(method_type: str, said: Mapping[str, Any]) -> bytes:
    everything = {"type": method_type, **said}
    return hashlib.sha256(msgspec.json.encode(everything, order="sorted")).digest()


def _without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        name: _without_empty(inner) if isinstance(inner, dict) else inner for name, inner in value.items()
    }
    return {name: inner for name, inner in kept.items() if inner not in (None, "", {}, [])}


def account_seen(account: Account, as_of: datetime) -> AccountSeen:
    """Say what an account object says: every capability it has."""
    return AccountSeen(id=account.id, as_of=as_of, capabilities=account.capabilities or {}, whole=True)


def capability_seen(capability: Capability, as_of: datetime) -> AccountSeen:
    """Say what a capability object says: the status of one."""
    return AccountSeen(
        id=capability.account,
        as_of=as_of,
        capabilities={capability.id: capability.status},
        whole=False,
    )


def connected_method_seen(
    method: PaymentMethod,
    as_of: datetime,
    account: str,
    *,
    detached_from: str | None = None,
    detached: bool = False,
    idempotency_key: str | None = None,
) -> ConnectedMethodSeen:
    """Say what a payment method on a connected account says."""
    seen = payment_method_seen(method, as_of, detached_from=detached_from, detached=detached)
    return ConnectedMethodSeen(
        id=seen.id,
        as_of=as_of,
        account_id=account,
        customer_id=seen.customer_id,
        type=seen.type,
        content=seen.content,
        detached=detached,
        idempotency_key=idempotency_key,
        blocked=seen.blocked,
    )


def connected_customer_seen(customer: Customer, as_of: datetime, account: str) -> ConnectedCustomerSeen:
    """Say what a customer on a connected account says."""
    settings = customer.invoice_settings
    return ConnectedCustomerSeen(
        id=customer.id,
        as_of=as_of,
        account_id=account,
        default_payment_method_id=settings.default_payment_method if settings is not None else None,
        deleted=customer.deleted,
    )


def saved_by(
    intent: SetupIntent | PaymentIntent, as_of: datetime, account: str, idempotency_key: str | None = None
) -> ConnectedMethodSeen | None:
    """Say which method an intent that succeeded has saved on which customer; None where it saved none.

    A SetupIntent names the mandate it made, where the method needs one. A bank debit that was paid had one
    too (https://docs.stripe.com/payments/ach-direct-debit), but a payment does not tell its method's type.
    """
    saves = intent.saves if isinstance(intent, PaymentIntent) else intent.customer is not None
    if intent.status != "succeeded" or intent.payment_method is None or not saves:
        return None
    has_mandate = isinstance(intent, PaymentIntent) or intent.mandate is not None
    return ConnectedMethodSeen(
        id=intent.payment_method,
        as_of=as_of,
        account_id=account,
        customer_id=intent.customer,
        type="",
        content=None,
        detached=False,
        idempotency_key=idempotency_key,
        mandate=MandateSeen(active=True, as_of=as_of) if has_mandate else None,
    )


def mandate_seen(mandate: Mandate, as_of: datetime, account: str) -> ConnectedMethodSeen:
    """Say whether the holder's leave is in force."""
    return ConnectedMethodSeen(
        id=mandate.payment_method,
        as_of=as_of,
        account_id=account,
        customer_id=None,
        type="",
        content=None,
        detached=False,
        idempotency_key=None,
        mandate=MandateSeen(active=mandate.status == "active", as_of=as_of),
    )
