"""Reading a Stripe event: what is needed must be there, what only describes may be anything."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.stripe_event import (
    RELEVANT_TYPES,
    EventFacts,
    NotAStripeEventError,
    PayloadKind,
    StripeEvent,
    _unusual,
    base_type,
    parse_event,
    parse_facts,
)

SNAPSHOT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "payment_method.detached",
    "api_version": "2026-10-28.endive",
    "created": 1767225600,
    "livemode": False,
    "account": "acct_1",
    "context": "acct_9",
    "data": {"object": {"id": "pm_1", "customer": None}, "previous_attributes": {"customer": "cus_1"}},
    "request": {"id": "req_1", "idempotency_key": "key-1"},
}
THIN: dict[str, Any] = {
    "id": "evt_2",
    "object": "v2.core.event",
    "type": "v1.payment_method.attached",
    "created": "2026-01-01T01:00:00.250+01:00",
    "livemode": True,
    "context": "acct_platform/acct_2",
    "related_object": {"id": "pm_2", "type": "payment_method", "url": "/v1/payment_methods/pm_2"},
    "reason": {"type": "request", "request": {"id": "req_2", "idempotency_key": "key-2"}},
}
HUGE = b"9" * 5000
FACTS = set(EventFacts.__struct_fields__)
HOSTILE_VALUES: list[Any] = [
    None,
    True,
    5,
    -1.5,
    "",
    "é",
    "a\nb",
    "x" * 256,
    [],
    {},
    [[]],
    {"id": 3},
    10**400,
]


def body(event: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**event, **changes}).encode()


def without(event: dict[str, Any], name: str) -> bytes:
    return json.dumps({key: value for key, value in event.items() if key != name}).encode()


def test_a_snapshot() -> None:
    assert parse_event(body(SNAPSHOT)) == StripeEvent(
        id="evt_1",
        type="payment_method.detached",
        livemode=False,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        account="acct_1",
        object_id="pm_1",
        payload_kind=PayloadKind.SNAPSHOT,
        api_version="2026-10-28.endive",
        idempotency_key="key-1",
        object=b'{"id": "pm_1", "customer": null}',
        previous_attributes=b'{"customer": "cus_1"}',
    )


def test_a_thin_event() -> None:
    assert parse_event(body(THIN)) == StripeEvent(
        id="evt_2",
        type="v1.payment_method.attached",
        livemode=True,
        created=datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC),
        account="acct_2",
        object_id="pm_2",
        payload_kind=PayloadKind.THIN,
        api_version=None,
        idempotency_key="key-2",
        object=b"",
        previous_attributes=b"",
    )


def test_the_least_event() -> None:
    assert parse_event(b'{"id":"e","type":"t","livemode":true}') == StripeEvent(
        id="e",
        type="t",
        livemode=True,
        created=None,
        account=None,
        object_id=None,
        payload_kind=PayloadKind.SNAPSHOT,
        api_version=None,
        idempotency_key=None,
        object=b"",
        previous_attributes=b"",
    )


def test_an_object_without_an_id_is_still_given() -> None:
    """`invoice.upcoming` carries an invoice that has no id yet."""
    event = parse_event(body(SNAPSHOT, type="invoice.upcoming", data={"object": {"total": 1}}))
    assert (event.object_id, event.object) == (None, b'{"total": 1}')


@pytest.mark.parametrize("name", ["id", "type", "livemode"])
def test_what_makes_an_event_must_be_there(name: str) -> None:
    with pytest.raises(NotAStripeEventError):
        parse_event(without(SNAPSHOT, name))


@pytest.mark.parametrize("name", ["id", "type"])
@pytest.mark.parametrize(
    "value", ["", "x" * 256, "é", "a\x00b", "a\n", "\x7f", "\ud800", None, 1, ["a"]], ids=ascii
)
def test_id_and_type_are_printable_ascii_of_1_to_255(name: str, value: Any) -> None:
    with pytest.raises(NotAStripeEventError):
        parse_event(body(SNAPSHOT, **{name: value}))


@pytest.mark.parametrize("name", ["id", "type"])
@pytest.mark.parametrize("value", ["a", "x" * 255, " ~!", "v2.core.account[requirements].updated"])
def test_any_printable_ascii_will_do(name: str, value: str) -> None:
    assert getattr(parse_event(body(SNAPSHOT, **{name: value})), name) == value


@pytest.mark.parametrize("value", ["true", 1, 0, None, "", []])
def test_livemode_is_a_boolean(value: Any) -> None:
    with pytest.raises(NotAStripeEventError):
        parse_event(body(SNAPSHOT, livemode=value))


@pytest.mark.parametrize("parse", [parse_event, parse_facts])
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"1",
        b'"evt"',
        b"[]",
        b"{",
        body(SNAPSHOT) + b"x",
        body(SNAPSHOT)[:-1],
        b"\xef\xbb\xbf" + body(SNAPSHOT),
        body(SNAPSHOT).decode().encode("utf-16"),
        body(SNAPSHOT)[:-1] + b',"x":"\xff"}',
        body(SNAPSHOT)[:-1] + b',"x":"\xed\xa0\x80"}',
        body(SNAPSHOT)[:-1] + b',"x":NaN}',
        body(SNAPSHOT)[:-1] + b',"x":"\n"}',
        body(SNAPSHOT)[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        body(SNAPSHOT)[:-1] + b',"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ],
    ids=lambda text: ascii(text[:12] + b"..." + text[-12:]),
)
def test_what_is_not_utf8_json_is_no_event(text: bytes, parse: Callable[[bytes], object]) -> None:
    with pytest.raises(NotAStripeEventError):
        parse(text)


def test_the_refusal_quotes_nothing() -> None:
    with pytest.raises(NotAStripeEventError) as caught:
        parse_event(b'{"id":"secret-thing","type":5,"livemode":true}')
    assert "secret-thing" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: ascii(value)[:20])
@pytest.mark.parametrize(
    "name",
    ["account", "context", "created", "data", "request", "api_version", "object", "reason", "related_object"],
)
@pytest.mark.parametrize("event", [SNAPSHOT, THIN], ids=["snapshot", "thin"])
def test_what_only_describes_may_be_anything(event: dict[str, Any], name: str, value: Any) -> None:
    assert parse_event(body(event, **{name: value})).id == event["id"]


@pytest.mark.parametrize("value", HOSTILE_VALUES, ids=lambda value: ascii(value)[:20])
def test_what_is_malformed_counts_as_absent(value: Any) -> None:
    event = parse_event(body(SNAPSHOT, **dict.fromkeys(["account", "context", "data", "request"], value)))
    assert (event.account, event.object_id, event.idempotency_key) == (None, None, None)
    assert (event.object, event.previous_attributes) == (b"", b"")


@pytest.mark.parametrize("value", [True, 1.5, "1767225600", None, 10**12, -(10**12), 10**400, [], {}])
def test_seconds_that_are_no_moment(value: Any) -> None:
    assert parse_event(body(SNAPSHOT, created=value)).created is None


@pytest.mark.parametrize(
    "value", ["", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", 1767225600]
)
def test_texts_that_are_no_moment(value: Any) -> None:
    assert parse_event(body(THIN, created=value)).created is None


@pytest.mark.parametrize(
    ("account", "context", "expected"),
    [
        ("acct_1", "acct_2", "acct_1"),
        (None, "acct_2", "acct_2"),
        (None, "acct_org/acct_2", "acct_2"),
        (None, "a/b/acct_2", "acct_2"),
        (None, "acct_2/", None),
        ("", "acct_2", "acct_2"),
        ("acct\n", "acct_2", "acct_2"),
        (7, "acct_2", "acct_2"),
        (None, None, None),
        ("acct_P", None, None),
        ("acct_P", "acct_2", None),
        (None, "acct_P", None),
        (None, "acct_1/acct_P", None),
    ],
)
def test_the_account_of_an_event(account: Any, context: Any, expected: str | None) -> None:
    assert parse_event(body(SNAPSHOT, account=account, context=context), "acct_P").account == expected


def test_the_last_of_two_equal_names_counts() -> None:
    assert parse_event(b'{"id":"a","id":"b","type":"t","livemode":true}').id == "b"


def test_base_type_strips_what_marks_a_thin_twin() -> None:
    assert base_type("v1.customer.updated") == base_type("customer.updated") == "customer.updated"
    assert base_type("v2.core.account.updated") == "v2.core.account.updated"


def test_relevant_types_hold_every_thin_twin() -> None:
    v1 = {name for name in RELEVANT_TYPES if not name.startswith("v")}
    assert {f"v1.{name}" for name in v1} == {name for name in RELEVANT_TYPES if name.startswith("v1.")}
    assert "payment_method.automatically_updated" in RELEVANT_TYPES
    assert "charge.succeeded" not in RELEVANT_TYPES


def _refuses_or_reads(text: bytes) -> None:
    try:
        event = parse_event(text)
    except NotAStripeEventError:
        return
    assert 1 <= len(event.id) <= 255
    assert event.id.isascii()
    assert event.id.isprintable()


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    _refuses_or_reads(text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(sorted({*SNAPSHOT, *THIN}), _JSON)),
    st.sampled_from([SNAPSHOT, THIN]),
    st.integers(min_value=0, max_value=400),
    st.binary(max_size=2),
)
def test_any_event_like_bytes_are_read_or_refused(
    changes: dict[str, Any], event: dict[str, Any], at: int, noise: bytes
) -> None:
    text = body(event, **changes)
    _refuses_or_reads(text)
    _refuses_or_reads(text[:at] + noise + text[at:])


@given(
    st.dictionaries(
        st.sampled_from([*SNAPSHOT, "related_object", "reason"]),
        st.sampled_from([*HOSTILE_VALUES, "acct_1", "event", "v2.core.event", {"object": {"id": "x"}}]),
    )
)
@settings(max_examples=500)
def test_the_usual_way_says_what_the_careful_one_says(changes: dict[str, Any]) -> None:
    """A snapshot as Stripe writes it is read by a shorter way; whatever is changed, both say the same."""
    text = json.dumps(SNAPSHOT | {"context": "acct_1"} | changes).encode()
    try:
        expected: StripeEvent | str = _unusual(text, "acct_P")
    except NotAStripeEventError as error:
        expected = str(error)
    try:
        actual: StripeEvent | str = parse_event(text, "acct_P")
    except NotAStripeEventError as error:
        actual = str(error)
    assert actual == expected
    try:
        facts: EventFacts | str = parse_facts(text, "acct_P")
    except NotAStripeEventError as error:
        facts = str(error)
    assert _facts(facts) == _facts(expected)


def _facts(event: EventFacts | str) -> dict[str, Any] | str:
    return event if isinstance(event, str) else {name: getattr(event, name) for name in FACTS}


def test_only_the_object_is_left_out_of_the_facts() -> None:
    assert _facts(parse_facts(body(SNAPSHOT), "acct_P")) == _facts(parse_event(body(SNAPSHOT), "acct_P"))
    assert set(StripeEvent.__struct_fields__) - FACTS == {"idempotency_key", "object", "previous_attributes"}
