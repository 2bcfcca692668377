"""What a definite no of Stripe's means for a clone: by status, then code, and only then by message.

STRIPE.md 1.6; https://docs.stripe.com/error-codes and https://docs.stripe.com/declines/codes.
"""

from dataclasses import dataclass
from typing import Final

from consumers.stripe_gateway import RefusedError
from schemas.records import Reason

_PAYMENT_REQUIRED: Final = 402
_BY_CODE: Final = {
    "resource_missing": Reason.NOT_FOUND,
    "customer_max_payment_methods": Reason.CUSTOMER_FULL,
}


@dataclass(frozen=True, slots=True)
class Failed:
    """A person is needed; `alarm` where it is perhaps a mistake of ours."""

    reason: Reason
    alarm: bool = False


def of(refused: RefusedError) -> Failed:
    """Say what the refusal means; one that is not known is an alarm."""
    if refused.status == _PAYMENT_REQUIRED:
        return Failed(Reason.CARD_DECLINED)
    if refused.code in _BY_CODE:
        return Failed(_BY_CODE[refused.code])
    if refused.consumed:
        return Failed(Reason.ORIGINAL_CONSUMED)
    return Failed(Reason.REFUSED, alarm=True)
