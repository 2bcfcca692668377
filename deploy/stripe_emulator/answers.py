"""Answers as they go out: the body, and the headers of the recordings ([rec] clone-attached.yml)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from deploy.stripe_emulator import denials
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.exchange import Exchange
from deploy.stripe_emulator.faults import Status
from deploy.stripe_emulator.idempotency import Answer
from deploy.stripe_emulator.texts import as_json, in_live_mode

NOTICE = (
    "We recommend building your integration using Accounts v2. "
    "See https://docs.stripe.com/api/v2/core/accounts"
)

FIXED_HEADERS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, PATCH, POST, DELETE",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "Request-Id, Stripe-Manage-Version, Stripe-Should-Retry, X-Stripe-External-Auth-Required, "
        "X-Stripe-Privileged-Session-Required"
    ),
    "Access-Control-Max-Age": "300",
    "Cache-Control": "no-cache, no-store",
    "Vary": "Origin",
}
"""What every recorded answer carries."""


def injected(exchange: Exchange, fault: Status) -> Answer:
    """Write what a fault rule answers."""
    error = denials.injected(
        fault.status, rate_limited="stripe-rate-limited-reason" in map(str.lower, fault.headers)
    )
    error.headers.update(fault.headers)
    if fault.body is not None:
        return render(exchange, fault.status, dict(fault.body), error.headers)
    return render_error(exchange, error)


def replayed(exchange: Exchange, kept: Answer) -> Answer:
    """Write the first answer again, as the answer to this request."""
    marks = {"Request-Id": exchange.request_id, "Idempotent-Replayed": "true"}
    return Answer(kept.status, {**kept.headers, **marks}, kept.body)


def render_error(exchange: Exchange, error: StripeError) -> Answer:
    """Write an error; an untraced one has none of Stripe's own headers ([rec] account-revoked.yml)."""
    if exchange.of_v2:
        return render(exchange, _v2_status(error), {"error": _v2_error(error)}, error.headers)
    if not error.traced:
        return Answer(error.status, {**FIXED_HEADERS, **error.headers}, as_json({"error": error.error}))
    mode = "" if exchange.world.livemode else "test/"
    now = exchange.world.now()
    url = f"https://dashboard.stripe.com/{mode}logs/{exchange.request_id}?t={now}"
    return render(exchange, error.status, {"error": {**error.error, "request_log_url": url}}, error.headers)


def _v2_status(error: StripeError) -> int:
    """Give the status of a refusal of API v2: a key reused is a conflict there ([doc] event_destinations)."""
    reused = error.error["type"] == "idempotency_error" and error.status == HTTPStatus.BAD_REQUEST
    return HTTPStatus.CONFLICT if reused else error.status


def _v2_error(error: StripeError) -> dict[str, Any]:
    """Write a refusal as API v2 does: no pages, no parameter, its own codes ([doc] event_destinations)."""
    facts: dict[str, Any] = {
        name: error.error[name] for name in ("type", "code", "message") if name in error.error
    }
    if error.missing is not None and error.status == HTTPStatus.NOT_FOUND:
        facts["code"] = "not_found"
    if facts["type"] == "idempotency_error":
        facts["code"] = "idempotency_error"
    return facts


def render(exchange: Exchange, status: int, body: dict[str, Any], extra: Mapping[str, str]) -> Answer:
    """Write an answer with the headers of the recordings."""
    request, key, world = exchange.request, exchange.idempotency_key, exchange.world
    headers = {**FIXED_HEADERS, "Request-Id": exchange.request_id}
    headers["Stripe-Version"] = request.headers.get("stripe-version", world.api_version)
    if key is not None:
        headers["Idempotency-Key"] = key
    account = exchange.named or exchange.account
    if account is not None and account is not world.platform:
        headers["Stripe-Account"] = account.id
    if request.method == "POST":
        if key is not None:
            headers["Original-Request"] = exchange.request_id
        if status == HTTPStatus.CONFLICT:
            headers["Stripe-Should-Retry"] = "true"
        elif status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
            headers["Stripe-Should-Retry"] = "false"
        if request.path == "/v1/accounts":
            headers["Stripe-Notice"] = NOTICE
    return Answer(status, {**headers, **extra}, as_json(in_live_mode(body) if world.livemode else body))
