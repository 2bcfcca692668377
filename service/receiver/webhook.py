"""What to do with a webhook: a decision over its bytes, and the answers that Stripe can get."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import msgspec

from schemas.cloudevents import Headers, Via, stripe_event_headers, stripe_event_key
from schemas.stripe_event import EventFacts, NotAStripeEventError, parse_facts
from service.receiver.signature import SignatureVerifier
from service.receiver.trace import traceparent_of
from service.runtime.kafka.producer import SendResult

RETRY_AFTER_S = 5


@dataclass(frozen=True)
class Answer:
    """A status and a body; `outcome` is its name in metrics and logs."""

    outcome: str
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


def _answer(outcome: str, status: int, body: dict[str, object], **headers: str) -> Answer:
    named = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
    return Answer(outcome, status, json.dumps(body, separators=(",", ":")).encode(), named)


def _unavailable(outcome: str) -> Answer:
    return _answer(outcome, 503, {"error": "unavailable"}, retry_after=str(RETRY_AFTER_S))


RECEIVED = _answer("received", 200, {"received": True})
OTHER_MODE = _answer("other_mode", 200, {"received": False})
BAD_SIGNATURE = _answer("signature", 400, {"error": "signature"})
BAD_PAYLOAD = _answer("payload", 400, {"error": "payload"})
TOO_LARGE = _answer("too_large", 413, {"error": "too_large"})
NOT_ACKED = _unavailable("not_acked")
AWAY = _unavailable("broker_away")
OVERLOADED = _unavailable("overloaded")
DRAINING = _unavailable("draining")
FAILED = _unavailable("failed")
NOT_FOUND = _answer("not_found", 404, {"error": "not_found"})


def method_not_allowed(allow: str) -> Answer:
    """Answer a method that a path does not have; `allow` is the one it has."""
    return _answer("method_not_allowed", 405, {"error": "method_not_allowed"}, allow=allow)


class Record(msgspec.Struct, frozen=True):
    """What a verified webhook becomes on `stripe.events`."""

    event: EventFacts
    endpoint: str
    key: bytes
    value: bytes
    headers: Headers


class Refused(msgspec.Struct, frozen=True):
    """A webhook that is answered and not published, and as much as is known of it."""

    answer: Answer
    event: EventFacts | None = None
    endpoint: str | None = None


@dataclass(frozen=True)
class Receiver:
    """The rules of one deployment for what it receives."""

    verifier: SignatureVerifier
    livemode: bool
    platform_account: str | None
    on_older_secret: Callable[[str], None]
    """Told the endpoint's name where only an older of its secrets matched."""

    def judge(
        self, body: bytes, signature: bytes | None, traceparent: bytes | None, now: float
    ) -> Record | Refused:
        """Say what a whole body of an allowed size is: first the signature, then the payload, then the mode.

        Args:
            body: the raw bytes of the request.
            signature: the value of `Stripe-Signature`, if there is exactly one.
            traceparent: the value of that header, if there is exactly one.
            now: seconds since the epoch.

        """
        match = self.verifier.verify(body, signature, now)
        if match is None:
            return Refused(BAD_SIGNATURE)
        if match.older:
            self.on_older_secret(match.endpoint)
        endpoint = match.endpoint
        try:
            event = parse_facts(body, self.platform_account)
        except NotAStripeEventError:
            return Refused(BAD_PAYLOAD, endpoint=endpoint)
        if event.livemode != self.livemode:
            return Refused(OTHER_MODE, event, endpoint)
        headers = stripe_event_headers(
            event, endpoint=endpoint, via=Via.WEBHOOK, traceparent=traceparent_of(traceparent)
        )
        return Record(event, endpoint, stripe_event_key(event), body, headers)


def answer_to(result: SendResult | None) -> Answer:
    """Say what Stripe hears of a record's fate; None: it was not even tried, since the broker is away."""
    match result:
        case SendResult.ACKED:
            return RECEIVED
        case SendResult.TOO_LARGE:
            return TOO_LARGE
        case SendResult.TIMED_OUT | SendResult.FAILED:
            return NOT_ACKED
        case None:
            return AWAY
        case _:
            assert_never(result)
