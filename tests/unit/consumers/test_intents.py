"""Keys and parameters of writes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.clone.actions import Write
from consumers.clone.facts import AccountFacts, MethodFacts, ShareFacts, Step
from consumers.clone.intents import idempotency_key, object_of, parameters
from tests.unit.consumers.shares import ACTIVE, CUSTOMER, attached, cloned, method, share


def _key(of: ShareFacts, about: MethodFacts, step: Step, *, installation: str = "i", epoch: int = 1) -> str:
    return idempotency_key(installation, of, step, object_of(of, Write(about, step, "pm_C9")), epoch)


CARD = method(cloned())
SHARE = share(CARD)


@pytest.mark.parametrize("step", list(Step))
def test_the_key_is_the_same_after_a_crash(step: Step) -> None:
    """Whatever was recorded on the way, or has changed of the share meanwhile."""
    later = share(
        method(cloned()),
        method(attached(name="2"), name="2"),
        on=replace(ACTIVE, capabilities={}),
        of=replace(CUSTOMER, profile={"name": "Other"}),
    )

    assert _key(later, later.methods[0], step) == _key(SHARE, CARD, step)


@pytest.mark.parametrize("step", list(Step))
def test_the_key_names_installation_account_object_step_and_epoch(step: Step) -> None:
    elsewhere = share(CARD, on=replace(ACTIVE, id="acct_2"))
    keys = [
        _key(SHARE, CARD, step),
        _key(SHARE, CARD, step, installation="j"),
        _key(SHARE, CARD, step, epoch=2),
        _key(elsewhere, CARD, step),
        *[_key(SHARE, CARD, other) for other in Step if other is not step],
    ]

    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("step", [Step.CLONE, Step.ATTACH])
def test_the_key_of_a_clone_names_the_method_and_its_generation(step: Step) -> None:
    other, renewed = replace(CARD, id="pm_P2"), replace(CARD, generation=2)

    assert len({_key(SHARE, about, step) for about in (CARD, other, renewed)}) == 3


def test_the_key_of_the_connected_customer_never_names_a_card() -> None:
    """So two cards can never make two customers."""
    other = method(cloned(name="2"), name="2")

    key = _key(SHARE, CARD, Step.CREATE_CUSTOMER)
    assert key == _key(SHARE, other, Step.CREATE_CUSTOMER)
    assert "pm_" not in key
    assert CUSTOMER.id in key


def test_the_key_of_the_connected_customer_names_the_platform_customer() -> None:
    other = share(CARD, of=replace(CUSTOMER, id="cus_Q"))

    assert _key(other, CARD, Step.CREATE_CUSTOMER) != _key(SHARE, CARD, Step.CREATE_CUSTOMER)


_IDS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=64)


@given(st.tuples(_IDS, _IDS, _IDS), st.sampled_from(Step), st.integers(1, 10**9))
def test_a_key_is_one_that_stripe_takes(ids: tuple[str, str, str], step: Step, number: int) -> None:
    """At most 255 characters: https://docs.stripe.com/api/idempotent_requests."""
    account, customer, card = ids
    about = replace(CARD, id=card, generation=number)
    of = share(
        about, on=AccountFacts(account, known=True, capabilities={}), of=replace(CUSTOMER, id=customer)
    )

    key = _key(of, about, step, installation="0123456789ab", epoch=number)
    assert 1 <= len(key) <= 255
    assert key.isascii()
    assert key.isprintable()


@pytest.mark.parametrize("step", list(Step))
def test_a_very_long_id_makes_no_longer_key_and_no_other_one_the_same(step: Step) -> None:
    """Stripe lets a platform choose the ids of its customers."""
    keys = []
    for end in ("a", "b"):
        about = replace(CARD, id="pm_" + "x" * 251 + end)
        of = share(about, of=replace(CUSTOMER, id="cus_" + "x" * 250 + end))
        long = Write(about, step, "pm_" + "x" * 251 + end if step is Step.DETACH else None)
        keys.append(idempotency_key("0123456789ab", of, step, object_of(of, long), 1))

    assert max(map(len, keys)) <= 255
    assert len(set(keys)) == (1 if step is Step.SET_DEFAULT else 2), "the default names the clone"


def test_the_clone_call_says_customer_and_payment_method_and_nothing_else() -> None:
    assert parameters(SHARE, Write(CARD, Step.CLONE)) == {"customer": "cus_P", "payment_method": "pm_P1"}


def test_the_connected_customer_is_made_with_the_clone_as_its_default() -> None:
    about = method(cloned())

    assert parameters(share(about), Write(about, Step.CREATE_CUSTOMER)) == {
        "name": "Jenny",
        "payment_method": "pm_C1",
        "invoice_settings": {"default_payment_method": "pm_C1"},
        "metadata": {"offshoot_platform_customer": "cus_P"},
    }


def test_a_later_clone_is_attached_to_the_connected_customer() -> None:
    about = method(cloned())

    assert parameters(share(about, connected_customer="cus_C"), Write(about, Step.ATTACH)) == {
        "customer": "cus_C"
    }
