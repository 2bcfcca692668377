"""From an event to what it says: the one place that knows what each relevant event type means."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from consumers.projection import objects
from consumers.projection.seen import AccountSeen, Hint, Kind, Seen
from schemas.stripe_event import PayloadKind, StripeEvent, base_type

CLOCK_AHEAD_AT_MOST: Final = timedelta(days=1)
"""An event's `created` further ahead than this is not believed."""


class UnreadableObjectError(ValueError):
    """A relevant event whose object has not the shape that Stripe documents. Holds no payload text."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How this deployment reads events: its mode and platform, and what of a customer matters to it."""

    metadata_key: str
    profile_fields: tuple[str, ...]
    livemode: bool
    platform_account: str | None = None


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
    observer = _OBSERVERS.get(base_type(event.type))
    if observer is None:
        return _observe_account_v2(event, recorded_at)
    if (event.account is None) is not observer.on_platform:
        return None
    as_of = created_or(event, recorded_at)
    if event.payload_kind is PayloadKind.THIN:
        target = event.account if observer.kind is Kind.ACCOUNT else event.object_id
        return Hint(observer.kind, target, as_of) if target else None
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
    kind: Kind
    on_platform: bool
    read: Callable[[StripeEvent, datetime, Reading], Seen]


def _customer(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    customer = objects.decode(event.object, objects.Customer)
    if event.type.endswith(".deleted"):
        customer = msgspec.structs.replace(customer, deleted=True)
    return objects.customer_seen(
        customer, as_of, metadata_key=reading.metadata_key, profile_fields=reading.profile_fields
    )


class _Previous(msgspec.Struct, frozen=True):
    customer: str | None = None


def _payment_method(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
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


def _access(event: StripeEvent, as_of: datetime, reading: Reading) -> Seen:
    """The object of these two is an application: only the event's `account` says which account."""
    del reading
    connected = not event.type.endswith(".deauthorized")
    return AccountSeen(event.account or "", as_of, capabilities={}, whole=False, connected=connected)


_PLATFORM_CUSTOMER: Final = _Observer(Kind.CUSTOMER, on_platform=True, read=_customer)
_PLATFORM_METHOD: Final = _Observer(Kind.PAYMENT_METHOD, on_platform=True, read=_payment_method)
_CONNECTED_ACCESS: Final = _Observer(Kind.ACCOUNT, on_platform=False, read=_access)

_OBSERVERS: Final[dict[str, _Observer]] = {
    "customer.created": _PLATFORM_CUSTOMER,
    "customer.updated": _PLATFORM_CUSTOMER,
    "customer.deleted": _PLATFORM_CUSTOMER,
    "payment_method.attached": _PLATFORM_METHOD,
    "payment_method.updated": _PLATFORM_METHOD,
    "payment_method.automatically_updated": _PLATFORM_METHOD,
    "payment_method.detached": _PLATFORM_METHOD,
    "account.updated": _Observer(Kind.ACCOUNT, on_platform=False, read=_account),
    "capability.updated": _Observer(Kind.ACCOUNT, on_platform=False, read=_capability),
    "account.application.authorized": _CONNECTED_ACCESS,
    "account.application.deauthorized": _CONNECTED_ACCESS,
}
