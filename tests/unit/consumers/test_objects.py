"""What Stripe's objects say: the accounts a customer names, and what makes a clone out of date."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.projection.objects import (
    Account,
    Capability,
    Customer,
    InvoiceSettings,
    PaymentMethod,
    account_seen,
    capability_seen,
    content_hash,
    customer_seen,
    granted_accounts,
    payment_method_seen,
)
from consumers.projection.seen import AccountSeen, CustomerSeen, PaymentMethodSeen
from tests.unit.consumers.sightings import at

KEY = "connected_accounts"


@pytest.mark.parametrize(
    ("metadata", "accounts"),
    [
        ({}, ()),
        ({KEY: ""}, ()),
        ({KEY: "acct_1"}, ("acct_1",)),
        ({KEY: "acct_2,acct_1"}, ("acct_1", "acct_2")),
        ({KEY: " acct_1 ,\tacct_2\n acct_3, ,"}, ("acct_1", "acct_2", "acct_3")),
        ({KEY: "acct_1,acct_1"}, ("acct_1",)),
        ({KEY: "acct_1", f"{KEY}_2": "acct_2", f"{KEY}_3": "acct_3 acct_1"}, ("acct_1", "acct_2", "acct_3")),
        ({f"{KEY}_2": "acct_2"}, ("acct_2",)),
        ({f"{KEY}_10": "acct_10", f"{KEY}_27": "acct_27"}, ("acct_10", "acct_27")),
        ({f"{KEY}_1": "acct_1"}, ()),
        ({f"{KEY}_0": "acct_1", f"{KEY}_02": "acct_2", f"{KEY}_": "acct_3"}, ()),
        ({f"{KEY}_2x": "acct_1", f"{KEY}2": "acct_2", f"my_{KEY}": "acct_3"}, ()),
        ({f"{KEY}_2\n": "acct_1", KEY.upper(): "acct_2"}, ()),
        ({KEY: "acct_1, cus_2, acct_, ACCT_3, acct_a-b, xacct_4, *"}, ("acct_1",)),
        ({KEY: "acct_" + "a" * 64 + " acct_" + "b" * 65}, ("acct_" + "a" * 64,)),
        ({"other": "acct_1"}, ()),
    ],
    ids=str,
)
def test_which_accounts_a_customer_names(metadata: dict[str, str], accounts: tuple[str, ...]) -> None:
    assert granted_accounts(metadata, KEY) == accounts


def test_the_key_is_taken_letter_by_letter() -> None:
    """A key with the signs of a regular expression names itself only."""
    assert granted_accounts({"a.b": "acct_1", "axb": "acct_2", "a.b_2": "acct_3"}, "a.b") == (
        "acct_1",
        "acct_3",
    )


@given(st.dictionaries(st.text(), st.text()), st.text(min_size=1))
def test_whatever_the_metadata_only_account_ids_come_out(metadata: dict[str, str], key: str) -> None:
    accounts = granted_accounts(metadata, key)

    assert list(accounts) == sorted(set(accounts))
    assert all(account.startswith("acct_") and account.isascii() for account in accounts)


@pytest.mark.parametrize(
    ("metadata", "everywhere"),
    [
        ({KEY: "*"}, True),
        ({KEY: "acct_1, *"}, True),
        ({f"{KEY}_2": "acct_1 *"}, True),
        ({KEY: "acct_*"}, False),
        ({KEY: "**"}, False),
        ({"another": "*"}, False),
        ({}, False),
    ],
)
def test_a_star_is_every_account(metadata: dict[str, str], *, everywhere: bool) -> None:
    seen = customer_seen(Customer(id="cus_P", metadata=metadata), at(1), metadata_key=KEY, profile_fields=())

    assert seen.granted_all is everywhere
    assert "*" not in seen.granted_accounts


def test_a_deployment_may_share_every_customer_with_every_account() -> None:
    seen = customer_seen(
        Customer(id="cus_P"), at(1), metadata_key=KEY, profile_fields=(), share_with_all=True
    )

    assert seen.granted_all


def test_what_a_customer_says() -> None:
    """Of its fields only those asked for, and none that is empty, however deep."""
    customer = Customer(
        id="cus_P",
        metadata={KEY: "acct_1"},
        invoice_settings=InvoiceSettings(default_payment_method="pm_1"),
        name="Jenny",
        email="",
        phone="+1",
        address={"city": "Berlin", "line2": None},
        shipping={"address": {"city": ""}},
    )

    assert customer_seen(
        customer,
        at(1),
        metadata_key=KEY,
        profile_fields=("name", "email", "address", "shipping", "description"),
    ) == CustomerSeen(
        id="cus_P",
        as_of=at(1),
        granted_accounts=("acct_1",),
        default_payment_method_id="pm_1",
        profile={"name": "Jenny", "address": {"city": "Berlin"}},
        deleted=False,
    )


@pytest.mark.parametrize(
    ("metadata", "opted_out"),
    [({}, False), ({"offshoot": "never"}, True), ({"offshoot": "Never"}, False), ({"offshoot": ""}, False)],
    ids=str,
)
def test_a_method_opts_out_by_its_metadata(metadata: dict[str, str], *, opted_out: bool) -> None:
    assert payment_method_seen(PaymentMethod("pm_1", "card", metadata=metadata), at(1)).opted_out is opted_out


def test_what_a_method_says() -> None:
    method = _card(billing={"name": "Jenny", "phone": ""})
    method = msgspec.structs.replace(method, customer="cus_P")

    assert payment_method_seen(method, at(1)) == PaymentMethodSeen(
        "pm_1",
        at(1),
        "cus_P",
        "card",
        content_hash(method),
        opted_out=False,
        detached=False,
        content={
            "fingerprint": "f",
            "expiry": [2030, 1],
            "billing_details": {"name": "Jenny"},
            "bank": {},
        },
    )


def test_a_blocked_bank_account_says_so() -> None:
    blocked = _bank(status_details={"blocked": {"reason": "bank_account_closed", "network_code": "R02"}})

    assert payment_method_seen(blocked, at(1)).blocked
    assert not payment_method_seen(_bank(status_details={}), at(1)).blocked


def test_a_method_of_a_v2_account_is_its_accounts() -> None:
    seen = payment_method_seen(PaymentMethod("pm_1", "card", customer_account="acct_C"), at(1))

    assert (seen.customer_id, seen.owner_supported) == ("acct_C", False)


def test_a_detached_method_is_still_known_by_whose_it_was() -> None:
    seen = payment_method_seen(PaymentMethod("pm_1", "card"), at(1), detached_from="cus_P", detached=True)

    assert (seen.customer_id, seen.detached) == ("cus_P", True)


def test_an_account_is_whole_and_a_capability_is_a_part() -> None:
    assert account_seen(Account("acct_1", {"card_payments": "active"}), at(1)) == AccountSeen(
        "acct_1", at(1), {"card_payments": "active"}, whole=True
    )
    assert capability_seen(Capability("card_payments", "acct_1", "active"), at(1)) == AccountSeen(
        "acct_1", at(1), {"card_payments": "active"}, whole=False
    )


CARD: dict[str, object] = {
    "brand": "visa",
    "fingerprint": "f",
    "exp_month": 1,
    "exp_year": 2030,
    "last4": "4242",
    "checks": None,
}
BANK: dict[str, object] = {
    "account_holder_type": "individual",
    "account_type": "checking",
    "bank_name": "B",
    "fingerprint": "f",
    "last4": "6789",
    "routing_number": "110000000",
    "networks": None,
    "status_details": {},
}
BILLING = {"name": "Jenny", "email": None, "address": {"city": "Berlin", "line2": None}}


def _card(*, billing: dict[str, Any] | None = None, **changed: object) -> PaymentMethod:
    return PaymentMethod("pm_1", "card", billing_details=billing or BILLING, card={**CARD, **changed})


def _bank(**changed: object) -> PaymentMethod:
    return PaymentMethod("pm_1", "us_bank_account", us_bank_account={**BANK, **changed})


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (_card(), PaymentMethod("pm_1", "link", billing_details=BILLING, card=CARD)),
        (_card(), _card(fingerprint="g")),
        (_card(), _card(exp_month=2)),
        (_card(), _card(exp_year=2031)),
        (_card(exp_month=1, exp_year=12), _card(exp_month=12, exp_year=1)),
        (_card(), _card(billing={**BILLING, "name": "J"})),
        (_card(), _card(billing={**BILLING, "email": "j@example.com"})),
        (_card(), _card(billing={**BILLING, "address": {"city": "Bonn"}})),
        (_bank(), _bank(fingerprint="g")),
        *[(_bank(), _bank(**{name: "x"})) for name in BANK if name not in {"networks", "status_details"}],
    ],
)
def test_what_makes_a_clone_out_of_date(was: PaymentMethod, becomes: PaymentMethod) -> None:
    assert content_hash(was) != content_hash(becomes)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (_card(), PaymentMethod("pm_2", "card", billing_details=BILLING, card=CARD)),
        (_card(), PaymentMethod("pm_1", "card", "cus_P", None, BILLING, {"a": "b"}, CARD)),
        (_card(), _card(checks={"cvc_check": "pass"})),
        (_card(), _card(networks={"preferred": "visa"})),
        (_card(), _card(brand="mastercard")),
        (_card(), _card(billing={"address": {"line2": "", "city": "Berlin"}, "name": "Jenny"})),
        (_card(), _card(billing={**BILLING, "phone": None, "tax_id": ""})),
        (_bank(), _bank(networks={"preferred": "ach"})),
        (_bank(), _bank(status_details={"blocked": {}})),
        (_card(billing={"address": {}}), _card(billing={"address": None})),
    ],
)
def test_what_does_not(was: PaymentMethod, becomes: PaymentMethod) -> None:
    """The object's id and owner, metadata, checks, networks; empty or missing values; the order of keys."""
    assert content_hash(was) == content_hash(becomes)
