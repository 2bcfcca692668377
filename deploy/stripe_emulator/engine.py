"""One call from its request to its answer.

The order is Stripe's ([doc] error-low-level): key, account, URL; the limits and failures in front of the
endpoint; the idempotency layer; the parameters; the execution. What is refused before the execution is not
remembered.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from deploy.stripe_emulator import answers, errors, expansion, forms, legacy, routes
from deploy.stripe_emulator.calls import Calls
from deploy.stripe_emulator.delivery import Deliveries
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.exchange import Exchange, Request, api_key, named_account
from deploy.stripe_emulator.faults import PLATFORM, Cut, Faults, Plan
from deploy.stripe_emulator.idempotency import Answer, IdempotencyKeys, Scope
from deploy.stripe_emulator.model import Account, Call, World
from deploy.stripe_emulator.parameters import refine
from deploy.stripe_emulator.resources import payment_intents
from deploy.stripe_emulator.routes import Route


class Engine:
    """The API side: the world, and how calls change it."""

    def __init__(self, world: World, *, api_key: str, deliveries: Deliveries) -> None:
        self.world = world
        self.deliveries = deliveries
        self.faults = Faults()
        self.calls = Calls()
        self._api_key = api_key
        self._keys = IdempotencyKeys()
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self, request: Request, gone: Callable[[], Awaitable[None]]) -> Answer | None:
        """Answer a request; None: cut its connection. `gone` returns when the caller has left."""
        exchange = Exchange(request)
        try:
            account, route = self._admit(exchange)
        except StripeError as error:
            return self._note(exchange, answers.render_error(self.world, exchange, error))
        label = PLATFORM if account is self.world.platform else account.id
        plan = self.faults.draw(request.method, route.template, label)
        if plan.early is not None:
            await self.faults.pause(plan.latency_s)
            early = (
                None if isinstance(plan.early, Cut) else answers.injected(self.world, exchange, plan.early)
            )
            return self._note(exchange, early)
        scope = self._scope(exchange, account)
        try:
            kept = scope and self._take(exchange, scope)
        except StripeError as error:
            return self._note(exchange, answers.render_error(self.world, exchange, error))
        try:
            await self.faults.pause(plan.latency_s)
            if kept:
                answer = self._note(exchange, answers.replayed(exchange, kept), replayed=True, cut=plan.cut)
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
        exchange.api_key = api_key(request.headers)
        if not exchange.api_key:
            raise errors.no_api_key()
        if exchange.api_key != self._api_key:
            raise errors.wrong_api_key(exchange.api_key)
        account = self._reachable(exchange, named_account(request.headers) or self.world.platform.id)
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
            version = exchange.request.headers.get("stripe-version")
            tree, kinds = legacy.split(exchange.tree, route.template, version)
            parameters = refine(route.accepted, tree, route.name)
            if kinds is not None:
                parameters[legacy.NAME] = kinds
            paths = parameters.pop("expand", ())
            expansion.check(paths, route.template, method=route.method)
        except StripeError as error:
            return self._note(exchange, answers.render_error(self.world, exchange, error), cut=plan.cut)
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
            real = answer = answers.injected(self.world, exchange, plan.status)
        else:
            try:
                body = expansion.apply(self.world, account, route.handler(call), paths)
                real = answer = answers.render(self.world, exchange, HTTPStatus.OK, body, {})
            except StripeError as error:
                real = answer = answers.render_error(self.world, exchange, error)
            if plan.status is not None:
                answer = answers.injected(self.world, exchange, plan.status)
        if scope:
            self._keys.keep(scope, answer if plan.status is None or plan.status.stored else real)
        self.pass_time()
        return self._note(exchange, answer, cut=plan.cut)

    def pass_time(self) -> None:
        """Do what the clock says is due, send what happened, and look again when the next thing is due."""
        now_s = self.world.clock.now_s()
        payment_intents.settle_due(self.world, now_s)
        self.deliveries.send(self.world.take_undelivered())
        due_s = payment_intents.next_settlement_s(self.world)
        if due_s is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._time_is_up)

    def close(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _time_is_up(self) -> None:
        self._timer = None
        self.pass_time()

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


async def _held(plan: Plan, gone: Callable[[], Awaitable[None]]) -> None:
    if plan.hold is None:
        return
    waiting = [asyncio.ensure_future(plan.hold.removed.wait()), asyncio.ensure_future(gone())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
