"""When a platform payment method may be cloned to a connected account, and what the clone is.

[doc] docs.stripe.com/payments/payment-methods/connect#cloning-payment-methods ; [rec] clone-attached.yml,
clone-unattached.yml. Cloning asks for no capability: the recorded clone went to an account one second old.
"""

import copy

from deploy.stripe_emulator import errors, shapes
from deploy.stripe_emulator.model import PaymentMethod
from deploy.stripe_emulator.shapes import JsonObject

CLONEABLE = ("card", "us_bank_account")


def check(original: PaymentMethod, customer_id: str | None) -> None:
    """Refuse what Stripe would: a wrong type, a consumed original, a customer it does not belong to."""
    kind = original.body["type"]
    if kind not in CLONEABLE:
        raise errors.clone_type(kind)
    if original.consumed:
        raise errors.consumed_on_use()
    if original.customer is None:
        if customer_id is not None:
            raise errors.wrong_customer(original.id, customer_id)
    elif customer_id is None:
        raise errors.owner_not_named(original.id, original.customer)
    elif customer_id != original.customer:
        raise errors.wrong_customer(original.id, customer_id)


def make(original: PaymentMethod, *, object_id: str, created: int) -> PaymentMethod:
    """Give the clone: the same card with the same fingerprint and checks, without customer and metadata.

    Whether billing details carry over is not known (STRIPE.md 9.1); here they do not, so that nobody relies
    on it. It "inherits the setup" of the original ([doc] connect/direct-charges-multiple-accounts); a mandate
    is an account's own, so the clone has none. An unattached original is consumed by it.
    """
    kind = original.body["type"]
    details: JsonObject = copy.deepcopy(original.body[kind])
    body = shapes.payment_method(
        object_id, created=created, kind=kind, details=details, billing_details={}, metadata={}
    )
    if original.customer is None:
        original.consumed = True
    return PaymentMethod(body, original.behaviour, verified=original.verified, set_up=original.set_up)
