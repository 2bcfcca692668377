"""Payments on a connected account: ways A and B, and what a clone is good for (STRIPE.md 0, 1.4, 3)."""

from typing import Any

import pytest
import stripe

from tests.conformance.both.platform import CARD, Platform

NO_REDIRECTS: Any = {"enabled": True, "allow_redirects": "never"}


def pay(platform: Platform, method: str, customer: str | None, **more: Any) -> stripe.PaymentIntent:
    """Confirm a payment on the account as it is made."""
    said: Any = {
        "amount": 1000,
        "currency": "usd",
        "payment_method": method,
        "automatic_payment_methods": NO_REDIRECTS,
        "confirm": True,
        **({"customer": customer} if customer else {}),
        **more,
    }
    return platform.client.v1.payment_intents.create(said, platform.there)


async def test_way_a_attaches_what_was_paid_with(platform: Platform) -> None:
    """The customer of the account has the method afterwards, and it pays off session."""
    owner = platform.connected_customer()
    paid = pay(platform, CARD, owner, setup_future_usage="off_session")
    assert (paid.status, paid.amount_received) == ("succeeded", 1000)
    method = str(paid.payment_method)
    listed = platform.client.v1.customers.payment_methods.list(owner, {}, platform.there)
    assert [each.id for each in listed.data] == [method]
    assert pay(platform, method, owner, off_session=True).status == "succeeded"
    attached = await platform.events_about(method, "payment_method.attached")
    assert (attached[0].account, attached[0].data.object["customer"]) == (platform.account, owner)
    await platform.events_about(paid.id, "payment_intent.succeeded")


def test_way_b_saves_by_a_setup_intent(platform: Platform) -> None:
    owner = platform.connected_customer()
    said: Any = {
        "customer": owner,
        "payment_method": CARD,
        "automatic_payment_methods": NO_REDIRECTS,
        "confirm": True,
    }
    saved = platform.client.v1.setup_intents.create(said, platform.there)
    assert (saved.status, saved.usage) == ("succeeded", "off_session")
    method = platform.client.v1.payment_methods.retrieve(str(saved.payment_method), {}, platform.there)
    assert method.customer == owner


def test_attached_clone_pays_again_and_again(platform: Platform) -> None:
    owner, clone = platform.attached_clone()
    assert [pay(platform, clone.id, owner, off_session=True).status for _ in "12"] == ["succeeded"] * 2


def test_clone_of_nobodys_pays_once(platform: Platform) -> None:
    """The payment spends the clone; its original can be cloned again."""
    customer, card = platform.saved_card()
    clone = platform.clone(card.id, customer)
    assert pay(platform, clone.id, None).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        pay(platform, clone.id, None)
    assert platform.clone(card.id, customer).id != clone.id


def test_payment_needs_the_customer_of_its_method(platform: Platform) -> None:
    _, clone = platform.attached_clone()
    with pytest.raises(stripe.InvalidRequestError, match="include the Customer in the `customer` parameter"):
        pay(platform, clone.id, None)
    with pytest.raises(stripe.InvalidRequestError, match="does not belong to the Customer you supplied"):
        pay(platform, clone.id, platform.connected_customer())


def test_platform_method_pays_nothing_on_an_account(platform: Platform) -> None:
    _, card = platform.saved_card()
    with pytest.raises(stripe.InvalidRequestError, match="No such PaymentMethod"):
        pay(platform, card.id, None)


def test_declined_payment_is_in_its_error(platform: Platform) -> None:
    """402, with the intent as it then is: it wants another method."""
    with pytest.raises(stripe.CardError) as raised:
        pay(platform, "pm_card_visa_chargeDeclinedInsufficientFunds", platform.connected_customer())
    error = raised.value.error
    assert error is not None
    assert error.payment_intent is not None
    assert (error.code, error.decline_code) == ("card_declined", "insufficient_funds")
    assert (error.payment_intent.status, error.payment_intent.payment_method) == (
        "requires_payment_method",
        None,
    )


def test_off_session_payment_that_wants_its_holder_is_declined(platform: Platform) -> None:
    owner = platform.connected_customer()
    attached = platform.client.v1.payment_methods.attach(
        "pm_card_authenticationRequired", {"customer": owner}, platform.there
    )
    with pytest.raises(stripe.CardError) as raised:
        pay(platform, attached.id, owner, off_session=True)
    assert raised.value.code == "authentication_required"


def test_old_list_of_types_is_refused(platform: Platform) -> None:
    """The SDK's version has no `payment_method_types` any more."""
    with pytest.raises(stripe.InvalidRequestError) as raised:
        pay(platform, CARD, None, automatic_payment_methods=None, payment_method_types=["card"])
    assert raised.value.code == "payment_method_types_no_longer_supported"
