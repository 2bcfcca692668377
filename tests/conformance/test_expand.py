"""`expand` turns ids into the objects they name."""

import httpx
import pytest
import stripe


@pytest.fixture
def saved(client: stripe.StripeClient) -> tuple[str, str]:
    """A platform customer whose default is its card."""
    card = client.v1.payment_methods.attach(
        "pm_card_visa", {"customer": client.v1.customers.create({"name": "Ada"}).id}
    )
    customer = client.v1.customers.update(
        str(card.customer), {"invoice_settings": {"default_payment_method": card.id}}
    )
    return customer.id, card.id


def test_object_of_an_answer(client: stripe.StripeClient, saved: tuple[str, str]) -> None:
    """One level, several, and the way back; without `expand` it is an id again."""
    customer, card = saved
    shown = client.v1.payment_methods.retrieve(
        card, {"expand": ["customer.invoice_settings.default_payment_method"]}
    )
    assert isinstance(shown.customer, stripe.Customer)
    assert (shown.customer.id, shown.customer.name) == (customer, "Ada")
    assert shown.customer.invoice_settings is not None
    default = shown.customer.invoice_settings.default_payment_method
    assert isinstance(default, stripe.PaymentMethod)
    assert (default.id, default.customer) == (card, customer)
    assert client.v1.payment_methods.retrieve(card).customer == customer


def test_objects_of_a_list(client: stripe.StripeClient, saved: tuple[str, str]) -> None:
    """On a list the path begins with `data`; what is null stays null."""
    customer, _ = saved
    listed = client.v1.payment_methods.list({"customer": customer, "expand": ["data.customer.test_clock"]})
    owner = listed.data[0].customer
    assert isinstance(owner, stripe.Customer)
    assert (owner.id, owner.test_clock) == (customer, None)


def test_created_object_is_expanded(client: stripe.StripeClient) -> None:
    """A write answers with what it made, expanded."""
    made = client.v1.customers.create(
        {
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
            "expand": ["invoice_settings.default_payment_method"],
        }
    )
    assert made.invoice_settings is not None
    default = made.invoice_settings.default_payment_method
    assert isinstance(default, stripe.PaymentMethod)
    assert default.customer == made.id


def test_bad_path_is_refused_before_anything_happens(web: httpx.Client, account: str) -> None:
    """Nothing is made, nothing is remembered under the key."""
    headers = {"Stripe-Account": account, "Idempotency-Key": f"k-{account}"}
    answer = web.post("/v1/customers", data={"expand[]": "bogus"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        400,
        "This property cannot be expanded (bogus).",
    )
    assert web.get("/v1/customers", headers=headers).json()["data"] == []
    assert web.post("/v1/customers", headers=headers).status_code == 200
