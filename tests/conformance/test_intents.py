"""Payments and setups, as ways A and B need them, driven by the official client."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import stripe

MANDATE: Any = {"customer_acceptance": {"type": "offline"}}
BANK = "pm_usBankAccount_success"
TYPED: Any = {
    "type": "us_bank_account",
    "billing_details": {"name": "Ada"},
    "us_bank_account": {
        "account_holder_type": "individual",
        "account_number": "000123456789",
        "routing_number": "110000000",
    },
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A connected account with a customer."""

    client: stripe.StripeClient
    web: httpx.Client
    account: str
    customer: str

    @property
    def there(self) -> stripe.RequestOptions:
        return {"stripe_account": self.account}

    def pay(self, method: str | None = None, **more: Any) -> stripe.PaymentIntent:
        """Make a payment of the customer's, confirmed where there is a method."""
        named: Any = {"payment_method": method, "confirm": True} if method else {}
        said: Any = {"amount": 1000, "currency": "usd", "customer": self.customer, **named, **more}
        return self.client.v1.payment_intents.create(said, self.there)

    def save(self, method: str | None = None, **more: Any) -> stripe.SetupIntent:
        """Make a setup of the customer's, confirmed where there is a method."""
        named: Any = {"payment_method": method, "confirm": True} if method else {}
        said: Any = {"customer": self.customer, **named, **more}
        return self.client.v1.setup_intents.create(said, self.there)

    def payment(self, intent: str, **more: Any) -> stripe.PaymentIntent:
        """Look at a payment again."""
        said: Any = more
        return self.client.v1.payment_intents.retrieve(intent, said, self.there)

    def method(self, named: object) -> stripe.PaymentMethod:
        """Look at a payment method."""
        return self.client.v1.payment_methods.retrieve(str(named), {}, self.there)

    def events(self) -> list[str]:
        """Name what happened on the account since its customer was made, oldest first."""
        listed = self.client.v1.events.list({"limit": 100}, self.there)
        return [str(event.type) for event in reversed(listed.data)][1:]

    def control(self, path: str, **said: Any) -> httpx.Response:
        """Do what no call can."""
        return self.web.post(f"/_emulator/accounts/{self.account}/{path}", json=said)


@pytest.fixture
def shop(client: stripe.StripeClient, web: httpx.Client, account: str) -> Shop:
    customer = client.v1.customers.create({}, {"stripe_account": account}).id
    return Shop(client, web, account, customer)


def test_way_a_saves_the_method_that_is_paid_with(shop: Shop) -> None:
    """Created by the server, confirmed later: attached to the customer of the account, and paid."""
    made = shop.pay(setup_future_usage="off_session")
    assert (made.status, made.payment_method, made.application) == (
        "requires_payment_method",
        None,
        "ca_" + "Emulator".ljust(32, "0"),
    )
    paid = shop.client.v1.payment_intents.confirm(
        made.id, {"payment_method": "pm_card_visa", "expand": ["latest_charge", "payment_method"]}, shop.there
    )
    assert isinstance(paid.latest_charge, stripe.Charge)
    assert isinstance(paid.payment_method, stripe.PaymentMethod)
    assert (paid.status, paid.amount_received, paid.latest_charge.paid) == ("succeeded", 1000, True)
    assert paid.payment_method.customer == shop.customer
    assert shop.events() == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_method.attached",
        "payment_intent.succeeded",
    ]
    again = shop.pay(paid.payment_method.id, off_session=True)
    assert again.status == "succeeded"


def test_events_carry_the_account_and_the_call(shop: Shop) -> None:
    """Each tells of the account twice, and of the request and its key."""
    made = shop.client.v1.payment_intents.create(
        {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True},
        {**shop.there, "idempotency_key": f"pay-{shop.account}"},
    )
    assert made.last_response is not None
    request = {"id": made.last_response.headers["Request-Id"], "idempotency_key": f"pay-{shop.account}"}
    told = shop.client.v1.events.list({"types": ["payment_intent.*", "charge.*"]}, shop.there).data
    assert {event.type for event in told} == {
        *("payment_intent.created", "charge.succeeded", "payment_intent.succeeded"),
    }
    for event in told:
        assert event.request is not None
        assert (event.account, event.context, event.request.to_dict()) == (
            shop.account,
            shop.account,
            request,
        )


def test_clone_is_paid_with_once_unless_it_is_attached(shop: Shop) -> None:
    """The charge consumes a clone of nobody's; the original can be cloned again."""
    owner = shop.client.v1.customers.create({}).id
    card = shop.client.v1.payment_methods.attach("pm_card_visa", {"customer": owner})
    one, other = (
        shop.client.v1.payment_methods.create({"customer": owner, "payment_method": card.id}, shop.there).id
        for _ in "12"
    )
    assert shop.pay(one).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="It may not be used again"):
        shop.pay(one)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        shop.client.v1.payment_methods.attach(one, {"customer": shop.customer}, shop.there)
    shop.client.v1.payment_methods.attach(other, {"customer": shop.customer}, shop.there)
    assert [shop.pay(other, off_session=True).status for _ in "12"] == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("name", "codes", "advice"),
    [
        ("visa_chargeDeclined", ("card_declined", "generic_decline"), ("try_again_later", "01")),
        (
            "visa_chargeDeclinedInsufficientFunds",
            ("card_declined", "insufficient_funds"),
            ("try_again_later", "51"),
        ),
        ("visa_chargeDeclinedLostCard", ("card_declined", "lost_card"), ("do_not_try_again", "41")),
        ("chargeDeclinedExpiredCard", ("expired_card", "expired_card"), ("confirm_card_data", "54")),
        ("chargeDeclinedIncorrectCvc", ("incorrect_cvc", "incorrect_cvc"), ("confirm_card_data", "N7")),
        (
            "chargeDeclinedProcessingError",
            ("processing_error", "processing_error"),
            ("try_again_later", "06"),
        ),
        ("chargeCustomerFail", ("card_declined", "generic_decline"), ("try_again_later", "01")),
    ],
)
def test_declined_payment_can_be_tried_with_another_card(
    shop: Shop, name: str, codes: tuple[str, str], advice: tuple[str, str]
) -> None:
    """The answer, the intent and the charge say why; the customer gets nothing; another card pays."""
    with pytest.raises(stripe.CardError) as raised:
        shop.pay(f"pm_card_{name}", setup_future_usage="off_session")
    error = raised.value.error
    assert error is not None
    assert error.payment_intent is not None
    assert (raised.value.http_status, error.code, error.decline_code) == (402, *codes)
    assert (error["advice_code"], error["network_decline_code"]) == advice
    intent = shop.payment(error.payment_intent.id, expand=["latest_charge"])
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert codes[0] == intent.last_payment_error.code == intent.latest_charge.failure_code
    assert shop.client.v1.payment_methods.list({"customer": shop.customer}, shop.there).data == []
    assert shop.events() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    paid = shop.client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}, shop.there)
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


@pytest.mark.parametrize(("succeeds", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_card_that_asks_for_its_holder(shop: Shop, *, succeeds: bool, status: str) -> None:
    """The intent waits until the holder has answered; nothing is paid or saved before."""
    waiting = shop.pay(
        "pm_card_authenticationRequired", setup_future_usage="off_session", return_url="https://example.com"
    )
    assert waiting.next_action is not None
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "redirect_to_url")
    assert shop.events()[-1] == "payment_intent.requires_action"
    assert shop.control(f"intents/{waiting.id}/authenticate", succeeds=succeeds).json()["status"] == status
    after = shop.payment(waiting.id)
    assert (after.status, after.next_action) == (status, None)
    saved = shop.client.v1.payment_methods.list({"customer": shop.customer}, shop.there).data
    assert len(saved) == int(succeeds)
    assert shop.control(f"intents/{waiting.id}/authenticate", succeeds=True).status_code == 400


def test_off_session_needs_a_card_that_was_set_up(shop: Shop) -> None:
    """The card that is authenticated once: refused off session before its setup, paid with after it."""
    name = "pm_card_authenticationRequiredOnSetup"
    attached = shop.client.v1.payment_methods.attach(name, {"customer": shop.customer}, shop.there)
    with pytest.raises(stripe.CardError) as raised:
        shop.pay(attached.id, off_session=True)
    assert raised.value.code == "authentication_required"
    setup = shop.save(attached.id)
    assert setup.status == "requires_action"
    shop.control(f"intents/{setup.id}/authenticate", succeeds=True)
    assert shop.pay(attached.id, off_session=True).status == "succeeded"
    assert shop.pay(attached.id).status == "requires_action"


def test_payment_is_held_captured_and_released(shop: Shop) -> None:
    """`capture_method=manual`: part of it is taken, or nothing."""
    held = shop.pay("pm_card_visa", capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
    intents = shop.client.v1.payment_intents
    with pytest.raises(stripe.InvalidRequestError, match="amount to capture"):
        intents.capture(held.id, {"amount_to_capture": 1001}, shop.there)
    taken = intents.capture(held.id, {"amount_to_capture": 400}, shop.there)
    assert (taken.status, taken.amount_received) == ("succeeded", 400)
    released = intents.cancel(shop.pay("pm_card_visa", capture_method="manual").id, {}, shop.there)
    assert (released.status, released.amount_capturable) == ("canceled", 0)
    charge = shop.client.v1.charges.retrieve(str(released.latest_charge), {}, shop.there)
    assert (charge.refunded, charge.captured) == (True, False)
    for ended in (taken, released):
        for act in (intents.confirm, intents.cancel, intents.capture):
            with pytest.raises(stripe.InvalidRequestError) as raised:
                act(ended.id, {}, shop.there)
            assert raised.value.code == "payment_intent_unexpected_state"


def test_debit_is_processing_until_the_bank_has_answered(shop: Shop) -> None:
    """Way A with a bank account: the mandate is the account's, the method is saved, the money comes later."""
    with pytest.raises(stripe.InvalidRequestError, match="requires a mandate, but no existing mandate"):
        shop.pay(BANK, setup_future_usage="off_session")
    paid = shop.pay(BANK, setup_future_usage="off_session", mandate_data=MANDATE)
    assert paid.status == "processing"
    assert shop.method(paid.payment_method).customer == shop.customer
    assert shop.control("settle").json() == {"settled": [paid.id]}
    after = shop.payment(paid.id, expand=["latest_charge"])
    assert after.status == "succeeded"
    assert isinstance(after.latest_charge, stripe.Charge)
    details = after.latest_charge.payment_method_details
    assert details is not None
    assert details.us_bank_account is not None
    mandate = shop.client.v1.mandates.retrieve(str(details.us_bank_account.mandate), {}, shop.there)
    assert (mandate.status, mandate.type, mandate.payment_method) == (
        *("active", "multi_use"),
        paid.payment_method,
    )
    assert shop.events()[-7:] == [
        *("payment_intent.created", "mandate.updated", "charge.pending", "payment_method.attached"),
        *("payment_intent.processing", "charge.succeeded", "payment_intent.succeeded"),
    ]
    assert shop.pay(str(paid.payment_method), off_session=True).status == "processing"


def test_debit_that_the_bank_refuses(shop: Shop) -> None:
    paid = shop.pay("pm_usBankAccount_insufficientFunds", mandate_data=MANDATE)
    shop.control("settle")
    after = shop.payment(paid.id)
    assert after.last_payment_error is not None
    assert (after.status, after.last_payment_error.code) == ("requires_payment_method", "insufficient_funds")
    assert shop.events()[-2:] == ["charge.failed", "payment_intent.payment_failed"]


def test_debit_settles_by_the_clock(shop: Shop) -> None:
    paid = shop.pay(BANK, mandate_data=MANDATE)
    shop.web.post("/_emulator/clock", json={"advance_s": 6})
    assert shop.payment(paid.id).status == "succeeded"


def test_mandate_of_the_platform_does_not_count_for_a_clone(shop: Shop) -> None:
    """The stricter answer to an open question: the first debit of a clone brings its own permission."""
    methods, owner = shop.client.v1.payment_methods, shop.client.v1.customers.create({}).id
    saved = shop.client.v1.setup_intents.create(
        {"customer": owner, "payment_method": BANK, "confirm": True, "mandate_data": MANDATE}
    )
    clone = methods.create({"customer": owner, "payment_method": str(saved.payment_method)}, shop.there).id
    methods.attach(clone, {"customer": shop.customer}, shop.there)
    with pytest.raises(stripe.InvalidRequestError, match="requires a mandate"):
        shop.pay(clone, off_session=True)
    assert shop.pay(clone, off_session=True, mandate_data=MANDATE).status == "processing"


@pytest.mark.parametrize(
    "guess", [{"descriptor_code": "SM11AA"}, {"amounts": [45, 32]}], ids=["descriptor_code", "amounts"]
)
def test_typed_bank_account_is_verified_before_it_is_saved(shop: Shop, guess: Any) -> None:
    """Attaching is refused; a setup intent waits for what its owner found on the statement."""
    methods = shop.client.v1.payment_methods
    typed = methods.create(TYPED, shop.there).id
    with pytest.raises(stripe.InvalidRequestError, match="must be verified before they can be attached"):
        methods.attach(typed, {"customer": shop.customer}, shop.there)
    waiting = shop.save(typed, mandate_data=MANDATE)
    assert waiting.next_action is not None
    assert waiting.next_action.type == "verify_with_microdeposits"
    mandate = shop.client.v1.mandates.retrieve(str(waiting.mandate), {}, shop.there)
    assert (mandate.status, shop.method(typed).customer) == ("pending", None)
    verify = shop.client.v1.setup_intents.verify_microdeposits
    with pytest.raises(stripe.InvalidRequestError) as raised:
        verify(waiting.id, {"descriptor_code": "SM0000"}, shop.there)
    assert raised.value.code == "payment_method_microdeposit_verification_descriptor_code_mismatch"
    assert verify(waiting.id, guess, shop.there).status == "succeeded"
    assert shop.method(typed).customer == shop.customer
    assert shop.events()[-3:] == ["mandate.updated", "payment_method.attached", "setup_intent.succeeded"]


def test_bank_account_is_given_up_after_ten_guesses(shop: Shop) -> None:
    waiting = shop.pay(payment_method_data=TYPED, mandate_data=MANDATE, confirm=True)
    (made,) = shop.web.get(f"/_emulator/accounts/{shop.account}/state").json()["payment_methods"]
    assert made["id"] == waiting.payment_method
    verify = shop.client.v1.payment_intents.verify_microdeposits
    for _ in range(9):
        with pytest.raises(stripe.InvalidRequestError, match="attempts remaining"):
            verify(waiting.id, {"amounts": [1, 2]}, shop.there)
    with pytest.raises(stripe.CardError, match="exceeded"):
        verify(waiting.id, {"amounts": [1, 2]}, shop.there)
    assert shop.payment(waiting.id).status == "requires_payment_method"


def test_setup_saves_without_a_payment(shop: Shop) -> None:
    saved = shop.save("pm_card_visa")
    assert (saved.status, saved.usage) == ("succeeded", "off_session")
    assert shop.method(saved.payment_method).customer == shop.customer
    assert shop.events() == ["setup_intent.created", "payment_method.attached", "setup_intent.succeeded"]


def test_what_is_said_of_an_intent_is_shown(shop: Shop) -> None:
    """Options of its types, at its creation and its confirmation, and the account it is for."""
    three_d_secure: Any = {"card": {"request_three_d_secure": "any"}}
    made = shop.client.v1.setup_intents.create(
        {"payment_method_options": three_d_secure, "on_behalf_of": shop.account}
    )
    confirm: Any = {
        "payment_method": "pm_card_visa",
        "payment_method_options": {"us_bank_account": {"verification_method": "microdeposits"}},
    }
    shown = shop.client.v1.setup_intents.confirm(made.id, confirm)
    assert shown.payment_method_options is not None
    assert shown.payment_method_options.card is not None
    assert shown.payment_method_options.us_bank_account is not None
    assert (shown.status, shown.on_behalf_of) == ("succeeded", shop.account)
    assert shown.payment_method_options.card.request_three_d_secure == "any"
    assert shown.payment_method_options.us_bank_account.verification_method == "microdeposits"
    with pytest.raises(stripe.InvalidRequestError, match="No such account"):
        shop.client.v1.setup_intents.create({"on_behalf_of": "acct_1"})


def test_setup_of_a_bad_card(shop: Shop) -> None:
    with pytest.raises(stripe.CardError) as raised:
        shop.save("pm_card_chargeDeclined")
    error = raised.value.error
    assert error is not None
    assert error.setup_intent is not None
    assert (error.decline_code, error.setup_intent.status) == ("generic_decline", "requires_payment_method")
    assert shop.events() == ["setup_intent.created", "setup_intent.setup_failed"]


def test_intents_are_changed_listed_and_canceled(shop: Shop) -> None:
    payments, setups = shop.client.v1.payment_intents, shop.client.v1.setup_intents
    payment, setup = shop.pay(), shop.save()
    changed = payments.update(
        payment.id, {"amount": 2000, "metadata": {"a": "1"}, "payment_method": "pm_card_visa"}, shop.there
    )
    assert (changed.amount, changed.status) == (2000, "requires_confirmation")
    assert setups.update(setup.id, {"description": "x"}, shop.there).description == "x"
    mine: Any = {"customer": shop.customer}
    assert [each.id for each in payments.list(mine, shop.there).data] == [payment.id]
    assert [each.id for each in setups.list(mine, shop.there).data] == [setup.id]
    reason: Any = {"cancellation_reason": "abandoned"}
    assert payments.cancel(payment.id, reason, shop.there).cancellation_reason == "abandoned"
    assert setups.cancel(setup.id, reason, shop.there).status == "canceled"
    assert shop.events()[-2:] == ["payment_intent.canceled", "setup_intent.canceled"]


@pytest.mark.parametrize(
    ("said", "code", "param", "text"),
    [
        ({"amount": 49}, "amount_too_small", "amount", "at least $0.50 usd"),
        ({"amount": 0}, "parameter_invalid_integer", "amount", "greater than or equal to 1"),
        ({"currency": "dollars"}, None, "currency", "Invalid currency"),
        ({"customer": "cus_1"}, "resource_missing", "customer", "No such customer"),
        ({"payment_method": "pm_1"}, "resource_missing", "payment_method", "No such PaymentMethod"),
        ({"payment_method": "{attached}", "customer": ""}, "parameter_invalid_empty", "customer", "empty"),
        ({"payment_method": "{attached}"}, None, "payment_method", "does not belong to the Customer"),
        ({"off_session": "true"}, None, "off_session", "can only be used with `confirm`"),
        ({"confirm": "true"}, "payment_intent_unexpected_state", None, "missing a payment method"),
        (
            {"allowed_payment_method_types[]": "us_bank_account", "payment_method": "pm_card_visa"},
            *("payment_intent_incompatible_payment_method", "payment_method", "is not allowed"),
        ),
        ({"transfer_data[destination]": "acct_1"}, None, "transfer_data", "does not support"),
        ({"client_secret": "x"}, "parameter_unknown", "client_secret", "unknown parameter"),
    ],
)
def test_bad_payment_is_refused(
    shop: Shop, said: dict[str, Any], code: str | None, param: str | None, text: str
) -> None:
    """Nothing is made by a refusal."""
    stranger = shop.client.v1.customers.create({}, shop.there).id
    attached = shop.client.v1.payment_methods.attach("pm_card_visa", {"customer": stranger}, shop.there).id
    said = {
        name: value.format(attached=attached) if isinstance(value, str) else value
        for name, value in said.items()
    }
    form = {"amount": 1000, "currency": "usd", "customer": shop.customer, **said}
    answer = shop.web.post("/v1/payment_intents", data=form, headers={"Stripe-Account": shop.account})
    error = answer.json()["error"]
    assert (answer.status_code, error.get("code"), error.get("param")) == (400, code, param)
    assert text in error["message"]
    assert shop.client.v1.payment_intents.list({}, shop.there).data == []


@pytest.mark.parametrize("noun", ["payment_intents", "setup_intents"])
def test_payment_method_types_are_gone_from_the_newest_version(web: httpx.Client, noun: str) -> None:
    """A call of an older version, or of none, may still name them; the SDK's version may not."""
    form = {"payment_method_types[]": "card"}
    if noun == "payment_intents":
        form |= {"amount": "1000", "currency": "usd"}

    def types(**headers: str) -> Any:
        return web.post(f"/v1/{noun}", data=form, headers=headers).json()

    for headers in ({}, {"Stripe-Version": "2026-06-24.dahlia"}):
        made = types(**headers)
        assert (made["payment_method_types"], made["automatic_payment_methods"]) == (["card"], None)
    error = types(**{"Stripe-Version": "2026-09-30.endive"})["error"]
    assert error["code"] == "payment_method_types_no_longer_supported"


def test_intent_with_its_secret_only(shop: Shop) -> None:
    """Whoever names a secret names the intent's own."""
    made = shop.pay()
    assert shop.payment(made.id, client_secret=made.client_secret).id == made.id
    with pytest.raises(stripe.InvalidRequestError, match="does not match any associated PaymentIntent"):
        shop.payment(made.id, client_secret="pi_1_secret_2")


def test_issuer_renews_a_saved_card(shop: Shop) -> None:
    """A new expiry keeps the fingerprint, a new number does not; the account is told what it was."""
    methods = shop.client.v1.payment_methods
    card = methods.attach("pm_card_visa", {"customer": shop.customer}, shop.there)
    assert card.card is not None
    month = card.card.exp_month % 12 + 1
    renewed = shop.control(f"payment_methods/{card.id}/renew", exp_month=month, exp_year=2040).json()["card"]
    assert (renewed["exp_month"], renewed["fingerprint"]) == (month, card.card.fingerprint)
    said = {"exp_month": 4, "exp_year": 2041, "number": "5555555555554444"}
    replaced = shop.control(f"payment_methods/{card.id}/renew", **said).json()["card"]
    assert (replaced["last4"], replaced["brand"]) == ("4444", "mastercard")
    assert replaced["fingerprint"] != card.card.fingerprint
    last, first = shop.client.v1.events.list(
        {"type": "payment_method.automatically_updated"}, shop.there
    ).data
    before: Any = [each.to_dict()["data"]["previous_attributes"] for each in (first, last)]
    assert before[0]["card"] == {"exp_month": card.card.exp_month, "exp_year": card.card.exp_year}
    assert before[1]["card"]["fingerprint"] == card.card.fingerprint
    loose = methods.create({"type": "card", "card": {"token": "tok_visa"}}, shop.there).id
    assert shop.control(f"payment_methods/{loose}/renew", exp_month=3, exp_year=2040).status_code == 400
    for bad in ({"exp_month": 13, "exp_year": 2040}, {"exp_month": 1, "exp_year": 2020}, {"exp_month": 1}):
        assert shop.control(f"payment_methods/{card.id}/renew", **bad).status_code == 400


def test_what_a_publishable_key_may_do(shop: Shop) -> None:
    """A browser makes a method and confirms an intent whose secret it has; the rest is a server's."""
    url = f"{shop.web.base_url}/v1"
    said = {"key": "pk_test_emulator0000000000", "_stripe_account": shop.account}

    def send(path: str, **form: str) -> httpx.Response:
        return httpx.post(f"{url}/{path}", data={**said, **form}, trust_env=False)

    made = send("payment_methods", type="card", **{"card[token]": "tok_visa"}).json()
    intent = shop.pay(setup_future_usage="off_session")
    secret = str(intent.client_secret)
    confirm = f"payment_intents/{intent.id}/confirm"
    no_secret = send(confirm, payment_method=made["id"])
    assert no_secret.json()["error"]["param"] == "client_secret"
    wrong = send(confirm, payment_method=made["id"], client_secret=f"{intent.id}_secret_x")
    assert "does not match any associated PaymentIntent" in wrong.json()["error"]["message"]
    assert shop.payment(intent.id).status == "requires_payment_method"
    assert send(confirm, payment_method=made["id"], client_secret=secret).json()["status"] == "succeeded"
    look = {**said, "client_secret": secret}
    shown = httpx.get(f"{url}/payment_intents/{intent.id}", params=look, trust_env=False)
    assert shown.json()["status"] == "succeeded"
    for refused in (
        send("customers"),
        send("payment_methods", payment_method=made["id"]),
        send(f"payment_intents/{intent.id}/cancel", client_secret=secret),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "secret_key_required")
    log = shop.web.get("/_emulator/log", params={"account": shop.account, "path": f"/v1/{confirm}"})
    assert [call["parameters"] for call in log.json()["calls"]] == [{"payment_method": made["id"]}] * 3
