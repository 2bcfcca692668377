"""One call from its request to its answer.

The order is Stripe's ([doc] error-low-level): what `admission.py` checks; the failures in front of the
endpoint; the idempotency layer; the parameters; the execution. What is refused before the execution is not
remembered.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from deploy.stripe_emulator import answers, errors, expansion, legacy
from deploy.stripe_emulator.admission import Admission, Admitted
from deploy.stripe_emulator.calls import Calls
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.events.delivery import Deliveries
from deploy.stripe_emulator.exchange import Exchange, Request
from deploy.stripe_emulator.faults import PLATFORM, Cut, Faults, Plan
from deploy.stripe_emulator.idempotency import Answer, IdempotencyKeys, Scope
from deploy.stripe_emulator.keys import Keys
from deploy.stripe_emulator.limits import Limiter
from deploy.stripe_emulator.model import Account, Call, World
from deploy.stripe_emulator.parameters import refine
from deploy.stripe_emulator.resources import paying


class Engine:
    """The API side: the worlds of the two modes, and how calls change them."""

    def __init__(self, worlds: Mapping[bool, World], *, keys: Keys) -> None:
        test = worlds[False]
        self.worlds = worlds
        self.clock = test.clock
        self.destinations, self.event_faults = test.destinations, test.event_faults
        self.deliveries = Deliveries(self.destinations, self.event_faults, self.clock)
        self.keys, self.limiter = keys, Limiter()
        self.faults = Faults()
        self.calls = Calls()
        self._admission = Admission(worlds, keys, self.limiter)
        self._idempotency = IdempotencyKeys()
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self, request: Request, gone: Callable[[], Awaitable[None]]) -> Answer | None:
        """Answer a request; None: cut its connection. `gone` returns when the caller has left."""
        exchange = Exchange(request, self.worlds[False])
        try:
            admitted = self._admission.admit(exchange)
        except StripeError as error:
            return self._note(exchange, answers.render_error(exchange, error))
        label = admitted.account.id if admitted.connected else PLATFORM
        plan = self.faults.draw(request.method, admitted.route.template, label)
        if plan.early is not None:
            await self.faults.pause(plan.latency_s)
            early = None if isinstance(plan.early, Cut) else answers.injected(exchange, plan.early)
            return self._note(exchange, early)
        scope = self._scope(exchange, admitted.account)
        try:
            kept = scope and self._take(exchange, scope)
        except StripeError as error:
            return self._note(exchange, answers.render_error(exchange, error))
        try:
            await self.faults.pause(plan.latency_s)
            if kept:
                answer = self._note(exchange, answers.replayed(exchange, kept), replayed=True, cut=plan.cut)
            else:
                answer = self._execute(exchange, admitted, plan, scope)
            await _held(plan, gone)
            return answer
        finally:
            if scope and not kept:
                self._idempotency.release(scope)

    def pass_time(self) -> None:
        """Do what the clock says is due, send what happened, and look again when the next thing is due."""
        now_s = self.clock.now_s()
        due = []
        for world in self.worlds.values():
            paying.settle_due(world, now_s)
            self.deliveries.send(world.take_undelivered())
            for event, destination in world.take_addressed():
                self.deliveries.send_to(event, destination)
            due.append(paying.next_settlement_s(world))
        due_s = min((each for each in due if each is not None), default=None)
        if due_s is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(due_s - now_s, self._time_is_up)

    def close(self) -> None:
        """Wait for nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _time_is_up(self) -> None:
        self._timer = None
        self.pass_time()

    def _scope(self, exchange: Exchange, account: Account) -> Scope | None:
        key = exchange.idempotency_key
        if exchange.request.method != "POST" or key is None:
            return None
        return Scope(exchange.api_key, account.id, key)

    def _take(self, exchange: Exchange, scope: Scope) -> Answer | None:
        parameters = json.dumps(exchange.tree, sort_keys=True)
        now_s = self.clock.now_s()
        return self._idempotency.take(scope, path=exchange.request.path, parameters=parameters, now_s=now_s)

    def _execute(
        self, exchange: Exchange, admitted: Admitted, plan: Plan, scope: Scope | None
    ) -> Answer | None:
        """Run the endpoint: nothing waits in here, so that one call's effects are one step."""
        world, account, route = exchange.world, admitted.account, admitted.route
        try:
            version = exchange.request.headers.get("stripe-version")
            tree, kinds = legacy.split(exchange.tree, route.template, version)
            parameters = refine(route.accepted, tree, route.name)
            if kinds is not None:
                parameters[legacy.NAME] = kinds
            parameters.update(exchange.aside)
            paths = parameters.pop("expand", ())
            if paths:
                expansion.check(
                    paths, route.template, method=route.method, require_read=admitted.require_read
                )
        except StripeError as error:
            return self._note(exchange, answers.render_error(exchange, error), cut=plan.cut)
        call = Call(
            world,
            account,
            exchange.path,
            parameters,
            exchange.request_id,
            exchange.idempotency_key,
            exchange.effects,
            admitted.require_read,
        )
        if plan.status is not None and plan.status.when == "before":
            real = answer = answers.injected(exchange, plan.status)
        else:
            try:
                body = expansion.apply(world, account, route.handler(call), paths)
                real = answer = answers.render(exchange, HTTPStatus.OK, body, {})
            except StripeError as error:
                real = answer = answers.render_error(exchange, self._explained(exchange, error, account))
            if plan.status is not None:
                answer = answers.injected(exchange, plan.status)
        remembered = answer if plan.status is None or plan.status.stored else real
        if scope and not (exchange.of_v2 and remembered.status >= HTTPStatus.BAD_REQUEST):
            self._idempotency.keep(scope, remembered)  # API v2 runs failed work again ([doc] api-v2-overview)
        self.pass_time()
        return self._note(exchange, answer, cut=plan.cut)

    def _explained(self, exchange: Exchange, error: StripeError, account: Account) -> StripeError:
        """Say of a missing object that the other mode has it, if so (STRIPE.md 1.6)."""
        other = self.worlds[not exchange.world.livemode]
        there = other.account(account.id)
        if error.missing is None or there is None:
            return error
        if expansion.find(other, there, error.missing) is None:
            return error
        return errors.in_other_mode(error, other_is_live=other.livemode)

    def _note(
        self, exchange: Exchange, answer: Answer | None, *, replayed: bool = False, cut: Cut | None = None
    ) -> Answer | None:
        account = exchange.account
        if cut is not None:
            answer = None
        self.calls.add(
            at=self.clock.now_s(),
            method=exchange.request.method,
            path=exchange.request.path,
            route=exchange.route.template if exchange.route else None,
            account=None if account is None or account is exchange.world.platform else account.id,
            livemode=exchange.world.livemode,
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
