"""From an event to what it says: the one place that knows what each relevant event type means."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from consumers.projection import objects
from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedHint,
    ConnectedKind,
    ConnectedMethodSeen,
    CustomerSeen,
    Hint,
    Kind,
    PaymentMethodSeen,
    Seen,
)
from schemas.stripe_event import PayloadKind, StripeEvent, base_type

CLOCK_AHEAD_AT_MOST: Final = timedelta(days=1)
"""An event's `created` further ahead than this is not believed."""


class UnreadableObjectError(ValueError):
    """A relevant event whose object has not the shape that Stripe documents. Holds no payload text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How this deployment reads events: its mode and platform, and what of a customer matters to it.

    `share_with_all`: SHARE_WITH is `all`.
    """

    metadata_key: str
    profile_fields: tuple[str, ...]
    livemode: bool
    platform_account: str | None = None
    share_with_all: bool = False

    def customer(self, customer: objects.Customer, as_of: datetime) -> CustomerSeen:
        """Say what a customer says to this deployment."""
        return objects.customer_seen(
            customer,
            as_of,
            metadata_key=self.metadata_key,
            profile_fields=self.profile_fields,
            share_with_all=self.share_with_all,
        )


def observe(event: StripeEvent, recorded_at: datetime, reading: Reading) -> Seen | None:
    """Say what the event says of the platform's customers and methods and of connected accounts.

    Args:
        event: a snapshot event, or a thin one, which can only hint.
        recorded_at: the Kafka record's time (UTC), which stands in for an unusable `created`.
        reading: how to read a customer.

    Returns:
        What was seen, or None where the event says nothing that the projections hold.

    Raises:
        UnreadableObjectError: the type is known but the object is not what it should be.
    """
    name = base_type(event.type)
    observers = _OF_THE_PLATFORM if event.account is None else _OF_ACCOUNTS
    observer = observers.get(name)
    if observer is None:
        return _observe_account_v2(event, recorded_at)
    as_of = created_or(event, recorded_at)
    if event.payload_kind is PayloadKind.THIN:
        return _thin(event, name, observer, as_of)
    try:
        return observer.read(event, as_of, reading)
    except msgspec.DecodeError as error:
        raise UnreadableObjectError(f"the object of {event.type} has not its documented shape") from error


def created_or(event: StripeEvent, recorded_at: datetime) -> datetime:
    """The event's time, or the record's where it is unusable or more than a day ahead; whole seconds."""
    created = event.created
    if created is None or created > recorded_at + CLOCK_AHEAD_AT_MOST:
        created = recorded_at
    return created.replace(microsecond=0)


def _observe_account_v2(event: StripeEvent, recorded_at: datetime) -> Seen | None:
    """Accounts v2 sends thin events under the platform's own scope (https://docs.stripe.com/connect/webhooks)."""
    if not event.type.startswith("v2.core.account") or not objects.ACCOUNT_ID.match(event.object_id or ""):
        return None
    return Hint(Kind.ACCOUNT, event.object_id or "", created_or(event, recorded_at))


@dataclass(frozen=True, slots=True)
class _Observer:
    """`kind` is what a thin event has read: a projection, or an object on its account."""

    kind: Kind | ConnectedKind
    read: Callable[[StripeEvent, datetime, Reading], Seen | None]


def _thin(event: StripeEvent, name: str, observer: _Observer, as_of: datetime) -> Seen | None:
    """A thin event tells only which object it is about, and by its type that something ended or began."""
    if observer is _ACCESS:
        return _access(event, as_of) if event.account is not None else None
    if isinstance(observer.kind, Kind):
        target = event.account if observer.kind is Kind.ACCOUNT else event.object_id
        return Hint(observer.kind, target, as_of) if target else None
    if event.object_id is None or event.account is None:
        return None
    if name == "payment_method.detached":
        return ConnectedMethodSeen(
            event.object_id,
            as_of,
            event.account,
            None,
            "",
            None,
            detached=True,
            idempotency_key=event.idempotency_key,
        )
    if name == "customer.deleted":
        return ConnectedCustomerSeen(event.object_id, as_of, event.account, None, deleted=True)
    return ConnectedHint(observer.kind, event.object_id, event.account, as_of, event.idempotency_key)


def _customer(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    customer = objects.decode(event.object, objects.Customer)
    if event.type.endswith(".deleted"):
        customer = msgspec.structs.replace(customer, deleted=True)
    return reading.customer(customer, as_of)


class _Previous(msgspec.Struct, frozen=True):
    customer: str | None = None


def _payment_method(event: StripeEvent, as_of: datetime, reading: Reading) -> PaymentMethodSeen:
    del reading
    method = objects.decode(event.object, objects.PaymentMethod)
    previous = msgspec.json.decode(event.previous_attributes or b"{}", type=_Previous)
    return objects.payment_method_seen(
        method,
        as_of,
        detached_from=previous.customer,
        detached=event.type.endswith(".detached"),
    )


def _account(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    del reading
    return objects.account_seen(objects.decode(event.object, objects.Account), as_of)


def _capability(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    del reading
    return objects.capability_seen(objects.decode(event.object, objects.Capability), as_of)


def _access(event: StripeEvent, as_of: datetime, _: Reading | None = None) -> Seen:
    """The object of these two is an application: only the event's `account` says which account."""
    connected = not event.type.endswith(".deauthorized")
    return AccountSeen(event.account or "", as_of, capabilities={}, whole=False, connected=connected)


def _connected_method(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    del reading
    previous = msgspec.json.decode(event.previous_attributes or b"{}", type=_Previous)
    return objects.connected_method_seen(
        objects.decode(event.object, objects.PaymentMethod),
        as_of,
        event.account or "",
        detached_from=previous.customer,
        detached=event.type.endswith(".detached"),
        idempotency_key=event.idempotency_key,
    )


def _connected_customer(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    del reading
    customer = objects.decode(event.object, objects.Customer)
    if event.type.endswith(".deleted"):
        customer = msgspec.structs.replace(customer, deleted=True)
    return objects.connected_customer_seen(customer, as_of, event.account or "")


def _saved_by_setup(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen | None:
    del reading
    intent = objects.decode(event.object, objects.SetupIntent)
    return objects.saved_by(intent, as_of, event.account or "", event.idempotency_key)


def _saved_by_payment(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen | None:
    del reading
    intent = objects.decode(event.object, objects.PaymentIntent)
    return objects.saved_by(intent, as_of, event.account or "", event.idempotency_key)


def _mandate(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    del reading
    return objects.mandate_seen(objects.decode(event.object, objects.Mandate), as_of, event.account or "")


_CUSTOMER: Final = _Observer(Kind.CUSTOMER, _customer)
_METHOD: Final = _Observer(Kind.PAYMENT_METHOD, _payment_method)
_CONNECTED_CUSTOMER: Final = _Observer(ConnectedKind.CUSTOMER, _connected_customer)
_CONNECTED_METHOD: Final = _Observer(ConnectedKind.PAYMENT_METHOD, _connected_method)
_ACCESS: Final = _Observer(Kind.ACCOUNT, _access)

_OF_THE_PLATFORM: Final[dict[str, _Observer]] = {
    "customer.created": _CUSTOMER,
    "customer.updated": _CUSTOMER,
    "customer.deleted": _CUSTOMER,
    "payment_method.attached": _METHOD,
    "payment_method.updated": _METHOD,
    "payment_method.automatically_updated": _METHOD,
    "payment_method.detached": _METHOD,
}
"""What an event of the platform's own says."""

_OF_ACCOUNTS: Final[dict[str, _Observer]] = {
    "account.updated": _Observer(Kind.ACCOUNT, _account),
    "capability.updated": _Observer(Kind.ACCOUNT, _capability),
    "account.application.authorized": _ACCESS,
    "account.application.deauthorized": _ACCESS,
    "customer.created": _CONNECTED_CUSTOMER,
    "customer.updated": _CONNECTED_CUSTOMER,
    "customer.deleted": _CONNECTED_CUSTOMER,
    "payment_method.attached": _CONNECTED_METHOD,
    "payment_method.updated": _CONNECTED_METHOD,
    "payment_method.automatically_updated": _CONNECTED_METHOD,
    "payment_method.detached": _CONNECTED_METHOD,
    "setup_intent.succeeded": _Observer(ConnectedKind.SETUP_INTENT, _saved_by_setup),
    "payment_intent.succeeded": _Observer(ConnectedKind.PAYMENT_INTENT, _saved_by_payment),
    "mandate.updated": _Observer(ConnectedKind.MANDATE, _mandate),
}
"""What an event of a connected account says."""
