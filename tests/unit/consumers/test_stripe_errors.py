"""The table of Stripe's answers: what happens next, by status, Stripe's own word, code, then message."""

from typing import Any

import pytest

from consumers.stripe_errors import (
    AccountInvalidError,
    Answer,
    KeyRefusedError,
    NotExecutedError,
    OutcomeUnknownError,
    PermissionMissingError,
    RateLimitedError,
    RefusedError,
    StripeError,
    error_of,
)

AGAIN = {"stripe-should-retry": "true"}
NOT_AGAIN = {"stripe-should-retry": "false"}
CONSUMED = "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment."


def _limited(reason: str) -> dict[str, str]:
    return {"stripe-rate-limited-reason": reason}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("APIConnectionError"), OutcomeUnknownError),
        (Answer("x", 200), OutcomeUnknownError),
        (Answer("x", 500), OutcomeUnknownError),
        (Answer("x", 502, is_stripes=False), OutcomeUnknownError),
        # A proxy's page says nothing of the key, the account or the card.
        (Answer("x", 401, is_stripes=False), OutcomeUnknownError),
        (Answer("x", 403, is_stripes=False), OutcomeUnknownError),
        (Answer("x", 404, is_stripes=False), OutcomeUnknownError),
        (Answer("x", 401), KeyRefusedError),
        (Answer("x", 401, headers=AGAIN), KeyRefusedError),
        (Answer("x", 403, code="account_invalid"), AccountInvalidError),
        (Answer("x", 403), PermissionMissingError),
        (Answer("x", 403, code="more_permissions_required"), PermissionMissingError),
        (Answer("x", 429, code="rate_limit"), RateLimitedError),
        (Answer("x", 429, is_stripes=False), RateLimitedError),
        (Answer("x", 429, headers=NOT_AGAIN), RateLimitedError),
        (Answer("x", 429, code="lock_timeout"), NotExecutedError),
        (Answer("x", 409, code="idempotency_key_in_use"), NotExecutedError),
        (Answer("x", 400, code="lock_timeout", headers=NOT_AGAIN), NotExecutedError),
        (Answer("x", 409), NotExecutedError),
        (Answer("x", 409, is_stripes=False), NotExecutedError),
        (Answer("x", 409, headers=NOT_AGAIN), RefusedError),
        (Answer("x", 400), RefusedError),
        (Answer("x", 400, headers=AGAIN), NotExecutedError),
        (Answer("x", 402, code="card_declined", headers=AGAIN), NotExecutedError),
        (Answer("x", 402, code="card_declined", headers=NOT_AGAIN), RefusedError),
        (Answer("x", 400, kind="idempotency_error"), RefusedError),
        (Answer("x", 404, code="resource_missing"), RefusedError),
        (Answer("x", 418), RefusedError),
    ],
)
def test_what_happens_next(answer: Answer, expected: type[StripeError]) -> None:
    assert type(error_of(answer)) is expected


@pytest.mark.parametrize(
    ("headers", "alone"),
    [
        ({}, False),
        (_limited("global-rate"), False),
        (_limited("endpoint-concurrency"), False),
        (_limited("resource-specific"), True),
    ],
)
def test_whom_a_limit_is_for(headers: dict[str, str], *, alone: bool) -> None:
    error = error_of(Answer("x", 429, headers=headers))

    assert isinstance(error, RateLimitedError)
    assert error.account_alone is alone


@pytest.mark.parametrize(
    ("headers", "stored"),
    [
        ({}, False),
        (AGAIN, False),
        (NOT_AGAIN, True),
        ({"idempotent-replayed": "true"}, True),
        ({"idempotent-replayed": "true", **AGAIN}, True),
        ({"idempotent-replayed": "false"}, False),
    ],
)
def test_whether_a_repeat_under_the_same_key_is_useless(headers: dict[str, str], *, stored: bool) -> None:
    error = error_of(Answer("x", 500, headers=headers))

    assert isinstance(error, OutcomeUnknownError)
    assert error.stored is stored


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("x", 400, message=CONSUMED), {"consumed": True, "not_attached": False}),
        (
            Answer("x", 400, message="… is not attached to a customer so detachment is impossible."),
            {"consumed": False, "not_attached": True},
        ),
        (
            Answer(
                "x", 400, message="You must save this PaymentMethod to a customer before you can update it."
            ),
            {"consumed": False, "not_attached": True},
        ),
        (
            Answer("x", 402, kind="card_error", code="card_declined", decline_code="lost_card", param="p"),
            {"status": 402, "kind": "card_error", "decline_code": "lost_card", "param": "p"},
        ),
    ],
)
def test_a_refusal_carries_what_the_verdict_needs(answer: Answer, told: dict[str, Any]) -> None:
    refused = error_of(answer)

    assert {name: getattr(refused, name) for name in told} == told


def test_no_text_of_stripes_is_kept() -> None:
    """It may name a key or a person."""
    error = error_of(Answer("InvalidRequestError", 400, message="the key sk_test_1 of Jenny Rosen"))

    assert (str(error), vars(error).get("message")) == ("400 InvalidRequestError", None)
