"""What nothing public answers (STRIPE.md 9): asked, taken down, printed, and never asserted.

At the emulator the answers are what it assumes. The product is to be right under either answer.

The API of a sandbox cannot be asked, and so this is not here: what live mode says about an account without
the capability; whose rate limit a call on an account counts on (a sandbox must not be load tested); whether
clones get an issuer's card updates by themselves; how long Stripe waits for a webhook's answer, and how large
a webhook is at most.
"""

import uuid
from functools import partial
from typing import Any

import pytest
import stripe

from tests.conformance.both.platform import CARD, Platform
from tests.conformance.both.questions import Answers
from tests.conformance.both.stripes import RESTRICTED_KEY, SANDBOX, sandbox

pytestmark = pytest.mark.unknown

BILLING: Any = {"name": "Ada Lovelace", "address": {"postal_code": "10115"}}
BANK = "pm_usBankAccount_success"
MANDATE_DATA: Any = {"mandate_data": {"customer_acceptance": {"type": "offline"}}}
BANK_ACCOUNT: Any = {
    "type": "us_bank_account",
    "billing_details": {"name": "Ada Lovelace"},
    "us_bank_account": {
        "account_holder_type": "individual",
        "account_number": "000123456789",
        "routing_number": "110000000",
    },
}


@pytest.mark.parametrize(
    "more",
    [{"metadata": {"a": "1"}}, {"billing_details": BILLING}, {"allow_redisplay": "always"}],
    ids=lambda more: next(iter(more)),
)
def test_clone_call_with_more(platform: Platform, answers: Answers, more: dict[str, Any]) -> None:
    """9.1: may the clone call carry more than `customer` and `payment_method`?"""
    customer, card = platform.saved_card()
    (name,) = more
    answers.ask(
        f"9.1 the clone call with {name}",
        lambda: platform.clone(card.id, customer, **more),
        lambda clone: f"{name} of the clone: {clone[name]}",
    )


def test_what_a_clone_carries_over(platform: Platform, answers: Answers) -> None:
    """9.1: do the original's metadata, billing details and allow_redisplay come with it?"""
    customer, card = platform.saved_card()
    platform.client.v1.payment_methods.update(
        card.id, {"metadata": {"a": "1"}, "billing_details": BILLING, "allow_redisplay": "always"}
    )
    carried = ("metadata", "billing_details", "allow_redisplay")
    answers.ask(
        "9.1 what a clone carries over",
        lambda: platform.clone(card.id, customer),
        lambda clone: {name: clone[name] for name in carried},
    )


def test_bank_account_that_was_never_verified(platform: Platform, answers: Answers) -> None:
    """9.2: can it be attached, can it be cloned?"""
    customer = platform.customer()
    methods = platform.client.v1.payment_methods
    bank = methods.create(BANK_ACCOUNT)
    answers.ask(
        "9.2 attaching an unverified bank account on the platform",
        lambda: methods.attach(bank.id, {"customer": customer}),
        lambda attached: f"customer {attached.customer}",
    )
    owner = methods.retrieve(bank.id).customer
    answers.ask(
        f"9.2 cloning an unverified bank account, {'attached' if owner else 'of nobody'}",
        lambda: platform.clone(bank.id, customer if owner else None),
        lambda clone: clone.us_bank_account,
    )


def test_mandate_of_a_cloned_bank_account(platform: Platform, answers: Answers) -> None:
    """9.2: does the first charge of a cloned bank account need `mandate_data`, and which mandate has it?"""
    customer = platform.customer()
    methods = platform.client.v1.payment_methods
    save: Any = {"customer": customer, "payment_method": BANK, "confirm": True, **MANDATE_DATA}
    saved = answers.ask(
        "9.2 saving a bank account on the platform, with a mandate",
        lambda: platform.client.v1.setup_intents.create(save),
        lambda intent: f"{intent.status}, next action {intent.next_action}, mandate {intent.mandate}",
    )
    if saved is not None and saved.status == "requires_action":
        saved = answers.ask(
            "9.2 verifying it",
            lambda: platform.client.v1.setup_intents.verify_microdeposits(
                saved.id, {"descriptor_code": "SM11AA"}
            ),
            lambda intent: intent.status,
        )
    if saved is None:
        return
    clone = answers.ask(
        "9.2 cloning a verified bank account",
        lambda: platform.clone(str(saved.payment_method), customer),
        lambda clone: clone.type,
    )
    if clone is None:
        return
    owner = platform.connected_customer()
    answers.ask(
        "9.2 attaching the cloned bank account",
        lambda: methods.attach(clone.id, {"customer": owner}, platform.there),
        lambda attached: f"customer {attached.customer}",
    )
    charge: Any = {
        "amount": 1000,
        "currency": "usd",
        "customer": owner,
        "payment_method": clone.id,
        "off_session": True,
        "confirm": True,
        "expand": ["latest_charge"],
    }
    without: Any = {}
    for question, more in (("without", without), ("with", MANDATE_DATA), ("again without", without)):
        said: Any = charge | more
        paid = answers.ask(
            f"9.2 charging the cloned bank account {question} mandate_data",
            partial(platform.client.v1.payment_intents.create, said, platform.there),
            lambda intent: f"{intent.status}, {intent.latest_charge.payment_method_details}",
        )
        mandate = paid and paid.latest_charge.payment_method_details.us_bank_account.mandate
        if mandate:
            answers.ask(
                f"9.2 the mandate of the charge {question} mandate_data, asked of the account",
                partial(platform.client.v1.mandates.retrieve, mandate, {}, platform.there),
                lambda found: f"{found.status} {found.type}",
            )


def test_words_of_refusals(platform: Platform, answers: Answers) -> None:
    """9.3: status, code and text of what cannot be cloned."""
    _, card = platform.saved_card()
    other, _ = platform.saved_card()
    spent = platform.loose_card()
    platform.clone(spent.id)
    direct_debit = answers.ask(
        "9.3 making a method of type sepa_debit",
        lambda: platform.client.v1.payment_methods.create(
            {
                "type": "sepa_debit",
                "sepa_debit": {"iban": "DE89370400440532013000"},
                "billing_details": {"name": "Ada", "email": "ada@example.com"},
            }
        ),
        lambda made: made.type,
    )
    for question, method, owner in (
        ("without the customer of an attached original", card.id, None),
        ("with another customer", card.id, other),
        ("with a customer that is not there", card.id, "cus_none"),
        ("of a consumed original", spent.id, None),
        ("of a method that is not there", "pm_none", None),
        ("of a type that cannot be cloned", direct_debit.id if direct_debit else "pm_none", None),
    ):
        answers.ask(
            f"9.3 a clone {question}",
            partial(platform.clone, method, owner),
            lambda clone: clone.id,
        )


def test_idempotency_keys_of_two_accounts(platform: Platform, answers: Answers) -> None:
    """9.4: is a key that was used on the platform free on a connected account?"""
    key = f"conformance-{uuid.uuid4()}"
    first = platform.client.v1.customers.create({"name": "Ada"}, {"idempotency_key": key})
    platform.adopt(first.id)
    answers.ask(
        "9.4 the platform's idempotency key, used again on an account",
        lambda: platform.client.v1.customers.create(
            {"name": "Grace"}, {**platform.there, "idempotency_key": key}
        ),
        lambda made: "a second customer" if made.id != first.id else "the platform's customer again",
    )


def test_restricted_key(platform: Platform, answers: Answers) -> None:
    """9.6: which of the product's calls a restricted key may make; its rights are set in the Dashboard."""
    restricted = sandbox(key=RESTRICTED_KEY) if platform.leg.name == SANDBOX else None
    if restricted is None:
        pytest.skip(f"{RESTRICTED_KEY} is not set, or this is the emulator")
    customer, card = platform.saved_card()
    owner, clone = platform.attached_clone()
    http = stripe.RequestsClient()
    client = stripe.StripeClient(
        restricted.key, base_addresses={"api": restricted.api_base}, max_network_retries=2, http_client=http
    )
    methods, customers, there = client.v1.payment_methods, client.v1.customers, platform.there
    named: Any = {"customer": customer, "payment_method": card.id}
    for question, call in (
        ("clone", lambda: methods.create(named, there)),
        ("make a customer of an account", lambda: customers.create({}, there)),
        ("attach", lambda: methods.attach(CARD, {"customer": owner}, there)),
        ("update a clone", lambda: methods.update(clone.id, {"metadata": {"a": "1"}}, there)),
        ("set a default", lambda: customers.update(owner, {"name": "Ada"}, there)),
        ("detach", lambda: methods.detach(clone.id, {}, there)),
        ("read a method", lambda: methods.retrieve(card.id)),
        ("read a customer", lambda: customers.retrieve(customer)),
        ("read an account", lambda: client.v1.accounts.retrieve(platform.account)),
        ("list accounts", lambda: client.v1.accounts.list({"limit": 1})),
        ("list events of an account", lambda: client.v1.events.list({"limit": 1}, there)),
    ):
        answers.ask(f"9.6 with the restricted key: {question}", call, lambda made: made["object"])
    http.close()  # type: ignore[no-untyped-call]


def test_thin_events(platform: Platform, answers: Answers) -> None:
    """9.7: what a thin event of an account looks like when it is fetched; what is pushed is not seen here."""
    platform.attached_clone()
    answers.ask(
        "9.7 the newest thin event of an account",
        lambda: platform.client.raw_request("get", "/v2/core/events?limit=1", **platform.there),
        lambda answer: answer.data,
    )


def test_original_of_a_v2_account(platform: Platform, answers: Answers) -> None:
    """9.9: can a method that belongs to an account-as-customer be cloned?"""
    owner = answers.ask(
        "9.9 making an account that is a customer",
        lambda: platform.client.v2.core.accounts.create(
            {"contact_email": "ada@example.com", "configuration": {"customer": {}}}
        ),
        lambda made: made.id,
    )
    if owner is None:
        return
    card = answers.ask(
        "9.9 attaching a card to it",
        lambda: platform.client.v1.payment_methods.attach(CARD, {"customer_account": owner.id}),
        lambda attached: f"customer {attached.customer}, customer_account {attached.customer_account}",
    )
    if card is not None:
        for name in ("customer", "customer_account"):
            named: Any = {"payment_method": card.id, name: owner.id}
            answers.ask(
                f"9.9 cloning it, the account named as {name}",
                partial(platform.client.v1.payment_methods.create, named, platform.there),
                lambda clone: clone.id,
            )
    answers.ask(
        "9.9 closing that account",
        lambda: platform.client.v2.core.accounts.close(owner.id, {"applied_configurations": ["customer"]}),
        lambda closed: closed.closed,
    )


@pytest.mark.parametrize(
    "change",
    [{"card": {"exp_month": 3, "exp_year": 2040}}, {"billing_details": BILLING}, {"metadata": {"a": "1"}}],
    ids=lambda change: next(iter(change)),
)
def test_updating_a_clone_in_place(platform: Platform, answers: Answers, change: Any) -> None:
    """Does an attached clone take what a method that was made there takes?"""
    _, clone = platform.attached_clone()
    (name,) = change
    answers.ask(
        f"updating {name} of a clone in place",
        lambda: platform.client.v1.payment_methods.update(clone.id, change, platform.there),
        lambda updated: {part: updated[name][part] for part in change[name]},
    )
