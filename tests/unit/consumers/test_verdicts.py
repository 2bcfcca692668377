"""What a definite no of Stripe's means."""

import pytest

from consumers.clone.verdicts import Failed, of
from consumers.stripe_gateway import RefusedError
from schemas.records import REASONS, Reason, State


def _refused(
    status: int, code: str | None = None, decline: str | None = None, *, consumed: bool = False
) -> RefusedError:
    return RefusedError("no", "req_1", status=status, code=code, decline_code=decline, consumed=consumed)


_ROWS = [
    (_refused(402, "card_declined", "insufficient_funds"), Failed(Reason.CARD_DECLINED)),
    (_refused(402, "expired_card"), Failed(Reason.CARD_DECLINED)),
    (_refused(402), Failed(Reason.CARD_DECLINED)),
    (_refused(404, "resource_missing"), Failed(Reason.NOT_FOUND)),
    (_refused(400, "resource_missing"), Failed(Reason.NOT_FOUND)),
    (_refused(400, "customer_max_payment_methods"), Failed(Reason.CUSTOMER_FULL)),
    (_refused(400, consumed=True), Failed(Reason.ORIGINAL_CONSUMED)),
    (_refused(400), Failed(Reason.REFUSED, alarm=True)),
    (_refused(400, "parameter_unknown"), Failed(Reason.REFUSED, alarm=True)),
    (_refused(404), Failed(Reason.REFUSED, alarm=True)),
    # Code before message.
    (_refused(400, "resource_missing", consumed=True), Failed(Reason.NOT_FOUND)),
]


@pytest.mark.parametrize(("refused", "verdict"), _ROWS)
def test_what_a_refusal_means(refused: RefusedError, verdict: Failed) -> None:
    assert of(refused) == verdict


@pytest.mark.parametrize(("refused", "verdict"), _ROWS)
def test_each_verdict_may_be_announced(refused: RefusedError, verdict: Failed) -> None:
    del refused
    assert verdict.reason in REASONS[State.FAILED]
