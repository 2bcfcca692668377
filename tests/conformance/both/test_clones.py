"""Clones, as Stripe's pages and the recordings have them (STRIPE.md 1)."""

import uuid

import pytest
import stripe

from tests.conformance.both.platform import CARD, Platform


def test_clone_of_a_saved_card(platform: Platform) -> None:
    """A new method of nobody's with the same card; the original stays where it is."""
    customer, card = platform.saved_card()
    clone = platform.clone(card.id, customer)
    assert clone.id != card.id
    assert (clone.customer, clone.type, clone.livemode) == (None, "card", False)
    assert clone.card is not None
    assert card.card is not None
    same = ("brand", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    assert [card.card[name] for name in same] == [clone.card[name] for name in same]
    assert platform.client.v1.payment_methods.retrieve(card.id).customer == customer


def test_customer_is_made_with_the_clone_as_default(platform: Platform) -> None:
    """Two writes, no read: the clone is attached by the call that makes the customer."""
    customer, card = platform.saved_card()
    clone = platform.clone(card.id, customer)
    made = platform.client.v1.customers.create(
        {"payment_method": clone.id, "invoice_settings": {"default_payment_method": clone.id}},
        platform.there,
    )
    assert made.invoice_settings is not None
    assert made.invoice_settings.default_payment_method == clone.id
    listed = platform.client.v1.customers.payment_methods.list(made.id, {}, platform.there)
    assert [(each.id, each.customer) for each in listed.data] == [(clone.id, made.id)]


def test_an_original_can_be_cloned_again(platform: Platform) -> None:
    """Nothing stops the same card from being cloned twice."""
    customer, card = platform.saved_card()
    first, second = (platform.clone(card.id, customer) for _ in "12")
    assert first.id != second.id


def test_attaching_again_to_the_same_customer_changes_nothing(platform: Platform) -> None:
    owner, clone = platform.attached_clone()
    again = platform.client.v1.payment_methods.attach(clone.id, {"customer": owner}, platform.there)
    assert again.customer == owner


def test_attached_clone_is_refused_to_another_customer(platform: Platform) -> None:
    _, clone = platform.attached_clone()
    other = platform.connected_customer()
    with pytest.raises(stripe.InvalidRequestError, match="already been attached to a customer"):
        platform.client.v1.payment_methods.attach(clone.id, {"customer": other}, platform.there)


def test_detached_clone_is_spent(platform: Platform) -> None:
    """It belongs to nobody, cannot be detached again, and not be used again."""
    owner, clone = platform.attached_clone()
    methods = platform.client.v1.payment_methods
    assert methods.detach(clone.id, {}, platform.there).customer is None
    with pytest.raises(stripe.InvalidRequestError, match="detachment is impossible"):
        methods.detach(clone.id, {}, platform.there)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        methods.attach(clone.id, {"customer": owner}, platform.there)


def test_unattached_original_is_consumed(platform: Platform) -> None:
    """Cloning a card of nobody's spends it; the clone can be kept."""
    card = platform.loose_card()
    clone = platform.clone(card.id)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        platform.client.v1.payment_methods.attach(card.id, {"customer": platform.customer()})
    owner = platform.connected_customer()
    attached = platform.client.v1.payment_methods.attach(clone.id, {"customer": owner}, platform.there)
    assert attached.customer == owner


def test_customer_without_a_method_is_refused(platform: Platform) -> None:
    """A customer can only be named together with the method to be cloned."""
    customer = platform.customer()
    with pytest.raises(stripe.InvalidRequestError, match="You cannot attach a PaymentMethod to a Customer"):
        platform.client.v1.payment_methods.create(
            {"type": "card", "card": {"token": "tok_visa"}, "customer": customer}, platform.there
        )


def test_platform_ids_mean_nothing_on_an_account(platform: Platform) -> None:
    """A platform's method or customer has to be cloned, or made, there."""
    customer, card = platform.saved_card()
    with pytest.raises(stripe.InvalidRequestError, match="No such PaymentMethod") as method:
        platform.client.v1.payment_methods.retrieve(card.id, {}, platform.there)
    with pytest.raises(stripe.InvalidRequestError, match="No such customer") as owner:
        platform.client.v1.customers.retrieve(customer, {}, platform.there)
    for raised in (method, owner):
        assert (raised.value.http_status, raised.value.code) == (404, "resource_missing")


async def test_cloning_raises_no_event_and_attaching_one(platform: Platform) -> None:
    """What is told of a clone is its attachment, with the key of the call that did it."""
    customer, card = platform.saved_card()
    clone = platform.clone(card.id, customer)
    key = f"conformance-{uuid.uuid4()}"
    owner = platform.connected_customer()
    options: stripe.RequestOptions = {**platform.there, "idempotency_key": key}
    platform.client.v1.payment_methods.attach(clone.id, {"customer": owner}, options)
    (event,) = await platform.events_about(clone.id, "payment_method.attached")
    assert event.request is not None
    assert event.request.idempotency_key == key
    assert event.data.object["customer"] == owner


def test_declined_card_is_refused_when_it_is_attached(platform: Platform) -> None:
    """Attaching asks the issuer."""
    with pytest.raises(stripe.CardError) as raised:
        platform.client.v1.payment_methods.attach(
            "pm_card_visa_chargeDeclined", {"customer": platform.customer()}
        )
    assert (raised.value.http_status, raised.value.code) == (402, "card_declined")


def test_test_cards_make_a_new_method_each_time(platform: Platform) -> None:
    """`pm_card_visa` is not one card but a name for new ones."""
    customer = platform.customer()
    first, second = (platform.client.v1.payment_methods.attach(CARD, {"customer": customer}) for _ in "12")
    assert first.id != second.id != CARD
