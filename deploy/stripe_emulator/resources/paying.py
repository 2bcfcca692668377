"""How a payment intent is paid: at once by a card, days later by a bank, or not.

[doc] docs.stripe.com/payments/paymentintents/lifecycle, payments/save-during-payment, testing.
"""

from deploy.stripe_emulator import payment_shapes
from deploy.stripe_emulator.banks import DEBITS
from deploy.stripe_emulator.behaviour import AUTHENTICATION_REQUIRED, Decline
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod, World
from deploy.stripe_emulator.resources import charges, intents, mandates
from deploy.stripe_emulator.resources.intents import Noun

NOUN = Noun(
    text="PaymentIntent",
    missing="payment_intent",
    event="payment_intent",
    failed="payment_failed",
    error="last_payment_error",
    cards_have_installments=True,
)
SETTLES_AFTER_S = 5.0
"""How long a debit is `processing`; at Stripe up to four business days, in a sandbox moments."""


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
        paid(call, intent, intent.body["amount"])
    else:
        intents.fail(call, NOUN, intent, method, decline, charge=charge_id)


def _charge(call: Call, intent: Intent, method: PaymentMethod) -> None:
    captured = intent.body["capture_method"] != "manual"
    charges.make(call, intent, method, "succeeded", captured=captured)
    _use(call, intent, method)
    if captured:
        paid(call, intent, intent.body["amount"])
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


def paid(call: Call, intent: Intent, amount: int) -> None:
    """End a payment well."""
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
