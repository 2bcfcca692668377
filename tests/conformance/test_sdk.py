"""Stripe's own client believes the emulator."""

import pytest
import stripe


@pytest.fixture
def saved(client: stripe.StripeClient) -> tuple[str, str]:
    """A platform customer with a card."""
    customer = client.v1.customers.create({"name": "Ada", "email": "ada@example.com"})
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    return customer.id, card.id


def test_clone_made_default_of_new_customer(
    client: stripe.StripeClient, account: str, saved: tuple[str, str]
) -> None:
    """The two writes of way C: clone, then the customer with the clone as its default."""
    customer, original = saved
    there: stripe.RequestOptions = {"stripe_account": account}
    clone = client.v1.payment_methods.create({"customer": customer, "payment_method": original}, there)
    assert clone.customer is None
    made = client.v1.customers.create(
        {
            "email": "ada@example.com",
            "payment_method": clone.id,
            "invoice_settings": {"default_payment_method": clone.id},
            "metadata": {"platform_customer": customer},
        },
        there,
    )
    listed = client.v1.payment_methods.list({"customer": made.id, "type": "card"}, there)
    settings = made.invoice_settings
    assert settings is not None
    assert [clone.id] == [each.id for each in listed.data] == [settings.default_payment_method]
    source = client.v1.payment_methods.retrieve(original)
    assert source.card is not None
    assert listed.data[0].card is not None
    assert source.card.fingerprint == listed.data[0].card.fingerprint
    assert source.customer == customer


def test_second_card_attached_updated_listed_detached(client: stripe.StripeClient, account: str) -> None:
    """A customer's cards, newest first, over several pages; a detached one is gone and spent."""
    there: stripe.RequestOptions = {"stripe_account": account}
    customer = client.v1.customers.create({"name": "Ada"}, there).id
    cards = [
        client.v1.payment_methods.attach(name, {"customer": customer}, there).id
        for name in ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")
    ]
    pages = client.v1.customers.payment_methods.list(customer, {"limit": 1}, there)
    assert cards[::-1] == [each.id for each in pages.auto_paging_iter()]
    changed = client.v1.payment_methods.update(
        cards[0], {"card": {"exp_month": 3, "exp_year": 2031}, "metadata": {"a": "1"}}, there
    )
    assert changed.card is not None
    assert (
        changed.card.exp_month,
        changed.card.exp_year,
        changed.metadata.to_dict() if changed.metadata else {},
    ) == (3, 2031, {"a": "1"})
    assert client.v1.payment_methods.detach(cards[0], None, there).customer is None
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        client.v1.payment_methods.attach(cards[0], {"customer": customer}, there)
    with pytest.raises(stripe.InvalidRequestError, match="detachment is impossible"):
        client.v1.payment_methods.detach(cards[0], None, there)


def test_saved_methods_change_in_place(client: stripe.StripeClient) -> None:
    """A bank account's holder and type; an expiry that is over is refused; neither takes the other's."""
    methods, owner = client.v1.payment_methods, client.v1.customers.create({}).id
    bank = methods.attach("pm_usBankAccount_success", {"customer": owner}).id
    card = methods.attach("pm_card_visa", {"customer": owner}).id
    changed = methods.update(bank, {"us_bank_account": {"account_type": "savings"}}).us_bank_account
    assert changed is not None
    assert (changed.account_type, changed.account_holder_type) == ("savings", "individual")
    with pytest.raises(stripe.CardError) as over:
        methods.update(card, {"card": {"exp_year": 2020}})
    assert over.value.code == "invalid_expiry_year"
    with pytest.raises(stripe.InvalidRequestError, match="of type us_bank_account"):
        methods.update(bank, {"card": {"exp_month": 3}})


def test_business_profile_is_shown_and_told(client: stripe.StripeClient, account: str) -> None:
    changed = client.v1.accounts.update(account, {"business_profile": {"name": "Tea", "mcc": "5499"}})
    assert changed.business_profile is not None
    assert (changed.business_profile.name, changed.business_profile.url) == ("Tea", None)
    (event,) = client.v1.events.list({"type": "account.updated"}, {"stripe_account": account}).data
    told = event.to_dict()["data"]["previous_attributes"]
    assert told == {"business_profile": {"name": None, "mcc": None}}


@pytest.mark.filterwarnings("ignore:We recommend building your integration using Accounts v2:UserWarning")
def test_account_with_a_controller_has_no_type(client: stripe.StripeClient) -> None:
    made = client.v1.accounts.create({"controller": {"fees": {"payer": "application"}}})
    assert made.controller is not None
    assert made.controller.fees is not None
    assert (made.type, made.controller.fees.payer) == ("none", "application")
    with pytest.raises(stripe.InvalidRequestError, match="only specify one of these parameters"):
        client.v1.accounts.create({"controller": {"fees": {"payer": "application"}}, "type": "express"})


def test_same_key_is_replayed(client: stripe.StripeClient, account: str) -> None:
    """The same key gives the first answer again; with other parameters it is refused."""
    options: stripe.RequestOptions = {"stripe_account": account, "idempotency_key": f"key-{account}"}
    first = client.v1.customers.create({"name": "Ada"}, options)
    again = client.v1.customers.create({"name": "Ada"}, options)
    assert first.id == again.id
    assert first.last_response is not None
    assert again.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert again.last_response.headers["Request-Id"] != first.last_response.headers["Request-Id"]
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"name": "Grace"}, options)
    other = client.v1.customers.create({"name": "Grace"}, {"idempotency_key": f"key-{account}"})
    assert other.id != first.id


def test_account_without_access(client: stripe.StripeClient, account: str) -> None:
    """An account nobody knows is a PermissionError, as one that has revoked access."""
    with pytest.raises(stripe.PermissionError) as raised:
        client.v1.customers.create({}, {"stripe_account": "acct_1Unknown00000000"})
    assert raised.value.error is not None
    assert (raised.value.http_status, raised.value.error.code) == (403, "account_invalid")
    assert client.v1.customers.list({}, {"stripe_context": account}).data == []


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000009979", "card_declined", "stolen_card"),
        ("4000000000000069", "expired_card", None),
        ("4000000000000119", "processing_error", None),
    ],
)
def test_bad_card_is_declined_when_saved(
    client: stripe.StripeClient, number: str, code: str, decline_code: str | None
) -> None:
    """Attaching, and creating a customer with it, ask the issuer; making the payment method does not."""
    card = client.v1.payment_methods.create(
        {"type": "card", "card": {"number": number, "exp_month": 8, "exp_year": 2035, "cvc": "314"}}
    )
    customer = client.v1.customers.create({})
    with pytest.raises(stripe.CardError) as attached:
        client.v1.payment_methods.attach(card.id, {"customer": customer.id})
    with pytest.raises(stripe.CardError) as created:
        client.v1.customers.create({"payment_method": card.id})
    for error in (attached.value, created.value):
        assert error.error is not None
        assert (402, code, decline_code) == (error.http_status, error.code, error.error.decline_code)


def test_customer_merges_lists_and_ends(client: stripe.StripeClient, account: str) -> None:
    """Metadata merges key by key; a deleted customer shows only that it was, and its card is spent."""
    there: stripe.RequestOptions = {"stripe_account": account}
    customer = client.v1.customers.create({"email": "a@example.com", "metadata": {"a": "1", "b": "2"}}, there)
    changed = client.v1.customers.update(customer.id, {"metadata": {"b": "", "c": "3"}, "name": "Ada"}, there)
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id}, there)
    found = client.v1.customers.list({"email": "a@example.com"}, there)
    assert [customer.id] == [each.id for each in found.data]
    assert client.v1.customers.delete(customer.id, None, there).deleted
    assert client.v1.customers.retrieve(customer.id, None, there).to_dict() == {
        "id": customer.id,
        "object": "customer",
        "deleted": True,
    }
    assert client.v1.customers.list({}, there).data == []
    assert client.v1.payment_methods.retrieve(card.id, None, there).customer is None
    with pytest.raises(stripe.InvalidRequestError) as raised:
        client.v1.payment_methods.list({"customer": customer.id}, there)
    assert (
        raised.value.http_status,
        raised.value.code,
        raised.value.param,
    ) == (400, "resource_missing", "customer")


def test_capability_is_requested_then_moved(client: stripe.StripeClient) -> None:
    """A requested capability is inactive until Stripe (here: the control side) says otherwise."""
    with pytest.warns(UserWarning, match="Accounts v2"):  # the client shows Stripe's notice
        account = client.v1.accounts.create(
            {"type": "standard", "country": "US", "capabilities": {"card_payments": {"requested": True}}}
        )
    assert account.capabilities is not None
    assert account.capabilities.card_payments == "inactive"
    capability = client.v1.accounts.capabilities.update(account.id, "transfers", {"requested": True})
    assert (capability.requested, capability.status) == (True, "inactive")
    listed = client.v1.accounts.capabilities.list(account.id)
    assert {"card_payments", "transfers"} == {each.id for each in listed.data}
    named = client.v1.accounts.update(account.id, {"metadata": {"region": "west"}})
    assert named.metadata is not None
    assert named.metadata.to_dict() == {"region": "west"}
    assert account.id in [each.id for each in client.v1.accounts.list({"limit": 5}).data]
    assert client.v1.accounts.retrieve_current().id == "acct_1EmulatPlatform00"
