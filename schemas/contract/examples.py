"""One or more examples of each message, made by the code that makes the real ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from schemas import topics
from schemas.cloudevents import Headers, Via, rfc3339, stripe_event_headers, stripe_event_key
from schemas.commands import (
    COMPLETED,
    REJECTED,
    CloneOnce,
    CommandName,
    CommandType,
    GrantShare,
    MethodMade,
    Order,
    Rejected,
    RejectReason,
    Result,
    RevokeShare,
    SaveDirect,
    Share,
    ShareSettled,
    command_record,
    key_of,
    result_headers,
)
from schemas.dead_letters import DeadLetter
from schemas.records import Origin, PaymentMethodRecord, Reason, State
from schemas.stripe_event import parse_event

_WHEN: Final = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
_SNAPSHOT: Final = {
    "id": "evt_1SnapshotExample",
    "object": "event",
    "account": "acct_1ConnectedExample",
    "api_version": "2026-10-28.endive",
    "created": int(_WHEN.timestamp()),
    "type": "customer.updated",
    "livemode": False,
    "data": {"object": {"id": "cus_ConnectedExample", "object": "customer"}},
    "request": {"id": None, "idempotency_key": None},
}
_THIN: Final = {
    "id": "evt_test_ThinExample",
    "object": "v2.core.event",
    "type": "v1.customer.updated",
    "livemode": False,
    "created": "2026-01-01T12:30:00.000Z",
    "context": None,
    "related_object": {
        "id": "cus_PlatformExample",
        "type": "customer",
        "url": "/v1/customers/cus_PlatformExample",
    },
}


@dataclass(frozen=True, slots=True)
class Example:
    """One record; `headers` are text, `value` is JSON."""

    name: str
    key: str
    headers: Mapping[str, str]
    value: Any = field(hash=False)

    def to_builtins(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return {"key": self.key, "headers": dict(self.headers), "value": self.value}


def payment_methods() -> list[Example]:
    """One in each state, and one that was saved on the account itself."""
    clone = PaymentMethodRecord(
        account="acct_1ConnectedExample",
        origin=Origin.CLONE,
        state=State.READY,
        reason=None,
        platform_customer="cus_PlatformExample",
        platform_payment_method="pm_PlatformExample",
        connected_customer="cus_ConnectedExample",
        connected_payment_method="pm_ConnectedExample",
        type="card",
        default=True,
        generation=1,
        version=7,
        livemode=False,
        occurred_at=rfc3339(_WHEN),
    )
    nothing_made = {"connected_payment_method": None, "default": False}
    return [
        _payment_method("ready", clone),
        _payment_method("pending", clone, state=State.PENDING, **nothing_made),
        _payment_method(
            "blocked", clone, state=State.BLOCKED, reason=Reason.CAPABILITY_INACTIVE, **nothing_made
        ),
        _payment_method("failed", clone, state=State.FAILED, reason=Reason.CARD_DECLINED, **nothing_made),
        _payment_method(
            "absent", clone, state=State.ABSENT, reason=Reason.DETACHED_ON_PLATFORM, default=False
        ),
        _payment_method(
            "direct",
            clone,
            origin=Origin.DIRECT,
            platform_customer=None,
            platform_payment_method=None,
            generation=None,
        ),
    ]


def _payment_method(name: str, base: PaymentMethodRecord, **changes: Any) -> Example:
    record = msgspec.structs.replace(base, **changes)
    return Example(name, record.key, _text(record.headers(_WHEN)), msgspec.json.decode(record.to_json()))


def stripe_events() -> list[Example]:
    """A snapshot from a connected account, and a thin event of the platform's that was recovered."""
    return [
        _stripe_event("snapshot", _SNAPSHOT, "main", Via.WEBHOOK),
        _stripe_event("thin", _THIN, None, Via.RECOVERY),
    ]


def _stripe_event(name: str, value: dict[str, Any], endpoint: str | None, via: Via) -> Example:
    event = parse_event(msgspec.json.encode(value))
    headers = stripe_event_headers(event, endpoint=endpoint, via=via)
    return Example(name, stripe_event_key(event).decode(), _text(headers), value)


_ORDERS: Final[Mapping[CommandType, Mapping[str, Order]]] = {
    CommandType.GRANT: {
        "all": GrantShare(customer="cus_PlatformExample", account="acct_1ConnectedExample"),
        "adopting": GrantShare(
            customer="cus_PlatformExample",
            account="acct_1ConnectedExample",
            connected_customer="cus_ConnectedExample",
            payment_methods=("pm_PlatformExample",),
        ),
    },
    CommandType.REVOKE: {
        "all": RevokeShare(customer="cus_PlatformExample", account="acct_1ConnectedExample")
    },
    CommandType.CLONE_ONCE: {
        "attached": CloneOnce(payment_method="pm_PlatformExample", account="acct_1ConnectedExample"),
        "consuming": CloneOnce(
            payment_method="pm_UnattachedExample", account="acct_1ConnectedExample", consume=True
        ),
    },
    CommandType.DIRECT_SAVE: {
        "method": SaveDirect(
            account="acct_1ConnectedExample",
            customer="cus_ConnectedExample",
            payment_method="pm_ConnectedExample",
        ),
        "token": SaveDirect(
            account="acct_1ConnectedExample",
            customer="cus_ConnectedExample",
            token="tok_1Example",  # noqa: S106
        ),
    },
}


def command(type_: CommandType) -> list[Example]:
    """Each way to give a command."""
    found = []
    for name, order in _ORDERS[type_].items():
        key = key_of(order)
        headers, value = command_record(
            CommandName("/billing", "order-1", key), order, now=_WHEN, expires_at=_WHEN + timedelta(hours=1)
        )
        found.append(Example(name, key, _text(headers), msgspec.json.decode(value)))
    return found


def completed() -> list[Example]:
    """What a share's grant, and a method that was made, come to."""
    share = Share(customer="cus_PlatformExample", account="acct_1ConnectedExample", wanted=True)
    return [
        _result("share", COMPLETED, ShareSettled(share=share)),
        _result("method", COMPLETED, MethodMade(connected_payment_method="pm_ConnectedExample")),
    ]


def rejected() -> list[Example]:
    """A command that the issuer declined."""
    why = Rejected(
        reason=RejectReason.CARD_DECLINED,
        message="the card was declined",
        stripe_request_id="req_Example",
        decline_code="lost_card",
    )
    return [_result("declined", REJECTED, why)]


def _result(name: str, type_: str, value: Result) -> Example:
    command_ = CommandName("/billing", "order-1", "acct_1ConnectedExample:cus_PlatformExample")
    headers = result_headers(command_, type_, _WHEN)
    return Example(name, command_.key, _text(headers), msgspec.json.decode(msgspec.json.encode(value)))


def dead_letters() -> list[Example]:
    """A record that no reading could make sense of."""
    value = b"not JSON"
    why = DeadLetter(
        original_topic=topics.STRIPE_EVENTS.name,
        original_partition=3,
        original_offset=4711,
        original_timestamp_ms=int(_WHEN.timestamp() * 1000),
        consumer_group="offshoot",
        error_class="NotAStripeEventError",
        error_message="the body is not JSON",
        attempts=1,
        failed_at=_WHEN,
    )
    event = parse_event(msgspec.json.encode(_SNAPSHOT))
    headers = why.headers(stripe_event_headers(event, endpoint="main", via=Via.WEBHOOK))
    return [Example("unreadable", stripe_event_key(event).decode(), _text(headers), value.decode())]


def _text(headers: Headers) -> dict[str, str]:
    return {name: value.decode() for name, value in headers}
