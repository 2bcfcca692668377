"""Rows to the arrays of columns that the set-based statements take."""

from collections.abc import Sequence
from typing import Any

import msgspec

from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedHint,
    ConnectedMethodSeen,
    CustomerSeen,
    PaymentMethodSeen,
)


def customers(rows: Sequence[CustomerSeen]) -> dict[str, Any]:
    """Columns of apply_customers and read_customers."""
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "granted_accounts": [",".join(row.granted_accounts) for row in rows],
        "granted_all": [row.granted_all for row in rows],
        "defaults": [row.default_payment_method_id for row in rows],
        "profiles": [json_text(row.profile) for row in rows],
        "deleted": [row.deleted for row in rows],
    }


def payment_methods(rows: Sequence[PaymentMethodSeen]) -> dict[str, Any]:
    """Columns of apply_payment_methods and, but for `detached`, of read_payment_methods."""
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "customers": [row.customer_id for row in rows],
        "types": [row.type for row in rows],
        "hashes": [row.content_hash for row in rows],
        "contents": [json_text(row.content) for row in rows],
        "opted_out": [row.opted_out for row in rows],
        "blocked": [row.blocked for row in rows],
        "supported": [row.owner_supported for row in rows],
    }


def accounts(rows: Sequence[AccountSeen]) -> dict[str, Any]:
    """Columns of apply_accounts."""
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "capabilities": [json_text(row.capabilities) for row in rows],
        "whole": [row.whole for row in rows],
        "connected": [row.connected for row in rows],
        "access_in_doubt": [row.access_in_doubt for row in rows],
    }


def connected_methods(rows: Sequence[ConnectedMethodSeen]) -> dict[str, Any]:
    """Columns of apply_connected_methods."""
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "accounts": [row.account_id for row in rows],
        "customers": [row.customer_id for row in rows],
        "types": [row.type for row in rows],
        "contents": [json_text(row.content) if row.content is not None else None for row in rows],
        "blocked": [row.blocked for row in rows],
        "detached": [row.detached for row in rows],
        "mandates": [row.mandate.active if row.mandate is not None else None for row in rows],
        "mandates_as_of": [row.mandate.as_of if row.mandate is not None else None for row in rows],
        "keys": [row.idempotency_key for row in rows],
    }


def connected_customers(rows: Sequence[ConnectedCustomerSeen]) -> dict[str, Any]:
    """Columns of apply_connected_customers."""
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "accounts": [row.account_id for row in rows],
        "defaults": [row.default_payment_method_id for row in rows],
        "deleted": [row.deleted for row in rows],
    }


def connected_hints(rows: Sequence[ConnectedHint]) -> dict[str, Any]:
    """Columns of want_connected_readings."""
    return {
        "accounts": [row.account_id for row in rows],
        "kinds": [row.kind for row in rows],
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "keys": [row.idempotency_key for row in rows],
    }


def json_text(value: object) -> str:
    """Write a value as JSON text."""
    return msgspec.json.encode(value).decode()
