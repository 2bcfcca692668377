"""Payment intents: what is to be paid, and how far it has got.

[doc] docs.stripe.com/api/payment_intents, payments/save-during-payment; [rec] openfoodnetwork, StripeSCA.
"""

import copy
import re
from collections.abc import Mapping

from deploy.stripe_emulator import errors, ids, pages, payment_errors, payment_shapes
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod
from deploy.stripe_emulator.resources import charges, intents, mandates, paying
from deploy.stripe_emulator.resources.paying import NOUN
from deploy.stripe_emulator.shapes import JsonObject

CONFIRMATION = ("off_session", "error_on_requires_action", "mandate", "mandate_data", "return_url")
TEXTS = ("receipt_email", "statement_descriptor", "statement_descriptor_suffix", "transfer_group")
UPDATE_READS = (
    *intents.UPDATE_READS,
    *("amount", "currency", "setup_future_usage", "shipping", "application_fee_amount", "capture_method"),
    *TEXTS,
)
CONFIRM_READS = (
    *intents.CONFIRM_READS,
    *("off_session", "error_on_requires_action", "mandate", "setup_future_usage", "receipt_email"),
    *("capture_method", "shipping"),
)
CREATE_READS = (*intents.CREATE_READS, *UPDATE_READS, *CONFIRM_READS, "confirmation_method")
UPDATABLE = intents.CONFIRMABLE

MINIMUMS: Mapping[str, tuple[int, str]] = {
    "aud": (50, "$0.50"),
    "cad": (50, "$0.50"),
    "eur": (50, "€0.50"),
    "gbp": (30, "£0.30"),
    "nzd": (50, "$0.50"),
    "usd": (50, "$0.50"),
}
"""The least that can be paid, in the currency's smallest unit ([doc] currencies#minimum-and-maximum)."""

DEBIT_OF: Mapping[str, str] = {
    "aud": "au_becs_debit",
    "cad": "acss_debit",
    "eur": "sepa_debit",
    "gbp": "bacs_debit",
    "usd": "us_bank_account",
}
"""What an account's Dashboard offers beside cards: the debit of the currency. Nothing of it redirects."""


def create(call: Call) -> JsonObject:
    """Make a payment intent, and with `confirm` try to have it paid at once."""
    said, created = call.parameters, call.world.now()
    intents.only_when_confirming(call, CONFIRMATION)
    intent_id = ids.payment_id("pi", call.account.id, created)
    body = payment_shapes.payment_intent(
        intent_id,
        created=created,
        amount=said["amount"],
        currency=said["currency"].lower(),
        client_secret=ids.client_secret(intent_id),
        application=call.application,
    )
    body["confirmation_method"] = said.get("confirmation_method", "automatic")
    intent = Intent(body)
    intent.body = _described(call, intent)
    method = _ready(call, intent, made=True) if said.get("confirm") else None
    call.account.payment_intents[intent.id] = intent
    NOUN.emit(call, "created", intent)
    if method is not None:
        intents.begin(call, NOUN, intent, method)
        paying.proceed(call, intent)
    return intent.body


def retrieve(call: Call) -> JsonObject:
    """Show a payment intent."""
    return _named(call).body


def update(call: Call) -> JsonObject:
    """Change a payment intent that was not paid; no event tells of it."""
    intent = _named(call)
    if intent.status not in UPDATABLE:
        for name in call.parameters.keys() - {"metadata", "description", "receipt_email"}:
            raise payment_errors.not_updatable(NOUN.text, NOUN.event, name, intent.body, UPDATABLE)
    intent.body = _described(call, intent)
    call.effects.append("payment_intent.updated")
    return intent.body


def confirm(call: Call) -> JsonObject:
    """Try to have a payment intent paid."""
    intent = _named(call)
    method = _ready(call, intent, made=False)
    intent.body = _with_payment(call, intent)
    intents.begin(call, NOUN, intent, method)
    paying.proceed(call, intent)
    return intent.body


def capture(call: Call) -> JsonObject:
    """Take what a payment intent only holds."""
    intent = _named(call)
    if intent.status != "requires_capture":
        raise payment_errors.not_capturable(intent.body)
    held: int = intent.body["amount_capturable"]
    amount: int = call.parameters.get("amount_to_capture", held)
    if not 1 <= amount <= held:
        raise payment_errors.captures_too_much(held)
    charges.capture(call, intent.body["latest_charge"], amount)
    paying.paid(call, intent, amount)
    return intent.body


def cancel(call: Call) -> JsonObject:
    """End a payment intent."""
    intent = _named(call)
    held = intent.status == "requires_capture"
    intents.cancel(call, NOUN, intent)
    intent.body.update(canceled_at=call.world.now(), amount_capturable=0, processing=None)
    if held:
        charges.release(call, intent.body["latest_charge"])
    NOUN.emit(call, "canceled", intent)
    return intent.body


def list_all(call: Call) -> JsonObject:
    """List payment intents, of a customer or all."""
    said = call.parameters
    bodies = (each.body for each in reversed(call.account.payment_intents.values()))
    return pages.page(
        "/v1/payment_intents",
        "payment_intent",
        bodies,
        said,
        keep=lambda body: (
            said.get("customer") in (None, body["customer"])
            and pages.created_within(body, said.get("created"))
        ),
    )


def _ready(call: Call, intent: Intent, *, made: bool) -> PaymentMethod:
    """Give the payment method to confirm with, and find its mandate: what is refused here changes nothing."""
    method = intents.method_to_confirm(call, NOUN, intent, made=made)
    body = _with_payment(call, intent)
    once = {"amount": body["amount"], "currency": body["currency"]}
    mandates.accept(call, NOUN, intent, method, once=None if body["setup_future_usage"] else once)
    return method


def _named(call: Call) -> Intent:
    return intents.find(call, NOUN, call.account.payment_intents)


def _described(call: Call, intent: Intent) -> JsonObject:
    """Give the body with all that the call says; the intent itself is left as it is."""
    draft = Intent(_with_payment(call, intent))
    return intents.describe(
        call, NOUN, draft, ["card", *filter(None, [DEBIT_OF.get(draft.body["currency"])])]
    )


def _with_payment(call: Call, intent: Intent) -> JsonObject:
    """Give the body with what the call says of the payment."""
    said, body = call.parameters, copy.deepcopy(intent.body)
    body["amount"] = said.get("amount", body["amount"])
    body["currency"] = str(said.get("currency", body["currency"])).lower()
    _check_money(body["amount"], body["currency"])
    for name in (*TEXTS, "setup_future_usage", "application_fee_amount", "capture_method", "shipping"):
        if name in said:
            body[name] = said[name] or None
    return body


def _check_money(amount: int, currency: str) -> None:
    if not re.fullmatch("[a-z]{3}", currency):
        raise errors.invalid_value("currency", f"Invalid currency: {currency}.")
    least, text = MINIMUMS.get(currency, (1, "1"))
    if amount < 1:
        raise payment_errors.not_positive("amount")
    if amount < least:
        raise payment_errors.amount_too_small(text, currency)
