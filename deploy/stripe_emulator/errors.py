"""Every refusal of an endpoint, in Stripe's words where they are known; `denials.py` has those before it.

One constructor an error. The mark in each docstring says where its text is from: [rec] a cassette in the
recordings folder, [doc] a page of Stripe's, [3p] a public thread that quotes Stripe, [infer] nobody has
published Stripe's text, the words are the emulator's own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

DOC_URL = "https://stripe.com/docs/error-codes/"


class StripeError(Exception):
    """An answer that is an error: an HTTP status and the `error` object of Stripe's body.

    `missing` is the id that names nothing, where that is the reason.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
        headers: Mapping[str, str] | None = None,
        traced: bool = True,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.traced = traced
        self.missing: str | None = None
        self.headers = dict(headers or {})
        facts: dict[str, Any] = {"message": message, "type": kind}
        if code is not None:
            facts["code"] = code
            facts["doc_url"] = DOC_URL + code.replace("_", "-")
        if param is not None:
            facts["param"] = param
        if decline_code is not None:
            facts["decline_code"] = decline_code
        self.error = {**facts, **(more or {})}


def unknown_url(method: str, path: str) -> StripeError:
    """Refuse a URL the API does not have ([doc] docs.stripe.com/error-handling)."""
    return StripeError(
        404,
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
    )


def no_form(content_type: str) -> StripeError:
    """Refuse a body of API v1 that is no form ([3p] many; vapor-community/stripe#39 for what is no JSON)."""
    if content_type.startswith("application/json"):
        return StripeError(
            400,
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If "
            "you have any questions, we can help at https://support.stripe.com/.",
        )
    return StripeError(
        400,
        f"Invalid request: unsupported Content-Type {content_type}. If error persists and you need "
        "assistance, please contact support@stripe.com.",
    )


def unknown_parameters(names: Sequence[str]) -> StripeError:
    """Refuse parameters the endpoint does not take ([doc] docs.stripe.com/error-codes#parameter-unknown)."""
    plural = "s" if len(names) > 1 else ""
    return StripeError(
        400,
        f"Received unknown parameter{plural}: {', '.join(names)}",
        code="parameter_unknown",
        param=names[0],
    )


def missing_parameter(name: str) -> StripeError:
    """Refuse a call without a required parameter ([doc] docs.stripe.com/error-codes#parameter-missing)."""
    return StripeError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def empty_parameter(name: str) -> StripeError:
    """Refuse an empty string where nothing can be unset.

    Source: [doc] docs.stripe.com/error-codes#parameter-invalid-empty.
    """
    return StripeError(
        400,
        f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a "
        f"parameter; "
        f"however '{name}' cannot be unset. You should remove '{name}' from your request or supply a "
        f"non-empty value.",
        code="parameter_invalid_empty",
        param=name,
    )


def wrong_kind(name: str, kind: str, value: str) -> StripeError:
    """Refuse a value of another kind: integer, boolean, object, array, string ([doc] error-codes)."""
    code = "parameter_invalid_integer" if kind == "integer" else None
    shown = f": {value}" if value else ""
    return StripeError(400, f"Invalid {kind}{shown}", code=code, param=name)


def not_a_choice(name: str, choices: Sequence[str]) -> StripeError:
    """Refuse a value that is not one of an enum's ([3p] stripe-ruby-mock's text for a plan's interval)."""
    head, last = ", ".join(choices[:-1]), choices[-1]
    listed = f"{head}, or {last}" if len(choices) > 2 else " or ".join(choices)  # noqa: PLR2004 - grammar
    return StripeError(400, f"Invalid {name}: must be one of {listed}", param=name)


def unsupported_parameter(name: str, endpoint: str) -> StripeError:
    """Refuse what Stripe takes and the emulator gives no meaning to, in words that are not Stripe's."""
    return StripeError(
        400,
        f"The Stripe emulator does not support the parameter {name} of {endpoint}. Stripe knows it; see the "
        "emulator's README.",
        param=name,
    )


def not_expandable(path: str, *, hint: str | None = None) -> StripeError:
    """Refuse to expand what is no object ([3p] probed: no code, no parameter)."""
    advice = "" if hint is None else f" You may want to try expanding '{hint}' instead."
    return StripeError(400, f"This property cannot be expanded ({path}).{advice}")


def expands_too_deep(levels: int) -> StripeError:
    """Refuse a path that is too long ([doc] api/expanding_objects for the rule, [infer] the text)."""
    return StripeError(400, f"You cannot expand more than {levels} levels of a property.", param="expand")


def invalid_value(name: str, message: str) -> StripeError:
    """Refuse a value for a reason of its own ([doc] error-handling)."""
    return StripeError(400, message, param=name)


def missing_object(kind: str, object_id: str, param: str, *, in_path: bool, hint: str = "") -> StripeError:
    """Say that an id names nothing: 404 in the path, 400 in a parameter (STRIPE.md 1.6, [3p])."""
    error = StripeError(
        404 if in_path else 400,
        f"No such {kind}: '{object_id}'{hint}",
        code="resource_missing",
        param=param,
    )
    error.missing = object_id
    return error


def in_other_mode(error: StripeError, *, other_is_live: bool) -> StripeError:
    """Add to a missing object that there is one in the other mode ([3p] payola#278, stripe-node#149)."""
    there, used = ("live", "test") if other_is_live else ("test", "live")
    error.error["message"] += (
        f"; a similar object exists in {there} mode, but a {used} mode key was used to make this request."
    )
    return error


PLATFORM_OWNED = (
    "; OAuth key or `Stripe-Account` header was used but API request was provided with a platform-owned "
    "payment "
    "method ID. Please ensure that the provided payment method matches the specified account."
)
"""What follows `No such PaymentMethod` when the id is the platform's ([3p] flutter_stripe_payment#228)."""


def customer_without_payment_method() -> StripeError:
    """Refuse `customer` on a new payment method that is not a clone ([3p] probed, STRIPE.md 1.1)."""
    return StripeError(
        400,
        "You cannot attach a PaymentMethod to a Customer during PaymentMethod creation. Please instead "
        "create the "
        "PaymentMethod and then attach it using the attachment method of the PaymentMethods API.",
        param="customer",
    )


def clone_needs_account() -> StripeError:
    """Refuse a clone onto the platform itself ([infer])."""
    return StripeError(
        400,
        "A PaymentMethod can only be shared with a connected account: send the Stripe-Account header.",
        param="payment_method",
    )


def clone_type(kind: str) -> StripeError:
    """Refuse a type that cannot be cloned.

    Source: [doc] payments/payment-methods/connect for the rule, [infer] the text.
    """
    return StripeError(
        400,
        f"PaymentMethods of type '{kind}' cannot be shared with a connected account. Only 'card' and "
        "'us_bank_account' can.",
        param="payment_method",
    )


def owner_not_named(payment_method_id: str, customer_id: str) -> StripeError:
    """Refuse to clone or charge a customer's payment method without its customer ([doc] the rule, [3p])."""
    return StripeError(
        400,
        f"The payment method supplied ({payment_method_id}) belongs to the Customer {customer_id}. Please "
        f"include the "
        "Customer in the `customer` parameter.",
        param="customer",
    )


def wrong_customer(payment_method_id: str, customer_id: str) -> StripeError:
    """Refuse to clone or charge a payment method for a customer it is not attached to ([3p])."""
    return StripeError(
        400,
        f"The PaymentMethod {payment_method_id} does not belong to the Customer you supplied {customer_id}. "
        f"Please use "
        "this PaymentMethod with the Customer that it belongs to instead.",
        param="payment_method",
    )


def consumed_on_use() -> StripeError:
    """Refuse to use a spent payment method ([3p] liberapay.com#2686, stripe-node#884)."""
    return StripeError(
        400,
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, "
        "shared with "
        "a connected account without Customer attachment, or was detached from a Customer. It may not be "
        "used again. "
        "To use a PaymentMethod multiple times, you must attach it to a Customer first.",
    )


def consumed_on_attach() -> StripeError:
    """Refuse to attach a spent payment method ([3p] stripe-php#1221)."""
    return StripeError(
        400,
        "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
        "Customer, "
        "and may not be used again.",
    )


def already_attached() -> StripeError:
    """Refuse to attach a payment method of another customer.

    Source: [rec] openfoodnetwork, quoted in STRIPE.md 1.6.
    """
    return StripeError(400, "The payment method you provided has already been attached to a customer.")


def not_attached() -> StripeError:
    """Refuse to detach what is attached to nobody ([rec] openfoodnetwork, quoted in STRIPE.md 1.6)."""
    return StripeError(
        400, "The payment method you provided is not attached to a customer so detachment is impossible."
    )


def not_verified(kind: str) -> StripeError:
    """Refuse to save a bank account nobody has verified ([3p] quoted by several integrations)."""
    return StripeError(
        400, f"PaymentMethods of type {kind} must be verified before they can be attached to a customer."
    )


def update_needs_customer() -> StripeError:
    """Refuse to update a payment method that nobody saved ([3p] quoted in STRIPE.md 1.5)."""
    return StripeError(400, "You must save this PaymentMethod to a customer before you can update it.")


def attach_needs_customer() -> StripeError:
    """Refuse an attachment to nobody ([3p] seahaven, quoted in STRIPE.md 1.6)."""
    return StripeError(400, "Must provide customer or customer_account.", code="parameter_missing")


def default_not_attached(payment_method_id: str) -> StripeError:
    """Refuse a default payment method the customer does not have.

    Source: [doc] api/customers/update, [infer] the text.
    """
    return StripeError(
        400,
        f"The customer does not have a payment method with the ID {payment_method_id}. The payment method "
        f"must be "
        "attached to the customer.",
        code="resource_missing",
        param="invoice_settings[default_payment_method]",
    )


def card_error(code: str, message: str, decline_code: str | None, param: str | None = None) -> StripeError:
    """Answer as the card's issuer did ([doc] docs.stripe.com/testing#declined-payments)."""
    return StripeError(402, message, kind="card_error", code=code, decline_code=decline_code, param=param)
