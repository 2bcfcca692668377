"""What a definite no of Stripe's means."""

from datetime import timedelta

import pytest

from consumers.clone.verdicts import Declined, Detached, Failed, Missing, Verdict, of, retry_at
from consumers.stripe_errors import RefusedError
from schemas.records import REASONS, Reason, State
from tests.unit.consumers.shares import NOW


def _refused(
    status: int,
    code: str | None = None,
    decline: str | None = None,
    *,
    kind: str | None = None,
    param: str | None = None,
    consumed: bool = False,
    not_attached: bool = False,
) -> RefusedError:
    return RefusedError(
        "no",
        "req_1",
        status=status,
        code=code,
        kind=kind,
        param=param,
        decline_code=decline,
        consumed=consumed,
        not_attached=not_attached,
    )


_ROWS: list[tuple[RefusedError, Verdict]] = [
    (_refused(402, "card_declined", "lost_card"), Failed(Reason.CARD_DECLINED)),
    (_refused(402, "card_declined", "generic_decline"), Failed(Reason.CARD_DECLINED)),
    *[
        (_refused(402, "card_declined", code), Declined(code))
        for code in (
            "insufficient_funds",
            "try_again_later",
            "processing_error",
            "issuer_not_available",
            "reenter_transaction",
        )
    ],
    (_refused(402, "processing_error"), Declined("processing_error")),
    (_refused(402, "expired_card"), Failed(Reason.CARD_DECLINED)),
    (_refused(402), Failed(Reason.CARD_DECLINED)),
    *[
        (_refused(402, "card_declined", code), Failed(Reason.CARD_DECLINED))
        for code in ("stolen_card", "pickup_card", "fraudulent", "do_not_honor")
    ],
    # By type, whatever the status.
    (_refused(400, "card_declined", "insufficient_funds", kind="card_error"), Declined("insufficient_funds")),
    (_refused(400, "incorrect_number", kind="card_error"), Failed(Reason.CARD_DECLINED)),
    (_refused(400, kind="idempotency_error"), Failed(Reason.REFUSED, alarm=True)),
    (_refused(409), Failed(Reason.REFUSED, alarm=True)),
    (_refused(404, "resource_missing"), Missing(None)),
    (_refused(400, "resource_missing", param="customer"), Missing("customer")),
    (_refused(400, "customer_max_payment_methods"), Failed(Reason.CUSTOMER_FULL)),
    (_refused(400, consumed=True), Failed(Reason.ORIGINAL_CONSUMED)),
    (_refused(400), Failed(Reason.REFUSED, alarm=True)),
    (_refused(400, "parameter_unknown"), Failed(Reason.REFUSED, alarm=True)),
    (_refused(404), Failed(Reason.REFUSED, alarm=True)),
    # Code before message.
    (_refused(400, "resource_missing", consumed=True), Missing(None)),
    (_refused(400, not_attached=True), Detached()),
]


@pytest.mark.parametrize(("refused", "verdict"), _ROWS)
def test_what_a_refusal_means(refused: RefusedError, verdict: Verdict) -> None:
    assert of(refused) == verdict


@pytest.mark.parametrize(("refused", "verdict"), _ROWS)
def test_each_failure_may_be_announced(refused: RefusedError, verdict: Verdict) -> None:
    del refused
    assert not isinstance(verdict, Failed) or verdict.reason in REASONS[State.FAILED]


def test_a_passing_decline_is_tried_three_times_over_three_days() -> None:
    first = retry_at(1, NOW)
    assert first is not None
    second = retry_at(2, first)
    assert second == NOW + timedelta(hours=72)
    assert retry_at(3, second) is None
