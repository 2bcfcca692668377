"""What each relevant event says; what is not the platform's or an account's business says nothing."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from consumers.projection.observe import Reading, UnreadableObjectError, created_or, observe
from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedHint,
    ConnectedKind,
    ConnectedMethodSeen,
    CustomerSeen,
    Hint,
    Kind,
    MandateSeen,
    PaymentMethodSeen,
    Seen,
)
from schemas.stripe_event import RELEVANT_TYPES, StripeEvent, parse_event
from tests.unit.consumers.sightings import START, at

READING = Reading(metadata_key="connected_accounts", profile_fields=("name",), livemode=False)
SECOND = int(START.timestamp())

CUSTOMER = {
    "id": "cus_P",
    "object": "customer",
    "name": "Jenny",
    "email": "j@example.com",
    "metadata": {"connected_accounts": "acct_1"},
    "invoice_settings": {"default_payment_method": "pm_P"},
}
METHOD = {"id": "pm_P", "object": "payment_method", "type": "card", "customer": "cus_P", "card": {}}
ACCOUNT = {"id": "acct_1", "object": "account", "capabilities": {"card_payments": "active"}}
CAPABILITY = {"id": "card_payments", "object": "capability", "account": "acct_1", "status": "pending"}
APPLICATION = {"id": "ca_1", "object": "application", "name": "Platform"}


def snapshot(
    kind: str, thing: dict[str, Any], account: str | None = None, previous: dict[str, Any] | None = None
) -> StripeEvent:
    body = {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "livemode": False,
        "created": SECOND,
        "account": account,
        "data": {"object": thing, "previous_attributes": previous},
    }
    return parse_event(json.dumps(body).encode())


def thin(kind: str, related: str | None, context: str | None = None) -> StripeEvent:
    body = {
        "id": "evt_1",
        "object": "v2.core.event",
        "type": kind,
        "livemode": False,
        "created": "2026-01-01T00:00:00.700Z",
        "context": context,
        "related_object": {"id": related, "type": "x", "url": "/x"},
    }
    return parse_event(json.dumps(body).encode())


@pytest.mark.parametrize("kind", ["customer.created", "customer.updated", "customer.deleted"])
def test_a_customer_of_the_platform(kind: str) -> None:
    assert observe(snapshot(kind, CUSTOMER), at(9), READING) == CustomerSeen(
        id="cus_P",
        as_of=START,
        granted_accounts=("acct_1",),
        default_payment_method_id="pm_P",
        profile={"name": "Jenny"},
        deleted=kind == "customer.deleted",
    )


@pytest.mark.parametrize("kind", ["attached", "updated", "automatically_updated"])
def test_a_method_of_the_platform(kind: str) -> None:
    seen = observe(snapshot(f"payment_method.{kind}", METHOD), at(9), READING)

    assert isinstance(seen, PaymentMethodSeen)
    assert (seen.id, seen.customer_id, seen.type, seen.detached) == ("pm_P", "cus_P", "card", False)


def test_a_detached_method_was_its_customers() -> None:
    """After a detach the object names no customer any more: only `previous_attributes` does."""
    event = snapshot("payment_method.detached", {**METHOD, "customer": None}, previous={"customer": "cus_P"})
    seen = observe(event, at(9), READING)

    assert isinstance(seen, PaymentMethodSeen)
    assert (seen.customer_id, seen.detached) == ("cus_P", True)


def test_an_account_says_every_capability() -> None:
    assert observe(snapshot("account.updated", ACCOUNT, "acct_1"), at(9), READING) == AccountSeen(
        "acct_1", START, {"card_payments": "active"}, whole=True
    )


def test_a_capability_says_one() -> None:
    assert observe(snapshot("capability.updated", CAPABILITY, "acct_1"), at(9), READING) == AccountSeen(
        "acct_1", START, {"card_payments": "pending"}, whole=False
    )


@pytest.mark.parametrize(("kind", "connected"), [("authorized", True), ("deauthorized", False)])
def test_access_is_told_by_the_events_account(kind: str, *, connected: bool) -> None:
    """The object is an application."""
    event = snapshot(f"account.application.{kind}", APPLICATION, "acct_1")

    assert observe(event, at(9), READING) == AccountSeen(
        "acct_1", START, {}, whole=False, connected=connected
    )


@pytest.mark.parametrize("kind", ["attached", "updated", "automatically_updated", "detached"])
def test_a_method_on_an_account(kind: str) -> None:
    """Ours or not: the key of the request that caused the event tells."""
    event = snapshot(f"payment_method.{kind}", METHOD, "acct_1")
    event = msgspec.structs.replace(event, idempotency_key="offshoot:i:1")

    seen = observe(event, at(9), READING)

    assert isinstance(seen, ConnectedMethodSeen)
    assert (seen.id, seen.account_id, seen.type, seen.detached, seen.idempotency_key) == (
        "pm_P",
        "acct_1",
        "card",
        kind == "detached",
        "offshoot:i:1",
    )


@pytest.mark.parametrize(("kind", "deleted"), [("updated", False), ("deleted", True)])
def test_a_customer_on_an_account(kind: str, *, deleted: bool) -> None:
    event = snapshot(f"customer.{kind}", CUSTOMER, "acct_1")

    assert observe(event, at(9), READING) == ConnectedCustomerSeen(
        "cus_P", START, "acct_1", "pm_P", deleted=deleted
    )


@pytest.mark.parametrize(
    ("kind", "thing", "account"),
    [
        ("setup_intent.succeeded", {"id": "seti_1", "status": "succeeded"}, None),
        ("setup_intent.succeeded", {"id": "seti_1", "status": "succeeded", "customer": "cus_C"}, "acct_1"),
        (
            "setup_intent.succeeded",
            {"id": "seti_1", "status": "succeeded", "payment_method": "pm_C"},
            "acct_1",
        ),
        (
            "payment_intent.succeeded",
            {"id": "pi_1", "status": "succeeded", "customer": "cus_C", "payment_method": "pm_C"},
            "acct_1",
        ),
        ("account.updated", ACCOUNT, None),
        ("capability.updated", CAPABILITY, None),
        ("account.application.deauthorized", APPLICATION, None),
        ("charge.succeeded", {"id": "ch_1"}, None),
    ],
)
def test_what_says_nothing(kind: str, thing: dict[str, Any], account: str | None) -> None:
    """Customers and methods on a connected account, the platform's own account, and any other type."""
    assert observe(snapshot(kind, thing, account), at(9), READING) is None


SAVED = {"id": "x_1", "status": "succeeded", "customer": "cus_C", "payment_method": "pm_C"}


@pytest.mark.parametrize(
    ("kind", "more", "mandate"),
    [
        ("setup_intent", {}, False),
        ("setup_intent", {"mandate": "mandate_1"}, True),
        ("payment_intent", {"setup_future_usage": "off_session"}, True),
        ("payment_intent", {"payment_method_options": {"card": {"setup_future_usage": "on_session"}}}, True),
    ],
)
def test_an_intent_tells_what_it_saved(kind: str, more: dict[str, Any], *, mandate: bool) -> None:
    """Its method is not in it: neither type nor content. A payment that succeeded had its mandate."""
    event = snapshot(f"{kind}.succeeded", {**SAVED, **more}, "acct_1")
    event = msgspec.structs.replace(event, idempotency_key="k")

    assert observe(event, at(9), READING) == ConnectedMethodSeen(
        "pm_C",
        START,
        "acct_1",
        "cus_C",
        "",
        None,
        detached=False,
        idempotency_key="k",
        mandate=MandateSeen(active=True, as_of=START) if mandate else None,
    )


@pytest.mark.parametrize(
    "more", [{"setup_future_usage": "none"}, {"payment_method_options": {"card": {}}}, {}]
)
def test_a_payment_that_saves_nothing_tells_nothing(more: dict[str, Any]) -> None:
    assert observe(snapshot("payment_intent.succeeded", {**SAVED, **more}, "acct_1"), at(9), READING) is None


@pytest.mark.parametrize(("status", "active"), [("active", True), ("inactive", False), ("pending", False)])
def test_a_mandate_is_in_force_or_not(status: str, *, active: bool) -> None:
    thing = {"id": "mandate_1", "payment_method": "pm_C", "status": status}

    seen = observe(snapshot("mandate.updated", thing, "acct_1"), at(9), READING)

    assert isinstance(seen, ConnectedMethodSeen)
    assert (seen.id, seen.customer_id, seen.mandate) == ("pm_C", None, MandateSeen(active, START))


@pytest.mark.parametrize(
    ("kind", "hinted"),
    [
        ("v1.payment_method.attached", ConnectedKind.PAYMENT_METHOD),
        ("v1.payment_method.updated", ConnectedKind.PAYMENT_METHOD),
        ("v1.customer.updated", ConnectedKind.CUSTOMER),
    ],
)
def test_a_thin_event_of_an_account_has_the_object_read_there(kind: str, hinted: ConnectedKind) -> None:
    assert observe(thin(kind, "x_1", "acct_1"), at(9), READING) == ConnectedHint(
        hinted, "x_1", "acct_1", START, None
    )


def _thin_about(kind: str) -> tuple[str | None, str | None, Seen]:
    for word in ("setup_intent", "payment_intent", "mandate"):
        if f"{word}." in kind:
            return "x_1", "acct_1", ConnectedHint(ConnectedKind(word), "x_1", "acct_1", START, None)
    if kind.startswith("v2."):
        return "acct_1", None, Hint(Kind.ACCOUNT, "acct_1", START)
    if "customer." in kind:
        return "cus_P", None, Hint(Kind.CUSTOMER, "cus_P", START)
    if "payment_method." in kind:
        return "pm_P", None, Hint(Kind.PAYMENT_METHOD, "pm_P", START)
    if "application" in kind:
        access = AccountSeen("acct_1", START, {}, whole=False, connected=kind.endswith(".authorized"))
        return "ca_1", "acct_1", access
    related = {"v1.account.updated": "acct_1", "v1.capability.updated": "card_payments"}.get(kind, "ca_1")
    return related, "acct_1", Hint(Kind.ACCOUNT, "acct_1", START)


@pytest.mark.parametrize("kind", sorted(kind for kind in RELEVANT_TYPES if kind.startswith(("v1.", "v2."))))
def test_a_thin_event_hints(kind: str) -> None:
    """Every relevant type is known, and to be about an account whatever object it names; whole seconds.

    That access was given or taken away, its type alone tells.
    """
    related, context, seen = _thin_about(kind)

    assert observe(thin(kind, related, context), at(9), READING) == seen


@pytest.mark.parametrize(
    ("kind", "related", "context"),
    [
        ("v1.customer.updated", None, None),
        ("v1.customer.updated", None, "acct_1"),
        ("v1.mandate.updated", "mandate_1", None),
        ("v1.account.updated", "acct_1", None),
        ("v1.account.application.deauthorized", "ca_1", None),
        ("v2.core.account.updated", "cus_1", None),
        ("v2.core.account.updated", None, None),
    ],
)
def test_a_thin_event_about_nothing_of_ours(kind: str, related: str | None, context: str | None) -> None:
    assert observe(thin(kind, related, context), at(9), READING) is None


@pytest.mark.parametrize(
    ("kind", "thing", "account"),
    [
        ("customer.updated", {"id": "cus_P", "metadata": []}, None),
        ("customer.updated", {"id": 5}, None),
        ("payment_method.attached", {"id": "pm_P"}, None),
        ("payment_method.attached", {**METHOD, "customer": {"id": "cus_P"}}, None),
        ("account.updated", {"id": "acct_1", "capabilities": {"card_payments": 1}}, "acct_1"),
        ("capability.updated", {"id": "card_payments"}, "acct_1"),
    ],
)
def test_an_object_of_another_shape_is_an_error_without_its_text(
    kind: str, thing: dict[str, Any], account: str | None
) -> None:
    with pytest.raises(UnreadableObjectError) as caught:
        observe(snapshot(kind, thing, account), at(9), READING)

    assert str(caught.value) == f"the object of {kind} has not its documented shape"


RECORDED = datetime(2026, 1, 10, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("created", "as_of"),
    [
        (RECORDED - timedelta(days=30), RECORDED - timedelta(days=30)),
        (RECORDED + timedelta(days=1), RECORDED + timedelta(days=1)),
        (RECORDED + timedelta(days=1, microseconds=1), RECORDED),
        (None, RECORDED),
    ],
    ids=["long ago", "a day ahead", "more than a day ahead", "unusable"],
)
def test_the_time_of_an_event_that_is_not_believed_is_the_records(
    created: datetime | None, as_of: datetime
) -> None:
    event = msgspec.structs.replace(snapshot("customer.updated", CUSTOMER), created=created)

    assert created_or(event, RECORDED) == as_of.replace(microsecond=0)
