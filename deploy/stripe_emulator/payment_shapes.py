"""Intents, charges and mandates, as Stripe writes them.

A payment intent: [rec] openfoodnetwork, spec/fixtures/vcr_cassettes/Stripe-v19.3.1/Spree_Gateway_StripeSCA,
2026-08, field by field. A setup intent, a charge, a mandate: [doc] docs.stripe.com/api, and the SDK's typed
objects.
"""

import copy
from collections.abc import Sequence
from typing import Any

from deploy.stripe_emulator.shapes import JsonObject

OPTIONS: JsonObject = {
    "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"},
    "us_bank_account": {"verification_method": "automatic"},
}
"""What `payment_method_options` says of a type when nothing was said."""


def payment_intent(
    object_id: str,
    *,
    created: int,
    amount: int,
    currency: str,
    client_secret: str,
    application: str | None,
) -> JsonObject:
    """Give a payment intent that knows only how much is to be paid."""
    return {
        "id": object_id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": application,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": client_secret,
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": [],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shared_payment_granted_token": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }


def setup_intent(
    object_id: str, *, created: int, client_secret: str, application: str | None, usage: str
) -> JsonObject:
    """Give a setup intent that knows nothing yet."""
    return {
        "id": object_id,
        "object": "setup_intent",
        "allowed_payment_method_types": None,
        "application": application,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": client_secret,
        "created": created,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": [],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": usage,
    }


def payment_method_options(kinds: Sequence[str], *, installments: bool) -> JsonObject:
    """Give the options of the types that an intent takes; a payment intent's cards have `installments`."""
    options = {kind: copy.deepcopy(OPTIONS[kind]) for kind in kinds if kind in OPTIONS}
    if installments and "card" in options:
        options["card"] = {"installments": None, **options["card"]}
    return options


def charge(
    object_id: str,
    *,
    created: int,
    intent: JsonObject,
    payment_method: JsonObject,
    status: str,
    captured: bool,
    mandate: str | None,
    failure: JsonObject | None,
) -> JsonObject:
    """Give a charge of an intent's amount: `succeeded`, `pending` or `failed`."""
    kind = payment_method["type"]
    failed = status == "failed"
    return {
        "id": object_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured and not failed else 0,
        "amount_refunded": 0,
        "application": intent["application"],
        "application_fee": None,
        "application_fee_amount": intent["application_fee_amount"],
        "balance_transaction": None,
        "billing_details": copy.deepcopy(payment_method["billing_details"]),
        "calculated_statement_descriptor": None,
        "captured": captured and not failed,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": failure["code"] if failure else None,
        "failure_message": failure["message"] if failure else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": intent["on_behalf_of"],
        "outcome": _outcome(failure),
        "paid": status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": payment_method["id"],
        "payment_method_details": {"type": kind, kind: _charged(payment_method[kind], mandate)},
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }


def _charged(details: JsonObject, mandate: str | None) -> JsonObject:
    """Give what a charge shows of its payment method."""
    hidden = ("display_brand", "generated_from", "networks", "status_details", "three_d_secure_usage")
    shown = {name: copy.deepcopy(value) for name, value in details.items() if name not in hidden}
    if "brand" in details:
        shown.update(network=details["brand"], installments=None, three_d_secure=None)
    return {**shown, "mandate": mandate}


def _outcome(failure: JsonObject | None) -> JsonObject:
    codes = ("advice_code", "network_advice_code", "network_decline_code")
    said = {name: failure.get(name) if failure else None for name in codes}
    if failure is None:
        return {
            **said,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        **said,
        "network_status": "declined_by_network",
        "reason": failure.get("decline_code"),
        "risk_level": "normal",
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def mandate(
    object_id: str, *, kind: str, payment_method: str, acceptance: JsonObject, single_use: JsonObject | None
) -> JsonObject:
    """Give a mandate that waits to become active; `single_use` is the amount and currency of one that is."""
    use = "single_use" if single_use else "multi_use"
    return {
        "id": object_id,
        "object": "mandate",
        "customer_acceptance": acceptance,
        "livemode": False,
        use: single_use or {},
        "payment_method": payment_method,
        "payment_method_details": {"type": kind, kind: {}},
        "status": "pending",
        "type": use,
    }


def redirect(intent_id: str, return_url: str | None) -> JsonObject:
    """Give the `next_action` of a card whose issuer wants its holder: Stripe.js, or a page to be sent to."""
    if return_url is None:
        sdk: dict[str, Any] = {"type": "three_d_secure_redirect", "stripe_js": "https://hooks.stripe.com/"}
        return {"type": "use_stripe_sdk", "use_stripe_sdk": sdk}
    url = f"https://hooks.stripe.com/3d_secure_2/hosted?payment_intent={intent_id}"
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}


def microdeposits(intent_id: str, arrival: int) -> JsonObject:
    """Give the `next_action` of a bank account that nobody has verified ([doc] ach-direct-debit)."""
    return {
        "type": "verify_with_microdeposits",
        "verify_with_microdeposits": {
            "arrival_date": arrival,
            "hosted_verification_url": f"https://payments.stripe.com/microdeposit/{intent_id}",
            "microdeposit_type": "descriptor_code",
        },
    }
