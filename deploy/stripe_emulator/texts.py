"""JSON as Stripe writes it: indented by two, in the order of the fields ([rec] clone-attached.yml)."""

from typing import Any

import msgspec

from deploy.stripe_emulator.shapes import JsonObject

_ENCODER = msgspec.json.Encoder()


def as_json(body: JsonObject) -> bytes:
    """Write an object as it goes out."""
    return msgspec.json.format(_ENCODER.encode(body), indent=2)


def compact(value: Any) -> bytes:
    """Write JSON to be kept: what is changed in the original afterwards does not change it."""
    return _ENCODER.encode(value)


def from_json(text: bytes) -> Any:
    """Read what was written."""
    return msgspec.json.decode(text)


def in_live_mode(value: Any) -> Any:
    """Copy JSON and say `livemode: true` wherever it says a mode."""
    if isinstance(value, dict):
        return {
            key: True if key == "livemode" and each is not None else in_live_mode(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [in_live_mode(each) for each in value]
    return value
