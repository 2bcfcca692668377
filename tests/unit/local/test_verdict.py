"""The comparison that decides what `offshoot local` says at its end: each way to be wrong is seen."""

from dataclasses import replace

import msgspec
import pytest

from deploy.local.verdict import Attached, Card, Customer, Holding, Tally, differences, tally
from schemas.records import Origin, PaymentMethodRecord, Reason, State

VISA, MASTERCARD = Card("pm_visa", "print-visa"), Card("pm_mastercard", "print-mastercard")
CARDS = [VISA, MASTERCARD]
CLONES = (Attached("pm_c1", "cus_c", "print-visa"), Attached("pm_c2", "cus_c", "print-mastercard"))
RIGHT = Holding("acct_1", (Customer("cus_c", "pm_c1"),), CLONES)


def record(card: Card, clone: Attached) -> PaymentMethodRecord:
    return PaymentMethodRecord(
        account="acct_1",
        origin=Origin.CLONE,
        state=State.READY,
        reason=None,
        platform_customer="cus_p",
        platform_payment_method=card.id,
        connected_customer="cus_c",
        connected_payment_method=clone.id,
        type="card",
        default=clone is CLONES[0],
        generation=1,
        version=1,
        livemode=False,
        occurred_at="2026-01-01T00:00:00Z",
    )


RECORDS = {each.key: each for each in map(record, CARDS, CLONES)}
FIRST = "acct_1:pm_visa"


def test_what_is_right_has_no_differences() -> None:
    assert differences(RIGHT, CARDS, RECORDS) == []


TWICE = Attached("pm_c3", "cus_c", "print-visa")
STRANGER = Attached("pm_s", "cus_c", "print-of-another")


@pytest.mark.parametrize(
    ("holding", "found"),
    [
        (replace(RIGHT, customers=()), ["has 0 customers, should have 1"]),
        (
            replace(RIGHT, customers=(*RIGHT.customers, Customer("cus_d", None))),
            ["has 2 (cus_c, cus_d) customers, should have 1"],
        ),
        (
            replace(RIGHT, methods=CLONES[:1]),
            ["has 0 clones of pm_mastercard attached, should have 1"],
        ),
        (
            replace(RIGHT, methods=(*CLONES, TWICE)),
            ["has 2 (pm_c1, pm_c3) clones of pm_visa attached, should have 1"],
        ),
        (
            replace(RIGHT, customers=(Customer("cus_c", "pm_c2"),)),
            [
                "cus_c has the default pm_c2, should have pm_c1",
                "the record of pm_visa says default True, should say False",
                "the record of pm_mastercard says default False, should say True",
            ],
        ),
        (
            replace(RIGHT, customers=(Customer("cus_c", None),)),
            [
                "cus_c has the default None, should have pm_c1",
                "the record of pm_visa says default True, should say False",
            ],
        ),
        (
            replace(RIGHT, methods=(CLONES[0], replace(CLONES[1], customer="cus_x"))),
            [
                "pm_c2 is attached to cus_x, should be to cus_c",
                "the record of pm_mastercard says customer cus_c, should say cus_x",
            ],
        ),
        (
            replace(RIGHT, methods=(*CLONES, STRANGER)),
            ["pm_s is attached, but is no clone of the customer's cards"],
        ),
    ],
    ids=[
        "no customer",
        "two customers",
        "a clone is missing",
        "a clone is there twice",
        "the wrong default",
        "no default",
        "a clone of somebody else's",
        "a stranger",
    ],
)
def test_each_wrong_state_at_stripe_is_named(holding: Holding, found: list[str]) -> None:
    assert differences(holding, CARDS, RECORDS) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"state": State.BLOCKED, "reason": Reason.CAPABILITY_INACTIVE}, "state blocked, should say ready"),
        ({"connected_payment_method": "pm_x"}, "clone pm_x, should say pm_c1"),
        ({"connected_customer": None}, "customer None, should say cus_c"),
        ({"default": False}, "default False, should say True"),
    ],
    ids=["state", "clone", "customer", "default"],
)
def test_each_wrong_record_is_named(changes: dict[str, object], found: str) -> None:
    wrong = msgspec.structs.replace(RECORDS[FIRST], **changes)
    assert differences(RIGHT, CARDS, {**RECORDS, FIRST: wrong}) == [f"the record of pm_visa says {found}"]


def test_a_missing_record_is_named() -> None:
    only_first = {FIRST: RECORDS[FIRST]}
    assert differences(RIGHT, CARDS, only_first) == ["Kafka has no record of pm_mastercard"]


def test_what_is_deleted_or_not_attached_is_not_held() -> None:
    state = {
        "id": "acct_1",
        "customers": [
            {"id": "cus_c", "deleted": False, "invoice_settings": {"default_payment_method": "pm_c1"}},
            {"id": "cus_gone", "deleted": True, "invoice_settings": {"default_payment_method": None}},
        ],
        "payment_methods": [
            {"id": "pm_c1", "customer": "cus_c", "card": {"fingerprint": "print-visa"}},
            {"id": "pm_loose", "customer": None, "card": {"fingerprint": "print-visa"}},
            {"id": "pm_bank", "customer": "cus_c"},
        ],
    }
    assert Holding.of(state) == Holding(
        "acct_1", RIGHT.customers, (CLONES[0], Attached("pm_bank", "cus_c", None))
    )


def test_calls_are_counted_for_the_account_they_were_made_on_or_that_they_read() -> None:
    def call(method: str, path: str, account: str | None, key: str | None, *effect: str) -> dict[str, object]:
        return {
            "method": method,
            "path": path,
            "account": account,
            "idempotency_key": key,
            "effect": list(effect),
        }

    calls = [
        call("POST", "/v1/accounts", None, None, "account.created"),
        call("GET", "/v1/accounts/acct_1", None, None),
        call("GET", "/v1/accounts/acct_2", None, None),
        call("POST", "/v1/payment_methods", "acct_1", "k1", "payment_method.cloned"),
        call("POST", "/v1/customers", "acct_1", None, "customer.created", "payment_method.attached"),
        call("POST", "/v1/customers", "acct_2", "k3", "customer.created"),
        call("GET", "/v1/payment_methods/pm_c1", "acct_1", None),
    ]
    assert tally(calls, "acct_1") == Tally(
        account="acct_1", clones=1, writes=2, without_key=1, look_ups=1, other_reads=1
    )
