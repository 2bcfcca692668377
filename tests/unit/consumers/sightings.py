"""What was seen of objects, made short."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedMethodSeen,
    CustomerSeen,
    PaymentMethodSeen,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def customer(
    second: float,
    *accounts: str,
    name: str = "cus_P",
    default: str | None = None,
    deleted: bool = False,
    profile: Mapping[str, str] | None = None,
    everywhere: bool = False,
) -> CustomerSeen:
    return CustomerSeen(name, at(second), accounts, default, profile or {}, deleted, everywhere)


def card(
    second: float,
    content: bytes = b"a",
    *,
    name: str = "pm_P",
    of: str | None = "cus_P",
    detached: bool = False,
    opted_out: bool = False,
) -> PaymentMethodSeen:
    return PaymentMethodSeen(name, at(second), of, "card", content, opted_out, detached)


def account(
    second: float,
    *,
    name: str = "acct_1",
    whole: bool = False,
    connected: bool | None = None,
    **capabilities: str,
) -> AccountSeen:
    return AccountSeen(name, at(second), capabilities, whole, connected)


def connected_card(
    second: float,
    *,
    name: str = "pm_C",
    of: str | None = "cus_C",
    on: str = "acct_1",
    expiry: int = 2030,
    detached: bool = False,
    key: str | None = None,
) -> ConnectedMethodSeen:
    content = {"fingerprint": "f", "expiry": [expiry, 1], "billing_details": {}, "bank": {}}
    return ConnectedMethodSeen(name, at(second), on, of, "card", content, detached, key)


def connected_customer(
    second: float,
    *,
    name: str = "cus_C",
    on: str = "acct_1",
    default: str | None = None,
    deleted: bool = False,
) -> ConnectedCustomerSeen:
    return ConnectedCustomerSeen(name, at(second), on, default, deleted)
