"""Stripe's webhook signatures, checked over the raw bytes (docs.stripe.com/webhooks#verify-manually).

The header is `t=SECONDS,v1=HEX[,v1=HEX…][,v0=…]`; a signature is HMAC-SHA256 over `SECONDS.BODY`, keyed with
the whole secret. Several `v1` stand there while a secret is being rotated; `v0` is not for us.
"""

import hashlib
import hmac
import re
from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass

_LONGEST_HEADER = 4096
_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))
_SECONDS = re.compile(rb"0|[1-9][0-9]{0,11}")
_SIGNATURE = re.compile(rb"[0-9A-Fa-f]{64}")
_USUAL = re.compile(rb"t=(0|[1-9][0-9]{0,11}),v1=([0-9A-Fa-f]{64})(?:,v0=[0-9a-f]*)?")
"""What Stripe sends while no secret is being rotated; the rest is read item by item."""


@dataclass(frozen=True, slots=True)
class Match:
    """Which secret signed: the endpoint's name, and whether it is one that a newer of that name follows."""

    endpoint: str
    older: bool


class SignatureVerifier:
    """Knows the secrets of all endpoints; which of them signed is the answer."""

    def __init__(self, secrets: Sequence[tuple[str, bytes]], tolerance_s: float) -> None:
        """Take (name, secret) pairs, and the tolerance in both directions.

        A name may repeat while its secret is being rolled: the last one of a name is the newest. Newer ones
        are tried first, so that an older one matches only where the newest does not.
        """
        newest = dict(secrets)
        self._keyed = [
            (Match(name, older=newest[name] != secret), *_keyed(secret)) for name, secret in reversed(secrets)
        ]
        self._tolerance_s = tolerance_s

    def verify(self, body: bytes, header: bytes | None, now: float) -> Match | None:
        """Say whose secret signed this body, or None: unsigned, malformed, wrong, expired or from the future.

        Args:
            body: the raw bytes of the request.
            header: the value of `Stripe-Signature`, if there is exactly one.
            now: seconds since the epoch.

        """
        parsed = _parse(header)
        if parsed is None:
            return None
        seconds, signatures = parsed
        if abs(now - int(seconds)) > self._tolerance_s:
            return None
        for match, inner, outer in self._keyed:
            digest = inner.copy()
            digest.update(b"%b.%b" % (seconds, body))
            mac = outer.copy()
            mac.update(digest.digest())
            expected = mac.digest()
            # Every comparison is made, so that time tells nothing of which matched.
            if sum([hmac.compare_digest(expected, signature) for signature in signatures]):
                return match
        return None


def _keyed(secret: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """Begin HMAC-SHA256 (RFC 2104) with a key, once for all messages: its inner and its outer hash.

    What `hmac` does, without its Python between the two.
    """
    key = secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()
    key = key.ljust(_BLOCK, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


def _parse(header: bytes | None) -> tuple[bytes, list[bytes]] | None:
    """Split the header into its time and its v1 signatures; None if it is not such a header."""
    if header is None or len(header) > _LONGEST_HEADER:
        return None
    if usual := _USUAL.fullmatch(header):
        return usual[1], [unhexlify(usual[2])]
    times: list[bytes] = []
    signatures: list[bytes] = []
    for item in header.split(b","):
        scheme, separator, value = item.strip(b" \t").partition(b"=")
        if scheme == b"t":
            times.append(value)
        elif scheme == b"v1":
            if not separator:
                return None
            if _SIGNATURE.fullmatch(value):
                signatures.append(unhexlify(value))
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        return None
    return times[0], signatures
