"""What payment intents and setup intents have in common: how they are described, confirmed and answered.

[doc] docs.stripe.com/payments/paymentintents/lifecycle, api/payment_intents, api/setup_intents; STRIPE.md 3.
A refusal changes nothing; a decline does, and its answer holds the intent as it then is.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.stripe_emulator import errors, metadata, payment_errors, payment_shapes
from deploy.stripe_emulator.behaviour import Decline
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod
from deploy.stripe_emulator.resources import attachment, method_types, payment_methods
from deploy.stripe_emulator.shapes import JsonObject

DATA = "payment_method_data"
BANK_ACCOUNT = ("account_holder_type", "account_number", "account_type", "routing_number")
DATA_READS = (
    *(f"{DATA}[{name}]" for name in ("type", "allow_redisplay", "billing_details", "metadata")),
    *(f"{DATA}[{name}]" for name in payment_methods.BARE_TYPES),
    *(f"{DATA}[us_bank_account][{name}]" for name in BANK_ACCOUNT),
)
CONFIRM_READS = (
    *("payment_method", *DATA_READS, *method_types.OPTION_READS),
    *("mandate_data", "return_url", "use_stripe_sdk"),
)
UPDATE_READS = (
    *("customer", "description", "metadata", "payment_method", *DATA_READS),
    *(method_types.ALLOWED, method_types.EXCLUDED),
    *method_types.OPTION_READS,
)
CREATE_READS = (*UPDATE_READS, *CONFIRM_READS, "confirm", method_types.AUTOMATIC, "on_behalf_of")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (
    *("requires_payment_method", "requires_capture", "requires_reauthorization"),
    *("requires_confirmation", "requires_action", "processing"),
)
ARRIVAL_S = 2 * 24 * 3600
"""How long a microdeposit is on its way."""


@dataclass(frozen=True, slots=True)
class Noun:
    """How one of the two kinds is called, in ids' errors, in texts, and in the names of its events."""

    text: str
    missing: str
    event: str
    failed: str
    error: str
    cards_have_installments: bool = False

    def emit(self, call: Call, what: str, intent: Intent) -> None:
        """Record an event about an intent, and the effect of the same name."""
        call.effects.append(f"{self.event}.{what}")
        call.emit(f"{self.event}.{what}", intent.body)


def find(call: Call, noun: Noun, intents: Mapping[str, Intent]) -> Intent:
    """Find the intent in the path among the acting account's: StripeError 404 for another's, or for none."""
    intent_id = call.path["intent"]
    found = intents.get(intent_id)
    if found is None:
        raise errors.missing_object(noun.missing, intent_id, "intent", in_path=True)
    if call.parameters.get("client_secret", found.body["client_secret"]) != found.body["client_secret"]:
        raise payment_errors.wrong_client_secret(noun.text, noun.missing)
    return found


def describe(call: Call, noun: Noun, intent: Intent, offered: Sequence[str]) -> JsonObject:
    """Give an intent's body with what a call says of it; nothing is changed yet.

    `offered` are the types that its currency can be paid with; nothing of the account's is redirected to.
    """
    said, body = call.parameters, copy.deepcopy(intent.body)
    if "customer" in said:
        body["customer"] = attachment.customer(call, said["customer"], "customer", in_path=False).body["id"]
    if "on_behalf_of" in said:
        body["on_behalf_of"] = _account(call, said["on_behalf_of"])
    if "description" in said:
        body["description"] = said["description"] or None
    body["metadata"] = metadata.merge(body["metadata"], said.get("metadata", {}))
    method_types.choose(body, said, offered, installments=noun.cards_have_installments)
    method = _chosen(call, said)
    if method is None and "customer" in said and body["payment_method"]:
        method = call.account.payment_methods[body["payment_method"]]
    if method is not None:
        _check(noun, body, method)
        body["payment_method"] = method.id
    if body["status"] in CONFIRMABLE[:2]:
        body["status"] = CONFIRMABLE[1] if body["payment_method"] else CONFIRMABLE[0]
    return body


def method_to_confirm(call: Call, noun: Noun, intent: Intent, *, made: bool) -> PaymentMethod:
    """Give the payment method that an intent is to be confirmed with; refuse what cannot be confirmed.

    `made` says that this very call made the intent, and chose its payment method.
    """
    if intent.status not in CONFIRMABLE:
        raise payment_errors.not_confirmable(noun.text, noun.event, intent.body)
    method = None if made else _chosen(call, call.parameters)
    if method is None and intent.body["payment_method"]:
        method = call.account.payment_methods[intent.body["payment_method"]]
    if method is None:
        raise payment_errors.no_payment_method(noun.text, noun.event, intent.body)
    _check(noun, intent.body, method)
    return method


def begin(call: Call, noun: Noun, intent: Intent, method: PaymentMethod) -> None:
    """Begin to confirm an intent with a payment method that was found to be good for it."""
    said = call.parameters
    method_types.choose_options(intent.body, said, installments=noun.cards_have_installments)
    intent.body.update(payment_method=method.id, status="requires_confirmation", next_action=None)
    intent.off_session = said.get("off_session", False) is not False
    intent.refuses_action = said.get("error_on_requires_action", False)


def ask(call: Call, noun: Noun, intent: Intent, action: JsonObject) -> None:
    """Leave an intent to its customer."""
    intent.body.update(status="requires_action", next_action=action)
    noun.emit(call, "requires_action", intent)


def ask_for_microdeposits(call: Call, noun: Noun, intent: Intent) -> None:
    """Send money to a bank account, so that its owner can say how much it was."""
    arrival = call.world.now() + ARRIVAL_S
    ask(call, noun, intent, payment_shapes.microdeposits(intent.id, arrival))


def fail(
    call: Call, noun: Noun, intent: Intent, method: PaymentMethod, decline: Decline, **more: str
) -> StripeError:
    """Give an intent up until it has another payment method; the answer is for the caller to raise.

    Source: [rec] openfoodnetwork, Stripe_PaymentIntentValidator.
    """
    attachment.check_security_code(method)
    facts: dict[str, Any] = {**decline.facts(), **more}
    shown = copy.deepcopy(method.body)
    body = intent.body
    body.update(payment_method=None, status="requires_payment_method", next_action=None)
    body[noun.error] = {**facts, "payment_method": shown}
    noun.emit(call, noun.failed, intent)
    return payment_errors.declined(decline.message, {**facts, noun.event: body, "payment_method": shown})


def save(call: Call, method: PaymentMethod, customer_id: str | None, *, off_session: bool) -> None:
    """Keep a payment method for the customer it was used by, if there is one."""
    method.set_up = method.set_up or off_session
    attachment.check_security_code(method)
    if customer_id is not None and method.customer is None:
        attachment.join(call, method, customer_id)


def cancel(call: Call, noun: Noun, intent: Intent) -> None:
    """End an intent that has not come to its end."""
    if intent.status not in CANCELABLE:
        raise payment_errors.not_cancelable(noun.text, noun.event, intent.body, CANCELABLE)
    intent.settles_s = None
    reason = call.parameters.get("cancellation_reason")
    intent.body.update(status="canceled", next_action=None, cancellation_reason=reason)


def only_when_confirming(call: Call, names: Sequence[str]) -> None:
    """Refuse at the creation what belongs to a confirmation ([doc] the rule, [infer] the text)."""
    if not call.parameters.get("confirm"):
        for name in names:
            if name in call.parameters:
                raise errors.invalid_value(
                    name, f"The parameter `{name}` can only be used with `confirm` set to true."
                )


def _account(call: Call, account_id: str) -> str:
    """Find the account that a platform's payment is for ([doc] connect/destination-charges#on-behalf-of)."""
    account = call.world.account(account_id)
    if account is None:
        raise errors.missing_object("account", account_id, "on_behalf_of", in_path=False)
    return account.id


def _chosen(call: Call, said: dict[str, Any]) -> PaymentMethod | None:
    if DATA in said and "payment_method" in said:
        raise errors.invalid_value(
            DATA, f"You may only specify one of these parameters: payment_method, {DATA}."
        )
    if DATA in said:
        return payment_methods.make(call, said[DATA], under=DATA)
    if "payment_method" in said:
        return attachment.find(call, said["payment_method"], "payment_method", in_path=False)
    return None


def _check(noun: Noun, body: JsonObject, method: PaymentMethod) -> None:
    if method.consumed:
        raise errors.consumed_on_use()
    if method.customer is not None and body["customer"] is None:
        raise errors.owner_not_named(method.id, method.customer)
    if method.customer is not None and method.customer != body["customer"]:
        raise errors.wrong_customer(method.id, body["customer"])
    kinds = body["payment_method_types"]
    if method.body["type"] not in kinds:
        raise payment_errors.incompatible_payment_method(noun.text, noun.event, method.body["type"], kinds)
