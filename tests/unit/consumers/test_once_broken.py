"""What the first version did wrong, as a review found: each test says it, and keeps it away."""

import asyncio
import json
import random
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.clone.actions import Announce, ReadClone, Rest
from consumers.clone.facts import ShareFacts, Step
from consumers.clone.plan import next_action
from consumers.projection.fold import fold
from consumers.projection.objects import Account, Customer, PaymentMethod
from consumers.projection.seen import AccountSeen, Seen
from consumers.stripe_calls import KeyWatch
from consumers.stripe_gateway import OutcomeUnknownError, StripeError, StripeGateway
from schemas.records import Reason, State
from service.runtime.metrics import Metrics
from tests.support.waiting import until
from tests.unit.consumers.answering import answering
from tests.unit.consumers.shares import NOW, POLICY, account, attached, intent, method, planned, share
from tests.unit.consumers.sightings import account as account_seen
from tests.unit.consumers.sightings import at, card, customer

INACTIVE = account(card_payments="inactive")


def test_what_others_detached_is_never_ready_again_because_a_gate_closed_and_opened() -> None:
    """Plan.py `_why_absent` and `_go_on` take an attached clone that is absent for one that is there."""
    gone = method(attached(State.ABSENT, Reason.DETACHED_ON_ACCOUNT))

    assert next_action(share(gone, on=INACTIVE, connected_customer="cus_C"), POLICY, NOW) == Rest()


def test_a_clone_is_looked_at_after_the_account_was_away_even_if_a_gate_was_closed_between() -> None:
    """Account_disconnected becomes capability_inactive, and the need to look is forgotten."""
    away = method(attached(State.BLOCKED, Reason.ACCOUNT_DISCONNECTED))
    back = share(away, on=INACTIVE, connected_customer="cus_C")
    action = next_action(back, POLICY, NOW)
    if isinstance(action, Announce):
        assert away.clone is not None
        away = replace(away, clone=replace(away.clone, state=action.state, reason=action.reason))

    opened = next_action(share(away, connected_customer="cus_C"), POLICY, NOW)

    assert isinstance(opened, ReadClone)


@pytest.mark.parametrize(
    "facts",
    [
        share(method(attached(), kind="link"), connected_customer="cus_C"),
        share(method(planned(), kind="link"), open_intent=intent(Step.CLONE)),
    ],
    ids=["attached", "a write open"],
)
def test_there_is_an_answer_even_for_a_type_that_is_cloned_no_more(facts: ShareFacts) -> None:
    """`CAPABILITIES[method_type]` raises KeyError; total over every state is the promise."""
    next_action(facts, POLICY, NOW)


_PARTS = st.lists(
    st.builds(
        lambda whole, capabilities: account_seen(0, whole=whole, **capabilities),
        st.booleans(),
        st.dictionaries(
            st.sampled_from(["card_payments", "transfers"]), st.sampled_from(["active", "inactive"])
        ),
    ),
    max_size=4,
).map(lambda batch: [replace(seen, as_of=at(second)) for second, seen in enumerate(batch)])


@given(_PARTS, st.randoms(use_true_random=False))
def test_the_order_in_which_parts_of_an_account_arrive_does_not_matter(
    batch: list[AccountSeen], chance: random.Random
) -> None:
    """Part@1, part@3, whole@2 gives the capability of second 1, laid over the whole of second 2."""
    shuffled = list(batch)
    chance.shuffle(shuffled)

    assert fold(shuffled) == fold(batch)


@pytest.mark.parametrize(
    "batch",
    [
        [customer(1), customer(2, deleted=True), customer(3)],
        [card(1), card(2, detached=True), card(3, of=None)],
    ],
    ids=["after a deletion", "without an owner"],
)
def test_a_repeat_is_no_contradiction(batch: list[Seen]) -> None:
    """The row carries what stays of an older event, and is compared with the repeat of the newer."""
    assert fold([*batch, batch[-1]]) == fold(batch)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (Customer, {"id": "cus_P", "metadata": None}),
        (Customer, {"id": "cus_P", "invoice_settings": None}),
        (Customer, {"id": "cus_P", "preferred_locales": None}),
        (PaymentMethod, {"id": "pm_P", "type": "card", "metadata": None}),
        (Account, {"id": "acct_1", "capabilities": None}),
    ],
)
def test_what_stripe_declares_optional_may_be_null(shape: type[object], text: dict[str, object]) -> None:
    """Stripe-python 16.1.0 types these five Optional; a null makes the event unreadable, and so lost."""
    msgspec.json.decode(json.dumps(text).encode(), type=shape)


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b'{"id": "pm_C", "obj'),
        (200, b"<html>"),
        (302, b""),
        (408, b"<html>"),
        (404, b"<html>no route</html>"),
    ],
    ids=["cut short", "a page", "a redirect", "a proxy's timeout", "a proxy's page"],
)
async def test_an_answer_that_is_not_stripes_leaves_the_outcome_open(status: int, body: bytes) -> None:
    """It becomes a definite no: the intent is `refused`, and a retry would clone a second time."""
    async with answering() as stripe:
        stripe.answer(status, body)
        gateway = StripeGateway(api_key="sk_test_0123456789abcdef", api_base=stripe.url, timeout_s=5)
        with pytest.raises(StripeError) as caught:
            await gateway.clone("acct_1", {"customer": "cus_P", "payment_method": "pm_P"}, "k")
        await gateway.close()

    assert type(caught.value) is OutcomeUnknownError


@pytest.mark.parametrize("status", [500, 429, 503])
async def test_a_refused_key_is_not_accepted_because_stripe_is_busy(status: int) -> None:
    """The probe after a 401 opens all lanes again on any answer that is not a 401."""
    metrics = Metrics()
    async with answering() as stripe:
        gateway = StripeGateway(api_key="sk_test_0123456789abcdef", api_base=stripe.url, timeout_s=5)
        watch = KeyWatch(gateway, metrics)
        watch.refused()
        stripe.answer(status, {"error": {"type": "api_error", "message": "no"}})
        stop = asyncio.Event()
        asking = asyncio.create_task(watch.run(stop))

        async def asked() -> bool:
            return bool(stripe.asked)

        await until(asked, within_s=5, what="the watch asks")
        stop.set()
        await asking
        await gateway.close()

    assert metrics.registry.get_sample_value("offshoot_stripe_key_accepted") == 0
