"""Signatures: Stripe's scheme, held against the SDK wherever the SDK is right, and better where it is not."""

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from service.receiver.signature import Match, SignatureVerifier
from tests.unit.service.signing import NOW, SECRET, event_body, signature

BODY = event_body()
OLD, NEW = "whsec_old_0123456789", "whsec_new_0123456789"


def mac(text: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text, "sha256").hexdigest()


V1 = mac(b"%d." % NOW + BODY)


def ours(body: bytes, header: bytes | None, *, now: float = NOW) -> bool:
    return SignatureVerifier([("main", SECRET.encode())], 300).verify(body, header, now) is not None


def sdk(body: bytes, header: str) -> bool:
    """What the SDK says, its clock left out; an exception of another kind is its own fault and reaches us."""
    try:
        return bool(WebhookSignature.verify_header(body, header, SECRET, None))
    except SignatureVerificationError:
        return False


@settings(deadline=None)
@given(
    st.text(max_size=60),
    st.sampled_from([SECRET, OLD]),
    st.integers(min_value=0, max_value=NOW * 2),
    st.integers(min_value=-400, max_value=400),
)
def test_what_the_sdk_signs(text: str, secret: str, at: int, passed: int) -> None:
    body = text.encode("utf-8", "ignore")
    header = signature(body, secret=secret, at=at)
    assert ours(body, header, now=at + passed) == (sdk(body, header.decode()) and abs(passed) <= 300)


ITEMS = st.sampled_from(
    [
        f"v1={V1}",
        f"v1={V1[:-1]}",
        f"v1={'0' * 64}",
        f"v1=x{V1[1:]}",
        f"v0={V1}",
        f"v2={V1}",
        f"V1={V1}",
        "v1=",
        "v1",
        "t",
        "",
        "=",
        "foo",
        "foo=bar",
        "v0=a=b",
    ]
)


@settings(deadline=None)
@given(
    st.lists(ITEMS, max_size=6), st.sampled_from([f"t={NOW}", "t=", "t=x", "t=-1", "x=1"]), st.integers(0, 6)
)
def test_any_header_of_its_parts_is_judged_as_the_sdk_does(items: list[str], time: str, at: int) -> None:
    header = ",".join([*items[:at], time, *items[at:]])
    assert ours(BODY, header.encode()) == sdk(BODY, header)


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_raise(body: bytes, header: bytes) -> None:
    assert not ours(body, header)
    assert not ours(body, b"t=%d,v1=" % NOW + header)


@pytest.mark.parametrize(
    ("header", "by_sdk", "by_us"),
    [
        pytest.param(f"t={NOW}, v1={V1}", False, True, id="a space after the comma"),
        pytest.param(f"t={NOW},v1={V1.upper()}", False, True, id="upper-case hex"),
        pytest.param(f"t=+{NOW},v1={V1}", True, False, id="a sign before the time"),
        pytest.param(f"t=0{NOW},v1={V1}", True, False, id="a zero before the time"),
        pytest.param(f"t=1_767_225_600,v1={V1}", True, False, id="underscores in the time"),
        pytest.param(f"t={NOW},t=1,v1={V1}", True, False, id="a second time"),
        pytest.param(f"t={NOW},v1={V1}=x", True, False, id="something after the signature"),
        pytest.param(f"t={NOW},v1={V1}" + ",v1=0" * 1000, True, False, id="a header of 5 KB"),
    ],
)
def test_where_we_differ_from_the_sdk(header: str, by_sdk: bool, by_us: bool) -> None:  # noqa: FBT001
    assert (sdk(BODY, header), ours(BODY, header.encode())) == (by_sdk, by_us)


def test_a_signature_that_is_not_ascii_raises_in_the_sdk_and_is_wrong_here() -> None:
    header = f"t={NOW},v1=é"
    with pytest.raises(TypeError):
        sdk(BODY, header)
    assert not ours(BODY, header.encode())
    assert ours(BODY, f"{header},v1={V1}".encode())


def test_a_body_that_is_not_utf8_raises_in_the_sdk_and_is_verified_here() -> None:
    body = b"\xff\x00"
    header = f"t={NOW},v1={mac(b'%d.' % NOW + body)}"
    with pytest.raises(UnicodeDecodeError):
        sdk(body, header)
    assert ours(body, header.encode())


@pytest.mark.parametrize(
    ("passed", "accepted"), [(0, True), (300, True), (300.5, False), (-300, True), (-300.5, False)]
)
def test_the_tolerance_holds_in_both_directions(passed: float, accepted: bool) -> None:  # noqa: FBT001
    assert ours(BODY, signature(BODY), now=NOW + passed) == accepted


@pytest.mark.parametrize("header", [None, b"", b"t=1", f"v1={V1}".encode(), b"t=%d,v0=" % NOW + V1.encode()])
def test_an_unsigned_body(header: bytes | None) -> None:
    assert not ours(BODY, header)


def test_one_byte_changed() -> None:
    assert not ours(BODY + b" ", signature(BODY))


def test_the_name_of_the_secret_that_matched() -> None:
    verifier = SignatureVerifier(
        [("main", OLD.encode()), ("main", NEW.encode()), ("connect", SECRET.encode())], 300
    )
    found = [
        verifier.verify(BODY, signature(BODY, secret=secret), NOW) for secret in (OLD, NEW, SECRET, "whsec_x")
    ]
    assert found == [
        Match("main", older=True),
        Match("main", older=False),
        Match("connect", older=False),
        None,
    ]


def test_during_a_rotation_either_of_two_signatures_will_do() -> None:
    verifier = SignatureVerifier([("main", NEW.encode())], 300)
    header = signature(BODY, secret=OLD) + b"," + signature(BODY, secret=NEW).partition(b",")[2]
    assert verifier.verify(BODY, header, NOW) == Match("main", older=False)
