"""What is announced of a method that was saved on an account without us, as a table."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.direct.record import DirectFacts, RecordDirect, Said, to_say
from schemas.records import REASONS, Reason, State

CARD = DirectFacts("card", attached=True)
BANK = DirectFacts("us_bank_account", attached=True)
READY = Said(State.READY, None, default=False)
ALL, MAPPED, NONE = RecordDirect
ACTIVE = {"card_payments": "active"}


@pytest.mark.parametrize(
    ("method", "state", "reason"),
    [
        (CARD, "ready", None),
        (replace(CARD, type="link"), "ready", None),
        (replace(CARD, type="link", account_known=True), "ready", None),
        (replace(CARD, account_known=True, capabilities=ACTIVE), "ready", None),
        (replace(CARD, account_known=True, capabilities={"legacy_payments": "active"}), "ready", None),
        (
            replace(CARD, account_known=True, capabilities={"card_payments": "pending"}),
            "blocked",
            "capability_inactive",
        ),
        (
            replace(BANK, account_known=True, capabilities=ACTIVE, mandate=True),
            "blocked",
            "capability_inactive",
        ),
        (replace(CARD, account_disconnected=True), "blocked", "account_disconnected"),
        (replace(CARD, unverified=True), "blocked", "account_disconnected"),
        (BANK, "ready", "mandate_unverified"),
        (replace(BANK, mandate=True), "ready", None),
        (replace(BANK, mandate=True, blocked=True), "blocked", "bank_account_blocked"),
    ],
)
def test_a_method_that_is_there(method: DirectFacts, state: str, reason: str | None) -> None:
    assert to_say(method, ALL) == Said(State(state), Reason(reason) if reason else None, default=False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"detached": True}, "detached_on_account"),
        ({"detached": True, "account_disconnected": True}, "detached_on_account"),
        ({"customer_deleted": True}, "connected_customer_deleted"),
        ({"customer_deleted": True, "detached": True}, "connected_customer_deleted"),
        ({"is_clone": True}, "detached_on_account"),
    ],
)
def test_what_ends_is_told_only_if_it_was_told_of(change: dict[str, Any], reason: str) -> None:
    gone = replace(CARD, **change, default=True)

    assert to_say(gone, ALL) is None
    assert to_say(replace(gone, said=READY), ALL) == Said(State.ABSENT, Reason(reason), default=False)


@pytest.mark.parametrize(
    "method",
    [replace(CARD, attached=False), replace(CARD, type=""), replace(CARD, is_clone=True)],
    ids=["not saved", "not known yet", "a clone"],
)
def test_what_is_not_announced(method: DirectFacts) -> None:
    assert to_say(method, ALL) is None


def test_which_are_announced() -> None:
    """`mapped`: of customers that are known on both sides. What was announced is kept right."""
    mapped = replace(CARD, mapped=True)
    assert [to_say(CARD, record) is not None for record in (ALL, MAPPED, NONE)] == [True, False, False]
    assert [to_say(mapped, record) is not None for record in (ALL, MAPPED, NONE)] == [True, True, False]
    gone = replace(CARD, said=READY, detached=True)
    assert [to_say(gone, record) is not None for record in (ALL, MAPPED, NONE)] == [True, True, False]


def test_its_default_is_told() -> None:
    assert to_say(replace(CARD, default=True, said=READY), ALL) == replace(READY, default=True)


_METHODS = st.builds(
    DirectFacts,
    type=st.sampled_from(["card", "us_bank_account", "link", ""]),
    attached=st.booleans(),
    is_clone=st.booleans(),
    detached=st.booleans(),
    customer_deleted=st.booleans(),
    account_disconnected=st.booleans(),
    account_known=st.booleans(),
    capabilities=st.sampled_from([None, {}, ACTIVE]),
    unverified=st.booleans(),
    blocked=st.booleans(),
    mandate=st.booleans(),
    default=st.booleans(),
    mapped=st.booleans(),
)


@given(_METHODS, st.sampled_from(RecordDirect))
def test_it_is_said_once_and_may_be_said(method: DirectFacts, record: RecordDirect) -> None:
    said = to_say(method, record)

    if said is not None:
        assert said.reason in REASONS[said.state]
        assert to_say(replace(method, said=said), record) is None
