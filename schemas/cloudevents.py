"""CloudEvents 1.0 in Kafka's binary mode: the headers and keys of Offshoot's records.

The mapping is that of the CloudEvents Kafka protocol binding: an attribute is a header `ce_{name}`, and
`datacontenttype` is the header `content-type`. An attribute without a value is absent, never empty.
"""

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType

from schemas.stripe_event import EventFacts

Headers = list[tuple[str, bytes]]
"""Kafka headers in the order in which they are written."""

PLATFORM = "platform"
"""Stands for the platform's own account in keys and sources."""

SOURCE = "/offshoot"
"""The source of what Offshoot itself says."""

_NONE: Mapping[str, str | None] = MappingProxyType({})
_SPECVERSION = ("ce_specversion", b"1.0")
_CONTENT_TYPE = ("content-type", b"application/json")


class Via(StrEnum):
    """How an event came to Offshoot."""

    WEBHOOK = "webhook"
    RECOVERY = "recovery"


def stripe_event_key(event: EventFacts) -> bytes:
    """Give the key of an event's record, so that all events of one object share a partition."""
    return f"{event.account or PLATFORM}:{event.object_id or event.id}".encode()


def stripe_event_headers(
    event: EventFacts, *, endpoint: str | None, via: Via, traceparent: bytes | None = None
) -> Headers:
    """Give the headers of a record on `stripe.events`.

    Args:
        event: the event that is the record's value.
        endpoint: name of the secret that its signature matched; None where there was no signature.
        via: how it came.
        traceparent: of the trace that it came in, if there is one.

    """
    # Written out, at half the time of `cloudevent_headers`: this runs for every webhook.
    account, subject = event.account or PLATFORM, event.object_id
    headers: Headers = [
        _SPECVERSION,
        ("ce_id", event.id.encode()),
        ("ce_type", f"com.stripe.{event.type}".encode()),
        ("ce_source", f"/stripe/{account}".encode()),
    ]
    if subject:
        headers.append(("ce_subject", subject.encode()))
    if event.created:
        headers.append(("ce_time", rfc3339(event.created).encode()))
    headers.append(("ce_partitionkey", stripe_event_key(event)))
    if event.account:
        headers.append(("ce_account", event.account.encode()))
    headers.append(("ce_livemode", b"true" if event.livemode else b"false"))
    headers.append(("ce_payloadkind", event.payload_kind.encode()))
    if event.api_version:
        headers.append(("ce_apiversion", event.api_version.encode()))
    if endpoint:
        headers.append(("ce_endpoint", endpoint.encode()))
    headers.append(("ce_via", via.encode()))
    headers.append(_CONTENT_TYPE)
    if traceparent is not None:
        headers.append(("traceparent", traceparent))
    return headers


def cloudevent_headers(
    *,
    id: str,  # noqa: A002 - CloudEvents' word for it
    type: str,  # noqa: A002 - likewise
    source: str,
    subject: str | None,
    time: datetime | None,
    partition_key: str,
    extensions: Mapping[str, str | None] = _NONE,
) -> Headers:
    """Give the headers of any record of Offshoot's; an attribute that is None or empty is left out."""
    headers: Headers = [
        _SPECVERSION,
        ("ce_id", id.encode()),
        ("ce_type", type.encode()),
        ("ce_source", source.encode()),
    ]
    if subject:
        headers.append(("ce_subject", subject.encode()))
    if time:
        headers.append(("ce_time", rfc3339(time).encode()))
    headers.append(("ce_partitionkey", partition_key.encode()))
    headers += [(f"ce_{name}", value.encode()) for name, value in extensions.items() if value]
    headers.append(_CONTENT_TYPE)
    return headers


@functools.lru_cache(maxsize=4096)
def rfc3339(moment: datetime) -> str:
    """Write a moment as in RFC 3339, in UTC: `2026-01-01T00:00:00Z`, a fraction only where there is one."""
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
