"""Headers and keys of records: exactly those of the contract, and none without a value."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from schemas.cloudevents import Via, cloudevent_headers, rfc3339, stripe_event_headers, stripe_event_key
from schemas.stripe_event import PayloadKind, StripeEvent

EVENT = StripeEvent(
    id="evt_1",
    type="payment_method.attached",
    livemode=False,
    created=datetime(2026, 1, 1, tzinfo=UTC),
    account="acct_1",
    object_id="pm_1",
    payload_kind=PayloadKind.SNAPSHOT,
    api_version="2026-10-28.endive",
    idempotency_key=None,
    object=b"",
    previous_attributes=b"",
)
BARE = StripeEvent(
    id="evt_2",
    type="invoice.upcoming",
    livemode=True,
    created=None,
    account=None,
    object_id=None,
    payload_kind=PayloadKind.THIN,
    api_version=None,
    idempotency_key=None,
    object=b"",
    previous_attributes=b"",
)


def test_every_attribute_of_an_event() -> None:
    assert stripe_event_headers(EVENT, endpoint="main", via=Via.WEBHOOK) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"evt_1"),
        ("ce_type", b"com.stripe.payment_method.attached"),
        ("ce_source", b"/stripe/acct_1"),
        ("ce_subject", b"pm_1"),
        ("ce_time", b"2026-01-01T00:00:00Z"),
        ("ce_partitionkey", b"acct_1:pm_1"),
        ("ce_account", b"acct_1"),
        ("ce_livemode", b"false"),
        ("ce_payloadkind", b"snapshot"),
        ("ce_apiversion", b"2026-10-28.endive"),
        ("ce_endpoint", b"main"),
        ("ce_via", b"webhook"),
        ("content-type", b"application/json"),
    ]


def test_what_has_no_value_is_absent() -> None:
    assert stripe_event_headers(BARE, endpoint=None, via=Via.RECOVERY) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"evt_2"),
        ("ce_type", b"com.stripe.invoice.upcoming"),
        ("ce_source", b"/stripe/platform"),
        ("ce_partitionkey", b"platform:evt_2"),
        ("ce_livemode", b"true"),
        ("ce_payloadkind", b"thin"),
        ("ce_via", b"recovery"),
        ("content-type", b"application/json"),
    ]


def test_the_key_is_the_account_and_the_object_else_the_event() -> None:
    assert stripe_event_key(EVENT) == b"acct_1:pm_1"
    assert stripe_event_key(BARE) == b"platform:evt_2"


def test_a_record_of_our_own() -> None:
    headers = cloudevent_headers(
        id="1",
        type="offshoot.payment_method.ready",
        source="/offshoot",
        subject="acct_1:pm_1",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        partition_key="acct_1:pm_1",
        extensions={"commandid": "c-1", "nothing": None, "empty": ""},
    )
    assert ("ce_commandid", b"c-1") in headers
    assert dict(headers).keys().isdisjoint({"ce_nothing", "ce_empty"})
    assert dict(headers)["ce_partitionkey"] == dict(headers)["ce_subject"] == b"acct_1:pm_1"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
        (datetime(2026, 1, 1, 0, 0, 0, 5, tzinfo=UTC), "2026-01-01T00:00:00.000005Z"),
        (datetime(2026, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))), "2026-01-01T00:00:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_rfc3339(moment: datetime, expected: str) -> None:
    assert rfc3339(moment) == expected
