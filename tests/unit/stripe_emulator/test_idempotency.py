"""Idempotency keys as API v1 has them."""

import pytest

from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.idempotency import KEPT_S, Answer, IdempotencyKeys, Scope

SCOPE = Scope("sk_test_1", "acct_1", "key")
ANSWER = Answer(200, {"Request-Id": "req_1"}, b"{}")


def taken(
    keys: IdempotencyKeys, scope: Scope = SCOPE, *, parameters: str = "a=1", now_s: float = 0
) -> Answer | None:
    return keys.take(scope, path="/v1/customers", parameters=parameters, now_s=now_s)


@pytest.fixture
def keys() -> IdempotencyKeys:
    """Keys of which one was used and answered at second 0."""
    made = IdempotencyKeys()
    assert taken(made) is None
    made.keep(SCOPE, ANSWER)
    made.release(SCOPE)
    return made


def test_answered_key_is_replayed(keys: IdempotencyKeys) -> None:
    assert taken(keys) == ANSWER
    assert taken(keys, now_s=KEPT_S - 1) == ANSWER


def test_key_is_forgotten_after_a_day(keys: IdempotencyKeys) -> None:
    assert taken(keys, now_s=KEPT_S, parameters="a=2") is None


@pytest.mark.parametrize(
    "scope", [Scope("sk_test_2", "acct_1", "key"), Scope("sk_test_1", "acct_2", "key")], ids=str
)
def test_key_of_another_scope_is_another_key(keys: IdempotencyKeys, scope: Scope) -> None:
    assert taken(keys, scope) is None


def test_other_parameters_are_refused(keys: IdempotencyKeys) -> None:
    with pytest.raises(StripeError, match="same parameters") as raised:
        taken(keys, parameters="a=2")
    assert (raised.value.status, raised.value.error["type"]) == (400, "idempotency_error")


def test_other_path_is_refused(keys: IdempotencyKeys) -> None:
    with pytest.raises(StripeError, match="same endpoint") as raised:
        keys.take(SCOPE, path="/v1/accounts", parameters="a=1", now_s=0)
    assert (raised.value.status, raised.value.error["type"]) == (400, "idempotency_error")


def test_key_in_use_is_refused_until_released() -> None:
    """An answer that is kept but not yet sent does not free its key."""
    keys = IdempotencyKeys()
    taken(keys)
    keys.keep(SCOPE, ANSWER)
    with pytest.raises(StripeError) as raised:
        taken(keys, now_s=KEPT_S * 2)
    assert (raised.value.status, raised.value.error["code"]) == (409, "idempotency_key_in_use")
    keys.release(SCOPE)
    assert taken(keys) == ANSWER


def test_key_of_a_refused_request_is_free() -> None:
    keys = IdempotencyKeys()
    taken(keys)
    keys.release(SCOPE)
    assert taken(keys, parameters="a=2") is None


def test_key_has_at_most_255_characters() -> None:
    keys = IdempotencyKeys()
    assert taken(keys, Scope("sk_test_1", "acct_1", "k" * 255)) is None
    with pytest.raises(StripeError):
        taken(keys, Scope("sk_test_1", "acct_1", "k" * 256))
