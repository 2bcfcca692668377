"""What refusals of intents say; the marks are those of `errors.py`."""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.stripe_emulator.errors import StripeError


def declined(message: str, facts: Mapping[str, Any]) -> StripeError:
    """Answer a charge or a setup that came to nothing; `facts` hold the intent as it is now ([rec])."""
    return StripeError(402, message, kind="card_error", more=facts)


def not_confirmable(noun: str, kind: str, intent: Mapping[str, Any]) -> StripeError:
    """Refuse to confirm what is past that ([3p] widely quoted for `succeeded`, [infer] for the others)."""
    status = intent["status"]
    why = (
        "it has already succeeded after being previously confirmed."
        if status == "succeeded"
        else f"it has a status of {status}."
    )
    return _unexpected_state(kind, f"You cannot confirm this {noun} because {why}", intent)


def wrong_client_secret(noun: str, kind: str) -> StripeError:
    """Refuse a secret that is not the intent's ([3p] widely quoted)."""
    return StripeError(
        400,
        f"The client_secret provided does not match any associated {noun} on this account. Ensure the "
        f"client_secret and the {kind} are of the same account.",
        param="client_secret",
    )


def no_payment_method(noun: str, kind: str, intent: Mapping[str, Any]) -> StripeError:
    """Refuse to confirm without a payment method ([3p] recorded by juspay/hyperswitch's tests)."""
    return _unexpected_state(
        kind,
        f"You cannot confirm this {noun} because it's missing a payment method. You can either update the "
        f"{noun} with a payment method and then confirm it again, or confirm it again directly with a "
        "payment method or ConfirmationToken.",
        intent,
    )


def not_cancelable(noun: str, kind: str, intent: Mapping[str, Any], statuses: Sequence[str]) -> StripeError:
    """Refuse to cancel what has ended ([3p] the text for a payment intent)."""
    return _unexpected_state(
        kind,
        f"You cannot cancel this {noun} because it has a status of {intent['status']}. Only a {noun} with "
        f"one of the following statuses may be canceled: {', '.join(statuses)}.",
        intent,
    )


def not_capturable(intent: Mapping[str, Any]) -> StripeError:
    """Refuse to capture what is not held ([3p] the text)."""
    return _unexpected_state(
        "payment_intent",
        f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
        "PaymentIntent with one of the following statuses may be captured: requires_capture.",
        intent,
    )


def not_updatable(
    noun: str, kind: str, name: str, intent: Mapping[str, Any], statuses: Sequence[str]
) -> StripeError:
    """Refuse to change what has been paid ([3p] the text)."""
    return _unexpected_state(
        kind,
        f"This {noun}'s {name} could not be updated because it has a status of {intent['status']}. You may "
        f"only update the {name} of a {noun} with one of the following statuses: {', '.join(statuses)}.",
        intent,
    )


def nothing_to_verify(noun: str, kind: str, intent: Mapping[str, Any]) -> StripeError:
    """Refuse to verify a bank account that no intent waits for ([infer])."""
    return _unexpected_state(
        kind, f"This {noun} does not wait for a bank account to be verified with microdeposits.", intent
    )


def _unexpected_state(kind: str, message: str, intent: Mapping[str, Any]) -> StripeError:
    return StripeError(400, message, code=f"{kind}_unexpected_state", more={kind: dict(intent)})


def microdeposit_mismatch(amounts: bool, attempts: int) -> StripeError:  # noqa: FBT001 - one of two texts
    """Refuse a wrong guess ([doc] ach-direct-debit/set-up-payment, the text for amounts)."""
    what, code = (
        ("amounts provided do not match the amounts that were", "amounts")
        if amounts
        else ("descriptor code provided does not match the one that was", "descriptor_code")
    )
    return StripeError(
        400,
        f"The {what} sent to the bank account. You have {attempts} verification attempts remaining.",
        code=f"payment_method_microdeposit_verification_{code}_mismatch",
    )


def incompatible_payment_method(noun: str, kind: str, given: str, types: Sequence[str]) -> StripeError:
    """Refuse a payment method of a type the intent does not take ([doc] error-codes, [infer] the text)."""
    return StripeError(
        400,
        f"The PaymentMethod provided ({given}) is not allowed for this {noun}. It takes: {', '.join(types)}.",
        code=f"{kind}_incompatible_payment_method",
        param="payment_method",
    )


def no_mandate(noun: str) -> StripeError:
    """Refuse to debit without permission ([3p] opencollective#6507, its first sentence)."""
    return StripeError(
        400,
        f"This {noun} requires a mandate, but no existing mandate was found. Collect mandate acceptance from "
        "the customer, and pass it as `mandate_data`.",
        param="mandate_data",
    )


def mandate_invalid(mandate_id: str) -> StripeError:
    """Refuse a mandate that is not active, or another's ([doc] error-codes, [infer] the text)."""
    return StripeError(
        400,
        f"The mandate {mandate_id} is not active for this PaymentMethod.",
        code="payment_intent_mandate_invalid",
        param="mandate",
    )


def not_positive(name: str) -> StripeError:
    """Refuse a number below one ([3p] quoted for amounts)."""
    return StripeError(
        400,
        "This value must be greater than or equal to 1.",
        code="parameter_invalid_integer",
        param=name,
    )


def amount_too_small(least: str, currency: str) -> StripeError:
    """Refuse an amount that costs more than it brings ([doc] error-codes#amount-too-small, [3p] the text)."""
    return StripeError(
        400, f"Amount must be at least {least} {currency}", code="amount_too_small", param="amount"
    )


def captures_too_much(held: int) -> StripeError:
    """Refuse to take more than is held ([doc] error-codes#amount-too-large, [infer] the text)."""
    return StripeError(
        400,
        f"The amount to capture has to be between 1 and what is held, {held}.",
        code="amount_too_large",
        param="amount_to_capture",
    )


def payment_method_types_gone() -> StripeError:
    """Refuse a parameter of older versions ([doc] changelog/endive/2026-09-30, [infer] the text)."""
    return StripeError(
        400,
        "The parameter `payment_method_types` is no longer supported. Use `allowed_payment_method_types` or "
        "`excluded_payment_method_types`.",
        code="payment_method_types_no_longer_supported",
        param="payment_method_types",
    )
