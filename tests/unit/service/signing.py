"""Signed webhooks, as Stripe makes them: by the SDK's own generator."""

import json
from typing import Any

from stripe import WebhookSignature

SECRET = "whsec_0123456789abcdef"
NOW = 1_767_225_600


def signature(body: bytes, *, secret: str = SECRET, at: int = NOW) -> bytes:
    """The header `Stripe-Signature` for a body that is UTF-8."""
    header: str = WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return header.encode()


def event_body(**changes: Any) -> bytes:
    """The bytes of an event, a payment method attached on the platform."""
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "payment_method.attached",
        "api_version": "2026-10-28.endive",
        "created": NOW,
        "livemode": False,
        "data": {"object": {"id": "pm_1", "customer": "cus_1"}},
    }
    return json.dumps({**event, **changes}).encode()
