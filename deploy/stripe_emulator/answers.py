"""Answers as they go out: the body, and the headers of the recordings ([rec] clone-attached.yml)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from deploy.stripe_emulator import errors
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.exchange import Exchange
from deploy.stripe_emulator.faults import Status
from deploy.stripe_emulator.idempotency import Answer
from deploy.stripe_emulator.model import World

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


def injected(world: World, exchange: Exchange, fault: Status) -> Answer:
    """Write what a fault rule answers."""
    error = errors.injected(
        fault.status, rate_limited="stripe-rate-limited-reason" in map(str.lower, fault.headers)
    )
    error.headers.update(fault.headers)
    if fault.body is not None:
        return render(world, exchange, fault.status, dict(fault.body), error.headers)
    return render_error(world, exchange, error)


def replayed(exchange: Exchange, kept: Answer) -> Answer:
    """Write the first answer again, as the answer to this request."""
    marks = {"Request-Id": exchange.request_id, "Idempotent-Replayed": "true"}
    return Answer(kept.status, {**kept.headers, **marks}, kept.body)


def render_error(world: World, exchange: Exchange, error: StripeError) -> Answer:
    """Write an error; an untraced one has none of Stripe's own headers ([rec] account-revoked.yml)."""
    if not error.traced:
        return Answer(error.status, {**FIXED_HEADERS, **error.headers}, _json({"error": error.error}))
    url = f"https://dashboard.stripe.com/test/logs/{exchange.request_id}?t={world.now()}"
    return render(
        world, exchange, error.status, {"error": {**error.error, "request_log_url": url}}, error.headers
    )


def render(
    world: World, exchange: Exchange, status: int, body: dict[str, Any], extra: Mapping[str, str]
) -> Answer:
    """Write an answer with the headers of the recordings."""
    request, key = exchange.request, exchange.idempotency_key
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
    return Answer(status, {**headers, **extra}, _json(body))


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, indent=2).encode()
