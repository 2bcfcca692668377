"""One call from its request to its answer.

The order is Stripe's ([doc] error-low-level): key, account, URL; the limits and failures in front of the
endpoint; the idempotency layer; the parameters; the execution. What is refused before the execution is not
remembered.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from deploy.stripe_emulator import errors, forms, ids, routes
from deploy.stripe_emulator.calls import Calls
from deploy.stripe_emulator.delivery import Deliveries
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.faults import PLATFORM, Cut, Faults, Plan, Status
from deploy.stripe_emulator.forms import Tree
from deploy.stripe_emulator.idempotency import Answer, IdempotencyKeys, Scope
from deploy.stripe_emulator.model import Account, Call, World
from deploy.stripe_emulator.parameters import refine
from deploy.stripe_emulator.routes import Route

NOTICE = (
    "We recommend building your integration using Accounts v2. "
    "See https://docs.stripe.com/api/v2/core/accounts"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived; the names of its headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Exchange:
    """What is known of a request while it is answered."""

    request: Request
    request_id: str = field(default_factory=ids.request_id)
    api_key: str = ""
    account: Account | None = None
    named: Account | None = None
    route: Route | None = None
    path: dict[str, str] = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)

    @property
    def idempotency_key(self) -> str | None:
        """Give the key that came with the request."""
        return self.request.headers.get("idempotency-key")


class Engine:
    """The API side: the world, and how calls change it."""

    def __init__(self, world: World, *, api_key: str, deliveries: Deliveries) -> None:
        self.world = world
        self.deliveries = deliveries
        self.faults = Faults()
        self.calls = Calls()
        self._api_key = api_key
        self._keys = IdempotencyKeys()

    async def answer(self, request: Request, gone: Callable[[], Awaitable[None]]) -> Answer | None:
        """Answer a request; None: cut its connection. `gone` returns when the caller has left."""
        exchange = Exchange(request)
        try:
            account, route = self._admit(exchange)
        except StripeError as error:
            return self._note(exchange, self._render_error(exchange, error))
        label = PLATFORM if account is self.world.platform else account.id
        plan = self.faults.draw(request.method, route.template, label)
        if plan.early is not None:
            await self.faults.pause(plan.latency_s)
            early = None if isinstance(plan.early, Cut) else self._injected(exchange, plan.early)
            return self._note(exchange, early)
        scope = self._scope(exchange, account)
        try:
            kept = scope and self._take(exchange, scope)
        except StripeError as error:
            return self._note(exchange, self._render_error(exchange, error))
        try:
            await self.faults.pause(plan.latency_s)
            if kept:
                answer = self._note(exchange, self._replayed(exchange, kept), replayed=True, cut=plan.cut)
            else:
                answer = self._execute(exchange, account, route, plan, scope)
            await _held(plan, gone)
            return answer
        finally:
            if scope and not kept:
                self._keys.release(scope)

    def _admit(self, exchange: Exchange) -> tuple[Account, Route]:
        """Check key, account and URL, in this order."""
        request = exchange.request
        exchange.api_key = _api_key(request.headers.get("authorization", ""))
        if not exchange.api_key:
            raise errors.no_api_key()
        if exchange.api_key != self._api_key:
            raise errors.wrong_api_key(exchange.api_key)
        account = self._reachable(exchange, _named_account(request.headers) or self.world.platform.id)
        exchange.account = account
        found = routes.find(request.method, request.path)
        if found is None:
            raise errors.unknown_url(request.method, request.path)
        exchange.route, exchange.path = found
        if "account" in exchange.path:
            exchange.named = self._reachable(exchange, exchange.path["account"])
        body = request.body.decode(errors="replace")
        exchange.tree = forms.decode("&".join(filter(None, (request.query, body))))
        return account, exchange.route

    def _reachable(self, exchange: Exchange, account_id: str) -> Account:
        account = self.world.account(account_id)
        if account is None:
            raise errors.account_invalid(exchange.api_key, account_id)
        return account

    def _scope(self, exchange: Exchange, account: Account) -> Scope | None:
        key = exchange.idempotency_key
        if exchange.request.method != "POST" or key is None:
            return None
        return Scope(exchange.api_key, account.id, key)

    def _take(self, exchange: Exchange, scope: Scope) -> Answer | None:
        parameters = json.dumps(exchange.tree, sort_keys=True)
        now_s = self.world.clock.now_s()
        return self._keys.take(scope, path=exchange.request.path, parameters=parameters, now_s=now_s)

    def _execute(
        self, exchange: Exchange, account: Account, route: Route, plan: Plan, scope: Scope | None
    ) -> Answer | None:
        """Run the endpoint: nothing waits in here, so that one call's effects are one step."""
        try:
            parameters = refine(route.accepted, exchange.tree)
        except StripeError as error:
            return self._note(exchange, self._render_error(exchange, error), cut=plan.cut)
        call = Call(
            self.world,
            account,
            exchange.path,
            parameters,
            exchange.request_id,
            exchange.idempotency_key,
            exchange.effects,
        )
        if plan.status is not None and plan.status.when == "before":
            real = answer = self._injected(exchange, plan.status)
        else:
            try:
                real = answer = self._render(exchange, HTTPStatus.OK, route.handler(call), {})
            except StripeError as error:
                real = answer = self._render_error(exchange, error)
            if plan.status is not None:
                answer = self._injected(exchange, plan.status)
        if scope:
            self._keys.keep(scope, answer if plan.status is None or plan.status.stored else real)
        self.deliveries.send(self.world.take_undelivered())
        return self._note(exchange, answer, cut=plan.cut)

    def _injected(self, exchange: Exchange, fault: Status) -> Answer:
        error = errors.injected(
            fault.status, rate_limited="stripe-rate-limited-reason" in map(str.lower, fault.headers)
        )
        error.headers.update(fault.headers)
        if fault.body is not None:
            return self._render(exchange, fault.status, dict(fault.body), error.headers)
        return self._render_error(exchange, error)

    def _replayed(self, exchange: Exchange, kept: Answer) -> Answer:
        marks = {"Request-Id": exchange.request_id, "Idempotent-Replayed": "true"}
        return Answer(kept.status, {**kept.headers, **marks}, kept.body)

    def _render_error(self, exchange: Exchange, error: StripeError) -> Answer:
        if not error.traced:
            return Answer(error.status, {**FIXED_HEADERS, **error.headers}, _json({"error": error.error}))
        url = f"https://dashboard.stripe.com/test/logs/{exchange.request_id}?t={self.world.now()}"
        return self._render(
            exchange, error.status, {"error": {**error.error, "request_log_url": url}}, error.headers
        )

    def _render(
        self, exchange: Exchange, status: int, body: dict[str, Any], extra: Mapping[str, str]
    ) -> Answer:
        """Write an answer with the headers of the recordings."""
        request, key = exchange.request, exchange.idempotency_key
        headers = {**FIXED_HEADERS, "Request-Id": exchange.request_id}
        headers["Stripe-Version"] = request.headers.get("stripe-version", self.world.api_version)
        if key is not None:
            headers["Idempotency-Key"] = key
        account = exchange.named or exchange.account
        if account is not None and account is not self.world.platform:
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

    def _note(
        self, exchange: Exchange, answer: Answer | None, *, replayed: bool = False, cut: Cut | None = None
    ) -> Answer | None:
        account = exchange.account
        if cut is not None:
            answer = None
        self.calls.add(
            at=self.world.clock.now_s(),
            method=exchange.request.method,
            path=exchange.request.path,
            route=exchange.route.template if exchange.route else None,
            account=None if account is None or account is self.world.platform else account.id,
            idempotency_key=exchange.idempotency_key,
            parameters=exchange.tree,
            status=answer.status if answer else None,
            request_id=answer.headers.get("Request-Id") if answer else exchange.request_id,
            replayed=replayed,
            effect=list(exchange.effects),
        )
        return answer


FIXED_HEADERS = {
    "Content-Type": "application/json",
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, PATCH, POST, DELETE",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Max-Age": "300",
    "Cache-Control": "no-cache, no-store",
    "Vary": "Origin",
}
"""What every recorded answer carries."""


async def _held(plan: Plan, gone: Callable[[], Awaitable[None]]) -> None:
    if plan.hold is None:
        return
    waiting = [asyncio.ensure_future(plan.hold.removed.wait()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _api_key(authorization: str) -> str:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _named_account(headers: Mapping[str, str]) -> str | None:
    """Give the account a call is for; a context may be a path, whose last part it is.

    Source: [doc] docs.stripe.com/context.
    """
    account = headers.get("stripe-account")
    context = headers.get("stripe-context", "").rpartition("/")[2] or None
    if account and context and account != context:
        raise errors.contexts_differ()
    return account or context


def _json(body: dict[str, Any]) -> bytes:
    return json.dumps(body, indent=2).encode()
