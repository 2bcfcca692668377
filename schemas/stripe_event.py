"""A Stripe event: the bytes that Stripe sends read into one typed value, and the types that Offshoot acts on.

Only what Offshoot needs is decoded. What merely describes it (account, created, data) may be malformed: then
it counts as absent, since a signed event is never refused for a field that Offshoot could do without.
"""

import functools
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, TypeVar

import msgspec

_V1 = "v1."
_THIN = "v2.core.event"
_LONGEST = 255
_EARLIEST_S, _LATEST_S = 0, 32_503_680_000  # 1970 to 3000

_V1_TYPES = frozenset(
    {
        "customer.created",
        "customer.updated",
        "customer.deleted",
        "payment_method.attached",
        "payment_method.updated",
        "payment_method.automatically_updated",
        "payment_method.detached",
        "setup_intent.succeeded",
        "payment_intent.succeeded",
        "mandate.updated",
        "account.updated",
        "account.application.authorized",
        "account.application.deauthorized",
        "capability.updated",
    }
)
_V2_TYPES = frozenset(
    {
        "v2.core.account.created",
        "v2.core.account.updated",
        "v2.core.account.closed",
        "v2.core.account[configuration.merchant].capability_status_updated",
        "v2.core.account[configuration.merchant].updated",
        "v2.core.account[requirements].updated",
    }
)

RELEVANT_TYPES: frozenset[str] = _V1_TYPES | {_V1 + name for name in _V1_TYPES} | _V2_TYPES
"""Every event type that ingest acts on: snapshot names, their thin twins (with `v1.`), and Accounts v2."""


def base_type(type: str) -> str:  # noqa: A002 - Stripe's word for it
    """Give the snapshot name of a type: a thin event about an API v1 resource carries it behind `v1.`."""
    return type.removeprefix(_V1)


class NotAStripeEventError(ValueError):
    """The body is not a Stripe event. The message says why in fixed words, never with text of the body."""


class PayloadKind(StrEnum):
    """How much of the event its body carries."""

    SNAPSHOT = "snapshot"
    """The object as it was when the event was made."""
    THIN = "thin"
    """Only which object it is about."""


class EventFacts(msgspec.Struct, frozen=True):
    """What an event says of itself. What is absent is None."""

    id: str
    type: str
    livemode: bool
    created: datetime | None
    """In UTC; None where the event says nothing usable."""
    account: str | None
    """The connected account; None is the platform."""
    object_id: str | None
    """`data.object.id` of a snapshot, `related_object.id` of a thin event."""
    payload_kind: PayloadKind
    api_version: str | None


class StripeEvent(EventFacts, frozen=True):
    """What Offshoot knows of an event from its body alone. What is absent is None, or `b""` for raw JSON."""

    idempotency_key: str | None
    """The key of the request that caused the event, if one did and sent one."""
    object: bytes
    """Raw JSON of `data.object`, as Stripe wrote it."""
    previous_attributes: bytes
    """Raw JSON of `data.previous_attributes`."""


_NOTHING = msgspec.Raw(b"")


class _Envelope(msgspec.Struct):
    id: str
    type: str
    livemode: bool
    object: msgspec.Raw = _NOTHING
    created: msgspec.Raw = _NOTHING
    account: msgspec.Raw = _NOTHING
    context: msgspec.Raw = _NOTHING
    api_version: msgspec.Raw = _NOTHING
    request: msgspec.Raw = _NOTHING
    reason: msgspec.Raw = _NOTHING
    related_object: msgspec.Raw = _NOTHING
    data: msgspec.Raw = _NOTHING


class _Data(msgspec.Struct):
    object: msgspec.Raw = _NOTHING
    previous_attributes: msgspec.Raw = _NOTHING


class _Identified(msgspec.Struct):
    id: msgspec.Raw = _NOTHING


class _Request(msgspec.Struct):
    idempotency_key: msgspec.Raw = _NOTHING


class _Reason(msgspec.Struct):
    request: msgspec.Raw = _NOTHING


class _UsualRequest(msgspec.Struct):
    idempotency_key: str | None = None


class _UsualIdentified(msgspec.Struct):
    id: str | None = None


class _UsualData(msgspec.Struct):
    object: msgspec.Raw
    previous_attributes: msgspec.Raw = _NOTHING


class _UsualIdentity(msgspec.Struct):
    object: _UsualIdentified


class _UsualEnvelope(msgspec.Struct, kw_only=True):
    id: str
    type: str
    livemode: bool
    object: str
    created: int
    account: str | None = None
    context: str | None = None
    api_version: str | None = None


class _Usual(_UsualEnvelope, kw_only=True):
    data: _UsualData
    request: _UsualRequest | None = None


class _UsualFacts(_UsualEnvelope, kw_only=True):
    data: _UsualIdentity


_usual = msgspec.json.Decoder(_Usual)
_usual_facts = msgspec.json.Decoder(_UsualFacts)
_usual_object = msgspec.json.Decoder(_UsualIdentified)
_envelope = msgspec.json.Decoder(_Envelope)
_data = msgspec.json.Decoder(_Data)
_identified = msgspec.json.Decoder(_Identified)
_request = msgspec.json.Decoder(_Request)
_reason = msgspec.json.Decoder(_Reason)
_string = msgspec.json.Decoder(str)
_seconds = msgspec.json.Decoder(int)
_moment = msgspec.json.Decoder(Annotated[datetime, msgspec.Meta(tz=True)])

_T = TypeVar("_T")


def parse_event(body: bytes, platform_account: str | None = None) -> StripeEvent:
    """Read one event, snapshot or thin, from the bytes of a webhook or of a record.

    Raises:
        NotAStripeEventError: not a UTF-8 JSON object, or without an id and a type of 1 to 255 printable ASCII
            characters, or without a boolean livemode. No other exception comes from any bytes.

    """
    return _usual_snapshot(body, platform_account) or _unusual(body, platform_account)


def parse_facts(body: bytes, platform_account: str | None = None) -> EventFacts:
    """Read only what an event says of itself: as `parse_event`, but the object is not looked into.

    Raises:
        NotAStripeEventError: as `parse_event`.

    """
    return _facts_of_usual(body, platform_account) or _unusual(body, platform_account)


def _facts_of_usual(body: bytes, platform_account: str | None) -> EventFacts | None:
    try:
        event = _usual_facts.decode(body)
        if not body.isascii():
            body.decode("utf-8")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    object_id = event.data.object.id
    if not _is_usual(event, object_id):
        return None
    return EventFacts(
        id=event.id,
        type=event.type,
        livemode=event.livemode,
        created=_moment_of(event.created),
        account=event.account if event.account != platform_account else None,
        object_id=object_id,
        payload_kind=PayloadKind.SNAPSHOT,
        api_version=event.api_version,
    )


def _is_usual(event: _UsualEnvelope, *texts: str | None) -> bool:
    return (
        event.object == "event"
        and event.context in (None, event.account)
        and _EARLIEST_S <= event.created <= _LATEST_S
        and _are_words((event.id, event.type, event.account, event.api_version, *texts))
    )


def _usual_snapshot(body: bytes, platform_account: str | None) -> StripeEvent | None:
    """Read a snapshot event that is as Stripe writes them, at a third of the cost; None where it is not.

    It says of such an event what `_unusual` says, which a test holds it to.
    """
    try:
        event = _usual.decode(body)
        identified = _usual_object.decode(event.data.object)
        if not body.isascii():
            body.decode("utf-8")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    request_key = event.request.idempotency_key if event.request is not None else None
    if not _is_usual(event, identified.id, request_key):
        return None
    return StripeEvent(
        id=event.id,
        type=event.type,
        livemode=event.livemode,
        created=_moment_of(event.created),
        account=event.account if event.account != platform_account else None,
        object_id=identified.id,
        payload_kind=PayloadKind.SNAPSHOT,
        api_version=event.api_version,
        idempotency_key=request_key,
        object=bytes(event.data.object),
        previous_attributes=previous
        if (previous := bytes(event.data.previous_attributes))[:1] == b"{"
        else b"",
    )


@functools.lru_cache(maxsize=4096)
def _moment_of(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _unusual(body: bytes, platform_account: str | None) -> StripeEvent:
    """Read any event, field by field, so that one that is malformed only counts as absent."""
    envelope = _decode_envelope(body)
    thin = _text(envelope.object) == _THIN
    data = (None if thin else _maybe(_data, envelope.data)) or _Data()
    snapshot = _maybe(_identified, data.object)
    related = _maybe(_identified, envelope.related_object) if thin else snapshot
    return StripeEvent(
        id=envelope.id,
        type=envelope.type,
        livemode=envelope.livemode,
        created=_created_text(envelope.created) if thin else _created_seconds(envelope.created),
        account=_account(envelope, platform_account),
        object_id=_text(related.id) if related else None,
        payload_kind=PayloadKind.THIN if thin else PayloadKind.SNAPSHOT,
        api_version=_text(envelope.api_version),
        idempotency_key=_idempotency_key(envelope, thin=thin),
        object=bytes(data.object) if snapshot else b"",
        previous_attributes=bytes(data.previous_attributes)
        if _maybe(_identified, data.previous_attributes)
        else b"",
    )


def _decode_envelope(body: bytes) -> _Envelope:
    # msgspec does not look at the encoding of what it skips, hence the check of the whole.
    try:
        body.decode("utf-8")
        envelope = _envelope.decode(body)
    except UnicodeDecodeError:
        reason = "the body is not UTF-8"
    except msgspec.ValidationError:
        reason = "the body is not a JSON object with an id, a type and a livemode"
    except (msgspec.DecodeError, RecursionError):
        reason = "the body is not JSON"
    else:
        if _is_word(envelope.id) and _is_word(envelope.type):
            return envelope
        reason = "the event's id or type is not 1 to 255 printable ASCII characters"
    # Outside the handlers: the cause of this error would quote the body.
    raise NotAStripeEventError(reason)


def _maybe(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw) -> _T | None:
    if not raw:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _text(raw: msgspec.Raw) -> str | None:
    text = _maybe(_string, raw)
    return text if text is not None and _is_word(text) else None


def _are_words(texts: Iterable[str | None]) -> bool:
    # A loop: this runs for every webhook, and `all` over a generator costs twice as much.
    for text in texts:  # noqa: SIM110
        if text is not None and not _is_word(text):
            return False
    return True


def _is_word(text: str) -> bool:
    """Whether a text is 1 to 255 printable ASCII characters, the space included."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable()


def _account(envelope: _Envelope, platform_account: str | None) -> str | None:
    account = _text(envelope.account) or (_text(envelope.context) or "").rpartition("/")[2]
    return None if account in {"", platform_account} else account


def _idempotency_key(envelope: _Envelope, *, thin: bool) -> str | None:
    reason = _maybe(_reason, envelope.reason) if thin else None
    request = _maybe(_request, reason.request if reason else envelope.request)
    return _text(request.idempotency_key) if request else None


def _created_seconds(raw: msgspec.Raw) -> datetime | None:
    seconds = _maybe(_seconds, raw)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _created_text(raw: msgspec.Raw) -> datetime | None:
    moment = _maybe(_moment, raw)
    try:
        return None if moment is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
