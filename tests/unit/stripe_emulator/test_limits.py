"""Buckets of tokens: what Stripe publishes about its rate limits."""

import pytest

from deploy.stripe_emulator.limits import Limiter

CUSTOMERS, METHODS, ACCOUNTS = "POST /v1/customers", "POST /v1/payment_methods", "POST /v1/accounts"


def passed(limiter: Limiter, endpoints: list[str], *, livemode: bool, now_s: float = 0.0) -> list[str | None]:
    return [limiter.take("acct_1", each, livemode=livemode, now_s=now_s) for each in endpoints]


@pytest.mark.parametrize(
    ("livemode", "endpoints", "through", "reason"),
    [
        (False, [CUSTOMERS], 25, "global-rate"),
        (False, [CUSTOMERS, METHODS], 25, "global-rate"),
        (False, [ACCOUNTS], 5, "endpoint-rate"),
        (True, [CUSTOMERS], 25, "endpoint-rate"),
        (True, [ACCOUNTS], 30, "endpoint-rate"),
        (True, [f"GET /v1/{n}" for n in range(5)], 100, "global-rate"),
    ],
)
def test_so_many_pass_in_a_second(livemode: bool, endpoints: list[str], through: int, reason: str) -> None:  # noqa: FBT001
    limiter = Limiter(on=True)
    answers = passed(limiter, endpoints * (120 // len(endpoints)), livemode=livemode)
    assert ([None] * through, reason) == (answers[:through], answers[through])
    assert limiter.refused == len(answers) - answers.count(None)


def test_tokens_come_back_evenly() -> None:
    """And never more than a second's worth; what was refused took none."""
    limiter = Limiter(on=True)
    passed(limiter, [CUSTOMERS] * 60, livemode=False)
    for later, through in ((0.2, 5), (0.6, 10), (60.0, 25)):
        answers = passed(limiter, [CUSTOMERS] * 60, livemode=False, now_s=later)
        assert answers.count(None) == through


def test_accounts_and_modes_are_apart() -> None:
    limiter = Limiter(on=True)
    passed(limiter, [CUSTOMERS] * 60, livemode=False)
    assert limiter.take("acct_2", CUSTOMERS, livemode=False, now_s=0.0) is None
    assert limiter.take("acct_1", CUSTOMERS, livemode=True, now_s=0.0) is None


def test_switched_off_nothing_is_limited() -> None:
    assert passed(Limiter(), [CUSTOMERS] * 60, livemode=False) == [None] * 60
