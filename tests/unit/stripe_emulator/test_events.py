"""Events and where they go: what each payload shows, who wants what, which secrets sign."""

from typing import Any

import pytest

from deploy.stripe_emulator.events.destination import Destination, Payload, Secrets
from deploy.stripe_emulator.events.event import (
    HEALTH,
    Event,
    milliseconds_of,
    related_object,
    timestamp,
)
from deploy.stripe_emulator.texts import as_json, compact, in_live_mode

PLATFORM, CONNECTED = "acct_platform", "acct_connected"
NOW_MS = 1_785_715_148_007


def event(*, account: str | None = None, livemode: bool = False, kind: str = "customer.updated") -> Event:
    """Make an event of API v1."""
    customer = {"id": "cus_1", "object": "customer"}
    return Event(
        type=kind,
        id="evt_1",
        thin_id="evt_test_1",
        created_ms=NOW_MS,
        api_version="new",
        livemode=livemode,
        owner=account or PLATFORM,
        account=account,
        request={"id": "req_1", "idempotency_key": "k"},
        related=related_object(customer),
        data=compact({"object": customer, "previous_attributes": {"name": "Ada"}}),
        pending=frozenset({"we_1", "we_2"}),
    )


def of_v2(kind: str) -> Event:
    """Make an event of API v2's own."""
    return Event(
        type=kind,
        id=None,
        thin_id="evt_test_2",
        created_ms=NOW_MS,
        api_version="new",
        livemode=False,
        owner=PLATFORM,
        account=None,
        request={"id": None, "idempotency_key": None},
        related=None,
        data=b'{"a":1}',
    )


def destination(*types: str, payload: Payload = "snapshot", **more: Any) -> Destination:
    """Make a destination of the platform's, for its own events."""
    facts: dict[str, Any] = {"owner": PLATFORM, "livemode": False, "own": True, "connected": False, **more}
    body = {"id": "we_1", "status": facts.pop("status", "enabled"), "enabled_events": list(types)}
    return Destination(body, url="http://x", payload=payload, secrets=Secrets("whsec_1"), **facts)


@pytest.mark.parametrize(
    ("wants", "wanted", "expected"),
    [
        (destination("*"), event(), True),
        (destination("customer.updated"), event(), True),
        (destination("customer.created"), event(), False),
        (destination("v1.customer.updated"), event(), False),
        (destination("*", status="disabled"), event(), False),
        (destination("*"), event(account=CONNECTED), False),
        (destination("*", own=False, connected=True), event(account=CONNECTED), True),
        (destination("*", own=False, connected=True), event(), False),
        (destination("*", connected=True), event(), True),
        (destination("*", owner=CONNECTED), event(account=CONNECTED), True),
        (destination("*", owner="acct_other"), event(account=CONNECTED), False),
        (destination("*", livemode=True), event(), False),
        (destination("*"), event(livemode=True), False),
        (destination("*", livemode=True, own=False, connected=True), event(account=CONNECTED), True),
        (destination("*", own=False, connected=True), event(account=CONNECTED, livemode=True), False),
        (destination("*", payload="thin"), event(), True),
        (destination("v1.customer.updated", payload="thin"), event(), True),
        (destination("customer.updated", payload="thin"), event(), False),
        (destination("*"), of_v2("v2.core.account.updated"), False),
        (destination("*", payload="thin"), of_v2("v2.core.account.updated"), True),
        (destination("*", payload="thin"), of_v2(HEALTH), False),
        (destination(HEALTH, payload="thin"), of_v2(HEALTH), True),
    ],
)
def test_destination_wants(wants: Destination, wanted: Event, expected: bool) -> None:  # noqa: FBT001
    assert wants.wants(wanted) is expected


def test_notification_says_what_happened_to_what_and_no_more() -> None:
    assert event(account=CONNECTED).notification() == {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.customer.updated",
        "livemode": False,
        "created": "2026-08-02T23:59:08.007Z",
        "context": CONNECTED,
        "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
        "reason": {"type": "request", "request": {"id": "req_1", "idempotency_key": "k"}},
    }


def test_fetched_event_has_its_twin_or_its_data() -> None:
    first, second = event(), of_v2("v2.core.account.updated")
    assert first.fetched() == {
        **first.notification(),
        "changes": {"name": "Ada"},
        "snapshot_event": "evt_1",
    }
    assert second.fetched() == {**second.notification(), "changes": None, "data": {"a": 1}}
    assert second.notification()["reason"] is None


def test_snapshot_is_pushed_in_the_endpoint_s_version() -> None:
    """To the account's own endpoint it is no other account's; what is kept stays as it is."""
    made = event(account=CONNECTED)
    assert made.pushed_snapshot(PLATFORM, "old")["api_version"] == "old"
    assert made.pushed_snapshot(PLATFORM, None) == made.snapshot()
    assert made.pushed_snapshot(CONNECTED, None).keys() & {"account", "context"} == set()
    assert (made.snapshot()["api_version"], made.snapshot()["account"]) == ("new", CONNECTED)


def test_accepted_event_is_pending_for_the_others() -> None:
    made = event()
    for endpoint, left in (("we_1", 1), ("we_1", 1), ("ed_1", 1), ("we_2", 0)):
        made.accepted(endpoint)
        assert made.snapshot()["pending_webhooks"] == left


@pytest.mark.parametrize(
    ("body", "url"),
    [
        ({"id": "pm_1", "object": "payment_method"}, "/v1/payment_methods/pm_1"),
        (
            {"id": "transfers", "object": "capability", "account": "acct_1"},
            "/v1/accounts/acct_1/capabilities/transfers",
        ),
        ({"id": "ca_1", "object": "application"}, None),
    ],
)
def test_related_object_has_the_url_it_is_fetched_by(body: dict[str, Any], url: str | None) -> None:
    related = related_object(body)
    assert (None if related is None else related["url"]) == url


def test_rolled_secrets_sign_until_they_expire() -> None:
    secrets = Secrets("first")
    secrets.roll("second", old_until_s=100)
    secrets.roll("third", old_until_s=200)
    assert [secrets.active(now_s) for now_s in (0, 100, 200)] == [
        ["third", "second", "first"],
        ["third", "second"],
        ["third"],
    ]


def test_time_of_api_v2_is_read_as_it_is_written() -> None:
    assert milliseconds_of(timestamp(NOW_MS)) == NOW_MS
    assert milliseconds_of("2026-08-02T23:59:08Z") == NOW_MS - 7
    with pytest.raises(ValueError, match="Invalid isoformat"):
        milliseconds_of("yesterday")


def test_json_is_written_as_stripe_does() -> None:
    body = {"b": [], "a": {}, "c": [1, {"d": None}], "e": "é"}
    assert as_json(body).decode() == (
        '{\n  "b": [],\n  "a": {},\n  "c": [\n    1,\n    {\n      "d": null\n    }\n  ],\n  "e": "é"\n}'
    )


def test_live_mode_is_said_everywhere() -> None:
    """And what it is said of stays as it was."""
    body = {"livemode": False, "a": [{"livemode": False, "b": 1}], "livemodes": False}
    assert in_live_mode(body) == {"livemode": True, "a": [{"livemode": True, "b": 1}], "livemodes": False}
    assert body["livemode"] is False
