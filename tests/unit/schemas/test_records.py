"""The records of `offshoot.payment-methods`, letter by letter as other services read them."""

import json

import msgspec
import pytest

from schemas.records import REASONS, Origin, PaymentMethodRecord, Reason, State

CLONE = PaymentMethodRecord(
    account="acct_1",
    origin=Origin.CLONE,
    state=State.READY,
    reason=None,
    platform_customer="cus_P",
    platform_payment_method="pm_P",
    connected_customer="cus_C",
    connected_payment_method="pm_C",
    type="card",
    default=True,
    generation=1,
    version=7,
    livemode=False,
    occurred_at="2026-01-01T00:00:00Z",
)
DIRECT = msgspec.structs.replace(
    CLONE, origin=Origin.DIRECT, platform_customer=None, platform_payment_method=None, generation=None
)


def test_the_json_of_a_record() -> None:
    assert CLONE.to_json() == (
        b'{"account":"acct_1","origin":"clone","state":"ready","reason":null,'
        b'"platform_customer":"cus_P","platform_payment_method":"pm_P",'
        b'"connected_customer":"cus_C","connected_payment_method":"pm_C",'
        b'"type":"card","default":true,"generation":1,"version":7,"livemode":false,'
        b'"occurred_at":"2026-01-01T00:00:00Z"}'
    )


def test_what_is_absent_is_null_and_never_left_out() -> None:
    nothing = msgspec.structs.replace(
        DIRECT, connected_customer=None, connected_payment_method="pm_C", type=None, reason=None
    )

    record = json.loads(nothing.to_json())
    assert record.keys() == json.loads(CLONE.to_json()).keys()
    assert [name for name, value in record.items() if value is None] == [
        "reason",
        "platform_customer",
        "platform_payment_method",
        "connected_customer",
        "type",
        "generation",
    ]


def test_a_clone_is_keyed_by_the_platforms_id_and_a_direct_one_by_its_own() -> None:
    assert CLONE.key == "acct_1:pm_P"
    assert DIRECT.key == "acct_1:pm_C"


def test_the_event_id_is_the_same_on_a_repeat_and_another_for_each_version() -> None:
    assert msgspec.structs.replace(CLONE).event_id == CLONE.event_id == "acct_1:pm_P:7"
    assert msgspec.structs.replace(CLONE, version=8).event_id == "acct_1:pm_P:8"


@pytest.mark.parametrize("state", list(State))
def test_the_event_type_names_the_state(state: State) -> None:
    assert msgspec.structs.replace(CLONE, state=state).event_type == f"offshoot.payment_method.{state.value}"


def test_the_states_and_their_reasons() -> None:
    """The whole of the closed list, as the contract has it."""
    assert {
        str(state): {reason and str(reason) for reason in reasons} for state, reasons in REASONS.items()
    } == {
        "pending": {None},
        "ready": {None, "reused", "updating", "update_failed", "mandate_unverified"},
        "blocked": {"capability_inactive", "account_disconnected", "account_unknown", "bank_account_blocked"},
        "failed": {
            "card_declined",
            "customer_full",
            "original_consumed",
            "not_found",
            "permission",
            "refused",
            "retries_exhausted",
        },
        "absent": {
            "detached_on_platform",
            "detached_on_account",
            "share_revoked",
            "customer_deleted",
            "connected_customer_deleted",
            "type_not_cloneable",
            "opted_out",
            "owner_not_supported",
        },
    }


def test_every_state_has_reasons_and_every_reason_one_state() -> None:
    assert REASONS.keys() == set(State)
    assert sorted(reason for reasons in REASONS.values() for reason in reasons if reason) == sorted(Reason)


def test_the_origins() -> None:
    assert [origin.value for origin in Origin] == ["clone", "direct"]
