"""Whether the key is at fault, or an account; and which kinds of call the key may not make."""

import pytest

from consumers.key_doubt import PROBE_EVERY_S, WITHIN_S, AccessDoubt, Permissions


@pytest.mark.parametrize(
    ("said", "is_the_keys_fault"),
    [
        ("a b c", True),
        ("a b", False),
        ("a b a b", False),
        ("a b a c", True),
        ("a b OK c", False),
        ("a b OK c d e", True),
    ],
)
def test_three_accounts_and_no_success_between(said: str, *, is_the_keys_fault: bool) -> None:
    doubt, fault = AccessDoubt(), False
    for word in said.split():
        if word == "OK":
            doubt.succeeded("other")
        else:
            fault = doubt.invalid(word, now_s=0)

    assert fault is is_the_keys_fault


@pytest.mark.parametrize(("last_s", "fault"), [(WITHIN_S - 1, True), (WITHIN_S, False)])
def test_only_within_five_minutes(last_s: float, *, fault: bool) -> None:
    doubt = AccessDoubt()
    doubt.invalid("a", 0)
    doubt.invalid("b", 0)

    assert doubt.invalid("c", last_s) is fault


def test_accounts_that_were_at_fault_do_not_count_again() -> None:
    """Else three accounts that are gone would stop everything for ever."""
    doubt = AccessDoubt()
    for account in "abc":
        doubt.invalid(account, 0)

    doubt.cleared()

    assert [doubt.invalid(account, 1) for account in "abcde"] == [False] * 5
    assert doubt.invalid("f", 2)


def test_an_account_that_was_reached_counts_anew() -> None:
    doubt = AccessDoubt()
    for account in "abc":
        doubt.invalid(account, 0)
    doubt.cleared()

    doubt.succeeded("a")

    assert [doubt.invalid(account, 1) for account in "ade"] == [False, False, True]


def test_a_kind_of_call_that_is_forbidden_is_tried_again_now_and_then() -> None:
    permissions = Permissions()
    assert permissions.missing("attach", 0)

    tries = [permissions.may_try("attach", now_s) for now_s in (1, PROBE_EVERY_S, PROBE_EVERY_S + 1)]

    assert tries == [False, True, False]
    assert permissions.may_try("clone", 1)
    assert not permissions.missing("attach", 40), "no news"
    assert permissions.all_missing == ["attach"]


def test_a_kind_of_call_that_went_through_is_allowed() -> None:
    permissions = Permissions()
    permissions.missing("attach", 0)

    assert permissions.granted("attach")
    assert not permissions.granted("attach"), "no news"
    assert permissions.may_try("attach", 1)
    assert not permissions.is_missing("attach", 1)
