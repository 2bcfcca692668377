"""Payment intents: what is to be paid, and how far it has got.

[doc] docs.stripe.com/api/payment_intents, payments/save-during-payment; [rec] openfoodnetwork, StripeSCA.
"""

import copy
import re
from collections.abc import Mapping

from deploy.stripe_emulator import errors, ids, pages, payment_errors, payment_shapes
from deploy.stripe_emulator.banks import DEBITS
from deploy.stripe_emulator.behaviour import AUTHENTICATION_REQUIRED, Decline
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod, World
from deploy.stripe_emulator.resources import charges, intents, mandates
from deploy.stripe_emulator.resources.intents import Noun
from deploy.stripe_emulator.shapes import JsonObject

NOUN = Noun("PaymentIntent", "payment_intent", "payment_intent", "payment_failed", "last_payment_error")
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
SETTLES_AFTER_S = 5.0
"""How long a debit is `processing`; at Stripe up to four business days, in a sandbox moments."""

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
        intents.begin(call, intent, method)
        proceed(call, intent)
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
    intents.begin(call, intent, method)
    proceed(call, intent)
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
    _paid(call, intent, amount)
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
    bodies = [
        each.body
        for each in reversed(call.account.payment_intents.values())
        if said.get("customer") in (None, each.body["customer"])
        and pages.created_within(each.body, said.get("created"))
    ]
    return pages.page("/v1/payment_intents", "payment_intent", bodies, said)


def proceed(call: Call, intent: Intent, *, authenticated: bool = False) -> None:
    """Take a confirmed intent as far as it goes by itself; a decline is StripeError 402."""
    method = call.account.payment_methods[intent.body["payment_method"]]
    behaviour, debit = method.behaviour, method.body["type"] in DEBITS
    if not method.verified:
        intents.ask_for_microdeposits(call, NOUN, intent)
        return
    if not authenticated and behaviour.asks(off_session=intent.off_session, set_up=method.set_up):
        if intent.off_session or intent.refuses_action:
            raise _declined(call, intent, method, AUTHENTICATION_REQUIRED)
        intents.ask(call, NOUN, intent, payment_shapes.redirect(intent.id, call.parameters.get("return_url")))
        return
    decline = behaviour.declines or (None if debit else behaviour.declines_charge)
    if decline is not None:
        raise _declined(call, intent, method, decline)
    intent.body.update(next_action=None, last_payment_error=None)
    if debit:
        _debit(call, intent, method)
    else:
        _charge(call, intent, method)


def settle_due(world: World, now_s: float) -> None:
    """Let the banks answer the debits whose time has come."""
    waiting, world.settling = world.settling, []
    for account, intent in waiting:
        if intent.settles_s is not None and intent.settles_s <= now_s:
            settle(Call(world, account), intent)
        elif intent.settles_s is not None:
            world.settling.append((account, intent))


def next_settlement_s(world: World) -> float | None:
    """Say when the next debit is due, in seconds of the emulator's clock."""
    due = (intent.settles_s for _, intent in world.settling if intent.settles_s is not None)
    return min(due, default=None)


def settle(call: Call, intent: Intent) -> None:
    """Let the bank answer a debit."""
    method = call.account.payment_methods[intent.body["payment_method"]]
    decline = method.behaviour.declines_charge
    intent.settles_s, intent.body["processing"] = None, None
    charge_id = intent.body["latest_charge"]
    charges.settle(call, charge_id, decline)
    if decline is None:
        _paid(call, intent, intent.body["amount"])
    else:
        intents.fail(call, NOUN, intent, method, decline, charge=charge_id)


def _ready(call: Call, intent: Intent, *, made: bool) -> PaymentMethod:
    """Give the payment method to confirm with, and find its mandate: what is refused here changes nothing."""
    method = intents.method_to_confirm(call, NOUN, intent, made=made)
    body = _with_payment(call, intent)
    once = {"amount": body["amount"], "currency": body["currency"]}
    mandates.accept(call, NOUN, intent, method, once=None if body["setup_future_usage"] else once)
    return method


def _charge(call: Call, intent: Intent, method: PaymentMethod) -> None:
    captured = intent.body["capture_method"] != "manual"
    charges.make(call, intent, method, "succeeded", captured=captured)
    _use(call, intent, method)
    if captured:
        _paid(call, intent, intent.body["amount"])
    else:
        intent.body.update(status="requires_capture", amount_capturable=intent.body["amount"])
        NOUN.emit(call, "amount_capturable_updated", intent)


def _debit(call: Call, intent: Intent, method: PaymentMethod) -> None:
    mandates.activate(call, intent)
    charges.make(call, intent, method, "pending")
    _use(call, intent, method)
    intent.settles_s = call.world.clock.now_s() + SETTLES_AFTER_S
    call.world.settling.append((call.account, intent))
    intent.body.update(status="processing")
    NOUN.emit(call, "processing", intent)


def _paid(call: Call, intent: Intent, amount: int) -> None:
    intent.body.update(status="succeeded", amount_received=amount, amount_capturable=0)
    NOUN.emit(call, "succeeded", intent)


def _use(call: Call, intent: Intent, method: PaymentMethod) -> None:
    """Save the payment method if the intent says so; else one of nobody's is spent (STRIPE.md 1.4).

    One that is to be saved, but for no customer yet, can still be attached ([sdk] `setup_future_usage`).
    """
    usage = intent.body["setup_future_usage"]
    if usage is not None:
        intents.save(call, method, intent.body["customer"], off_session=usage == "off_session")
    else:
        _spend(call, method)


def _spend(call: Call, method: PaymentMethod) -> None:
    if method.customer is None:
        method.consumed = True
        call.effects.append("payment_method.consumed")


def _declined(call: Call, intent: Intent, method: PaymentMethod, decline: Decline) -> StripeError:
    """Give up; a payment method of nobody's is spent by the attempt (STRIPE.md 1.7, [3p] stripe-node#884)."""
    charge = charges.make(call, intent, method, "failed", decline=decline)
    _spend(call, method)
    return intents.fail(call, NOUN, intent, method, decline, charge=charge["id"])


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
