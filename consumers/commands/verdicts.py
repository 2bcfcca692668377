"""What a definite no of Stripe's means for a command: by status, then code, and only then by message. Pure.

STRIPE.md 1.6; https://docs.stripe.com/error-codes and https://docs.stripe.com/declines/codes.
"""

from typing import Final

from consumers.commands.plan import Reject
from consumers.stripe_errors import RefusedError
from schemas.commands import RejectReason

_PAYMENT_REQUIRED: Final = 402
_BY_CODE: Final = {
    "resource_missing": RejectReason.NOT_FOUND,
    "token_already_used": RejectReason.ORIGINAL_CONSUMED,
}
_MESSAGES: Final = {
    RejectReason.CARD_DECLINED: "the card was declined",
    RejectReason.NOT_FOUND: "Stripe does not find an object that the command names",
    RejectReason.ORIGINAL_CONSUMED: "the original was used before, and may not be used again",
    RejectReason.REFUSED: "Stripe refused it",
}


def of(refused: RefusedError) -> Reject:
    """Say what to tell: never with a text of Stripe's, which may name a person."""
    reason = RejectReason.REFUSED
    if refused.status == _PAYMENT_REQUIRED:
        reason = RejectReason.CARD_DECLINED
    elif refused.code in _BY_CODE:
        reason = _BY_CODE[refused.code]
    elif refused.consumed:
        reason = RejectReason.ORIGINAL_CONSUMED
    named = (
        f": {refused.code or refused.param}"
        if reason is RejectReason.REFUSED and (refused.code or refused.param)
        else ""
    )
    return Reject(
        reason,
        _MESSAGES[reason] + named,
        stripe_request_id=refused.request_id,
        decline_code=refused.decline_code if reason is RejectReason.CARD_DECLINED else None,
    )
