"""What a definite no of Stripe's means for a clone: the second table. Pure.

By status and type, then code, and only then message; what happens before that is in `stripe_errors`.

STRIPE.md 1.6; https://docs.stripe.com/error-codes and https://docs.stripe.com/declines/codes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumers.stripe_errors import RefusedError
from schemas.records import Reason

_PAYMENT_REQUIRED: Final = 402
_BY_CODE: Final = {"customer_max_payment_methods": Reason.CUSTOMER_FULL}
_PASSING: Final = frozenset(
    {
        "insufficient_funds",
        "try_again_later",
        "processing_error",
        "issuer_not_available",
        "reenter_transaction",
    }
)
_TRIED_AGAIN_AFTER: Final = (timedelta(hours=24), timedelta(hours=48))
"""From one decline to the next try: three tries over 72 hours."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A person is needed; `alarm` where it is perhaps a mistake of ours."""

    reason: Reason
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Declined:
    """The issuer may say yes another time."""

    code: str


@dataclass(frozen=True, slots=True)
class Missing:
    """Something was not found: what it was is read before anything counts as failed. `parameter` names it."""

    parameter: str | None


@dataclass(frozen=True, slots=True)
class Detached:
    """It is not attached: what a detach is for, and no other write can be meant for."""


Verdict = Failed | Declined | Missing | Detached


def of(refused: RefusedError) -> Verdict:
    """Say what the refusal means; one that is not known is an alarm."""
    if refused.status == _PAYMENT_REQUIRED or refused.kind == "card_error":
        code = refused.decline_code or refused.code
        return Declined(code) if code in _PASSING else Failed(Reason.CARD_DECLINED)
    if refused.code == "resource_missing":
        return Missing(refused.param)
    if refused.code in _BY_CODE:
        return Failed(_BY_CODE[refused.code])
    if refused.consumed:
        return Failed(Reason.ORIGINAL_CONSUMED)
    if refused.not_attached:
        return Detached()
    return Failed(Reason.REFUSED, alarm=True)


def retry_at(declines: int, now: datetime) -> datetime | None:
    """Say when to try again after so many declines in a row; None: no more."""
    if declines > len(_TRIED_AGAIN_AFTER):
        return None
    return now + _TRIED_AGAIN_AFTER[declines - 1]
