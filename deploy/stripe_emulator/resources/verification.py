"""What a customer does for an intent that waits: say what a microdeposit was, or prove who they are.

[doc] docs.stripe.com/payments/ach-direct-debit, "Verify bank account with microdeposits"; testing#3d-secure.
"""

from deploy.stripe_emulator import banks, errors, payment_errors
from deploy.stripe_emulator.behaviour import Decline
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.model import Call, Intent
from deploy.stripe_emulator.resources import intents, paying, setup_intents
from deploy.stripe_emulator.shapes import JsonObject

READS = ("amounts", "descriptor_code")
WAITS = "requires_action"
_NOT_AUTHENTICATED = (
    "We are unable to authenticate your payment method. "
    "Please choose a different payment method and try again."
)
_TOO_OFTEN = Decline(
    "payment_method_microdeposit_verification_attempts_exceeded",
    "You have exceeded the number of allowed verification attempts.",
)


def verify_payment(call: Call) -> JsonObject:
    """Verify the bank account of a payment intent."""
    noun = paying.NOUN
    intent = intents.find(call, noun, call.account.payment_intents)
    _verify(call, noun, intent)
    paying.proceed(call, intent)
    return intent.body


def verify_setup(call: Call) -> JsonObject:
    """Verify the bank account of a setup intent."""
    noun = setup_intents.NOUN
    intent = intents.find(call, noun, call.account.setup_intents)
    _verify(call, noun, intent)
    setup_intents.proceed(call, intent)
    return intent.body


def authenticate(call: Call, intent: Intent, *, holder: bool) -> None:
    """Let the card's holder prove who they are, or fail to; a decline that follows is in the intent."""
    action = intent.body["next_action"] or {"type": None}
    if intent.status != WAITS or action["type"] == "verify_with_microdeposits":
        raise ValueError(f"{intent.id} does not wait for its customer")
    module = paying if intent.id in call.account.payment_intents else setup_intents
    if holder:
        try:
            module.proceed(call, intent, authenticated=True)
        except StripeError:
            return
    else:
        method = call.account.payment_methods[intent.body["payment_method"]]
        decline = Decline(f"{module.NOUN.event}_authentication_failure", _NOT_AUTHENTICATED)
        intents.fail(call, module.NOUN, intent, method, decline)


def _verify(call: Call, noun: intents.Noun, intent: Intent) -> None:
    action = intent.body["next_action"] or {"type": None}
    if intent.status != WAITS or action["type"] != "verify_with_microdeposits":
        raise payment_errors.nothing_to_verify(noun.text, noun.event, intent.body)
    said = call.parameters
    if len(said.keys() & set(READS)) != 1:
        raise errors.invalid_value(
            "descriptor_code", "You must provide one of these parameters: amounts, descriptor_code."
        )
    method = call.account.payment_methods[intent.body["payment_method"]]
    right = said.get("descriptor_code") == banks.DESCRIPTOR_CODE or sorted(said.get("amounts", ())) == sorted(
        banks.AMOUNTS
    )
    if not right:
        intent.attempts_left -= 1
        if intent.attempts_left == 0:
            raise intents.fail(call, noun, intent, method, _TOO_OFTEN)
        raise payment_errors.microdeposit_mismatch("amounts" in said, intent.attempts_left)
    method.verified = True
