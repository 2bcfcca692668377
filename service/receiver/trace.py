"""The trace that a webhook belongs to, where something before us began one (W3C Trace Context, level 1)."""

import re

_VERSION_00 = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(header: bytes | None) -> bytes | None:
    """Give the value of a `traceparent` header if it is one that can be passed on, else None.

    Passed on as it is, since no span of ours comes between. Only version 00 is known, and the header is
    no part of what is signed: whatever else stands there counts as no trace.
    """
    return header if header is not None and _VERSION_00.fullmatch(header) else None
