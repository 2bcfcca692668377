"""How Stripe takes requests: keys, accounts, parameters, lists (STRIPE.md 1.6, 6)."""

import uuid
from typing import Any, cast

import pytest
import stripe

from tests.conformance.both.platform import Platform


def test_same_key_is_replayed(platform: Platform) -> None:
    """The same key and parameters give the first answer again, marked; others are refused."""
    customers = platform.client.v1.customers
    options: stripe.RequestOptions = {**platform.there, "idempotency_key": f"conformance-{uuid.uuid4()}"}
    first = customers.create({"name": "Ada"}, options)
    again = customers.create({"name": "Ada"}, options)
    assert first.id == again.id
    assert first.last_response is not None
    assert again.last_response is not None
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    with pytest.raises(stripe.IdempotencyError):
        customers.create({"name": "Grace"}, options)


def test_account_without_access(platform: Platform) -> None:
    """An account that is not the platform's is 403 `account_invalid`, by header or in the path."""
    for ask in (
        lambda: platform.client.v1.accounts.retrieve("acct_1Unknown00000000"),
        lambda: platform.client.v1.customers.list({}, {"stripe_account": "acct_1Unknown00000000"}),
    ):
        with pytest.raises(stripe.PermissionError) as raised:
            ask()
        assert raised.value.error is not None
        assert (raised.value.http_status, raised.value.error.code) == (403, "account_invalid")


def test_unknown_parameter_is_refused(platform: Platform) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        platform.client.v1.customers.create(cast("Any", {"nmae": "Ada"}))
    assert (raised.value.http_status, raised.value.code, raised.value.param) == (
        400,
        "parameter_unknown",
        "nmae",
    )


def test_metadata_merges_key_by_key(platform: Platform) -> None:
    """An empty value takes a key away, what is not named stays."""
    customer = platform.customer(metadata={"a": "1", "b": "2"})
    changed = platform.client.v1.customers.update(customer, {"metadata": {"b": "", "c": "3"}})
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}


def test_default_of_a_customer_is_unset_by_an_empty_text(platform: Platform) -> None:
    """The payment method stays attached (Stripe's own words in stripe-ruby#1151)."""
    customer, card = platform.saved_card()
    customers = platform.client.v1.customers
    for default, expected in ((card.id, card.id), ("", None)):
        changed = customers.update(customer, {"invoice_settings": {"default_payment_method": default}})
        assert changed.invoice_settings is not None
        assert changed.invoice_settings.default_payment_method == expected
    assert platform.client.v1.payment_methods.retrieve(card.id).customer == customer


def test_deleted_customer_shows_only_that_it_was(platform: Platform) -> None:
    customer = platform.connected_customer()
    customers = platform.client.v1.customers
    assert customers.delete(customer, {}, platform.there).deleted
    gone = {"id": customer, "object": "customer", "deleted": True}
    assert gone == customers.retrieve(customer, {}, platform.there).to_dict()


def test_lists_are_newest_first_and_come_in_pages(platform: Platform) -> None:
    customer = platform.customer()
    names = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")
    methods = platform.client.v1.payment_methods
    cards = [methods.attach(name, {"customer": customer}).id for name in names]
    pages = methods.list({"customer": customer, "limit": 1})
    assert (len(pages.data), pages.has_more) == (1, True)
    # Those attached within one second may stand in any order.
    assert sorted(cards) == sorted(each.id for each in pages.auto_paging_iter())
    back = methods.list({"customer": customer, "ending_before": pages.data[0].id})
    assert (back.data, back.has_more) == ([], False)


def test_card_on_the_platform_is_updated_in_place(platform: Platform) -> None:
    """A new expiry keeps the id and the fingerprint."""
    _, card = platform.saved_card()
    assert card.card is not None
    year = card.card.exp_year + 1
    changed = platform.client.v1.payment_methods.update(card.id, {"card": {"exp_month": 3, "exp_year": year}})
    assert changed.card is not None
    assert (changed.id, changed.card.fingerprint) == (card.id, card.card.fingerprint)
    assert (changed.card.exp_month, changed.card.exp_year) == (3, year)
