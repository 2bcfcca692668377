"""Commands as other services write them, and the headers of their results."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.commands import (
    COMPLETED,
    CloneOnce,
    Command,
    CommandName,
    CommandType,
    GrantShare,
    NamelessCommand,
    Order,
    RefusedCommand,
    Rejected,
    RejectReason,
    RevokeShare,
    SaveDirect,
    command_record,
    key_of,
    read_command,
    result_headers,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHARE = {"customer": "cus_P", "account": "acct_1"}
SAVE = {"customer": "cus_C", "account": "acct_1"}
GRANT, REVOKE, ONCE, DIRECT = CommandType


def read(value: object, type_: str = GRANT, **attributes: str) -> Any:
    headers = {"id": "7", "source": "/shop", "type": type_, **attributes}
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_command(
        [(f"ce_{name}", text.encode()) for name, text in headers.items()], b"acct_1:cus_P", raw, NOW
    )


@pytest.mark.parametrize(
    ("type_", "value", "order"),
    [
        (GRANT, SHARE, GrantShare(customer="cus_P", account="acct_1")),
        (
            GRANT,
            {**SHARE, "connected_customer": "cus_C", "payment_methods": ["pm_1", "card_2"]},
            GrantShare(
                customer="cus_P",
                account="acct_1",
                connected_customer="cus_C",
                payment_methods=("pm_1", "card_2"),
            ),
        ),
        (REVOKE, SHARE, RevokeShare(customer="cus_P", account="acct_1")),
        (
            ONCE,
            {"payment_method": "pm_P", "account": "acct_1"},
            CloneOnce(payment_method="pm_P", account="acct_1"),
        ),
        (
            ONCE,
            {"payment_method": "pm_P", "account": "acct_1", "customer": None, "consume": True},
            CloneOnce(payment_method="pm_P", account="acct_1", consume=True),
        ),
        (
            DIRECT,
            {**SAVE, "token": "tok_visa"},
            SaveDirect(customer="cus_C", account="acct_1", token="tok_visa"),
        ),
        (
            DIRECT,
            {**SAVE, "payment_method": "pm_C", "mandate_data": {"customer_acceptance": {"type": "offline"}}},
            SaveDirect(
                customer="cus_C",
                account="acct_1",
                payment_method="pm_C",
                mandate_data={"customer_acceptance": {"type": "offline"}},
            ),
        ),
    ],
)
def test_what_is_understood(type_: str, value: object, order: Order) -> None:
    """And written as a producer writes it, it is read as the same."""
    command = read(value, type_)

    name = CommandName("/shop", "7", "acct_1:cus_P")
    assert command == Command(name, CommandType(type_), order, None)
    headers, written = command_record(name, command.order, now=NOW)
    assert read_command(headers, name.key.encode(), written, NOW) == command


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (GRANT, {}),
        (GRANT, []),
        (GRANT, None),
        (GRANT, b""),
        (GRANT, b"{"),
        (GRANT, b'{"customer":"cus_P","account":"acct_1"}\xff'),
        (GRANT, b"[" * 100_000),
        (GRANT, {"customer": "cus_P"}),
        (GRANT, {"customer": "acct_1", "account": "cus_P"}),
        (GRANT, {"customer": "cus_P\n", "account": "acct_1"}),
        (GRANT, {"customer": "cus_P\0", "account": "acct_1"}),
        (GRANT, {"customer": 7, "account": "acct_1"}),
        (GRANT, {**SHARE, "payment_methods": []}),
        (GRANT, {**SHARE, "payment_methods": ["cus_P"]}),
        # Misread as a grant of everything, if what is not known were passed over.
        (GRANT, {**SHARE, "payment_method": "pm_1"}),
        (ONCE, {"payment_method": "pm_P", "account": "acct_1", "consume": "true"}),
        (DIRECT, SAVE),
        (DIRECT, {**SAVE, "token": "tok_visa", "payment_method": "pm_C"}),
        (DIRECT, {**SAVE, "token": "btok_1"}),
        (DIRECT, {**SAVE, "token": "tok_visa", "mandate_data": "yes"}),
    ],
)
def test_what_is_invalid(type_: str, value: object) -> None:
    refused = read(value, type_)

    assert isinstance(refused, RefusedCommand)
    assert (refused.name.id, refused.type, refused.rejected.reason) == ("7", type_, "invalid")


@pytest.mark.parametrize("type_", ["offshoot.share.transfer", "", "OFFSHOOT.SHARE.GRANT"])
def test_what_names_no_command(type_: str) -> None:
    assert read(b"nonsense", type_).rejected.reason is RejectReason.UNKNOWN_COMMAND


@pytest.mark.parametrize(
    ("expires", "reason"),
    [
        ("2026-01-01T00:00:00Z", "expired"),
        ("2025-12-31T23:59:59.9+00:00", "expired"),
        ("2026-01-01T02:00:01+02:00", None),
        ("2026-01-02T00:00:00", "invalid"),
        ("tomorrow", "invalid"),
        ("", "invalid"),
    ],
)
def test_when_it_expires(expires: str, reason: str | None) -> None:
    command = read(SHARE, expirytime=expires)

    assert (command.rejected.reason if isinstance(command, RefusedCommand) else None) == reason
    if isinstance(command, Command):
        assert command.expires_at == NOW + timedelta(seconds=1)


@pytest.mark.parametrize("id_", [None, b"", b"\xff", b"a\0b", b"x" * 1025])
def test_without_a_usable_id_there_is_no_result(id_: bytes | None) -> None:
    headers = [("ce_type", GRANT.encode()), ("ce_source", b"/shop")]
    headers += [] if id_ is None else [("ce_id", id_)]

    assert isinstance(read_command(headers, b"k", json.dumps(SHARE).encode(), NOW), NamelessCommand)


def test_without_a_source_it_is_invalid_and_without_a_key_its_id_stands_for_it() -> None:
    headers = [("ce_type", GRANT.encode()), ("ce_id", b"7")]
    for key in (None, b"", b"\xff"):
        refused = read_command(headers, key, json.dumps(SHARE).encode(), NOW)
        assert isinstance(refused, RefusedCommand)
        assert (refused.name, refused.rejected.reason) == (CommandName("", "7", "7"), RejectReason.INVALID)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_source", "ce_type", "ce_expirytime", "other"]),
            st.binary(max_size=30) | st.sampled_from([each.encode() for each in CommandType]),
        )
    ),
    st.none() | st.binary(max_size=20),
    st.binary(max_size=60)
    | st.sampled_from([json.dumps(SHARE).encode(), b'{"account":"acct_1"}', b'"\\ud800"']),
)
def test_no_bytes_break_it(headers: list[tuple[str, bytes]], key: bytes | None, value: bytes) -> None:
    read_command(headers, key, value, NOW)


def test_a_result_is_named_after_its_command_and_the_same_on_a_repeat() -> None:
    name = CommandName("/shop", "7", "acct_1:cus_P")

    headers = dict(result_headers(name, COMPLETED, NOW))

    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": headers["ce_id"],
        "ce_type": b"offshoot.command.completed",
        "ce_source": b"/offshoot",
        "ce_subject": b"acct_1:cus_P",
        "ce_time": b"2026-01-01T00:00:00Z",
        "ce_partitionkey": b"acct_1:cus_P",
        "ce_commandid": b"7",
        "content-type": b"application/json",
    }
    again = dict(result_headers(name, COMPLETED, NOW + timedelta(hours=1)))
    assert again["ce_id"] == headers["ce_id"]
    others = [CommandName("/shop", "8", name.key), CommandName("/shop7", "", name.key)]
    assert headers["ce_id"] not in [dict(result_headers(each, COMPLETED, NOW))["ce_id"] for each in others]


def test_what_a_rejection_does_not_have_is_left_out() -> None:
    plain = Rejected(reason=RejectReason.EXPIRED, message="late")
    full = Rejected(
        reason=RejectReason.CARD_DECLINED, message="no", stripe_request_id="req_1", decline_code="x"
    )

    assert msgspec.json.encode(plain) == b'{"reason":"expired","message":"late"}'
    assert json.loads(msgspec.json.encode(full)) == {
        "reason": "card_declined",
        "message": "no",
        "stripe_request_id": "req_1",
        "decline_code": "x",
    }


@pytest.mark.parametrize(
    ("type_", "value", "key"),
    [
        (GRANT, SHARE, "acct_1:cus_P"),
        (REVOKE, SHARE, "acct_1:cus_P"),
        (ONCE, {"payment_method": "pm_P", "account": "acct_1", "customer": "cus_P"}, "acct_1:pm_P"),
        (DIRECT, {**SAVE, "payment_method": "pm_C"}, "acct_1:pm_C"),
        (DIRECT, {**SAVE, "token": "tok_visa"}, "acct_1:cus_C"),
    ],
)
def test_the_key_names_the_account_and_the_customer_or_method(type_: str, value: object, key: str) -> None:
    assert key_of(read(value, type_).order) == key


def test_the_reasons() -> None:
    """The whole of the closed list, as the contract has it."""
    assert set(RejectReason) == {
        *("invalid", "unknown_command", "expired", "account_unknown", "account_disconnected"),
        *("capability_inactive", "not_found", "unattached_original", "original_consumed", "customer_taken"),
        *("card_declined", "refused", "retries_exhausted"),
    }
